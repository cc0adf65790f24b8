"""The rules that hold always, checked over all rows of a mesh, all effects at its provider, and all its mail.

Each function names what is broken, one sentence a violation; the numbers are those of the design's list of invariants.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from typing import Any

import msgspec
import psycopg
from psycopg.rows import dict_row

from shared.domain.edits import EditEvent, EditState
from shared.domain.emails import Template
from shared.domain.orders import TRANSITIONS as ORDER_TRANSITIONS
from shared.domain.orders import OrderEvent, OrderStatus
from shared.domain.payments import TRANSITIONS as PAYMENT_TRANSITIONS
from shared.domain.payments import PaymentEvent, PaymentStatus
from shared.domain.settling import CancellationState
from tests.shop import Shop, eventually

Row = dict[str, Any]

#: What the provider's ledger calls the release of a hold.
RELEASED = ("payment_intent.canceled", "payment_intent.expired")
CAPTURED = "payment_intent.captured"
#: What it calls a hold, and one that was raised; the amount of either is the whole sum that is held from then on.
HELD = ("payment_intent.authorized", "payment_intent.incremented")

#: What the causes of alerts about an order's money begin with.
ABOUT_MONEY = ("void_", "capture_", "captured_", "partly_captured_", "released_", "refund_", "drift:")
#: What those begin with that tell of a capture which did not take what the order costs.
TAKEN_OTHERWISE = ("void_", "capture_failed", "captured_", "partly_captured_", "drift:")

#: A moment in an answer: in the fault harness time passes by moving what lies in the rows, and in no answer.
MOMENT = re.compile(r'"[0-9-]+T[0-9:.]+Z"')

HOTEL_MAIL = Template.HOTEL_BOOKING_CANCELED

#: How an edit ends: what it tells the order's timeline, and the status of its answer.
ENDS: Mapping[str, tuple[EditEvent, tuple[int, ...]]] = {
    EditState.DONE: (EditEvent.APPLIED, (200,)),
    EditState.DECLINED: (EditEvent.DECLINED, (402,)),
    EditState.REFUSED: (EditEvent.REFUSED, (409,)),
    EditState.ABANDONED: (EditEvent.ABANDONED, (409, 502)),
}
#: What it tells before.
UNDER_WAY = (EditEvent.STARTED, EditEvent.UNANSWERED)


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
        """Those fees that were captured out of what was held: all that the booking is paid with."""
        taken = {each["order_id"] for each in self.rows["payments"] if 0 < each["captured"] < each["authorized"]}
        return {order_id: fee for order_id, fee in self.fees.items() if fee and order_id in taken}

    @cached_property
    def edits(self) -> dict[str, list[Row]]:
        return _grouped(self.rows["order_edits"], "order_id")


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
        UNION ALL SELECT 'cancellation', awaits, state FROM guest_cancellations WHERE state = 'settling'
        UNION ALL SELECT 'edit', id, state FROM order_edits WHERE state = 'authorizing'
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
        "order_edits",
        "stock",
        "payment_collections",
        "payments",
        "capture_jobs",
        "voids",
        "refunds",
        "guest_tokens",
        "guest_cancellations",
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
        fee = world.fees.get(order["id"], 0)
        kept = amounts[CAPTURED] - fee > amounts["refund.created"] - amounts["refund.failed"]
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
    rows += [("increment", "increment", row) for row in world.rows["order_edits"] if row["payment_id"]]
    expected: dict[tuple[str, str], set[str]] = defaultdict(set)
    for operation, prefix, row in rows:
        expected[payments[row["payment_id"]], operation].add(f"{prefix}:{row['id']}")
    for refund in world.rows["refunds"]:
        key = refund["key"] or f"refund:{refund['id']}"
        keys = {f"{key}:{generation}" for generation in range(1, refund["generation"] + 1)}
        keys |= {key} if refund["key"] else set()
        expected[payments[refund["payment_id"]], "refund"] |= keys
    for reference in payments.values():
        for request in world.requests.get(reference, []):
            operation, key = request["operation"], request["idempotency_key"]
            if operation in ("cancel", "capture", "refund", "increment") and key not in expected[reference, operation]:
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
        if line["reserved"] > line["quantity"]:
            yield f"5: order {line['order_id']} holds {line['reserved']} {line['sku']} for {line['quantity']}"
        if line["reserved"] and world.orders[line["order_id"]]["status"] == OrderStatus.CANCELED:
            yield f"5: order {line['order_id']} is canceled and still holds {line['reserved']} {line['sku']}"
    for edit in world.rows["order_edits"]:
        reserved[edit["sku"]] += edit["units"]
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
        effects = world.ledger.get(payment["reference"], [])
        amounts: Counter[str] = Counter()
        for effect in effects:
            amounts[effect["operation"]] += effect["amount"]
        captured = amounts[CAPTURED]
        held = [effect["amount"] for effect in effects if effect["operation"] in HELD]
        never_held = sum(amounts[operation] for operation in RELEASED)  # closed before anybody has paid
        authorized = (held or [never_held])[-1]
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
    cancels = Template.ORDER_CANCELED, Template.PAID_ORDER_CANCELED, Template.BOOKING_CANCELED
    letters = Counter(email["order_id"] for email in world.rows["emails"] if email["template"] in cancels)
    for order_id, order in world.orders.items():
        if (order["status"] == OrderStatus.CANCELED) != (letters[order_id] == 1):
            yield f"mail: order {order_id} is {order['status']} and has {letters[order_id]} e-mails"
    for email in world.rows["emails"]:
        domain = "countermand.example"
        delivered = len(world.deliveries.get(f"<{email['cause']}.{email['template']}@{domain}>", []))
        if (email["state"] == "sent") != (delivered > 0) or delivered > email["attempts"]:
            yield f"mail: {email['id']} is {email['state']} and was delivered {delivered} times"


def a_collection_says_what_an_order_costs(world: World) -> Iterator[str]:
    """Lines with tax, and shipping, come to the collection's amount; its payments bring it, and captures take it."""
    lines = _grouped(world.rows["order_lines"], "order_id")
    payments = _grouped(world.rows["payments"], "order_id")
    captures = {job["payment_id"] for job in world.rows["capture_jobs"] if job["state"] == "done"}
    for collection in world.rows["payment_collections"]:
        order = world.orders[collection["order_id"]]
        name, amount = f"collection: order {order['id']}", collection["amount"]
        cost = order["shipping"] + sum(_with_tax(line) for line in lines[order["id"]])
        cost = world.captured_fees.get(order["id"], cost)
        shares = sum(payment["amount"] for payment in payments[order["id"]])
        if cost != amount:
            yield f"{name} has lines for {cost} and is to be paid with {amount}"
        if shares != amount:
            yield f"{name} is to be paid with {amount} and its payments bring {shares}"
        captured = sum(payment["captured"] for payment in payments[order["id"]] if payment["id"] in captures)
        if captured not in (0, amount) and order["id"] not in world.taken_otherwise:
            yield f"{name} costs {amount}, {captured} were captured, and nobody was told"


def an_order_waits_for_its_edit(world: World) -> Iterator[str]:
    """An order is `editing` exactly while one edit is in flight; what has ended holds no goods, and has its answer."""
    intents = {intent["id"]: intent for intent in world.rows["intents"]}
    for order_id, order in world.orders.items():
        in_flight = [edit for edit in world.edits.get(order_id, []) if edit["state"] == EditState.AUTHORIZING]
        if len(in_flight) != (order["edit_status"] == "editing"):
            yield f"edit: order {order_id} is {order['edit_status']} with {len(in_flight)} edits in flight"
    for edit in world.rows["order_edits"]:
        if edit["state"] == EditState.AUTHORIZING:
            continue
        intent, statuses = intents[edit["intent_id"]], ENDS[edit["state"]][1]
        if intent["state"] != "parked" and intent["answer_status"] not in statuses:
            yield f"edit: {edit['id']} is {edit['state']} and answered {intent['answer_status']}"
        if edit["units"]:
            yield f"5: {edit['id']} is {edit['state']} and still holds {edit['units']} {edit['sku']}"


def an_edit_is_told_of_once(world: World) -> Iterator[str]:
    """The timeline tells once how an edit ended, and of one that is done there is a mail.

    Told again from its timeline, the order costs what its collection says.
    """
    letters = Counter(email["cause"] for email in world.rows["emails"] if email["template"] == Template.ORDER_EDITED)
    done = [edit for edit in world.rows["order_edits"] if edit["state"] == EditState.DONE]
    if letters != {f"{edit['order_id']}.{edit['id']}": 1 for edit in done}:
        yield f"edit: there are other e-mails than one for each that is done: {dict(letters)}"
    costs = {collection["order_id"]: collection["amount"] for collection in world.rows["payment_collections"]}
    for order_id, order in world.orders.items():
        told = [entry for entry in world.timeline.get(order_id, []) if entry["event"] in set(EditEvent)]
        ended = [(entry["data"]["edit_id"], entry["event"]) for entry in told if entry["event"] not in UNDER_WAY]
        edits = [edit for edit in world.edits.get(order_id, []) if edit["state"] in ENDS]
        if sorted(ended) != sorted((edit["id"], ENDS[edit["state"]][0]) for edit in edits):
            yield f"edit: the timeline of order {order_id} says {ended}"
        cost = world.captured_fees.get(order_id, order["total"])
        for entry in (entry["data"] for entry in told if entry["event"] == EditEvent.APPLIED):
            if entry["total_before"] != cost:
                yield f"edit: order {order_id} cost {cost}, and {entry['total_before']} before {entry['edit_id']}"
            cost = entry["total"]
        if cost != costs[order_id]:
            yield f"edit: order {order_id} costs {cost} by its timeline, {costs[order_id]} by its collection"


def a_guest_pays_the_fee_and_hears_of_it(world: World) -> Iterator[str]:
    """Of a booking that its guest took back the fee is kept and no more; of one that stands nothing was given back.

    Everybody who asked was told the same, the link that was used is used up, and the hotel knows.
    """
    payments = {payment["order_id"]: payment for payment in world.rows["payments"]}
    used = {token["id"] for token in world.rows["guest_tokens"] if token["used_at"]}
    answers = _grouped([each for each in world.rows["intents"] if each["operation"] == "cancel_booking"], "subject")
    letters = Counter(mail["order_id"] for mail in world.rows["emails"] if mail["template"] == HOTEL_MAIL)
    for each in world.rows["guest_cancellations"]:
        name, order = f"booking: {each['order_id']}", world.orders[each["order_id"]]
        if each["state"] == CancellationState.SETTLING:
            if order["status"] != OrderStatus.CANCELING:
                yield f"{name} is {order['status']} while its cancel is settling"
            continue
        if each["state"] == CancellationState.REFUSED:
            continue
        payment = payments[each["order_id"]]
        kept = payment["captured"] - payment["refunded"] - payment["refunding"]
        if kept > each["fee"] and each["order_id"] not in world.alarmed:
            yield f"{name} was to cost {each['fee']}, and {kept} are kept"
        if (order["status"], order["cancellation_source"]) != (OrderStatus.CANCELED, "guest"):
            yield f"{name} is {order['status']} by {order['cancellation_source']}, and its guest's cancel done"
        if each["token_id"] not in used or letters[each["order_id"]] != 1:
            yield f"{name} has {letters[each['order_id']]} e-mails to its hotel, and the link is used: {used}"
    for order_id, asked in answers.items():
        told = {MOMENT.sub("", each["answer_body"]) for each in asked if each["answer_status"] == 200}
        if len(told) > 1:
            yield f"booking: {order_id} has different answers: {told}"
        if bool(told) != (order_id in world.fees):
            yield f"booking: {order_id} was answered {told}, and its cancel has cost {world.fees.get(order_id)}"


RULES: tuple[Callable[[World], Iterator[str]], ...] = (
    money_moves_one_way,
    canceled_stays_canceled,
    one_operation_has_one_key,
    every_intent_has_its_answer,
    stock_returns_once,
    rows_agree_with_the_provider,
    the_timeline_explains_every_state,
    the_shopper_is_told_once,
    a_collection_says_what_an_order_costs,
    an_order_waits_for_its_edit,
    an_edit_is_told_of_once,
    a_guest_pays_the_fee_and_hears_of_it,
)


def _with_tax(line: Row) -> int:
    """What a line costs, reckoned without the mesh's own functions; half a minor unit is rounded up."""
    net = Decimal(line["quantity"] * line["unit_price"])
    return int((net * (1 + line["tax_rate"])).quantize(Decimal(1), ROUND_HALF_UP))


def _grouped(rows: list[Row], column: str) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row[column]].append(row)
    return groups
