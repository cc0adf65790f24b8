"""Register: the shop tells us what was bought and what is in stock.

Claim, call, settle.  What is authorized is read from the provider, never believed.  One commit writes the order, its
lines and payment, takes its units out of stock, and schedules the capture for the end of the grace period.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from shared.domain import totals
from shared.domain.edits import Price
from shared.domain.intents import IntentState
from shared.domain.orders import OrderEvent, OrderKind, OrderStatus
from shared.domain.payments import PaymentStatus, Provider
from shared.errors import Invalid, OrderConflict, PaymentConflict, PaymentUnusable, Problem, Unavailable
from shared.ids import new_id
from shared.providers.ports import Authorization, HoldStatus, Refused
from shared.queues import Queue, Task
from shared.requests import Registration, StockLevel
from shared.store import intents, orders, payments, stock
from shared.store.intents import Intent
from shared.store.orders import Line, NewOrder
from shared.store.payments import NewPayment
from shared.store.timeline import Entry
from workers.app import app
from workers.base import Work, Worker
from workers.scheduling import schedule_capture

#: How far the shop's clock may be ahead of ours.
AHEAD = timedelta(hours=1)

#: How a payment starts out, by how its hold stands at the provider.
STATUS: Mapping[HoldStatus, PaymentStatus] = {
    HoldStatus.HELD: PaymentStatus.AUTHORIZED,
    HoldStatus.CAPTURED: PaymentStatus.CAPTURED,
    HoldStatus.PARTIALLY_CAPTURED: PaymentStatus.PARTIALLY_CAPTURED,
}

#: Why a hold cannot carry an order.
UNUSABLE: Mapping[HoldStatus, str] = {
    HoldStatus.UNCONFIRMED: "The payment is not authorized",
    HoldStatus.RELEASED: "The payment is canceled or expired",
}


@app.task(base=Worker, bind=True, name=Task.REGISTER_ORDER)
def register_order(task: Worker, intent_id: str) -> None:
    """Carry out one registration; safe to run any number of times."""
    try:
        intent = claim(task, intent_id)
        if intent is None:  # answered by a twin, or registered before
            return
        request = msgspec.convert(intent.payload, Registration)
        check(intent, request)
        authorization = call(task, request)
        with task.work() as work:
            settle(work, task, intent, request, authorization)
    except Unavailable:  # Postgres went away: nothing is decided, and the message comes again
        raise
    except Problem as refusal:
        refuse(task, intent_id, refusal)


@app.task(base=Worker, bind=True, name=Task.SET_STOCK)
def set_stock(task: Worker, intent_id: str) -> None:
    """Write down how many units of a SKU can be sold."""
    with task.work() as work:
        intent = intents.read(work.connection, intent_id)
        work.strike(Task.SET_STOCK, intent_id)
        if intent is None or not intent.running:
            return
        level = msgspec.convert(intent.payload, StockLevel)
        body = msgspec.json.encode({"sku": intent.subject, "quantity": level.quantity}).decode()
        bell = intents.end(work.connection, intent_id, IntentState.DONE, 200, body)
        if bell:  # the intent's row is locked now: a twin that comes later finds it ended
            stock.put(work.connection, intent.subject, level.quantity, _price(level))
            work.ring(bell)


def claim(task: Worker, intent_id: str) -> Intent | None:
    """Read what is to be registered; an order that is registered already is answered again.  Raises `OrderConflict`."""
    with task.work() as work:
        intent = intents.read(work.connection, intent_id)
        if intent and intent.running and not answer_again(work, intent):
            return intent
        work.strike(Task.REGISTER_ORDER, intent_id)
        return None


def check(intent: Intent, request: Registration) -> None:
    """Refuse what no order can be.  Raises `Invalid`."""
    if request.placed_at and request.placed_at > intent.accepted_at + AHEAD:
        raise Invalid("placed_at lies more than an hour ahead")
    if totals.total(_lines(request), request.shipping) > totals.LIMIT:
        raise Invalid(f"The order costs more than {totals.LIMIT} minor units")


def call(task: Worker, request: Registration) -> Authorization | None:
    """Read the authorization from its provider; None when nobody holds money.

    Raises `PaymentUnusable`, and lets `Unknown` pass: then the task is tried again later, and parked in the end.
    """
    provider = task.mesh.providers.get(request.payment.provider)
    if provider is None:
        return None
    try:
        found = provider.read(str(request.payment.reference))
    except Refused as refusal:
        raise PaymentUnusable("The provider does not know this payment", reason=refusal.code) from refusal
    if found.status in UNUSABLE:
        raise PaymentUnusable(UNUSABLE[found.status])
    if found.currency != request.currency:
        raise PaymentUnusable(f"The payment is in {found.currency}, the order in {request.currency}")
    if found.status is HoldStatus.HELD and found.authorized < totals.total(_lines(request), request.shipping):
        raise PaymentUnusable("Less is authorized than the order costs")
    return found


def settle(
    work: Work, task: Worker, intent: Intent, request: Registration, authorization: Authorization | None
) -> None:
    """Write everything down in one commit.  Raises `OrderConflict` or `PaymentConflict`."""
    order = _order(intent, request, authorization, timedelta(seconds=task.mesh.settings.grace_period))
    work.strike(Task.REGISTER_ORDER, intent.id)
    if not orders.insert(work.connection, order, _lines(request)):
        answer_again(work, intent)  # a twin was faster
        return
    payment = _payment(order, request, authorization)
    if not payments.insert(work.connection, payment, task.mesh.settings.reconcile_after):
        raise PaymentConflict
    if payment.status is PaymentStatus.AUTHORIZED:
        schedule_capture(work, payment, order.grace_until, timedelta(seconds=task.mesh.settings.capture_margin))
    if authorization and authorization.refunded:  # by somebody there; the comparison adopts those refunds
        work.stage(Task.COMPARE_PAYMENT, payment.id)
    data = {"total": order.total, "currency": order.currency, "payment": payment.status}
    work.record(Entry(order.id, OrderEvent.REGISTERED, Queue.REGISTER, intent.actor, data))
    body = registered(order.id, order.status, order.currency, order.total, order.grace_until)
    work.ring(intents.end(work.connection, intent.id, IntentState.DONE, 201, body))
    stock.reserve_locked(work.connection, order.id)


def answer_again(work: Work, intent: Intent) -> bool:
    """Answer when the id is taken by this very registration; False when it is free.  Raises `OrderConflict`."""
    known = orders.registered(work.connection, intent.subject)
    if known is None:
        return False
    if bytes(known.fingerprint) != intent.fingerprint:
        raise OrderConflict
    body = registered(known.id, known.status, known.currency, known.total, known.grace_until)
    work.ring(intents.end(work.connection, intent.id, IntentState.DONE, 200, body))
    return True


def registered(order_id: str, status: OrderStatus, currency: str, total: int, grace_until: datetime) -> str:
    """Return the answer's body; the gateway adds the shopper's token, for which workers have no key."""
    return msgspec.json.encode(
        {
            "order_id": order_id,
            "status": status,
            "total": total,
            "currency": currency,
            "grace_until": grace_until,
        }
    ).decode()


def refuse(task: Worker, intent_id: str, refusal: Problem) -> None:
    """Store a no."""
    with task.work() as work:
        work.strike(Task.REGISTER_ORDER, intent_id)
        work.ring(intents.end(work.connection, intent_id, IntentState.REFUSED, refusal.http_status, refusal.body()))


def _price(level: StockLevel) -> Price | None:
    return Price(level.price.amount, level.price.currency, Decimal(level.tax_rate)) if level.price else None


def _lines(request: Registration) -> list[Line]:
    return [Line(line.sku, line.quantity, line.unit_price, Decimal(line.tax_rate)) for line in request.lines]


def _order(
    intent: Intent, request: Registration, authorization: Authorization | None, grace_period: timedelta
) -> NewOrder:
    placed_at = request.placed_at or intent.accepted_at
    captured = authorization is not None and authorization.status is HoldStatus.CAPTURED
    return NewOrder(
        id=intent.subject,
        kind=OrderKind.RETAIL,
        status=OrderStatus.CAPTURED if captured else OrderStatus.PENDING,
        currency=request.currency,
        total=totals.total(_lines(request), request.shipping),
        shipping=request.shipping,
        email=request.email,
        customer_id=request.customer_id,
        address=_json(request.address),
        shipment=_json(request.shipment),
        fingerprint=intent.fingerprint,
        placed_at=placed_at,
        grace_until=placed_at + grace_period,
    )


def _payment(order: NewOrder, request: Registration, authorization: Authorization | None) -> NewPayment:
    held = authorization
    return NewPayment(
        id=new_id("pay"),
        order_id=order.id,
        provider=Provider(request.payment.provider),
        reference=request.payment.reference,
        status=STATUS[held.status] if held else PaymentStatus.UNPAID,
        currency=order.currency,
        amount=order.total,
        authorized=held.authorized if held else 0,
        captured=held.captured if held else 0,
        released=held.released if held else 0,
        capture_before=held.capture_before if held else None,
        incremental=held.incremental if held else False,
    )


def _json(value: Any) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()
