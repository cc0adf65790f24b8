"""Parcels that come back: of orders that were paid at Razorpay (benchmarks/orders.py), and go out by Delhivery."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from benchmarks.client import fire, request
from benchmarks.orders import BATCH, CURRENCY, TOTAL, Purchase
from shared.db import Database
from shared.domain.payments import Provider
from shared.settings import Settings
from shared.store import shipments

COURIER = "Delhivery"

#: Where a parcel is that comes back, as Delhivery tracks it and as it pushes it.
BACK = {"Status": "In Transit", "StatusType": "RT"}

PAYMENT = {"amount": TOTAL, "currency": CURRENCY[Provider.RAZORPAY], "status": "captured"}


async def pay(port: int, count: int) -> list[str]:
    """Let so many shoppers pay at Razorpay's stand-in, which captures it; returns the payments."""
    wish = request("POST", "/_sandbox/payments", {}, msgspec.json.encode(PAYMENT))
    answers = await fire(port, [wish] * count, clients=8)
    return [msgspec.json.decode(answer.body)["id"] for answer in answers]


def send(database: Database, purchases: Sequence[Purchase]) -> None:
    """Write down by which parcels these orders go out, through the statement of a registration."""
    now = datetime.now(UTC)
    for start in range(0, len(purchases), BATCH):
        with database.transaction() as connection:
            for each in purchases[start : start + BATCH]:
                shipments.register(connection, each.named("shp"), each.order_id, COURIER, waybill(each), now)


async def announce(port: int, purchases: Sequence[Purchase]) -> None:
    """Announce the parcels to Delhivery's stand-in."""
    new = [{"awb": waybill(each), "reference_no": each.order_id} for each in purchases]
    await fire(port, [request("POST", "/_sandbox/shipments", {}, msgspec.json.encode(new))], clients=1)


async def turn_back(port: int, purchases: Sequence[Purchase]) -> None:
    """Let Delhivery's stand-in have the parcels on their way back, which it tells nobody."""
    scan = {"status_type": BACK["StatusType"], "status": BACK["Status"], "picked_up": True, "push": "none"}
    body = msgspec.json.encode(scan)
    await fire(port, [request("POST", f"/_sandbox/scan/{waybill(each)}", {}, body) for each in purchases], clients=8)


def pushes(settings: Settings, purchases: Sequence[Purchase]) -> list[bytes]:
    """The pushes by which Delhivery tells of it."""
    headers = {"Content-Type": "application/json", "X-Delhivery-Secret": settings.delhivery_webhook_secrets[0]}
    return [
        request(
            "POST",
            "/api/shipping/delhivery/webhook",
            headers,
            msgspec.json.encode({"Shipment": {"AWB": waybill(each), "Status": BACK}}),
        )
        for each in purchases
    ]


def waybill(purchase: Purchase) -> str:
    """An order's number in the letters that Delhivery takes."""
    return purchase.order_id.removeprefix("ord_").replace("_", "")
