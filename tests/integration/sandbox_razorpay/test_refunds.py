"""Captured money that is given back."""

from __future__ import annotations

import re
import time

import pytest

from tests.integration.sandbox_razorpay.driver import Sandbox


def test_captured_money_is_refunded_in_parts_and_never_beyond(box: Sandbox) -> None:
    payment = box.paid()
    first = box.refund(payment, amount=4000, speed="normal", receipt="act-1", notes={"action": "act-1"})
    assert re.fullmatch(r"rfnd_[A-Za-z0-9]{14}", first["id"])
    assert (first["entity"], first["status"], first["amount"]) == ("refund", "processed", 4000)
    assert (first["payment_id"], first["currency"]) == (payment, "INR")
    assert (first["receipt"], first["notes"]) == ("act-1", {"action": "act-1"})
    assert (first["speed_requested"], first["speed_processed"]) == ("normal", "normal")
    partly = box.fetch(payment)
    assert (partly["status"], partly["refund_status"], partly["amount_refunded"]) == ("captured", "partial", 4000)
    error = box.refused(lambda: box.refund(payment, amount=6001))
    assert error["description"] == "The refund amount provided is greater than amount captured"
    second = box.refund(payment)
    assert (second["amount"], second["notes"], second["receipt"]) == (6000, [], None)
    fully = box.fetch(payment)
    assert (fully["status"], fully["refund_status"], fully["amount_refunded"]) == ("refunded", "full", 10000)
    assert fully["captured"]
    for body in ({}, {"amount": 100}):
        error = box.refused(lambda body=body: box.refund(payment, **body))  # type: ignore[misc]
        assert error["description"] == "The payment has been fully refunded already"
    assert box.effects(payment)[3:] == [
        ("refund.created", 4000),
        ("refund.processed", 4000),
        ("refund.created", 6000),
        ("refund.processed", 6000),
    ]
    assert box.effects(first["id"]) == [("refund.created", 4000), ("refund.processed", 4000)]


def test_a_refund_is_found_by_its_payment_and_by_itself(box: Sandbox) -> None:
    payment, other = box.paid(), box.paid()
    first = box.client.refund.create({"payment_id": payment, "amount": 1000, "speed": "optimum"}, timeout=5)
    second = box.refund(payment, amount=2000)
    box.refund(other)
    assert first["speed_processed"] == "instant"
    assert box.client.refund.fetch(first["id"], timeout=5) == first
    assert box.client.payment.fetch_refund_id(payment, first["id"], timeout=5) == first
    box.refused(lambda: box.client.payment.fetch_refund_id(other, first["id"], timeout=5))
    assert box.refunds(payment) == {"entity": "collection", "count": 2, "items": [second, first]}
    assert box.refunds(payment, count=1)["items"] == [second]
    assert box.refunds(payment, count=1, skip=1)["items"] == [first]
    expanded = box.fetch(payment, {"expand[]": "refunds"})
    assert expanded["refunds"]["items"] == [second, first]
    assert "refunds" not in box.fetch(payment)


def test_refunds_are_found_by_the_time_of_their_making(box: Sandbox) -> None:
    payment = box.paid()
    refund = box.refund(payment)
    made = refund["created_at"]
    assert box.refunds(payment, **{"from": made, "to": made})["items"] == [refund]
    assert box.refunds(payment, **{"from": made + 1})["items"] == []
    assert box.refunds(payment, to=made - 1)["items"] == []


@pytest.mark.parametrize(
    ("decided", "status", "refund_status", "refunded"),
    [("process", "processed", "full", 10000), ("fail", "failed", None, 0)],
)
def test_a_refund_can_be_taken_in_and_decided_later(
    box: Sandbox, decided: str, status: str, refund_status: str | None, refunded: int
) -> None:
    payment = box.paid()
    box.arm("refund", "pending")
    refund = box.refund(payment)
    assert (refund["status"], refund["acquirer_data"]) == ("pending", {})
    assert box.fetch(payment)["amount_refunded"] == 10000
    assert box.effect_names(refund["id"]) == ["refund.created"]
    assert box.tell("POST", f"{decided}/{refund['id']}")["status"] == status
    assert box.client.refund.fetch(refund["id"], timeout=5)["status"] == status
    found = box.fetch(payment)
    assert (found["refund_status"], found["amount_refunded"]) == (refund_status, refunded)
    assert box.effect_names(refund["id"]) == ["refund.created", f"refund.{status}"]


def test_a_refund_can_fail_after_it_was_processed_and_the_money_can_be_refunded_again(box: Sandbox) -> None:
    payment = box.paid()
    first = box.refund(payment, amount=3000)
    second = box.refund(payment)
    box.tell("POST", f"fail/{second['id']}")
    found = box.fetch(payment)
    assert (found["status"], found["refund_status"], found["amount_refunded"]) == ("captured", "partial", 3000)
    assert box.refund(payment)["amount"] == 7000
    assert [refund["status"] for refund in box.refunds(payment)["items"]] == ["processed", "failed", "processed"]
    assert box.refunds(payment)["items"][-1] == first


def test_a_refund_is_decided_once(box: Sandbox) -> None:
    payment = box.paid()
    refund = box.refund(payment)["id"]
    assert box.http.post(f"{box.url}/_sandbox/process/{refund}").status_code == 400
    box.tell("POST", f"fail/{refund}")
    assert box.http.post(f"{box.url}/_sandbox/fail/{refund}").status_code == 400
    assert box.http.post(f"{box.url}/_sandbox/process/{refund}").status_code == 400
    assert box.fetch(payment)["amount_refunded"] == 0


def test_what_lapsed_does_not_come_back_to_the_merchant(box: Sandbox) -> None:
    payment = box.pay()["id"]
    refund = box.tell("POST", f"lapse/{payment}")["id"]
    assert box.http.post(f"{box.url}/_sandbox/fail/{refund}").status_code == 400
    assert box.fetch(payment)["status"] == "refunded"


def test_a_payment_is_refunded_within_six_months(box: Sandbox) -> None:
    day = 24 * 3600
    in_time = box.paid(created_at=int(time.time()) - 180 * day)
    too_late = box.paid(created_at=int(time.time()) - 182 * day)
    assert box.refund(in_time)["status"] == "processed"
    assert "6 months" in box.refused(lambda: box.refund(too_late))["description"]
    assert "refund.created" not in box.effect_names(too_late)
