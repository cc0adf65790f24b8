"""Parcels, and money at Razorpay: how an order that has either gets ready for an operation, and what begins it.

Whoever registers a sale first decides how it is paid and whether it goes out by a parcel; what was got ready before is
left as it is.
"""

from collections.abc import Callable
from typing import Any

from sandbox.razorpay import payments, refunds
from shared.queues import Task
from tests.faults.harness.hooks import Push, RazorpayEvent
from tests.faults.harness.rig import Request, Rig, Sale
from tests.faults.harness.sales import Ready, arrived, captured, due, registered, run
from tests.faults.harness.standins import COMES_BACK, NEVER_LEFT, UNDER_WAY

#: Who is to be paid for an order, and in which currency.
Payment = Callable[[Rig, Sale], dict[str, Any]]


def in_turn(*steps: Ready) -> Ready:
    """One after the other."""

    def ready(rig: Rig, sale: Sale) -> None:
        for step in steps:
            step(rig, sale)

    return ready


# How it is paid, and sent


def at_stripe(rig: Rig, sale: Sale) -> dict[str, Any]:
    """Stripe holds the money, as it does of every sale."""
    return {}


def at_razorpay(rig: Rig, sale: Sale) -> dict[str, Any]:
    """Razorpay holds the money, for some days."""
    reference = rig.stand_ins.pay(3800, rig.settings.razorpay_hold_lifetime)
    return {"currency": "INR", "payment": {"provider": "razorpay", "reference": reference}}


def at_the_door(rig: Rig, sale: Sale) -> dict[str, Any]:
    """Nobody holds any."""
    return {"currency": "INR", "payment": {"provider": "cod"}}


def paid(pay: Payment) -> Ready:
    """The order is registered, and paid like this."""

    def ready(rig: Rig, sale: Sale) -> None:
        if not is_registered(rig, sale):
            sale.body.update(pay(rig, sale))
            registered(rig, sale)

    return ready


def packed(pay: Payment) -> Ready:
    """The same, and it is to go out by a parcel that is announced."""

    def ready(rig: Rig, sale: Sale) -> None:
        if not is_registered(rig, sale):
            sale.body.update(announced(rig, sale))
            paid(pay)(rig, sale)

    return ready


def sent(pay: Payment) -> Ready:
    """The same, and the courier has the parcel."""

    def ready(rig: Rig, sale: Sale) -> None:
        if not is_registered(rig, sale):
            packed(pay)(rig, sale)
            rig.stand_ins.scan(waybill(sale), UNDER_WAY, picked_up=True)

    return ready


def announced(rig: Rig, sale: Sale) -> dict[str, Any]:
    """What the shop tells of the parcel, which its courier expects."""
    rig.stand_ins.manifest(waybill(sale))
    return {"shipment": {"courier": "Delhivery", "awb": waybill(sale)}}


def is_registered(rig: Rig, sale: Sale) -> bool:
    """Whether the mesh knows the order."""
    return bool(rig.sql("SELECT FROM orders WHERE id = %s", sale.order_id))


def waybill(sale: Sale) -> str:
    """Its parcel's, which no other sale has."""
    return sale.order_id.removeprefix("ord_")[:13]


def reference(sale: Sale) -> str:
    """The payment that it was registered with."""
    return str(sale.body["payment"]["reference"])


# What becomes of it


def comes_back(rig: Rig, sale: Sale) -> None:
    """Its parcel is on its way back."""
    rig.stand_ins.scan(waybill(sale), COMES_BACK)


def never_leaves(rig: Rig, sale: Sale) -> None:
    """Its parcel was canceled before anybody took it over."""
    rig.stand_ins.scan(waybill(sale), *NEVER_LEFT)


def capturing(rig: Rig, sale: Sale) -> None:
    """Its capture got no answer, and may have reached the provider."""
    due(rig, sale)
    rig.wires.time_out("capture", effect=False)
    run(rig, Task.CAPTURE_PAYMENT)
    rig.wires.behave()


def asked_to_cancel(rig: Rig, sale: Sale) -> None:
    """Its courier has accepted to cancel its parcel, which tracking does not show yet."""
    run(rig, Task.CANCEL_SHIPMENT)


def recalled(rig: Rig, sale: Sale) -> None:
    """Somebody has looked at its parcel, unless somebody had."""
    if not rig.sql("SELECT FROM shipments WHERE order_id = %s AND tracked_at IS NOT NULL", sale.order_id):
        rig.run(arrived(rig, hint(rig, sale)))


def fleet(rig: Rig, sale: Sale) -> None:
    """Its parcel comes back, and another, of an order that is paid at the door, does not."""
    in_turn(sent(at_stripe), captured, comes_back)(rig, sale)
    if rig.value("SELECT count(*) FROM shipments") == 1:
        sent(at_the_door)(rig, rig.offer())


def planned(rig: Rig, sale: Sale) -> None:
    """A sync of all parcels has begun, and their batch is still to be looked up."""
    if not rig.sql("SELECT FROM syncs"):
        rig.run(arrived(rig, sync_of_all(rig, sale)))


def lapsed_there(rig: Rig, sale: Sale) -> None:
    """Razorpay has given back what it held."""
    rig.stand_ins.lapse(reference(sale))


def captured_at_razorpay(rig: Rig, sale: Sale) -> None:
    """Somebody took the money at Razorpay's dashboard, unless it had moved before."""
    rig.stand_ins.at_razorpay(payments.capture, reference(sale), amount=3800, currency="INR")


def refunded_at_razorpay(rig: Rig, sale: Sale) -> None:
    """Somebody gave 10.00 back at Razorpay's dashboard."""
    rig.stand_ins.at_razorpay(refunds.create, reference(sale), amount=1000)


# What begins it


def hint(rig: Rig, sale: Sale) -> Push:
    """The courier says that the parcel comes back."""
    return Push("Returned to origin", waybill(sale))


def sync_of_order(rig: Rig, sale: Sale) -> Request:
    """An operator wants the parcel looked up."""
    return Request("POST", f"/api/admin/orders/{sale.order_id}/sync-delhivery", rig.bearer("admin", "op_1"))


def sync_of_all(rig: Rig, sale: Sale) -> Request:
    """An operator wants all parcels looked up."""
    return Request("POST", "/api/admin/orders/bulk-sync-delhivery", rig.bearer("admin", "op_1"), {"limit": 10})


def razorpay_tells(type: str) -> Callable[[Rig, Sale], RazorpayEvent]:
    """Razorpay's event about the payment."""
    return lambda rig, sale: RazorpayEvent(type, reference(sale))
