"""Sales: how one gets to where an operation can begin, and the request or message that begins it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from shared import tokens
from shared.domain.intents import TASK_OF
from shared.domain.intents import Operation as Intent
from shared.queues import Task
from shared.store.outbox import Message
from tests.faults.harness.hooks import Hook, StripeEvent
from tests.faults.harness.rig import MUG, SKU, Request, Rig, Sale, Start

#: Brings an order that was offered to where something can begin; other operations may have got it ready before.
Ready = Callable[[Rig, Sale], None]

#: Under which a booking is made: to take it back costs ten percent from the first day on.
POLICY: dict[str, Any] = {"rules": [{"days_before": 730, "percent": "10"}], "no_show": {"percent": "10"}}
POLICY_ID, HOTEL = "pol_1", "seaside"

#: Less than two years from when this is read, and far beyond any time that passes in a test.
CHECK_IN, CHECK_OUT = (f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%dT12:00}" for days in (500, 503))


def arrived(rig: Rig, start: Start) -> Message:
    """The message that a request leads to, or has led to before; or the message itself."""
    if isinstance(start, Message):
        return start
    rig.ask(start)
    if isinstance(start, Hook):
        message = rig.transport.messages[-1]
        rig.transport.take_all(*message)
        return message
    ((intent_id, operation),) = rig.sql("SELECT id, operation FROM intents WHERE idempotency_key = %s", start.key)
    message = Message(TASK_OF[Intent(operation)], intent_id)
    rig.transport.take_all(*message)
    return message


def run(rig: Rig, task: Task) -> None:
    """Run the task whose message stands in the outbox, if there is one."""
    message = rig.outboxed(task)
    if message:
        rig.run(message)


def nothing(rig: Rig, sale: Sale) -> None:
    """The money is held, and the order is not registered."""


def registered(rig: Rig, sale: Sale) -> None:
    """The order is registered and its capture scheduled."""
    if not rig.sql("SELECT FROM orders WHERE id = %s", sale.order_id):
        rig.ask(registration(rig, sale))
        rig.deliver_all()


def due(rig: Rig, sale: Sale) -> None:
    """The capture of the registered order is due, and its grace period still open."""
    registered(rig, sale)
    rig.hurry(sale)


def captured(rig: Rig, sale: Sale) -> None:
    """The money was taken, unless the order was canceled before."""
    due(rig, sale)
    run(rig, Task.CAPTURE_PAYMENT)


def refunding(rig: Rig, sale: Sale) -> None:
    """A refund of all of it is staged."""
    captured(rig, sale)
    rig.run(arrived(rig, refund(rig, sale)))


def overtaken(rig: Rig, sale: Sale) -> None:
    """The same, and somebody was faster at the provider's dashboard."""
    refunding(rig, sale)
    rig.at_dashboard(sale, "refund", {})


def canceled(rig: Rig, sale: Sale) -> None:
    """The order is canceled; its void and its e-mail are staged and wait for their workers."""
    registered(rig, sale)
    if rig.value("SELECT status FROM orders WHERE id = %s", sale.order_id) == "pending":
        rig.ask(cancel_by_customer(rig, sale))
        rig.run(rig.transport.take())


def forgotten(rig: Rig, sale: Sale) -> None:
    """The same, and the broker has lost every message long ago."""
    canceled(rig, sale)
    rig.transport.lose_everything()
    rig.pass_time(rig.settings.patience + 1)


def editing(rig: Rig, sale: Sale) -> None:
    """The shopper wants a unit more, which is staged: more is to be held first, unless it is too late for an edit."""
    registered(rig, sale)
    if not rig.sql("SELECT FROM order_edits WHERE order_id = %s", sale.order_id):
        rig.run(arrived(rig, one_more(rig, sale)))


def unanswered(*, effect: bool) -> Callable[[Rig, Sale], None]:
    """The same, and the answer to the first request for more was lost, after or before it took effect."""

    def ready(rig: Rig, sale: Sale) -> None:
        editing(rig, sale)
        message = rig.outboxed(Task.AUTHORIZE_EDIT)
        if message and not rig.value("SELECT attempts FROM order_edits WHERE id = %s", message.subject):
            rig.wires.time_out("increment", effect=effect)
            rig.run(message)
            rig.wires.behave()

    return ready


def captured_there(rig: Rig, sale: Sale) -> None:
    """Somebody took the money at the provider's dashboard, unless it had moved before."""
    registered(rig, sale)
    rig.at_dashboard(sale, "capture", {})


def released_there(rig: Rig, sale: Sale) -> None:
    """Somebody let the money go at the provider's dashboard, unless it had moved before."""
    registered(rig, sale)
    rig.at_dashboard(sale, "cancel", {})


def refunded_there(rig: Rig, sale: Sale) -> None:
    """The money was taken, and somebody gave 10.00 of it back at the provider's dashboard."""
    captured(rig, sale)
    rig.at_dashboard(sale, "refund", {"amount": 1000})


def booked(rig: Rig, sale: Sale) -> None:
    """A booking is registered whose money is held; to take it back costs ten percent, and nothing before it is paid."""
    book(rig, sale, POLICY)


def booked_for_a_fee(rig: Rig, sale: Sale) -> None:
    """The same, and the fee is captured out of what is held."""
    book(rig, sale, POLICY | {"capture_fee": True})


def book(rig: Rig, sale: Sale, policy: dict[str, Any]) -> None:
    """Register a booking under this policy, unless the sale is registered."""
    if not rig.sql("SELECT FROM orders WHERE id = %s", sale.order_id):
        rig.ask(Request("PUT", f"/policies/{POLICY_ID}", rig.bearer("service"), policy))
        rig.deliver_all()
        rig.ask(booking(rig, sale))
        rig.deliver_all()


def approved(rig: Rig, sale: Sale) -> None:
    """Its hotel has approved the booking; the capture waits for its worker."""
    booked(rig, sale)
    if not rig.sql("SELECT FROM capture_jobs WHERE order_id = %s", sale.order_id):
        rig.run(arrived(rig, approval(rig, sale)))


def confirmed(rig: Rig, sale: Sale) -> None:
    """The booking is paid for, unless it was taken back before."""
    approved(rig, sale)
    run(rig, Task.CAPTURE_PAYMENT)


def taken_back(rig: Rig, sale: Sale) -> None:
    """Its guest's request was judged, unless there was one before; its money waits for its worker."""
    if not rig.sql("SELECT FROM guest_cancellations WHERE order_id = %s", sale.order_id):
        rig.run(arrived(rig, guest_cancel(rig, sale)))


def refunding_guest(rig: Rig, sale: Sale) -> None:
    """Its guest takes the booking back; the refund waits for its worker."""
    confirmed(rig, sale)
    taken_back(rig, sale)


def releasing_guest(rig: Rig, sale: Sale) -> None:
    """Its guest takes a booking back that is not paid for; the void waits for its worker."""
    booked(rig, sale)
    taken_back(rig, sale)


def refunded_guest(rig: Rig, sale: Sale) -> None:
    """The same, and the money is back; the booking is still to be canceled."""
    refunding_guest(rig, sale)
    run(rig, Task.REFUND_PAYMENT)


def registration(rig: Rig, sale: Sale) -> Request:
    """The shop tells of the order; always the same request."""
    return Request("POST", "/orders", rig.bearer("service"), sale.body, key=f"register-{sale.order_id}")


def cancel_by_shopper(rig: Rig, sale: Sale) -> Request:
    """The shopper takes the order back."""
    return Request("POST", f"/store/orders/{sale.order_id}/cancel", rig.modification(sale))


def cancel_by_customer(rig: Rig, sale: Sale) -> Request:
    """The same shopper, signed in."""
    return Request("POST", f"/store/orders/{sale.order_id}/cancel", rig.bearer("customer", sale.customer))


def cancel_by_operator(rig: Rig, sale: Sale) -> Request:
    """An operator takes the order back; what was paid is refunded."""
    path = f"/api/admin/orders/{sale.order_id}/cancel"
    return Request("POST", path, rig.bearer("admin", "op_1"), {"reason": "sold out"})


def refund(rig: Rig, sale: Sale) -> Request:
    """An operator gives everything back."""
    path = f"/api/admin/orders/{sale.order_id}/refund"
    return Request("POST", path, rig.bearer("admin", "op_1"), {"reason": "damaged"})


def refund_of_most(rig: Rig, sale: Sale) -> Request:
    """Another operator gives back 30.00 of 38.00, which can be done once."""
    path = f"/api/admin/orders/{sale.order_id}/refund"
    return Request("POST", path, rig.bearer("admin", "op_2"), {"reason": "late", "amount": 30.00})


def one_more(rig: Rig, sale: Sale) -> Request:
    """The shopper adds a unit of what the order has: 16.50 more than is held."""
    return Request("POST", f"/store/orders/{sale.order_id}/items", rig.modification(sale), {"sku": SKU, "quantity": 1})


def one_less(rig: Rig, sale: Sale) -> Request:
    """The shopper wants one unit instead of two."""
    return Request("POST", f"/store/orders/{sale.order_id}/items/1", rig.modification(sale), {"quantity": 1})


def another(rig: Rig, sale: Sale) -> Request:
    """The shopper adds two units of something else."""
    return Request("POST", f"/store/orders/{sale.order_id}/items", rig.modification(sale), {"sku": MUG, "quantity": 2})


def none_of_it(rig: Rig, sale: Sale) -> Request:
    """The shopper removes what was bought first, which is refused while there is nothing else."""
    return Request("POST", f"/store/orders/{sale.order_id}/items/1", rig.modification(sale), {"quantity": 0})


def elsewhere(rig: Rig, sale: Sale) -> Request:
    """The shopper, signed in, has the goods sent somewhere else."""
    address = {"name": "Ann", "line1": "Elm Street 1", "city": "Springwood", "postal_code": "12345", "country": "US"}
    headers = rig.bearer("customer", sale.customer)
    return Request("POST", f"/store/orders/{sale.order_id}/address", headers, address)


def booking(rig: Rig, sale: Sale) -> Request:
    """The hotel tells of the booking; always the same request."""
    body = {
        "booking_id": sale.order_id,
        "hotel": {"slug": HOTEL, "name": "Seaside", "email": "desk@example.com", "time_zone": "Europe/Dublin"},
        "email": "ann@example.com",
        "currency": "USD",
        "check_in": CHECK_IN,
        "check_out": CHECK_OUT,
        "policy_id": POLICY_ID,
        "lines": [{"sku": SKU, "quantity": 2, "unit_price": 1900}],
        "payment": {"provider": "stripe", "reference": sale.reference},
    }
    return Request("POST", "/bookings", rig.bearer("service"), body, key=f"book-{sale.order_id}")


def approval(rig: Rig, sale: Sale) -> Request:
    """The hotel approves the booking."""
    return Request("POST", f"/bookings/{sale.order_id}/approve", rig.bearer("service"))


def guest_cancel(rig: Rig, sale: Sale) -> Request:
    """The guest takes the booking back."""
    found = rig.sql("SELECT kid, id FROM guest_tokens WHERE order_id = %s ORDER BY id LIMIT 1", sale.order_id)
    token = tokens.guest_token(rig.settings, *found[0]) if found else "gt_nobody"
    return Request("POST", f"/hotels/{HOTEL}/bookings/{sale.order_id}", {}, {"token": token})


def told(type: str, noun: str) -> Callable[[Rig, Sale], StripeEvent]:
    """The provider's event about the payment; a refund or a charge names the payment it belongs to."""

    def event(rig: Rig, sale: Sale) -> StripeEvent:
        if noun == "payment_intent":
            return StripeEvent(type, {"id": sale.reference, "object": noun})
        return StripeEvent(type, {"id": f"{noun}_1", "object": noun, "payment_intent": sale.reference})

    return event


def comparison(rig: Rig, sale: Sale) -> Message | None:
    """Reconciliation's turn to look at the payment."""
    payment_id = rig.value("SELECT id FROM payments WHERE order_id = %s", sale.order_id)
    return Message(Task.COMPARE_PAYMENT, payment_id) if payment_id else None


def message_of(task: Task) -> Callable[[Rig, Sale], Message | None]:
    """The message that stands in the outbox for this task."""
    return lambda rig, sale: rig.outboxed(task)


def message_of_capture(rig: Rig, sale: Sale) -> Message | None:
    """The message of the order's capture job, also when the order was canceled: it may have been on its way."""
    job_id = rig.value("SELECT id FROM capture_jobs WHERE order_id = %s", sale.order_id)
    return Message(Task.CAPTURE_PAYMENT, job_id) if job_id else None
