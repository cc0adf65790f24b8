"""Register: the shop tells us what was bought and what is in stock.

Claim, call, settle.  What is authorized is read from the provider, never believed.  One commit writes the order, its
lines and payment, takes its units out of stock, and schedules the capture for the end of the grace period.
"""

from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from shared.domain import totals
from shared.domain.edits import Price
from shared.domain.intents import IntentState
from shared.domain.orders import OrderEvent, OrderKind, OrderStatus
from shared.domain.payments import PaymentStatus
from shared.domain.shipments import ShipmentEvent
from shared.errors import OrderConflict, Problem, Unavailable
from shared.providers.ports import Authorization, HoldStatus
from shared.queues import Queue, Task
from shared.requests import Registration, StockLevel
from shared.store import intents, orders, stock
from shared.store.intents import Intent
from shared.store.orders import NewOrder
from shared.store.timeline import Entry
from workers import registering
from workers.app import app
from workers.base import Work, Worker
from workers.scheduling import schedule_capture


@app.task(base=Worker, bind=True, name=Task.REGISTER_ORDER)
def register_order(task: Worker, intent_id: str) -> None:
    """Carry out one registration; safe to run any number of times."""
    try:
        intent = claim(task, intent_id)
        if intent is None:  # answered by a twin, or registered before
            return
        request = msgspec.convert(intent.payload, Registration)
        total = totals.total(registering.lines(request.lines), request.shipping)
        registering.check(request.placed_at, intent.accepted_at, total)
        payment = request.payment
        authorization = registering.hold(task, payment.provider, payment.reference, request.currency, total)
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


def settle(
    work: Work, task: Worker, intent: Intent, request: Registration, authorization: Authorization | None
) -> None:
    """Write everything down in one commit.  Raises `OrderConflict`, `PaymentConflict` or `ShipmentConflict`."""
    order = _order(intent, request, authorization, timedelta(seconds=task.mesh.settings.grace_period))
    work.strike(Task.REGISTER_ORDER, intent.id)
    if not orders.insert(work.connection, order, registering.lines(request.lines)):
        answer_again(work, intent)  # a twin was faster
        return
    provider, reference = request.payment.provider, request.payment.reference
    payment = registering.write_payment(task, work, order, provider, reference, authorization)
    if payment.status is PaymentStatus.AUTHORIZED:
        schedule_capture(work, payment, order.grace_until, timedelta(seconds=task.mesh.settings.capture_margin))
    data = {"total": order.total, "currency": order.currency, "payment": payment.status}
    work.record(Entry(order.id, OrderEvent.REGISTERED, Queue.REGISTER, intent.actor, data))
    if request.shipment:
        event = ShipmentEvent.REGISTERED
        registering.write_shipment(task, work, intent, order.id, request.shipment, event)
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
        work.refuse(intent_id, refusal)


def _price(level: StockLevel) -> Price | None:
    return Price(level.price.amount, level.price.currency, Decimal(level.tax_rate)) if level.price else None


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
        total=totals.total(registering.lines(request.lines), request.shipping),
        shipping=request.shipping,
        email=request.email,
        customer_id=request.customer_id,
        address=orders.as_json(request.address),
        fingerprint=intent.fingerprint,
        placed_at=placed_at,
        grace_until=placed_at + grace_period,
    )
