"""Outside: what happens at Razorpay's and Delhivery's, whoever does it there, and what they have on record."""

import uuid
from typing import Any

from tests.shop import Shop


class Outside:
    """Acts at the stand-ins of both."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.razorpay, self.delhivery = shop.urls["razorpay"], shop.urls["delhivery"]

    def at_the_dashboard(self, act: str, reference: str | None, amount: int) -> str:
        """`capture` or `refund` a payment at Razorpay itself, as the shop's people may; returns what came of it."""
        wish = {"amount": amount} | ({"currency": "INR"} if act == "capture" else {})
        key = (self.shop.settings.razorpay_key_id, self.shop.settings.razorpay_key_secret)
        answer = self.shop.outside.post(f"{self.razorpay}/v1/payments/{reference}/{act}", json=wish, auth=key)
        assert answer.status_code == 200, answer.text
        name: str = answer.json()["id"]
        return name

    def manifest(self, awb: str | None = None, **how: Any) -> str:
        """Announce a parcel to Delhivery; returns its waybill."""
        awb = awb or waybill()
        self._post(self.delhivery, "shipments", {"awb": awb, "reference_no": f"ORD-{awb}"} | how)
        return awb

    def scan_at(self, awb: str, status_type: str, status: str, **how: Any) -> dict[str, Any]:
        """Let Delhivery scan a parcel; `push` says in which shape it tells us ("none": not at all)."""
        body = {"status_type": status_type, "status": status, "push": "none"} | how
        found: dict[str, Any] = self._post(self.delhivery, f"scan/{awb}", body)
        return found

    def misbehave(self, stand_in: str, operation: str, fault: str, subject: str | None = None, **how: Any) -> None:
        """Make `razorpay` or `delhivery` misbehave, to one payment or waybill, or to all."""
        order = {"operation": operation, "fault": fault, "object": subject} | how
        answer = self.shop.outside.post(f"{self.shop.urls[stand_in]}/_sandbox/faults", json=order)
        assert answer.status_code == 200, answer.text

    def slow_down(self, stand_in: str, operation: str, milliseconds: float) -> None:
        """Let `razorpay` or `delhivery` take its time for an operation."""
        self._post(self.shop.urls[stand_in], "latency", {"operation": operation, "milliseconds": milliseconds})

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
