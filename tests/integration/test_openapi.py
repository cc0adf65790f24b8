"""The API is what its description says: every route described, and every answer as described, whatever is sent."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from falcon.inspect import inspect_routes

from gateway.app import create_app
from tests.depot import Depot
from tests.hotel import Hotel
from tests.shop import Shop

#: What a run may try on each operation and phase; the seed makes two runs try the same.
BUDGET = ("--max-examples=25", "--seed=20261121", "--workers=1", "--checks=all")

#: Makes each try a request of its own: two bodies under one idempotency key are refused, and rightly so.
HOOKS = Path(__file__).with_name("schemathesis_hooks.py")

#: Accepted, and not waited for.
ASYNC = {"Prefer": "respond-async"}

#: An order may also be refused for what no schema can say: a payment that Stripe does not know, a date, a sum.
CONFIGURATION = """
[auth.openapi]
{credentials}

# Half of the tries are about things that there are.
[dictionaries]
orders = {{ values = {orders} }}
intents = {{ values = {intents} }}
alerts = {{ values = {alerts} }}
items = {{ values = ["1", "2"] }}
bookings = {{ values = {bookings} }}
hotels = {{ values = ["seaside"] }}
secrets = {{ values = {secrets} }}

[parameters]
"path.order_id" = {{ dictionary = "orders", probability = 0.5 }}
"path.item_id" = {{ dictionary = "items", probability = 0.5 }}
"path.intent_id" = {{ dictionary = "intents", probability = 0.5 }}
"path.booking_id" = {{ dictionary = "bookings", probability = 0.8 }}
"path.slug" = {{ dictionary = "hotels", probability = 0.9 }}
"path.alert_id" = {{ dictionary = "alerts", probability = 0.5 }}
"header.X-Delhivery-Secret" = {{ dictionary = "secrets", probability = 0.8 }}

[[operations]]
include-name = "POST /orders"
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "409", "422", "5xx"]

# So may a refund: more than is left, or more places than the currency has; a part needs a key.
[[operations]]
include-name = "POST /api/admin/orders/{{order_id}}/refund"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "403", "404", "409", "422", "429", "5xx"]

# An item may have no price, or a date be past.
[[operations]]
include-name = "POST /store/orders/{{order_id}}/items"
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "402", "403", "404", "409", "422", "5xx"]

# A fee is one of three things, a stay ends after it began, and there are only so many time zones.
[[operations]]
include-name = "POST /policies/preview"
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "422"]

# The same of a policy; a booking needs one that there is, and a time zone.
[[operations]]
include-name = "PUT /policies/{{policy_id}}"
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "422", "5xx"]

[[operations]]
include-name = "POST /bookings"
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "409", "422", "5xx"]

# A token in the body outweighs the one in the query, and nobody guesses a quote.
[[operations]]
include-name = "POST /hotels/{{slug}}/bookings/{{booking_id}}"
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "409", "422", "5xx"]

[[operations]]
include-name = "POST /hotels/{{slug}}/bookings/{{booking_id}}/cancel"
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "409", "422", "5xx"]

# Nothing here is signed by Stripe or by Razorpay.
[[operations]]
include-name = "POST /webhooks/stripe"
checks.positive_data_acceptance.expected-statuses = ["400"]

[[operations]]
include-name = "POST /webhooks/razorpay"
checks.positive_data_acceptance.expected-statuses = ["400"]

# What Delhivery is asked to send can be agreed on: a push names a waybill, and the rest is up to it.
[[operations]]
include-name = "POST /api/shipping/delhivery/webhook"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "401"]
"""


def test_the_description_covers_every_route_of_the_application_and_no_other(shop: Shop) -> None:
    paths = shop.http.get("/openapi.json").json()["paths"]
    described = {(path, method.upper()) for path, operations in paths.items() for method in operations}
    assert described == set(_routes())


def test_every_reference_of_the_description_leads_somewhere(shop: Shop) -> None:
    document = shop.http.get("/openapi.json").json()
    references = set(re.findall(r'"\$ref": "#/components/schemas/(\w+)"', json.dumps(document)))
    assert references
    assert references <= set(document["components"]["schemas"])


@pytest.mark.timeout(400)
def test_whatever_the_shop_sends_is_answered_as_described(shop: Shop, tmp_path: Path) -> None:
    orders = [shop.buy().order_id for _ in range(3)]
    accepted = shop.http.put("/stock/SCHEMA", json={"quantity": 1}, headers=shop.bearer("service") | ASYNC)
    credentials = f'bearer.bearer = "{_token(shop.bearer("service"))}"'
    bookings = [Hotel(shop).book().booking_id for _ in range(2)]
    choice = "--exclude-path-regex=^/(store|api|hotels)/"
    _attack(shop, tmp_path, credentials, orders, [accepted.json()["intent"]], choice, bookings=bookings)


@pytest.mark.timeout(400)
def test_whatever_a_guest_sends_is_answered_as_described(shop: Shop, tmp_path: Path) -> None:
    hotel = Hotel(shop)
    stay = hotel.book(hotel={"slug": "seaside", "name": "Seaside", "email": "desk@example.com", "time_zone": "UTC"})
    accepted = hotel.cancel(hotel.book(), headers=ASYNC)
    credentials = f'guest.api_key = "{stay.token}"'
    choice = "--include-path-regex=^/(hotels/|intents)"
    _attack(shop, tmp_path, credentials, ["ord_none"], [accepted.json()["intent"]], choice, bookings=[stay.booking_id])


@pytest.mark.timeout(400)
def test_whatever_an_operator_sends_is_answered_as_described(shop: Shop, tmp_path: Path) -> None:
    orders = [shop.buy_captured().order_id, shop.buy().order_id, *(Depot(shop).paid().order_id for _ in range(2))]
    accepted = shop.cancel_by_operator(shop.buy().order_id, ASYNC)
    credentials = f'bearer.bearer = "{_token(shop.bearer("admin"))}"'
    choice = "--include-path-regex=^/(api|orders/|intents)"
    alerts = [f"alr_schema{number}" for number in range(3)]
    for alert in alerts:
        shop.sql("INSERT INTO alerts (id, cause, severity, title) VALUES (%s, %s, 'warning', 'A test')", alert, alert)
    _attack(shop, tmp_path, credentials, orders, [accepted.json()["intent"]], choice, alerts)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("credential", ["modification", "bearer"])
def test_whatever_a_shopper_sends_is_answered_as_described(shop: Shop, tmp_path: Path, credential: str) -> None:
    purchases = [*(shop.buy(customer_id="cus_1") for _ in range(3)), shop.buy_overdue(customer_id="cus_1")]
    accepted = shop.cancel(purchases[1], **ASYNC)
    token = purchases[0].token if credential == "modification" else _token(shop.bearer("customer", "cus_1"))
    credentials = f'{credential}.{"api_key" if credential == "modification" else "bearer"} = "{token}"'
    orders = [purchase.order_id for purchase in purchases]
    choice = "--include-path-regex=^/(store|orders/|intents)"
    _attack(shop, tmp_path, credentials, orders, [accepted.json()["intent"]], choice)


def _token(headers: dict[str, str]) -> str:
    return headers["Authorization"].removeprefix("Bearer ")


def _routes() -> Iterator[tuple[str, str]]:
    """The paths that the application routes, each with its methods but those that Falcon adds by itself."""
    nothing: Any = None
    app = create_app(nothing, nothing, nothing, nothing)
    for route in inspect_routes(app):
        yield from ((route.path, method.method) for method in route.methods if not method.internal)


def _attack(
    shop: Shop,
    root: Path,
    credentials: str,
    orders: list[str],
    intents: list[str],
    choice: str,
    alerts: Sequence[str] = ("alr_none",),
    bookings: Sequence[str] = ("bkg_none",),
) -> None:
    """Run schemathesis with all its checks; whatever it finds fails the test, with its own report."""
    configuration = root / "schemathesis.toml"
    known = {
        "orders": json.dumps(orders),
        "intents": json.dumps(intents),
        "alerts": json.dumps(list(alerts)),
        "bookings": json.dumps(list(bookings)),
        "secrets": json.dumps(shop.settings.delhivery_webhook_secrets),
    }
    configuration.write_text(CONFIGURATION.format(credentials=credentials, **known))
    document = f"{shop.urls['gateway']}/openapi.json"
    tool = [sys.executable, "-m", "schemathesis.cli", f"--config-file={configuration}"]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": HOOKS.stem, "PYTHONPATH": str(HOOKS.parent)}
    report = subprocess.run(
        [*tool, "run", document, *BUDGET, choice],
        capture_output=True,
        text=True,
        timeout=380,
        check=False,
        env=environment,
    )
    assert report.returncode == 0, report.stdout[-6000:] + report.stderr[-2000:]
