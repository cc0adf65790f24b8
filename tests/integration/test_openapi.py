"""The API is what its description says: every route described, and every answer as described, whatever is sent."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from falcon.inspect import inspect_routes

from gateway.app import create_app
from tests.shop import Shop

#: What a run may try on each operation and phase; the seed makes two runs try the same.
BUDGET = ("--max-examples=25", "--seed=20261121", "--workers=1", "--checks=all")

#: Makes each try a request of its own: two bodies under one idempotency key are refused, and rightly so.
HOOKS = Path(__file__).with_name("schemathesis_hooks.py")

#: An order may also be refused for what no schema can say: a payment that Stripe does not know, a date, a sum.
CONFIGURATION = """
[auth.openapi.bearer]
bearer = "{token}"

[[operations]]
include-name = "POST /orders"
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "409", "422", "5xx"]
"""


def test_the_description_covers_every_route_of_the_application_and_no_other(shop: Shop) -> None:
    described = set(shop.http.get("/openapi.json").json()["paths"])
    assert described == set(_routes())


@pytest.mark.timeout(400)
def test_whatever_the_shop_sends_is_answered_as_described(shop: Shop, tmp_path: Path) -> None:
    _attack(shop, tmp_path, shop.bearer("service"), "--exclude-path-regex=^/store/")


@pytest.mark.timeout(400)
def test_whatever_a_shopper_sends_is_answered_as_described(shop: Shop, tmp_path: Path) -> None:
    _attack(shop, tmp_path, shop.bearer("customer", "cus_1"), "--include-path-regex=^/store/")


def _routes() -> Iterator[str]:
    """The paths that the application routes."""
    nothing: Any = None
    app = create_app(nothing, nothing, nothing, nothing)
    for route in inspect_routes(app):
        yield route.path


def _attack(shop: Shop, root: Path, bearer: dict[str, str], choice: str) -> None:
    """Run schemathesis with all its checks; whatever it finds fails the test, with its own report."""
    configuration = root / "schemathesis.toml"
    configuration.write_text(CONFIGURATION.format(token=bearer["Authorization"].removeprefix("Bearer ")))
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
