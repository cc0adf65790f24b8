"""What Stripe would refuse is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from tests.integration.sandbox_stripe.driver import Sandbox, refused


@pytest.mark.parametrize(
    ("parameters", "code", "param"),
    [
        ({"amount": 1000}, "parameter_missing", "currency"),
        ({"currency": "usd"}, "parameter_missing", "amount"),
        ({"amount": "ten", "currency": "usd"}, "parameter_invalid_integer", "amount"),
        ({"amount": "10.5", "currency": "usd"}, "parameter_invalid_integer", "amount"),
        ({"amount": "9" * 5000, "currency": "usd"}, "parameter_invalid_integer", "amount"),
        ({"amount": 0, "currency": "usd"}, "parameter_invalid_integer", "amount"),
        ({"amount": "", "currency": "usd"}, "parameter_invalid_empty", "amount"),
        ({"amount": 49, "currency": "usd"}, "amount_too_small", "amount"),
        ({"amount": 100_000_000, "currency": "usd"}, "amount_too_large", "amount"),
        ({"amount": 1000, "currency": "xxx"}, None, "currency"),
        ({"amount": 1000, "currency": "usd", "colour": "red"}, "parameter_unknown", "colour"),
        ({"amount": 1000, "currency": "usd", "capture_method": "later"}, None, "capture_method"),
        ({"amount": 1000, "currency": "usd", "confirm": "yes"}, None, "confirm"),
        ({"amount": 1000, "currency": "usd", "metadata": {"a": "b" * 501}}, None, "metadata[a]"),
        ({"amount": 1000, "currency": "usd", "payment_method": "pm_none"}, "resource_missing", "payment_method"),
        ({"amount": 1000, "currency": "usd", "expand": ["charges"]}, None, "expand"),
        (
            {"amount": 1000, "currency": "usd", "automatic_payment_methods": {"allow_redirects": "never"}},
            "parameter_missing",
            "automatic_payment_methods[enabled]",
        ),
        (
            {"amount": 1000, "currency": "usd", "payment_method_options": {"card": {"request_luck": "yes"}}},
            "parameter_unknown",
            "payment_method_options[card][request_luck]",
        ),
    ],
)
def test_a_wrong_parameter_is_refused_as_stripe_does(
    box: Sandbox, parameters: Any, code: str | None, param: str
) -> None:
    before = box.tell("GET", "ledger")[-1:]
    error = refused(lambda: box.intents.create(parameters))
    assert (error.code, error.param) == (code, param)
    assert error.json_body["error"]["type"] == "invalid_request_error"
    assert error.request_id.startswith("req_")
    assert box.tell("GET", "ledger")[-1:] == before


def test_what_does_not_exist_is_not_found(box: Sandbox) -> None:
    lost: list[Callable[[], object]] = [
        lambda: box.intents.retrieve("pi_none"),
        lambda: box.intents.cancel("pi_none"),
        lambda: box.refunds.create({"payment_intent": "pi_none"}),
        lambda: box.refunds.retrieve("re_none"),
        lambda: box.charges.retrieve("ch_none"),
        lambda: box.events.retrieve("evt_none"),
    ]
    for call in lost:
        error = refused(call)
        assert (error.http_status, error.code) == (404, "resource_missing")


def test_an_empty_id_is_no_known_address(box: Sandbox) -> None:
    error = refused(lambda: box.intents.cancel(""))
    assert error.http_status == 404
    assert "Unrecognized request URL" in str(error)


def test_a_key_of_test_mode_is_needed(box: Sandbox) -> None:
    assert box.http.get(f"{box.url}/v1/refunds").status_code == 401
    stranger = Sandbox(box.url, "sk_live_1")
    refused(lambda: stranger.refunds.list(), stripe.AuthenticationError)
    stranger.close()
    restricted = Sandbox(box.url, "rk_test_1")
    assert restricted.refunds.list().url == "/v1/refunds"
    restricted.close()


def test_a_body_that_is_no_form_is_refused(box: Sandbox) -> None:
    authorized = {"Authorization": "Bearer sk_test_1"}
    answer = box.http.post(f"{box.url}/v1/refunds", json={"charge": "ch_1"}, headers=authorized)
    assert answer.status_code == 400


def test_brackets_without_an_index_make_a_list(box: Sandbox) -> None:
    form = {"amount": "1000", "currency": "usd", "payment_method": "pm_card_visa", "confirm": "true"}
    answer = box.http.post(
        f"{box.url}/v1/payment_intents",
        data=form | {"expand[]": "latest_charge", "payment_method_types[]": "card"},
        headers={"Authorization": "Bearer sk_test_1"},
    )
    assert answer.json()["latest_charge"]["object"] == "charge"
