"""The rules that hold always, checked over all rows of a mesh, all effects at its provider, and all its mail.

Each function names what is broken, one sentence a violation; the numbers are those of the design's list of invariants.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from decimal import ROUND_HALF_UP, Decimal

import msgspec

from shared.domain.edits import EditEvent, EditState
from shared.domain.emails import Template
from shared.domain.orders import TRANSITIONS as ORDER_TRANSITIONS
from shared.domain.orders import CancellationRefund, OrderEvent, OrderStatus
from shared.domain.payments import TRANSITIONS as PAYMENT_TRANSITIONS
from shared.domain.payments import PaymentEvent, PaymentStatus
from shared.domain.settling import CancellationState
from shared.providers.razorpay import refund_key
from tests.faults.parcel_rules import PARCEL_RULES
from tests.faults.world import CAPTURED, HELD, RELEASED, Row, World, grouped, look, moving
from tests.shop import Shop, eventually

#: A moment in an answer: in the fault harness time passes by moving what lies in the rows, and in no answer.
MOMENT = re.compile(r'"[0-9-]+T[0-9:.]+Z"')

#: What tells a shopper that an order is canceled.
CANCELS = (
    Template.ORDER_CANCELED,
    Template.PAID_ORDER_CANCELED,
    Template.SHIPMENT_CANCELED,
    Template.BOOKING_CANCELED,
)
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


def check(shop: Shop, within: float = 60.0) -> None:
    """Wait until nothing moves any more, then fail with every violation there is."""
    eventually(lambda: not moving(shop), within)
    found = violations(look(shop))
    assert not found, "\n".join(found)


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
        share = order["shipping"] if order["cancellation_refund"] == CancellationRefund.LESS_SHIPPING else 0
        share += world.fees.get(order["id"], 0)
        kept = amounts[CAPTURED] - share > amounts["refund.created"] - amounts["refund.failed"]
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
    expected: dict[tuple[str, str], set[str | None]] = defaultdict(set)
    for operation, prefix, row in rows:
        is_keyed = operation != "capture" or row["payment_id"] not in world.at_razorpay  # which knows no key for it
        expected[payments[row["payment_id"]], operation].add(f"{prefix}:{row['id']}" if is_keyed else None)
    for refund in world.rows["refunds"]:
        expected[payments[refund["payment_id"]], "refund"] |= _keys(world, refund)
    for reference in payments.values():
        for request in world.requests.get(reference, []):
            operation, key = request["operation"], request["idempotency_key"]
            if operation in ("cancel", "capture", "refund", "increment") and key not in expected[reference, operation]:
                yield f"3: {operation} of {reference} was asked for under the key {key}"


def one_promise_is_one_refund(world: World) -> Iterator[str]:
    """3. However often it was asked for, a refund of ours was made once; one that failed may be made again."""
    payments = {payment["id"]: payment["reference"] for payment in world.rows["payments"]}
    for refund in world.rows["refunds"]:
        effects = world.ledger.get(payments[refund["payment_id"]], [])
        failed = {effect["object"] for effect in effects if effect["operation"] == "refund.failed"}
        keys = _keys(world, refund)
        made = [
            effect["amount"]
            for effect in effects
            if effect["operation"] == "refund.created"
            and effect["idempotency_key"] in keys
            and effect["object"] not in failed
        ]
        if made not in ([], [refund["amount"]]):
            yield f"3: refund {refund['id']} of {refund['amount']} was made as {made}"


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
    told = grouped([intent for intent in world.rows["intents"] if intent["operation"] == "set_stock"], "subject")
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
    letters = Counter(email["order_id"] for email in world.rows["emails"] if email["template"] in CANCELS)
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
    lines = grouped(world.rows["order_lines"], "order_id")
    payments = grouped(world.rows["payments"], "order_id")
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
    answers = grouped([each for each in world.rows["intents"] if each["operation"] == "cancel_booking"], "subject")
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
    one_promise_is_one_refund,
    every_intent_has_its_answer,
    stock_returns_once,
    rows_agree_with_the_provider,
    the_timeline_explains_every_state,
    the_shopper_is_told_once,
    a_collection_says_what_an_order_costs,
    an_order_waits_for_its_edit,
    an_edit_is_told_of_once,
    a_guest_pays_the_fee_and_hears_of_it,
    *PARCEL_RULES,
)


def _keys(world: World, refund: Row) -> set[str]:
    """Every key under which a provider may have been asked for a refund, as it is written there."""
    key = refund["key"] or f"refund:{refund['id']}"
    keys = {f"{key}:{generation}" for generation in range(1, refund["generation"] + 1)}
    keys |= {key} if refund["key"] else set()
    return {refund_key(each) for each in keys} if refund["payment_id"] in world.at_razorpay else keys


def _with_tax(line: Row) -> int:
    """What a line costs, reckoned without the mesh's own functions; half a minor unit is rounded up."""
    net = Decimal(line["quantity"] * line["unit_price"])
    return int((net * (1 + line["tax_rate"])).quantize(Decimal(1), ROUND_HALF_UP))
