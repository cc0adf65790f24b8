"""A hotel and its guests: what a test does with bookings, beside what a shop does (tests/shop.py)."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from tests.shop import Shop, eventually

ZONE = "Europe/Dublin"

#: Ten percent of the price within 30 days before check-in, all of it within 2; before that nothing.
FLEXIBLE: dict[str, Any] = {
    "rules": [{"days_before": 30, "percent": "10"}, {"days_before": 2, "percent": "100"}],
    "no_show": {"percent": "100"},
}

#: What the link to a booking leads to, by either of its routes.
ROUTES = ("", "/cancel")


@dataclass(frozen=True)
class Stay:
    """A registered booking of 500.00 in three nights, and what its guest holds."""

    booking_id: str
    token: str
    reference: str | None
    hotel: str
    email: str
    desk: str
    sku: str

    @property
    def path(self) -> str:
        """Where its link leads to."""
        return f"/hotels/{self.hotel}/bookings/{self.booking_id}"


class Hotel:
    """Registers policies and bookings on one mesh, and acts as their guests."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    # What the hotel does

    def put_policy(self, policy: dict[str, Any], policy_id: str | None = None) -> str:
        """Set a policy; returns its id."""
        policy_id = policy_id or f"pol_{uuid.uuid4().hex}"
        answer = self.shop.http.put(f"/policies/{policy_id}", json=policy, headers=self.shop.bearer("service"))
        assert answer.status_code == 200, answer.text
        return policy_id

    def body(self, policy_id: str, reference: str | None, *, days: float = 10, **changes: Any) -> dict[str, Any]:
        """A body for `POST /bookings`: three nights of 500.00 EUR in all, check-in so many days from now."""
        check_in = datetime.now(ZoneInfo(ZONE)) + timedelta(days=days)
        slug, email = f"hotel-{uuid.uuid4().hex[:8]}", f"{uuid.uuid4().hex}@example.com"
        return {
            "booking_id": f"bkg_{uuid.uuid4().hex}",
            "hotel": {"slug": slug, "name": "Seaside", "email": f"desk-{slug}@example.com", "time_zone": ZONE},
            "email": email,
            "currency": "EUR",
            "check_in": check_in.strftime("%Y-%m-%dT%H:%M:%S"),
            "check_out": (check_in + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M:%S"),
            "policy_id": policy_id,
            "lines": [{"sku": f"ROOM-{slug}", "quantity": 1, "unit_price": 50_000}],
            "payment": {"provider": "stripe", "reference": reference} if reference else {"provider": "none"},
        } | changes

    def register(self, body: dict[str, Any], **headers: str) -> httpx.Response:
        """Register a booking as the hotel's back end."""
        return self.shop.http.post("/bookings", json=body, headers={**self.shop.bearer("service"), **headers})

    def book(
        self, policy: dict[str, Any] | None = None, *, amount: int | None = 50_000, days: float = 10, **changes: Any
    ) -> Stay:
        """Hold the money, unless there is to be none, and register the booking."""
        reference = self.shop.authorize(amount, "eur") if amount else None
        return self.booked(reference, policy, days=days, **changes)

    def booked(
        self, reference: str | None, policy: dict[str, Any] | None = None, *, days: float = 10, **changes: Any
    ) -> Stay:
        """Register a booking whose money is at the provider, or is not; ten of its rooms could be sold before."""
        body = self.body(self.put_policy(FLEXIBLE if policy is None else policy), reference, days=days, **changes)
        sku = body["lines"][0]["sku"]
        self.shop.put_stock(sku, 10)
        answer = self.register(body)
        assert answer.status_code == 201, answer.text
        hotel, token = body["hotel"], answer.json()["guest_token"]
        return Stay(body["booking_id"], token, reference, hotel["slug"], body["email"], hotel["email"], sku)

    def confirmed(self, policy: dict[str, Any] | None = None, **how: Any) -> Stay:
        """A booking that is paid for."""
        stay = self.book(policy, **how)
        answer = self.approve(stay)
        assert answer.status_code == 200, answer.text
        eventually(lambda: self.view(stay)["status"] in ("CONFIRMED", "COMPLETED"))
        return stay

    def approve(self, stay: Stay) -> httpx.Response:
        """Accept a booking as its hotel."""
        return self.shop.http.post(f"/bookings/{stay.booking_id}/approve", headers=self.shop.bearer("service"))

    def invite(self, stay: Stay, **body: Any) -> httpx.Response:
        """Issue one more link."""
        path = f"/bookings/{stay.booking_id}/tokens"
        return self.shop.http.post(path, json=body, headers=self.shop.bearer("service"))

    # What the guest does

    def look(self, stay: Stay, token: str | None = None) -> httpx.Response:
        """Open the link."""
        return self.shop.http.get(stay.path, params={"token": token or stay.token})

    def view(self, stay: Stay) -> dict[str, Any]:
        """The booking, as its guest sees it."""
        answer = self.look(stay)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def cancel(self, stay: Stay, route: str = "", headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
        """Take the booking back by its link."""
        return self.shop.http.post(stay.path + route, json={"token": stay.token} | body, headers=headers)

    # How it stands

    def order(self, stay: Stay) -> dict[str, Any]:
        """The order behind a booking, as an operator sees it."""
        return self.shop.view(stay.booking_id)

    def keys(self, stay: Stay) -> set[str]:
        """The idempotency keys under which the provider was asked for a refund."""
        asked = self.shop.requests_to_provider(str(stay.reference))
        return {request["idempotency_key"] for request in asked if request["operation"] == "refund"}

    def moves(self, stay: Stay) -> list[tuple[str, int]]:
        """What was done with the money at the provider, after it was held."""
        effects = self.shop.effects(str(stay.reference))
        return [
            (effect["operation"].rpartition("payment_intent.")[2], effect["amount"])
            for effect in effects
            if effect["operation"] not in ("payment_intent.created", "payment_intent.authorized")
        ]

    def is_used(self, stay: Stay) -> bool:
        """Whether its first link has done what it is for."""
        statement = "SELECT used_at IS NOT NULL FROM guest_tokens WHERE order_id = %s ORDER BY id LIMIT 1"
        ((used,),) = self.shop.sql(statement, stay.booking_id)
        return bool(used)
