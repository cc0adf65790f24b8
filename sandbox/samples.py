"""Sample orders: what a shop would have registered, so that there is something to take back.

They go in through the front door: money is held at the stand-in through Stripe's own SDK, stock and orders are
registered over HTTP.  Everything carries an id made of the half hour it is in, so that a second start finds the same
orders, and none whose grace period is nearly over.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import requests
import stripe

from shared import settings, tokens
from shared.settings import Settings

#: Seconds for which samples keep their ids: half the shortest grace period that leaves time to try them.
FRESHNESS = 1800

#: A hotel's guest may try too: half of the price from a week before check-in on, and nothing before.
POLICY_ID, POLICY = "sample-flexible", {"rules": [{"days_before": 7, "percent": "50"}]}
HOTEL = {"slug": "seaside", "name": "Seaside", "email": "desk@example.com", "time_zone": "Europe/Dublin"}
ROOM: dict[str, Any] = {"sku": "ROOM", "quantity": 3, "unit_price": 15_000}

#: Days from the half hour of the samples until check-in, which is within the policy's week, and until check-out.
STAY = (5, 8)

#: A parcel that was picked up, and comes back.
RETURN = '{"status_type": "RT", "status": "In Transit", "picked_up": true, "push": "default"}'

#: What the sample parcel is paid with, in paise, and what of that is its shipping.
PAID, SHIPPING = 99_900, 9_900

#: Seconds that one request may take; the mesh has only just started.
TIMEOUT = 30

STOCK: Mapping[str, int] = {"TEE": 40, "MUG": 25, "LAMP": 8, "ROOM": 60}

ANN = {"name": "Ann Example", "line1": "1 Main Street", "city": "Springfield", "postal_code": "12345", "country": "US"}


class SampleRefused(Exception):
    """The mesh did not take a sample; the message has its answer."""


class UnknownOrder(SampleRefused):
    """The mesh does not know the sample yet."""


#: What `register` raises: the mesh or the stand-in refused, or cannot be reached.
REFUSALS = (SampleRefused, stripe.StripeError, requests.RequestException)


@dataclass(frozen=True)
class Sample:
    """One order to register, and what its card holds; amounts in minor units of its currency."""

    name: str
    currency: str
    authorized: int
    lines: Sequence[Mapping[str, Any]]
    shipping: int = 0


SAMPLES: Sequence[Sample] = (
    Sample("tees", "USD", 3800, [{"sku": "TEE", "quantity": 2, "unit_price": 1500, "tax_rate": "0.10"}], shipping=500),
    Sample("mug", "EUR", 1190, [{"sku": "MUG", "quantity": 1, "unit_price": 1000, "tax_rate": "0.19"}]),
    Sample("lamp", "JPY", 5500, [{"sku": "LAMP", "quantity": 1, "unit_price": 5000, "tax_rate": "0.10"}]),
    Sample(
        "set",
        "USD",
        9400,
        [{"sku": "TEE", "quantity": 4, "unit_price": 1500}, {"sku": "MUG", "quantity": 2, "unit_price": 1200}],
        shipping=1000,
    ),
)


def register(gateway: str, delhivery: str, environment: Mapping[str, str]) -> tuple[str, str, str]:
    """Register the samples with the mesh at `gateway`.

    Returns curl lines that take back an order and a booking, and one by which a parcel comes back at `delhivery`, so
    that its order is taken back by itself.  Raises one of `REFUSALS`.
    """
    known = settings.load(environment)
    batch = int(time.time()) // FRESHNESS
    with requests.Session() as session:
        session.trust_env = False  # no proxy stands between us and loopback
        desk = Desk(gateway, known, session)
        desk.fill_stock()
        samples = {f"ord_sample_{sample.name}_{batch}": sample for sample in SAMPLES}
        guest_token = desk.book(f"bkg_sample_{batch}", batch * FRESHNESS)
        waybill = desk.ship(f"ord_sample_parcel_{batch}", f"{batch:013d}", delhivery)
        open_ids = [order_id for order_id, sample in samples.items() if desk.present(order_id, sample) == "pending"]
    order_id = next(iter(open_ids or samples))
    token = tokens.mint(known, role="modification", subject=None, order_id=order_id, expires_in=FRESHNESS)
    return (
        f"curl -X POST {gateway}/store/orders/{order_id}/cancel -H 'x-modification-token: {token}'",
        f"curl -X POST '{gateway}/hotels/{HOTEL['slug']}/bookings/bkg_sample_{batch}?token={guest_token}'",
        f"curl -X POST {delhivery}/_sandbox/scan/{waybill} -d '{RETURN}'",
    )


class Desk:
    """The shop's back end, as far as the samples need one."""

    def __init__(self, gateway: str, known: Settings, session: requests.Session) -> None:
        self._gateway, self._known, self._session = gateway, known, session
        self._provider = stripe.StripeClient(
            known.stripe_api_key,
            base_addresses={"api": known.stripe_api_base},
            http_client=stripe.RequestsClient(timeout=TIMEOUT, session=session),
        )

    def fill_stock(self) -> None:
        """Tell how many units can be sold."""
        for sku, quantity in STOCK.items():
            self._ask("PUT", f"/stock/{sku}", role="service", body={"quantity": quantity})

    def present(self, order_id: str, sample: Sample) -> str:
        """The status of a sample, which is registered when it is not known yet."""
        try:
            known = self._ask("GET", f"/orders/{order_id}", role="admin")
        except UnknownOrder:
            known = self._ask("POST", "/orders", role="service", body=self._body(order_id, sample))
        return str(known["status"])

    def book(self, booking_id: str, since: float) -> str:
        """Register the sample booking, unless it is known; returns its guest's token."""
        self._ask("PUT", f"/policies/{POLICY_ID}", role="service", body=POLICY)
        noon = datetime.fromtimestamp(since, UTC).replace(hour=12, minute=0, second=0)
        check_in, check_out = ((noon + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M") for days in STAY)
        price = ROOM["quantity"] * ROOM["unit_price"]
        body = {
            "booking_id": booking_id,
            "hotel": HOTEL,
            "email": "ann@example.com",
            "currency": "EUR",
            "check_in": check_in,
            "check_out": check_out,
            "policy_id": POLICY_ID,
            "lines": [ROOM],
            "payment": {"provider": "stripe", "reference": self._hold(booking_id, Sample("room", "EUR", price, []))},
        }
        token: str = self._ask("POST", "/bookings", role="service", body=body)["guest_token"]
        return token

    def ship(self, order_id: str, waybill: str, delhivery: str) -> str:
        """Register the sample order that goes out by Delhivery, unless it is known; returns its waybill.

        It was paid at Razorpay and placed an hour ago, so that it is captured at once.
        """
        try:
            self._ask("GET", f"/orders/{order_id}", role="admin")
        except UnknownOrder:
            self._tell(f"{delhivery}/_sandbox/shipments", {"awb": waybill, "reference_no": order_id})
            paid = self._tell(f"{self._known.razorpay_api_base}/_sandbox/payments", {"amount": PAID, "currency": "INR"})
            body = {
                "order_id": order_id,
                "currency": "INR",
                "email": "ann@example.com",
                "lines": [{"sku": "LAMP", "quantity": 1, "unit_price": PAID - SHIPPING}],
                "shipping": SHIPPING,
                "payment": {"provider": "razorpay", "reference": paid["id"]},
                "shipment": {"courier": "delhivery", "awb": waybill},
                "placed_at": (datetime.now(UTC) - timedelta(seconds=self._known.grace_period)).isoformat(),
            }
            self._ask("POST", "/orders", role="service", body=body)
        return waybill

    def _tell(self, address: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Let something happen at a stand-in."""
        answer = self._session.post(address, json=body, timeout=TIMEOUT)
        if not answer.ok:
            raise SampleRefused(f"{address}: {answer.status_code} {answer.text}")
        found: dict[str, Any] = answer.json()
        return found

    def _body(self, order_id: str, sample: Sample) -> dict[str, Any]:
        return {
            "order_id": order_id,
            "currency": sample.currency,
            "email": "ann@example.com",
            "lines": list(sample.lines),
            "shipping": sample.shipping,
            "address": ANN,
            "payment": {"provider": "stripe", "reference": self._hold(order_id, sample)},
        }

    def _hold(self, order_id: str, sample: Sample) -> str:
        """Hold the sample's amount on a card and return the provider's reference; once for each order."""
        intent = self._provider.v1.payment_intents.create(
            {
                "amount": sample.authorized,
                "currency": sample.currency.lower(),
                "capture_method": "manual",
                "confirm": True,
                "payment_method": "pm_card_visa",
                "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            },
            {"idempotency_key": order_id},
        )
        return intent.id

    def _ask(self, method: str, path: str, *, role: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        token = tokens.mint(self._known, role=role, subject="samples", order_id=None, expires_in=60)
        headers = {"Authorization": f"Bearer {token}"}
        answer = self._session.request(method, self._gateway + path, json=body, headers=headers, timeout=TIMEOUT)
        if answer.status_code == HTTPStatus.NOT_FOUND:
            raise UnknownOrder(path)
        if answer.status_code not in (HTTPStatus.OK, HTTPStatus.CREATED):
            raise SampleRefused(f"{method} {path}: {answer.status_code} {answer.text}")
        found: dict[str, Any] = answer.json()
        return found
