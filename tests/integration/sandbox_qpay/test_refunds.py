"""What a card has paid is given back whole; what a bank's app has paid is not."""

from __future__ import annotations

import pytest

from tests.integration.sandbox_qpay.driver import Receiver, Sandbox, refusal, said
from tests.shop import at_once, eventually

WAYS = pytest.mark.parametrize("way", ["refund", "cancel"])


@WAYS
def test_a_card_is_given_back_whole_and_once(box: Sandbox, way: str) -> None:
    invoice = box.invoice()
    payment = box.pay(invoice, "CARD")
    assert said(box.refund(payment, {"note": "Захиалга цуцлагдсан"}, way)) == {}
    assert box.payment(payment)["payment_status"] == "REFUND"
    for again in ("refund", "cancel"):
        assert refusal(box.refund(payment, way=again)) == (400, "PAYMENT_ALREADY_CANCELED")
    assert box.effects(payment) == [("payment.paid", 15000), ("payment.refunded", 15000)]


def test_money_that_was_given_back_has_not_arrived(box: Sandbox) -> None:
    invoice = box.invoice()
    payment = box.pay(invoice, "CARD")
    box.refund(payment)
    checked = box.check(invoice)
    assert (checked["count"], "paid_amount" in checked) == (1, False)
    assert checked["rows"][0]["payment_status"] == "REFUND"
    assert refusal(box.cancel(invoice)) == (400, "INVOICE_PAID")


def test_one_of_two_payments_is_given_back_by_itself(box: Sandbox) -> None:
    invoice = box.invoice()
    first, second = box.pay(invoice, "CARD"), box.pay(invoice, "CARD", late=True)
    said(box.refund(second))
    assert box.check(invoice)["paid_amount"] == 15000
    assert box.payment(first)["payment_status"] == "PAID"


@WAYS
def test_a_transfer_from_a_banks_app_is_not_given_back(box: Sandbox, way: str) -> None:
    payment = box.pay(box.invoice(), "P2P")
    assert refusal(box.refund(payment, way=way)) == (403, "PERMISSION_DENIED")
    assert box.payment(payment)["payment_status"] == "PAID"
    assert box.effects(payment) == [("payment.paid", 15000)]


@WAYS
def test_what_is_settled_is_not_given_back(box: Sandbox, way: str) -> None:
    payment = box.pay(box.invoice(), "CARD")
    settled = box.tell("POST", f"settle/{payment}")
    assert settled["card_transactions"][0]["settlement_status"] == "SETTLED"
    assert refusal(box.refund(payment, way=way)) == (400, "PAYMENT_SETTLED")
    assert box.payment(payment) == settled
    assert box.effects(payment) == [("payment.paid", 15000)]


@WAYS
@pytest.mark.parametrize("status", ["NEW", "FAILED", "PARTIAL"])
def test_what_was_not_paid_is_not_given_back_nor_settled(box: Sandbox, way: str, status: str) -> None:
    payment = box.pay(box.invoice(), "CARD", status=status)
    assert refusal(box.refund(payment, way=way)) == (400, "PAYMENT_NOT_PAID")
    assert refusal(box.http.post(f"/_sandbox/settle/{payment}")) == (400, "PAYMENT_NOT_PAID")
    assert box.effects(payment) == []


def test_of_many_refunds_at_once_one_has_an_effect(box: Sandbox) -> None:
    payment = box.pay(box.invoice(), "CARD")
    answers = at_once(6, lambda number: box.refund(payment, way=("refund", "cancel")[number % 2]))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 5
    assert box.effects(payment) == [("payment.paid", 15000), ("payment.refunded", 15000)]


def test_a_refund_calls_back_the_address_it_names_and_no_other(box: Sandbox, receiver: Receiver) -> None:
    payment = box.pay(box.invoice(callback_url=receiver.url.replace("t0ken", "paid")), "CARD")
    said(box.refund(payment, {"callback_url": receiver.url}))
    assert receiver.next().address == f"/callback/t0ken?shop=1&note=a%20b&qpay_payment_id={payment}"
    assert eventually(lambda: box.callbacks(payment)) == [(1, 200)]
    assert receiver.received.empty()
