"""A depot: orders that were paid at Razorpay, or are to be paid at the door, and go out by Delhivery."""

import hashlib
import hmac
import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from shared.queues import Task
from tests.outside import Outside
from tests.shop import eventually

#: What an order costs, in paise: two units with their tax, and the shipping.
PRICE, SHIPPING = 3800, 500

#: What a shopper is mailed, by what it tells.
SUBJECTS = {
    "canceled": "Your order {} is canceled",
    "begun": "Your refund for order {} has begun",
    "refunded": "Your refund for order {}",
}


@dataclass(frozen=True)
class Parcel:
    """An order of two units out of ten of a SKU of its own, and the parcel that it goes out by."""

    order_id: str
    token: str
    #: The payment's name at Razorpay; None of one that is paid at the door.
    reference: str | None
    awb: str
    sku: str
    email: str

    @property
    def credential(self) -> dict[str, str]:
        """The header of its shopper."""
        return {"x-modification-token": self.token}


class Depot(Outside):
    """Sells, sends and takes back, and looks at what everybody has on record of it."""

    # What is bought

    def pay(self, amount: int = PRICE, **how: Any) -> str:
        """Pay at Razorpay's checkout, in paise; returns the payment."""
        payment: str = self._post(self.razorpay, "payments", {"amount": amount, "currency": "INR", **how})["id"]
        return payment

    def register(
        self, payment: dict[str, Any], *, awb: str | None = None, first_look: bool = False, **changes: Any
    ) -> Parcel:
        """Register an order with this payment, whose parcel is announced, by this waybill or by another one.

        Without the first look at it, which comes by itself, nobody looks before the courier or an operator says so.
        """
        sku, email, awb = f"SKU-{uuid.uuid4().hex}", f"{uuid.uuid4().hex}@example.com", awb or self.manifest()
        self.shop.put_stock(sku, 10)
        body = self.shop.order(
            None,
            currency="INR",
            email=email,
            lines=[{"sku": sku, "quantity": 2, "unit_price": 1500, "tax_rate": "0.10"}],
            shipment={"courier": "Delhivery", "awb": awb},
        )
        answer = self.shop.register(body | {"payment": payment} | changes)
        assert answer.status_code == 201, answer.text
        told = answer.json()
        if not first_look:
            self.put_off_look(told["order_id"])
        return Parcel(told["order_id"], told["modification_token"], payment.get("reference"), awb, sku, email)

    def put_off_look(self, order_id: str) -> None:
        """Let nobody look at an order's parcel by himself for an hour."""
        self.shop.sql(
            """
            UPDATE outbox SET due_at = now() + interval '1 hour'
            WHERE task = %s AND subject = (SELECT id FROM shipments WHERE order_id = %s)
            """,
            Task.TRACK_SHIPMENT,
            order_id,
        )

    def held(self, **changes: Any) -> Parcel:
        """An order whose money Razorpay holds, in its grace period."""
        return self.register({"provider": "razorpay", "reference": self.pay()}, **changes)

    def paid(self, **changes: Any) -> Parcel:
        """An order whose grace period is over, and whose money was captured."""
        parcel = self.held(placed_at=self.before_grace(), **changes)
        eventually(lambda: self.shop.view(parcel.order_id)["status"] == "captured")
        return parcel

    def before_grace(self) -> str:
        """A moment at which an order was placed whose grace period is over by now."""
        return (datetime.now(UTC) - timedelta(seconds=self.shop.settings.grace_period + 1)).isoformat()

    def cash_on_delivery(self, **changes: Any) -> Parcel:
        """An order that is to be paid at the door."""
        return self.register({"provider": "cod"}, **changes)

    # What Delhivery does and tells

    def scan(self, parcel: Parcel, status_type: str, status: str, **how: Any) -> dict[str, Any]:
        """Let Delhivery scan a parcel; `push` says in which shape it tells us ("none": not at all)."""
        return self.scan_at(parcel.awb, status_type, status, **how)

    def returns(self, parcel: Parcel, **how: Any) -> None:
        """The parcel was picked up, and is on its way back."""
        self.scan(parcel, "UD", "In Transit", picked_up=True)
        self.scan(parcel, "RT", "In Transit", **how)

    def never_leaves(self, parcel: Parcel, **how: Any) -> None:
        """The parcel was canceled before it was picked up."""
        self.scan(parcel, "UD", "Not Picked", code="DTUP-210", instructions="Seller cancelled the order", **how)

    def scanned(self, parcel: Parcel, status_type: str, status: str, **how: str) -> dict[str, Any]:
        """A push as Delhivery sends it by default, of a scan that need not have been made."""
        told = {"Status": status, "StatusType": status_type, "Instructions": how.get("instructions", "")}
        at = {"StatusDateTime": how.get("at", "2026-08-01T10:11:12.003"), "StatusLocation": "Mumbai_Hub (Maharashtra)"}
        code = how.get("code", "X-PPOM")
        return {"Shipment": {"Status": told | at, "NSLCode": code, "ReferenceNo": "ORD-1", "AWB": parcel.awb}}

    def push(self, body: Any, secret: str | None = None, **headers: str) -> httpx.Response:
        """Push anything to the mesh as Delhivery does."""
        secret = secret or self.shop.settings.delhivery_webhook_secrets[-1]
        return self.shop.http.post(
            "/api/shipping/delhivery/webhook", json=body, headers={"X-Delhivery-Secret": secret} | headers
        )

    def hint(self, parcel: Parcel, status: str = "Cancelled", current: str = "Cancelled - Customer Request") -> Any:
        """Push the client contract's own body."""
        return self.push({"awb": parcel.awb, "status": status, "current_status": current})

    def tell(self, event: dict[str, Any], event_id: str, secret: str | None = None) -> httpx.Response:
        """Send an event to the mesh as Razorpay does."""
        body = json.dumps(event).encode()
        secret = secret or self.shop.settings.razorpay_webhook_secrets[-1]
        signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {"X-Razorpay-Signature": signature, "x-razorpay-event-id": event_id}
        return self.shop.http.post("/webhooks/razorpay", content=body, headers=headers)

    def a_day_later(self, parcel: Parcel) -> None:
        """Let a day pass for all that was told of a parcel, and for all that was seen."""
        self.age(parcel, "1 day")
        for column in ("tracked_at", "canceled_at"):
            statement = f"UPDATE shipments SET {column} = {column} - interval '1 day' WHERE awb = %s"  # noqa: S608
            self.shop.sql(statement, parcel.awb)

    def age(self, parcel: Parcel, by: str) -> None:
        """Let so much time pass for all that was told of a parcel."""
        for column in ("heard_at", "received_at"):
            statement = f"UPDATE courier_events SET {column} = {column} - %s::interval WHERE awb = %s"  # noqa: S608
            self.shop.sql(statement, by, parcel.awb)

    # What operators and shoppers do

    def sync(self, parcel: Parcel) -> httpx.Response:
        """Have one order looked up."""
        path = f"/api/admin/orders/{parcel.order_id}/sync-delhivery"
        return self.shop.http.post(path, headers=self.shop.bearer("admin", "op_1"))

    def bulk_sync(self, **body: Any) -> httpx.Response:
        """Have those parcels looked up that were not for longest, and wait for the report."""
        headers = self.shop.bearer("admin", "op_1") | {"Prefer": "wait=30"}
        return self.shop.http.post("/api/admin/orders/bulk-sync-delhivery", json=body, headers=headers, timeout=40)

    def ship(self, order_id: str, awb: str, courier: str = "Delhivery") -> httpx.Response:
        """Tell as the shop's back end by which parcel an order goes out."""
        body = {"courier": courier, "awb": awb}
        return self.shop.http.put(f"/orders/{order_id}/shipment", json=body, headers=self.shop.bearer("service"))

    def take_back(self, parcel: Parcel) -> httpx.Response:
        """Cancel the order as its shopper, who has its modification token."""
        return self.shop.http.post(f"/store/orders/{parcel.order_id}/cancel", headers=parcel.credential)

    # What is on record

    def effects(self, parcel: Parcel) -> list[dict[str, Any]]:
        """Every effect at Razorpay on an order's payment, oldest first."""
        return self._get(self.razorpay, "ledger", parcel.reference)

    def refunds(self, parcel: Parcel) -> list[int]:
        """What Razorpay gave back of an order, in paise."""
        return [effect["amount"] for effect in self.effects(parcel) if effect["operation"] == "refund.created"]

    def asked(self, parcel: Parcel, operation: str | None = None) -> list[dict[str, Any]]:
        """Every request about an order's payment that reached Razorpay."""
        found = self._get(self.razorpay, "requests", parcel.reference)
        return [each for each in found if operation in (None, each["operation"])]

    def handled(self, parcel: Parcel) -> list[str]:
        """What Delhivery has on record of a parcel."""
        return [entry["operation"] for entry in self._get(self.delhivery, "ledger", parcel.awb)]

    def questions(self, parcel: Parcel, operation: str = "track") -> list[dict[str, Any]]:
        """Every request about a parcel that reached Delhivery: to `track` it, or to `cancel` it."""
        found = self._get(self.delhivery, "requests", parcel.awb)
        return [each for each in found if each["operation"] == operation]

    def alarms(self, parcel: Parcel) -> dict[str, bool]:
        """The kinds of the alerts about an order, and whether they are open."""
        statement = "SELECT split_part(cause, ':', 1), resolved_at IS NULL FROM alerts WHERE order_id = %s ORDER BY id"
        return dict(self.shop.sql(statement, parcel.order_id))

    def shipment(self, parcel: Parcel) -> dict[str, Any]:
        """The parcel as people see it."""
        found: dict[str, Any] = self.shop.view(parcel.order_id)["shipment"]
        return found

    def entries(self, parcel: Parcel, event: str) -> list[dict[str, Any]]:
        """What the order's timeline tells of all events with this name, oldest first."""
        return [entry["data"] for entry in self.shop.view(parcel.order_id)["timeline"] if entry["event"] == event]

    def letters(self, parcel: Parcel, *kinds: str) -> dict[str, str]:
        """Each of these letters has reached its shopper once, and nothing else will; their texts, by kind."""
        subjects = {SUBJECTS[kind].format(parcel.order_id): kind for kind in kinds}
        eventually(lambda: len(self.shop.mails_to(parcel.email)) >= len(kinds))
        written = "SELECT count(*) FROM emails WHERE order_id = %s AND recipient = %s"
        assert self.shop.sql(written, parcel.order_id, parcel.email) == [(len(kinds),)]
        found = self.shop.mails_to(parcel.email)
        assert sorted(letter["subject"] for letter in found) == sorted(subjects)
        return {subjects[letter["subject"]]: " ".join(letter["text"].split()) for letter in found}

    def looked_at(self, parcel: Parcel) -> None:
        """Wait until tracking was looked at since the courier last told us anything of a parcel."""
        statement = """
            SELECT 1 FROM shipments s WHERE s.awb = %s
            AND s.tracked_at > (SELECT max(heard_at) FROM courier_events e WHERE e.awb = s.awb)
        """
        eventually(lambda: self.shop.sql(statement, parcel.awb))

    def idle(self, parcel: Parcel) -> None:
        """Wait until nothing is left to do about an order, its parcel and its refunds."""
        statement = """
            SELECT 1 FROM outbox WHERE due_at < now() + interval '10 minutes' AND subject IN (
                WITH mine AS (SELECT %s::text AS id)
                SELECT i.id FROM intents i JOIN mine ON mine.id = i.subject
                UNION SELECT s.id FROM shipments s JOIN mine ON mine.id = s.order_id
                UNION SELECT r.id FROM refunds r JOIN mine ON mine.id = r.order_id
                UNION SELECT e.id FROM emails e JOIN mine ON mine.id = e.order_id)
        """
        eventually(lambda: not self.shop.sql(statement, parcel.order_id))

    def stands(self, parcel: Parcel) -> None:
        """The order is as it was paid for: nothing came of whatever was told of its parcel."""
        view = self.shop.view(parcel.order_id)
        assert (view["status"], view["payment"]["status"], view["refunds"]) == ("captured", "captured", [])
        assert self.refunds(parcel) == []
        assert self.shop.stock(parcel.sku) == 8
        assert self.shop.mails_to(parcel.email) == []

    def canceled(self, parcel: Parcel) -> dict[str, Any]:
        """The order, once it is canceled."""
        eventually(lambda: self.shop.view(parcel.order_id)["status"] == "canceled")
        return self.shop.view(parcel.order_id)

    def refunded(self, parcel: Parcel, status: str = "completed") -> dict[str, Any]:
        """The order's refund, once it stands so."""
        refund: dict[str, Any] = eventually(
            lambda: next(
                (each for each in self.shop.view(parcel.order_id)["refunds"] if each["status"] == status), None
            )
        )
        return refund
