"""Orders to cancel: real PaymentIntents at the stand-in, and the rows that a registration leaves behind."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import urlencode

import msgspec
from sqlalchemy import Connection

from benchmarks.client import fire, request
from shared import tokens
from shared.db import Database
from shared.domain.intents import IntentState, Operation
from shared.domain.orders import OrderEvent, OrderKind, OrderStatus
from shared.domain.payments import PaymentStatus, Provider
from shared.queues import Queue, Task
from shared.settings import Settings
from shared.store import intents, journal, orders, payments, stock
from shared.store.intents import NewIntent
from shared.store.orders import Line, NewOrder
from shared.store.outbox import Message, Staged
from shared.store.payments import NewPayment
from shared.store.timeline import Entry
from shared.tokens import Role

#: Minor units of every order: 33.00 of goods and 5.00 shipping.
TOTAL = 3800
CURRENCY = {Provider.STRIPE: "USD", Provider.RAZORPAY: "INR"}
RECIPIENT = "ann@example.com"

#: Goods that the orders are spread over, as in a shop; a single one would make its stock row what is measured.
SKUS = 100

#: Orders written in one transaction.
BATCH = 200

PAYMENT_INTENT = {
    "amount": TOTAL,
    "currency": CURRENCY[Provider.STRIPE].lower(),
    "capture_method": "manual",
    "confirm": "true",
    "payment_method": "pm_card_visa",
    "payment_method_types[]": "card",
}


@dataclass(frozen=True, slots=True)
class Purchase:
    """A registered order: its id, and its hold at the provider."""

    order_id: str
    reference: str

    def named(self, kind: str) -> str:
        """The id of another row of this order, e.g. its payment's for `pay`."""
        return f"{kind}_{self.order_id.removeprefix('ord_')}"


async def authorize(settings: Settings, count: int, **parameters: str) -> list[str]:
    """Hold the money of so many orders, by requests with these parameters too; returns the references."""
    port = int(settings.stripe_api_base.rpartition(":")[2])
    headers = {
        "Authorization": f"Bearer {settings.stripe_api_key}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    body = urlencode({**PAYMENT_INTENT, **parameters}).encode()
    answers = await fire(port, [request("POST", "/v1/payment_intents", headers, body)] * count, clients=8)
    return [msgspec.json.decode(answer.body)["id"] for answer in answers]


def put_stock(database: Database) -> None:
    """Tell how many units of all goods can be sold."""
    with database.transaction() as connection:
        for number in range(SKUS):
            stock.put(connection, _sku(number), 1_000_000, None)


def register(
    database: Database,
    references: Sequence[str],
    name: str,
    *,
    captured: bool = False,
    kind: OrderKind = OrderKind.RETAIL,
    provider: Provider = Provider.STRIPE,
) -> list[Purchase]:
    """Write one order for each reference, through the statements of a registration; ids are `ord_<name>_<number>`."""
    purchases = [Purchase(f"ord_{name}_{number}", reference) for number, reference in enumerate(references)]
    for start in range(0, len(purchases), BATCH):
        with database.transaction() as connection:
            for number, purchase in enumerate(purchases[start : start + BATCH], start):
                _register(connection, purchase, _sku(number % SKUS), kind, provider, captured=captured)
    return purchases


def cancels(settings: Settings, purchases: Sequence[Purchase], prefer: str = "") -> list[bytes]:
    """The requests that take these orders back, each with its modification token."""
    expires_at = int(time.time()) + 3600
    return [
        request(
            "POST",
            f"/store/orders/{purchase.order_id}/cancel",
            {"x-modification-token": tokens.modification_token(settings, purchase.order_id, expires_at)}
            | ({"Prefer": prefer} if prefer else {}),
        )
        for purchase in purchases
    ]


def refunds(settings: Settings, purchases: Sequence[Purchase], prefer: str) -> list[bytes]:
    """The requests of an operator that give all of these orders' money back."""
    operator = tokens.mint(settings, role=Role.ADMIN, subject="op_1", order_id=None, expires_in=3600)
    headers = {"Authorization": f"Bearer {operator}", "Content-Type": "application/json", "Prefer": prefer}
    return [
        request("POST", f"/api/admin/orders/{purchase.order_id}/refund", headers, b'{"reason":"measured"}')
        for purchase in purchases
    ]


def additions(settings: Settings, purchases: Sequence[Purchase], prefer: str) -> list[bytes]:
    """The requests of shoppers who want one unit more."""
    expires_at = int(time.time()) + 3600
    return [
        request(
            "POST",
            f"/store/orders/{purchase.order_id}/items/1",
            {
                "x-modification-token": tokens.modification_token(settings, purchase.order_id, expires_at),
                "Content-Type": "application/json",
                "Prefer": prefer,
            },
            b'{"quantity":3}',
        )
        for purchase in purchases
    ]


def _sku(number: int) -> str:
    return f"SKU-{number}"


def _register(
    connection: Connection, purchase: Purchase, sku: str, kind: OrderKind, provider: Provider, *, captured: bool
) -> None:
    """What `workers.register` writes for an authorized or a captured order, and its ended intent."""
    placed_at = datetime.now(UTC)
    order = _order(purchase, placed_at, OrderStatus.CAPTURED if captured else OrderStatus.PENDING, kind, provider)
    payment = _payment(purchase, provider, captured=captured)
    intent = _intent(purchase)
    orders.insert(connection, order, [Line(sku, 2, 1500, Decimal("0.10"))])
    payments.insert(connection, payment, check_after=3600)
    capture = Staged(Message(Task.CAPTURE_PAYMENT, purchase.named("cap")), 3600)
    if not captured:
        payments.schedule_capture(connection, purchase.named("cap"), order.id, payment.id, order.grace_until)
    intents.accept_all(connection, [intent])
    intents.end(connection, intent.id, IntentState.DONE, 201, "{}")
    data = {"total": TOTAL, "currency": order.currency, "payment": payment.status}
    journal.close(
        connection,
        history=[Entry(order.id, OrderEvent.REGISTERED, Queue.REGISTER, "service:shop", data)],
        struck=[Message(Task.REGISTER_ORDER, intent.id)],
        staged=[] if captured else [capture],
        patience=30,
    )
    stock.reserve_locked(connection, order.id)


def _order(
    purchase: Purchase, placed_at: datetime, status: OrderStatus, kind: OrderKind, provider: Provider
) -> NewOrder:
    return NewOrder(
        id=purchase.order_id,
        kind=kind,
        status=status,
        currency=CURRENCY[provider],
        total=TOTAL,
        shipping=500,
        email=RECIPIENT,
        customer_id=None,
        address=None,
        fingerprint=hashlib.sha256(purchase.order_id.encode()).digest(),
        placed_at=placed_at,
        grace_until=placed_at + timedelta(hours=1),
    )


def _payment(purchase: Purchase, provider: Provider, *, captured: bool) -> NewPayment:
    return NewPayment(
        id=purchase.named("pay"),
        order_id=purchase.order_id,
        provider=provider,
        reference=purchase.reference,
        status=PaymentStatus.CAPTURED if captured else PaymentStatus.AUTHORIZED,
        currency=CURRENCY[provider],
        amount=TOTAL,
        authorized=TOTAL,
        captured=TOTAL if captured else 0,
        released=0,
        capture_before=None,
        incremental=not captured,
    )


def _intent(purchase: Purchase) -> NewIntent:
    return NewIntent(
        id=purchase.named("reg"),
        operation=Operation.REGISTER_ORDER,
        subject=purchase.order_id,
        actor="service:shop",
        idempotency_key=None,
        fingerprint=b"",
        payload="{}",
        waiter=None,
        patience=30,
    )
