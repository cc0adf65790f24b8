"""What Razorpay would refuse is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.sandbox_razorpay.driver import Sandbox, new_key

UNKNOWN = "x" * 14


@pytest.mark.parametrize(
    ("body", "description"),
    [
        ({"amount": "100"}, "The amount must be an integer"),
        ({"amount": 100.0}, "The amount must be an integer"),
        ({"amount": True}, "The amount must be an integer"),
        ({"amount": 99}, "The amount must be at least INR 1.00"),
        ({"amount": -100}, "The amount must be at least INR 1.00"),
        ({"amount": 10**30}, "The refund amount provided is greater than amount captured"),
        ({"colour": "red"}, "colour is/are not required and should not be sent"),
        ({"colour": "red", "size": 1}, "colour, size is/are not required and should not be sent"),
        ({"currency": "INR"}, "currency is/are not required and should not be sent"),
        ({"speed": "fast"}, "The speed must be one of normal, optimum."),
        ({"receipt": 7}, "The receipt must be a string."),
        ({"receipt": ""}, "The receipt must be a string."),
        ({"notes": "act-1"}, "The notes must be an object."),
        ({"notes": {"action": 7}}, "Each of the notes must be a string of at most 256 characters."),
        ({"notes": {"action": "x" * 257}}, "Each of the notes must be a string of at most 256 characters."),
        (
            {"notes": {str(n): "note" for n in range(16)}},
            "Number of fields in notes should be less than or equal to 15",
        ),
    ],
)
def test_a_wrong_body_of_a_refund_is_refused_and_nothing_happens(box: Sandbox, body: Any, description: str) -> None:
    payment = box.paid()
    error = box.refused(lambda: box.refund(payment, new_key(), **body))
    assert (error["code"], error["description"]) == ("BAD_REQUEST_ERROR", description)
    assert box.effect_names(payment)[-1] == "payment.captured"


@pytest.mark.parametrize(
    ("body", "description"),
    [
        ({"amount": 10000}, "The currency field is required."),
        ({"currency": "INR"}, "The amount field is required."),
        ({"amount": {"amount": 10000}, "currency": "INR"}, "The amount must be an integer"),
        ({"amount": 10000, "currency": None}, "The currency must be a string."),
        ({"amount": 10000, "currency": "INR", "notes": {}}, "notes is/are not required and should not be sent"),
    ],
)
def test_a_wrong_body_of_a_capture_is_refused_and_nothing_happens(box: Sandbox, body: Any, description: str) -> None:
    payment = box.pay()["id"]
    error = box.refused(lambda: box.client.post(f"/v1/payments/{payment}/capture", body, timeout=5))
    assert error["description"] == description
    assert box.effect_names(payment)[-1] == "payment.authorized"


@pytest.mark.parametrize("query", [{"count": 101}, {"count": 0}, {"skip": -1}, {"from": "yesterday"}, {"page": 2}])
def test_a_wrong_page_is_refused(box: Sandbox, query: Any) -> None:
    payment = box.paid()
    box.refused(lambda: box.refunds(payment, **query))


def test_only_refunds_are_expanded(box: Sandbox) -> None:
    payment = box.paid()
    box.refused(lambda: box.fetch(payment, {"expand[]": "card"}))


@pytest.mark.parametrize("body", ["amount=100", "500", "[]", "{"])
def test_a_body_that_is_no_json_object_is_refused(box: Sandbox, body: str) -> None:
    payment = box.paid()
    answer = box.http.post(
        f"{box.url}/v1/payments/{payment}/refund", data=body, auth=("rzp_test_1", "secret"), timeout=5
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BAD_REQUEST_ERROR")
    assert "refund.created" not in box.effect_names(payment)


def test_an_id_that_names_nothing_is_refused(box: Sandbox) -> None:
    lost: list[Callable[[], object]] = [
        lambda: box.fetch(f"pay_{UNKNOWN}"),
        lambda: box.capture(f"pay_{UNKNOWN}"),
        lambda: box.refund(f"pay_{UNKNOWN}"),
        lambda: box.refunds(f"pay_{UNKNOWN}"),
        lambda: box.client.refund.fetch(f"rfnd_{UNKNOWN}", timeout=5),
        lambda: box.client.refund.create({"payment_id": f"pay_{UNKNOWN}"}, timeout=5),
    ]
    for call in lost:
        assert box.refused(call)["description"] == "The id provided does not exist"


@pytest.mark.parametrize("id", ["pay_1", "pi_3kT0", f"rfnd_{UNKNOWN}", f"pay_{UNKNOWN}x"])
def test_what_is_no_id_of_a_payment_is_refused(box: Sandbox, id: str) -> None:
    assert box.refused(lambda: box.fetch(id))["description"] == f"{id} is not a valid id"


def test_a_refund_needs_its_payment(box: Sandbox) -> None:
    error = box.refused(lambda: box.client.refund.create({"amount": 100}, timeout=5))
    assert error["description"] == "The payment_id field is required."


@pytest.mark.parametrize(
    "credentials", [("rzp_live_1", "secret"), ("rzp_test_", "secret"), ("rzp_test_1", ""), ("", "secret")]
)
def test_a_key_of_test_mode_and_a_secret_are_needed(box: Sandbox, credentials: tuple[str, str]) -> None:
    payment = box.pay()["id"]
    stranger = Sandbox(box.url, credentials)
    error = stranger.refused(lambda: stranger.capture(payment), status=401)
    assert (error["code"], error["description"]) == ("BAD_REQUEST_ERROR", "Authentication failed")
    stranger.close()
    assert box.fetch(payment)["status"] == "authorized"


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer rzp_test_1"}, {"Authorization": "Basic \xff"}])
def test_without_basic_credentials_nobody_is_known(box: Sandbox, header: dict[str, str]) -> None:
    answer = box.http.get(f"{box.url}/v1/refunds/rfnd_{UNKNOWN}", headers=header, timeout=5)
    assert answer.status_code == 401
