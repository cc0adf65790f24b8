"""Money that is authorized, captured, or left to lapse."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.integration.sandbox_razorpay.driver import Sandbox


def test_a_shopper_pays_and_the_merchant_captures_it_all(box: Sandbox) -> None:
    payment = box.pay(notes={"order": "ord_1"})
    assert re.fullmatch(r"pay_[A-Za-z0-9]{14}", payment["id"])
    assert re.fullmatch(r"order_[A-Za-z0-9]{14}", payment["order_id"])
    assert (payment["entity"], payment["status"], payment["captured"]) == ("payment", "authorized", False)
    assert (payment["amount"], payment["currency"], payment["method"]) == (10000, "INR", "card")
    assert box.fetch(payment["id"]) == payment
    captured = box.capture(payment["id"])
    assert captured == payment | {"status": "captured", "captured": True}
    assert box.fetch(payment["id"]) == captured
    assert box.effects(payment["id"]) == [
        ("payment.created", 10000),
        ("payment.authorized", 10000),
        ("payment.captured", 10000),
    ]


@pytest.mark.parametrize(
    ("status", "effects"),
    [
        ("created", ["payment.created"]),
        ("failed", ["payment.created", "payment.failed"]),
        ("authorized", ["payment.created", "payment.authorized"]),
        ("captured", ["payment.created", "payment.authorized", "payment.captured"]),
    ],
)
def test_a_shopper_leaves_checkout_with_a_payment_in_any_status(box: Sandbox, status: str, effects: list[str]) -> None:
    payment = box.pay(status=status, method="upi", currency="USD", created_at=1_700_000_000)
    assert (payment["status"], payment["captured"]) == (status, status == "captured")
    assert (payment["vpa"], payment["card_id"], payment["notes"]) == ("ann@upi", None, [])
    assert (payment["currency"], payment["created_at"]) == ("USD", 1_700_000_000)
    assert (payment["error_code"] is not None) == (status == "failed")
    assert box.effect_names(payment["id"]) == effects


@pytest.mark.parametrize(
    "wish",
    [
        {"amount": 99},
        {"amount": "10000"},
        {"amount": 10000, "currency": "rupee"},
        {"amount": 10000, "status": "refunded"},
        {"amount": 10000, "method": "cash"},
        {"amount": 10000, "colour": "red"},
        {},
    ],
)
def test_a_checkout_that_makes_no_sense_is_refused(box: Sandbox, wish: object) -> None:
    before = box.tell("GET", "ledger")[-1:]
    assert box.http.post(f"{box.url}/_sandbox/payments", json=wish).status_code == 400
    assert box.tell("GET", "ledger")[-1:] == before


@pytest.mark.parametrize("amount", [9999, 10001])
def test_another_amount_than_the_authorized_one_is_not_captured(box: Sandbox, amount: int) -> None:
    payment = box.pay()
    error = box.refused(lambda: box.capture(payment["id"], amount))
    assert error["description"] == "Capture amount must be equal to the amount authorized"
    assert (error["code"], error["field"]) == ("BAD_REQUEST_ERROR", "amount")
    assert error["metadata"] == {"payment_id": payment["id"], "order_id": payment["order_id"]}
    assert box.fetch(payment["id"]) == payment


def test_another_currency_than_the_authorized_one_is_not_captured(box: Sandbox) -> None:
    payment = box.pay()
    assert box.refused(lambda: box.capture(payment["id"], currency="USD"))["field"] == "currency"
    assert box.fetch(payment["id"]) == payment


@pytest.mark.parametrize("afterwards", ["nothing", "refunded"])
def test_what_was_captured_is_not_captured_again(box: Sandbox, afterwards: str) -> None:
    payment = box.paid()
    if afterwards == "refunded":
        box.refund(payment)
    error = box.refused(lambda: box.capture(payment))
    assert error["description"] == "This payment has already been captured"
    assert box.effect_names(payment).count("payment.captured") == 1


@pytest.mark.parametrize("status", ["created", "failed", "lapsed"])
def test_what_is_not_authorized_is_not_captured(box: Sandbox, status: str) -> None:
    payment = box.pay(status="authorized" if status == "lapsed" else status)["id"]
    if status == "lapsed":
        box.tell("POST", f"lapse/{payment}")
    error = box.refused(lambda: box.capture(payment))
    assert error["description"] == "Only payments which have been authorized and not yet captured can be captured"
    assert "payment.captured" not in box.effect_names(payment)


@pytest.mark.parametrize("status", ["created", "failed"])
def test_the_bank_can_authorize_late(box: Sandbox, status: str) -> None:
    payment = box.pay(status=status)["id"]
    authorized = box.tell("POST", f"authorize/{payment}")
    assert (authorized["status"], authorized["error_code"]) == ("authorized", None)
    assert box.capture(payment)["status"] == "captured"


def test_a_hold_that_nobody_captures_lapses_into_a_refund_of_money_never_captured(box: Sandbox) -> None:
    payment = box.pay()["id"]
    refund = box.tell("POST", f"lapse/{payment}")
    assert (refund["amount"], refund["status"], refund["payment_id"]) == (10000, "processed", payment)
    lapsed = box.fetch(payment)
    assert (lapsed["status"], lapsed["captured"]) == ("refunded", False)
    assert (lapsed["amount_refunded"], lapsed["refund_status"]) == (10000, "full")
    assert box.refunds(payment)["items"] == [refund]
    assert box.effects(payment)[-1] == ("payment.lapsed", 10000)
    error = box.refused(lambda: box.refund(payment))
    assert error["description"] == "The payment has been fully refunded already"


@pytest.mark.parametrize(
    ("happening", "status"),
    [
        ("lapse", "created"),
        ("lapse", "failed"),
        ("lapse", "captured"),
        ("authorize", "authorized"),
        ("authorize", "captured"),
    ],
)
def test_what_cannot_happen_to_a_payment_does_not(box: Sandbox, happening: str, status: str) -> None:
    payment = box.pay(status=status)
    assert box.http.post(f"{box.url}/_sandbox/{happening}/{payment['id']}").status_code == 400
    assert box.fetch(payment["id"]) == payment


def test_there_is_no_call_that_releases_a_hold(box: Sandbox) -> None:
    payment = box.pay()["id"]
    calls: list[Callable[[], object]] = [
        lambda word=word: box.client.post(f"/v1/payments/{payment}/{word}", {}, timeout=5)  # type: ignore[misc]
        for word in ("void", "cancel")
    ]
    for call in calls:
        assert box.refused(call)["description"] == "The requested URL was not found on the server."
    assert box.refused(lambda: box.refund(payment))["description"] == (
        "The payment status should be captured for action to be taken"
    )
    assert box.fetch(payment)["status"] == "authorized"
