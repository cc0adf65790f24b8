"""The rules that hold always, checked over all rows of a mesh, all effects at its provider, and all its mail.

Each function names what is broken, one sentence a violation; the numbers are those of the design's list of invariants.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec
import psycopg
from psycopg.rows import dict_row

from shared.domain.emails import Template
from shared.domain.orders import TRANSITIONS as ORDER_TRANSITIONS
from shared.domain.orders import OrderEvent, OrderStatus
from shared.domain.payments import TRANSITIONS as PAYMENT_TRANSITIONS
from shared.domain.payments import PaymentEvent, PaymentStatus
from tests.shop import Shop, eventually

Row = dict[str, Any]

#: What the provider's ledger calls the release of a hold.
RELEASED = ("payment_intent.canceled", "payment_intent.expired")
CAPTURED = "payment_intent.captured"

#: What the causes of alerts about an order's money begin with.
ABOUT_MONEY = ("void_", "capture_", "captured_", "partly_captured_", "released_", "refund_", "drift:")


@dataclass
class World:
    """Everything there is to compare, read once; nothing in it may still be moving."""

    rows: Mapping[str, list[Row]]
    ledger: Mapping[str, list[Row]]
    requests: Mapping[str, list[Row]]
    deliveries: Mapping[str, list[Row]]

    @cached_property
    def orders(self) -> dict[str, Row]:
        return {order["id"]: order for order in self.rows["orders"]}

    @cached_property
    def timeline(self) -> dict[str, list[Row]]:
        return _grouped(self.rows["timeline"], "order_id")

    @cached_property
    def alarmed(self) -> set[str | None]:
        """The orders about whose money a person was told, and the matter is still open."""
        return {
            alert["order_id"]
            for alert in self.rows["alerts"]
            if alert["resolved_at"] is None and alert["cause"].startswith(ABOUT_MONEY)
        }


def check(shop: Shop, within: float = 60.0) -> None:
    """Wait until nothing moves any more, then fail with every violation there is."""
    eventually(lambda: not moving(shop), within)
    found = violations(look(shop))
    assert not found, "\n".join(found)


def moving(shop: Shop) -> list[tuple[Any, ...]]:
    """Whatever is neither at rest nor waiting for an hour that has not come."""
    return shop.sql(
        """
        SELECT 'intent', id, state FROM intents WHERE state IN ('accepted', 'working')
        UNION ALL SELECT 'void', id, state FROM voids WHERE state = 'requested'
        UNION ALL SELECT 'capture', id, state FROM capture_jobs
            WHERE state = 'active' OR state = 'waiting' AND due_at < now()
        UNION ALL SELECT 'refund', id, state FROM refunds WHERE state IN ('initiated', 'processing')
        UNION ALL SELECT 'email', id, state FROM emails WHERE state IN ('pending', 'sending')
        UNION ALL SELECT 'webhook', id, state FROM webhook_events WHERE state = 'received'
        UNION ALL SELECT 'message', subject, task FROM outbox o
            WHERE NOT EXISTS (SELECT FROM capture_jobs j WHERE j.id = o.subject AND j.state = 'waiting')
        """
    )


def look(shop: Shop) -> World:
    """Read the mesh's rows, the provider's ledger and requests, and the mailbox's ledger."""

    def ask(stand_in: str, path: str) -> list[Row]:
        found: list[Row] = shop.outside.get(f"{shop.urls[stand_in]}/_sandbox/{path}").json()
        return found

    with psycopg.connect(shop.settings.database_url, row_factory=dict_row) as connection:
        return world(
            rows(connection),
            ledger=ask("stripe", "ledger"),
            requests=ask("stripe", "requests"),
            deliveries=ask("mailbox", "ledger"),
        )


def rows(connection: psycopg.Connection[Row]) -> dict[str, list[Row]]:
    """All rows of a mesh, as they stand at one moment."""
    tables = (
        "orders",
        "order_lines",
        "stock",
        "payments",
        "capture_jobs",
        "voids",
        "refunds",
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


def world(rows: Mapping[str, list[Row]], *, ledger: list[Row], requests: list[Row], deliveries: list[Row]) -> World:
    """What was read, put together by what it is about."""
    return World(
        rows=rows,
        ledger=_grouped(ledger, "payment_intent"),
        requests=_grouped(requests, "object"),
        deliveries=_grouped(deliveries, "message_id"),
    )


def violations(world: World) -> list[str]:
    """Every violation of every rule."""
    return [violation for rule in RULES for violation in rule(world)]


def money_moves_one_way(world: World) -> Iterator[str]:
    """1. Never both captured and voided; captured + released <= authorized; refunded <= captured."""
    for payment in world.rows["payments"]:
        name = f"1: payment {payment['id']}"
        if payment["captured"] + payment["released"] > payment["authorized"]:
            yield f"{name} has captured and released more than was authorized"
        if payment["refunded"] > payment["captured"]:
            yield f"{name} has refunded more than was captured"
        if payment["status"] == PaymentStatus.VOIDED and payment["captured"]:
            yield f"{name} is both captured and voided"
    for reference, effects in world.ledger.items():
        count = Counter(effect["operation"] for effect in effects)
        released = sum(count[operation] for operation in RELEASED)
        if released and count[CAPTURED]:
            yield f"1: {reference} was both captured and released at the provider"
        if released > 1 or count[CAPTURED] > 1:
            yield f"1: {reference} was moved more than once at the provider: {dict(count)}"


def canceled_stays_canceled(world: World) -> Iterator[str]:
    """2. A canceled order is never captured afterwards; a captured order is never canceled as if it were free."""
    for payment in world.rows["payments"]:
        order = world.orders[payment["order_id"]]
        amounts: Counter[str] = Counter()
        for effect in world.ledger.get(payment["reference"], []):
            amounts[effect["operation"]] += effect["amount"]
        kept = amounts[CAPTURED] > amounts["refund.created"] - amounts["refund.failed"]
        is_known = order["cancellation_refund"] == "skipped" or order["id"] in world.alarmed
        if order["status"] == OrderStatus.CANCELED and kept and not is_known:
            yield f"2: order {order['id']} is canceled, its money was taken, and nobody was told"
        if order["status"] == OrderStatus.CAPTURED and set(RELEASED) & set(amounts):
            yield f"2: order {order['id']} is captured and its money was released"
    for job in world.rows["capture_jobs"]:
        order = world.orders[job["order_id"]]
        was_free = order["status"] == OrderStatus.CANCELED and order["cancellation_refund"] == "none"
        if was_free and job["state"] not in ("removed", "failed"):
            yield f"2: order {job['order_id']} is canceled and its capture is {job['state']}"


def one_operation_has_one_key(world: World) -> Iterator[str]:
    """3. One money operation has one idempotency key, derived from its row's id, for all its attempts."""
    payments = {payment["id"]: payment["reference"] for payment in world.rows["payments"]}
    rows = [("cancel", "void", row) for row in world.rows["voids"]]
    rows += [("capture", "capture", row) for row in world.rows["capture_jobs"]]
    expected: dict[tuple[str, str], set[str]] = defaultdict(set)
    for operation, prefix, row in rows:
        expected[payments[row["payment_id"]], operation].add(f"{prefix}:{row['id']}")
    for refund in world.rows["refunds"]:
        keys = {f"refund:{refund['id']}:{generation}" for generation in range(1, refund["generation"] + 1)}
        expected[payments[refund["payment_id"]], "refund"] |= keys
    for reference in payments.values():
        for request in world.requests.get(reference, []):
            operation, key = request["operation"], request["idempotency_key"]
            if operation in ("cancel", "capture", "refund") and key not in expected[reference, operation]:
                yield f"3: {operation} of {reference} was asked for under the key {key}"


def every_intent_has_its_answer(world: World) -> Iterator[str]:
    """4. Every accepted intent ends done, refused or parked, and its answer is stored."""
    for intent in world.rows["intents"]:
        name = f"4: intent {intent['id']} ({intent['operation']})"
        if intent["state"] not in ("done", "refused", "parked"):
            yield f"{name} is still {intent['state']}"
        elif intent["answer_status"] in (None, 503) or not isinstance(msgspec.json.decode(intent["answer_body"]), dict):
            yield f"{name} has no answer that could be given again"


def stock_returns_once(world: World) -> Iterator[str]:
    """5. Stock returns exactly once for each canceled unit."""
    reserved: Counter[str] = Counter()
    for line in world.rows["order_lines"]:
        reserved[line["sku"]] += line["reserved"]
        if line["reserved"] and world.orders[line["order_id"]]["status"] == OrderStatus.CANCELED:
            yield f"5: order {line['order_id']} is canceled and still holds {line['reserved']} {line['sku']}"
    told = _grouped([intent for intent in world.rows["intents"] if intent["operation"] == "set_stock"], "subject")
    for stock in world.rows["stock"]:
        levels = [intent["payload"]["quantity"] for intent in told.get(stock["sku"], [])]
        # What was told once, before anything was sold, is what there must be, but for what is sold.
        if len(levels) == 1 and stock["quantity"] + reserved[stock["sku"]] != levels[0]:
            yield f"5: of {levels[0]} {stock['sku']} there are {stock['quantity']}, with {reserved[stock['sku']]} sold"


def rows_agree_with_the_provider(world: World) -> Iterator[str]:
    """6. What the database says of money equals what the provider says, or an alert is open."""
    for payment in world.rows["payments"]:
        if payment["reference"] is None or payment["order_id"] in world.alarmed:
            continue
        amounts: Counter[str] = Counter()
        for effect in world.ledger.get(payment["reference"], []):
            amounts[effect["operation"]] += effect["amount"]
        captured, authorized = amounts[CAPTURED], amounts["payment_intent.authorized"]
        released = authorized - captured if captured else sum(amounts[operation] for operation in RELEASED)
        there = authorized, captured, released, amounts["refund.created"] - amounts["refund.failed"]
        here = payment["authorized"], payment["captured"], payment["released"], payment["refunded"]
        if here != there:
            yield f"6: payment {payment['id']} says {here}, the provider {there}"


def the_timeline_explains_every_state(world: World) -> Iterator[str]:
    """8. No change of state without its event: told again from its timeline, an order stands as it does."""
    payments = {payment["order_id"]: payment for payment in world.rows["payments"]}
    for order_id, order in world.orders.items():
        status: str | None = None
        payment: str | None = None
        for entry in world.timeline.get(order_id, []):
            event = entry["event"]
            if event == OrderEvent.REGISTERED:
                payment = entry["data"]["payment"]
                status = OrderStatus.CAPTURED if payment == PaymentStatus.CAPTURED else OrderStatus.PENDING
            elif event in set(OrderEvent):
                status = ORDER_TRANSITIONS.get((status, event), f"{status} and then {event}")  # type: ignore[arg-type]
            elif event in set(PaymentEvent):
                payment = PAYMENT_TRANSITIONS.get((payment, event), f"{payment} and then {event}")  # type: ignore[arg-type]
        if (status, payment) != (order["status"], payments[order_id]["status"]):
            yield (
                f"8: order {order_id} is {order['status']} and {payments[order_id]['status']}, "
                f"its timeline says {status} and {payment}"
            )


def the_shopper_is_told_once(world: World) -> Iterator[str]:
    """Of every cancel there is one e-mail; one that came twice came under one Message-ID, after a lost answer."""
    cancels = Template.ORDER_CANCELED, Template.PAID_ORDER_CANCELED
    letters = Counter(email["order_id"] for email in world.rows["emails"] if email["template"] in cancels)
    for order_id, order in world.orders.items():
        if (order["status"] == OrderStatus.CANCELED) != (letters[order_id] == 1):
            yield f"mail: order {order_id} is {order['status']} and has {letters[order_id]} e-mails"
    for email in world.rows["emails"]:
        domain = "countermand.example"
        delivered = len(world.deliveries.get(f"<{email['cause']}.{email['template']}@{domain}>", []))
        if (email["state"] == "sent") != (delivered > 0) or delivered > email["attempts"]:
            yield f"mail: {email['id']} is {email['state']} and was delivered {delivered} times"


RULES: tuple[Callable[[World], Iterator[str]], ...] = (
    money_moves_one_way,
    canceled_stays_canceled,
    one_operation_has_one_key,
    every_intent_has_its_answer,
    stock_returns_once,
    rows_agree_with_the_provider,
    the_timeline_explains_every_state,
    the_shopper_is_told_once,
)


def _grouped(rows: list[Row], column: str) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row[column]].append(row)
    return groups
