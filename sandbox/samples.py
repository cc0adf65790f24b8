"""Sample orders: what a shop would have registered, so that there is something to take back.

They go in through the front door: money is held at the stand-in through Stripe's own SDK, stock and orders are
registered over HTTP.  Everything carries an id made of the half hour it is in, so that a second start finds the same
orders, and none whose grace period is nearly over.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests
import stripe

from shared import settings, tokens
from shared.settings import Settings

#: Seconds for which samples keep their ids: half the shortest grace period that leaves time to try them.
FRESHNESS = 1800

#: Seconds that one request may take; the mesh has only just started.
TIMEOUT = 30

STOCK: Mapping[str, int] = {"TEE": 40, "MUG": 25, "LAMP": 8}

ANN = {"name": "Ann Example", "line1": "1 Main Street", "city": "Springfield", "postal_code": "12345", "country": "US"}


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


def register(gateway: str, environment: Mapping[str, str]) -> str:
    """Register the samples with the mesh at `gateway`, and return a curl line that cancels one of them.

    Raises requests.RequestException or stripe.StripeError when the mesh or the stand-in refuses.
    """
    known = settings.load(environment)
    with requests.Session() as session:
        session.trust_env = False  # no proxy stands between us and loopback
        first, *_ = list(_register_all(session, gateway, known, batch=int(time.time()) // FRESHNESS))
    url, token = f"{gateway}/store/orders/{first['order_id']}/cancel", first["modification_token"]
    return f"curl -X POST {url} -H 'x-modification-token: {token}'"


def _register_all(session: requests.Session, gateway: str, known: Settings, batch: int) -> Iterator[dict[str, Any]]:
    token = tokens.mint(known, role="service", subject="samples", order_id=None, expires_in=600)
    session.headers["Authorization"] = f"Bearer {token}"
    for sku, quantity in STOCK.items():
        _answered(session.put(f"{gateway}/stock/{sku}", json={"quantity": quantity}, timeout=TIMEOUT))
    provider = stripe.StripeClient(
        known.stripe_api_key,
        base_addresses={"api": known.stripe_api_base},
        http_client=stripe.RequestsClient(timeout=TIMEOUT, session=session),
    )
    for sample in SAMPLES:
        order_id = f"ord_sample_{sample.name}_{batch}"
        body = _body(sample, order_id, _hold(provider, sample, order_id))
        yield _answered(session.post(f"{gateway}/orders", json=body, timeout=TIMEOUT))


def _hold(provider: stripe.StripeClient, sample: Sample, order_id: str) -> str:
    """Hold the sample's amount on a card and return the provider's reference; once for each order."""
    intent = provider.v1.payment_intents.create(
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


def _body(sample: Sample, order_id: str, reference: str) -> dict[str, Any]:
    return {
        "order_id": order_id,
        "currency": sample.currency,
        "email": "ann@example.com",
        "lines": list(sample.lines),
        "shipping": sample.shipping,
        "address": ANN,
        "payment": {"provider": "stripe", "reference": reference},
    }


def _answered(answer: requests.Response) -> dict[str, Any]:
    answer.raise_for_status()
    body: dict[str, Any] = answer.json()
    return body
