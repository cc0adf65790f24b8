"""A depot: orders that were paid at Razorpay, or are to be paid at the door, and go out by Delhivery."""

import hashlib
import hmac
import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.shop import Shop, eventually

#: What an order costs, in paise: two units with their tax, and the shipping.
PRICE, SHIPPING = 3800, 500


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


class Depot:
    """Acts at Razorpay's and Delhivery's stand-ins, and looks at what they have on record."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.razorpay, self.delhivery = shop.urls["razorpay"], shop.urls["delhivery"]

    # What is bought

    def pay(self, amount: int = PRICE, **how: Any) -> str:
        """Pay at Razorpay's checkout, in paise; returns the payment."""
        payment: str = self._post(self.razorpay, "payments", {"amount": amount, "currency": "INR", **how})["id"]
        return payment

    def manifest(self, awb: str | None = None, **how: Any) -> str:
        """Announce a parcel to Delhivery; returns its waybill."""
        awb = awb or waybill()
        self._post(self.delhivery, "shipments", {"awb": awb, "reference_no": f"ORD-{awb}"} | how)
        return awb

    def register(self, payment: dict[str, Any], **changes: Any) -> Parcel:
        """Register an order with this payment, whose parcel is announced."""
        sku, email, awb = f"SKU-{uuid.uuid4().hex}", f"{uuid.uuid4().hex}@example.com", self.manifest()
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
        return Parcel(told["order_id"], told["modification_token"], payment.get("reference"), awb, sku, email)

    def held(self, **changes: Any) -> Parcel:
        """An order whose money Razorpay holds, in its grace period."""
        return self.register({"provider": "razorpay", "reference": self.pay()}, **changes)

    def paid(self, **changes: Any) -> Parcel:
        """An order whose grace period is over, and whose money was captured."""
        placed_at = datetime.now(UTC) - timedelta(seconds=self.shop.settings.grace_period + 1)
        parcel = self.held(placed_at=placed_at.isoformat(), **changes)
        eventually(lambda: self.shop.view(parcel.order_id)["status"] == "captured")
        return parcel

    def cash_on_delivery(self, **changes: Any) -> Parcel:
        """An order that is to be paid at the door."""
        return self.register({"provider": "cod"}, **changes)

    # What Delhivery does and tells

    def scan(self, parcel: Parcel, status_type: str, status: str, **how: Any) -> dict[str, Any]:
        """Let Delhivery scan a parcel; `push` says in which shape it tells us ("none": not at all)."""
        body = {"status_type": status_type, "status": status, "push": "none"} | how
        found: dict[str, Any] = self._post(self.delhivery, f"scan/{parcel.awb}", body)
        return found

    def returns(self, parcel: Parcel, **how: Any) -> None:
        """The parcel was picked up, and is on its way back."""
        self.scan(parcel, "UD", "In Transit", picked_up=True)
        self.scan(parcel, "RT", "In Transit", **how)

    def never_leaves(self, parcel: Parcel, **how: Any) -> None:
        """The parcel was canceled before it was picked up."""
        self.scan(parcel, "UD", "Not Picked", code="DTUP-210", instructions="Seller cancelled the order", **how)

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

    # What operators do

    def sync(self, parcel: Parcel) -> httpx.Response:
        """Have one order looked up."""
        path = f"/api/admin/orders/{parcel.order_id}/sync-delhivery"
        return self.shop.http.post(path, headers=self.shop.bearer("admin", "op_1"))

    def bulk_sync(self, limit: int | None = None) -> httpx.Response:
        """Have those parcels looked up that were not for longest."""
        body = {} if limit is None else {"limit": limit}
        path = "/api/admin/orders/bulk-sync-delhivery"
        return self.shop.http.post(path, json=body, headers=self.shop.bearer("admin", "op_1"))

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

    def shipment(self, parcel: Parcel) -> dict[str, Any]:
        """The parcel as people see it."""
        found: dict[str, Any] = self.shop.view(parcel.order_id)["shipment"]
        return found

    def subjects(self, parcel: Parcel) -> list[str]:
        """What its shopper was mailed, oldest first."""
        return [letter["subject"] for letter in reversed(self.shop.mails_to(parcel.email))]

    def canceled(self, parcel: Parcel) -> dict[str, Any]:
        """The order, once it is canceled."""
        eventually(lambda: self.shop.view(parcel.order_id)["status"] == "canceled")
        return self.shop.view(parcel.order_id)

    def refunded(self, parcel: Parcel) -> dict[str, Any]:
        """The order's refund, once Razorpay has made it."""
        refund: dict[str, Any] = eventually(
            lambda: next(
                (each for each in self.shop.view(parcel.order_id)["refunds"] if each["status"] == "completed"), None
            )
        )
        return refund

    # Misbehaviour

    def misbehave(self, stand_in: str, operation: str, fault: str, subject: str | None = None, **how: Any) -> None:
        """Make `razorpay` or `delhivery` misbehave, to one payment or waybill, or to all."""
        order = {"operation": operation, "fault": fault, "object": subject} | how
        answer = self.shop.outside.post(f"{self.shop.urls[stand_in]}/_sandbox/faults", json=order)
        assert answer.status_code == 200, answer.text

    def happen(self, stand_in: str, what: str, name: str) -> None:
        """Let something happen there: `lapse` a payment, `fail` a refund, `settle` a cancel."""
        self._post(self.shop.urls[stand_in], f"{what}/{name}", None)

    def _post(self, base: str, path: str, body: Any) -> Any:
        answer = self.shop.outside.post(f"{base}/_sandbox/{path}", json=body)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def _get(self, base: str, path: str, subject: str | None) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.shop.outside.get(
            f"{base}/_sandbox/{path}", params={"object": subject}
        ).json()
        return found


def waybill() -> str:
    """A waybill that nobody has used."""
    return f"{uuid.uuid4().int % 10**13:013d}"
