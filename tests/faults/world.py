"""The world: all rows of a mesh, all effects at its providers and its courier, and all its mail, read at one moment."""

import copy
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import psycopg
from psycopg.rows import dict_row

from shared.domain.payments import Provider
from shared.domain.settling import CancellationState
from tests.shop import Shop

Row = dict[str, Any]

#: What the provider's ledger calls the release of a hold.
RELEASED = ("payment_intent.canceled", "payment_intent.expired")
CAPTURED = "payment_intent.captured"
#: What it calls a hold, and one that was raised; the amount of either is the whole sum that is held from then on.
HELD = ("payment_intent.authorized", "payment_intent.incremented")

#: What is read of those outside: of whom, and which of their lists.
RECORDS = (
    ("stripe", "ledger"),
    ("stripe", "requests"),
    ("razorpay", "ledger"),
    ("razorpay", "requests"),
    ("delhivery", "ledger"),
    ("mailbox", "ledger"),
)
#: The column of a ledger that names the payment; Razorpay's calls it otherwise.
PAYMENT = "payment_intent"
#: What Razorpay's ledger says, in these words.
RAZORPAY = {"payment.authorized": HELD[0], "payment.captured": CAPTURED, "payment.lapsed": RELEASED[1]}

#: What the causes of alerts about an order's money begin with.
ABOUT_MONEY = ("void_", "capture_", "captured_", "partly_captured_", "released_", "refund_", "drift:")
#: What those begin with that tell of a capture which did not take what the order costs.
TAKEN_OTHERWISE = ("void_", "capture_failed", "captured_", "partly_captured_", "drift:")


@dataclass
class World:
    """Everything there is to compare, read once; nothing in it may still be moving."""

    rows: Mapping[str, list[Row]]
    ledger: Mapping[str, list[Row]]
    requests: Mapping[str, list[Row]]
    scans: Mapping[str, list[Row]]
    deliveries: Mapping[str, list[Row]]

    def copied(self) -> "World":
        """The same, to be changed: nothing in it is worked out yet."""
        return World(*copy.deepcopy([getattr(self, each.name) for each in fields(self)]))

    @cached_property
    def orders(self) -> dict[str, Row]:
        return {order["id"]: order for order in self.rows["orders"]}

    @cached_property
    def at_razorpay(self) -> set[str]:
        """The payments that Razorpay holds."""
        return {payment["id"] for payment in self.rows["payments"] if payment["provider"] == Provider.RAZORPAY}

    @cached_property
    def timeline(self) -> dict[str, list[Row]]:
        return grouped(self.rows["timeline"], "order_id")

    @cached_property
    def alarmed(self) -> set[str | None]:
        """The orders about whose money a person was told, and the matter is still open."""
        return {
            alert["order_id"]
            for alert in self.rows["alerts"]
            if alert["resolved_at"] is None and alert["cause"].startswith(ABOUT_MONEY)
        }

    @cached_property
    def taken_otherwise(self) -> set[str | None]:
        """The orders of which a person was ever told that not what they cost was captured."""
        return {alert["order_id"] for alert in self.rows["alerts"] if alert["cause"].startswith(TAKEN_OTHERWISE)}

    @cached_property
    def fees(self) -> dict[str, int]:
        """What guests who took their bookings back have paid for that."""
        done = [each for each in self.rows["guest_cancellations"] if each["state"] == CancellationState.DONE]
        return {each["order_id"]: each["fee"] for each in done}

    @cached_property
    def captured_fees(self) -> dict[str, int]:
        """Those fees that were captured out of what was held, and nothing else: all that the booking is paid with."""
        parts = [each for each in self.rows["payments"] if each["captured"] < each["authorized"]]
        taken = {each["order_id"]: each["captured"] for each in parts}
        return {order_id: fee for order_id, fee in self.fees.items() if fee and taken.get(order_id) == fee}

    @cached_property
    def edits(self) -> dict[str, list[Row]]:
        return grouped(self.rows["order_edits"], "order_id")


def moving(shop: Shop) -> list[tuple[Any, ...]]:
    """Whatever is neither at rest nor waiting for an hour that has not come."""
    return shop.sql(
        """
        SELECT 'intent', id, state FROM intents WHERE state IN ('accepted', 'working')
        UNION ALL SELECT 'void', id, state FROM voids WHERE state = 'requested'
        UNION ALL SELECT 'capture', id, state FROM capture_jobs
            WHERE state = 'active' OR state = 'waiting' AND due_at < now()
        UNION ALL SELECT 'refund', id, state FROM refunds WHERE state IN ('initiated', 'processing')
        UNION ALL SELECT 'cancellation', awaits, state FROM guest_cancellations WHERE state = 'settling'
        UNION ALL SELECT 'edit', id, state FROM order_edits WHERE state = 'authorizing'
        UNION ALL SELECT 'cancellation of parcel', id, cancel_state FROM shipments WHERE cancel_state = 'requested'
        UNION ALL SELECT 'sync', id, state FROM syncs WHERE state = 'running'
        UNION ALL SELECT 'batch', id, state FROM sync_batches WHERE state = 'waiting'
        UNION ALL SELECT 'email', id, state FROM emails WHERE state IN ('pending', 'sending')
        UNION ALL SELECT 'webhook', id, state FROM webhook_events WHERE state = 'received'
        UNION ALL SELECT 'message', subject, task FROM outbox o
            WHERE NOT EXISTS (SELECT FROM capture_jobs j WHERE j.id = o.subject AND j.state = 'waiting')
        """
    )


def look(shop: Shop) -> World:
    """Read the mesh's rows, and what everybody outside has on record."""

    def ask(stand_in: str, path: str) -> list[Row]:
        found: list[Row] = shop.outside.get(f"{shop.urls[stand_in]}/_sandbox/{path}").json()
        return found

    with psycopg.connect(shop.settings.database_url, row_factory=dict_row) as connection:
        return world(rows(connection), {record: ask(*record) for record in RECORDS})


def rows(connection: psycopg.Connection[Row]) -> dict[str, list[Row]]:
    """All rows of a mesh, as they stand at one moment."""
    tables = (
        "orders",
        "order_lines",
        "order_edits",
        "stock",
        "payment_collections",
        "payments",
        "capture_jobs",
        "voids",
        "refunds",
        "guest_tokens",
        "guest_cancellations",
        "shipments",
        "intents",
        "emails",
        "timeline",
        "alerts",
    )
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        found = {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables}  # noqa: S608
    found["timeline"].sort(key=lambda entry: entry["id"])
    return found


def world(rows: Mapping[str, list[Row]], records: Mapping[tuple[str, str], list[Row]]) -> World:
    """What was read, put together by what it is about."""
    at_razorpay = [
        effect | {"operation": RAZORPAY.get(effect["operation"], effect["operation"]), PAYMENT: effect["payment"]}
        for effect in records["razorpay", "ledger"]
    ]
    return World(
        rows=rows,
        ledger=grouped([*records["stripe", "ledger"], *at_razorpay], PAYMENT),
        requests=grouped([*records["stripe", "requests"], *records["razorpay", "requests"]], "object"),
        scans=grouped(records["delhivery", "ledger"], "awb"),
        deliveries=grouped(records["mailbox", "ledger"], "message_id"),
    )


def grouped(rows: list[Row], column: str) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row[column]].append(row)
    return groups
