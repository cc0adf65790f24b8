"""Registering: what every registration has in common, be it of an order or of a booking.

What is authorized is read from the provider, never believed.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from shared.domain import totals
from shared.domain.payments import CAPTURED_WHOLE, PaymentStatus, Provider
from shared.domain.shipments import ShipmentEvent
from shared.errors import Invalid, PaymentConflict, PaymentUnusable, ShipmentConflict
from shared.ids import new_id
from shared.providers.ports import Authorization, HoldStatus, Refused
from shared.queues import Queue, Task
from shared.requests import OrderLine, Shipment
from shared.store import payments, shipments
from shared.store.intents import Intent
from shared.store.orders import Line, NewOrder
from shared.store.payments import NewPayment
from shared.store.timeline import Entry
from workers.base import Work, Worker

#: How far the shop's clock may be ahead of ours.
AHEAD = timedelta(hours=1)

#: How a payment starts out, by how its hold stands at the provider.
STATUS: Mapping[HoldStatus, PaymentStatus] = {
    HoldStatus.UNCONFIRMED: PaymentStatus.UNPAID,
    HoldStatus.HELD: PaymentStatus.AUTHORIZED,
    HoldStatus.CAPTURED: PaymentStatus.CAPTURED,
    HoldStatus.PARTIALLY_CAPTURED: PaymentStatus.PARTIALLY_CAPTURED,
}

#: Why a hold cannot carry an order.
UNUSABLE: Mapping[HoldStatus, str] = {
    HoldStatus.UNCONFIRMED: "The payment is not authorized",
    HoldStatus.RELEASED: "The payment is canceled or expired",
}


def check(placed_at: datetime | None, accepted_at: datetime, total: int) -> None:
    """Refuse what no order can be.  Raises `Invalid`."""
    if placed_at and placed_at > accepted_at + AHEAD:
        raise Invalid("placed_at lies more than an hour ahead")
    if total > totals.LIMIT:
        raise Invalid(f"The order costs more than {totals.LIMIT} minor units")


def lines(bought: Sequence[OrderLine]) -> list[Line]:
    """Return what was bought, as it is written down."""
    return [Line(line.sku, line.quantity, line.unit_price, Decimal(line.tax_rate)) for line in bought]


def hold(
    task: Worker,
    provider: Provider,
    reference: str | None,
    currency: str,
    total: int,
    unusable: Mapping[HoldStatus, str] = UNUSABLE,
) -> Authorization | None:
    """Read the authorization from its provider; None when nobody holds money.

    Raises `PaymentUnusable`, and lets `Unknown` pass: then the task is tried again later, and parked in the end.
    """
    holder = task.mesh.providers.get(provider)
    if holder is None or reference is None:
        return None
    try:
        found = holder.read(reference)
    except Refused as refusal:
        raise PaymentUnusable("The provider does not know this payment", reason=refusal.code) from refusal
    if found.status in unusable:
        raise PaymentUnusable(unusable[found.status])
    if found.currency != currency:
        raise PaymentUnusable(f"The payment is in {found.currency}, the order in {currency}")
    if found.status is HoldStatus.HELD and found.authorized < total:
        raise PaymentUnusable("Less is authorized than the order costs")
    if found.status is HoldStatus.CAPTURED and found.captured < total:
        raise PaymentUnusable("Less was captured than the order costs")
    if found.status is HoldStatus.HELD and provider in CAPTURED_WHOLE and found.authorized != total:
        raise PaymentUnusable("More is authorized than the order costs, and all of it would be captured")
    return found


def write_shipment(
    task: Worker, work: Work, intent: Intent, order_id: str, shipment: Shipment, event: ShipmentEvent
) -> None:
    """Write down by which parcel an order goes out, and stage the first look at it.  Raises `ShipmentConflict`."""
    shipment_id, courier, awb = new_id("shp"), shipment.courier, shipment.awb
    if not shipments.register(work.connection, shipment_id, order_id, courier, awb, intent.accepted_at):
        raise ShipmentConflict
    data = {"shipment_id": shipment_id, "courier": courier, "awb": awb}
    work.record(Entry(order_id, event, Queue.REGISTER, intent.actor, data))
    if shipments.courier_of(shipment.courier):  # which takes a moment to know the waybill
        work.stage(Task.TRACK_SHIPMENT, shipment_id, delay=task.mesh.settings.delhivery_confirm_after)


def write_payment(
    task: Worker,
    work: Work,
    order: NewOrder,
    provider: Provider,
    reference: str | None,
    held: Authorization | None,
) -> NewPayment:
    """Write the payment down as its provider described it.  Raises `PaymentConflict`."""
    payment = NewPayment(
        id=new_id("pay"),
        order_id=order.id,
        provider=provider,
        reference=reference,
        status=STATUS[held.status] if held else PaymentStatus.UNPAID,
        currency=order.currency,
        amount=order.total,
        authorized=held.authorized if held else 0,
        captured=held.captured if held else 0,
        released=held.released if held else 0,
        capture_before=held.capture_before if held else None,
        incremental=held.incremental if held else False,
    )
    if not payments.insert(work.connection, payment, task.mesh.settings.reconcile_after):
        raise PaymentConflict
    if held and held.refunded:  # by somebody there; the comparison adopts those refunds
        work.stage(Task.COMPARE_PAYMENT, payment.id)
    return payment
