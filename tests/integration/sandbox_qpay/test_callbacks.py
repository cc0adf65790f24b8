"""Callbacks: unsigned, by GET or POST, a few times when they are in vain, and disturbed when told to."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.integration.sandbox_qpay.driver import Called, Receiver, Sandbox
from tests.shop import eventually


@pytest.fixture
def invoice(box: Sandbox, receiver: Receiver) -> str:
    """An invoice whose merchant listens."""
    return box.invoice(callback_url=receiver.url)


def address(payment: str) -> str:
    return f"/callback/t0ken?shop=1&note=a%20b&qpay_payment_id={payment}"


@pytest.mark.parametrize(("callback", "method"), [("get", "GET"), ("post", "POST")])
def test_a_merchant_is_called_back_with_the_query_it_gave_and_the_payment(
    box: Sandbox, receiver: Receiver, invoice: str, callback: str, method: str
) -> None:
    payment = box.pay(invoice, callback=callback)
    assert receiver.next() == Called(method, address(payment))
    (row,) = eventually(lambda: box.tell("GET", f"callbacks?object={payment}"))
    assert (row["method"], row["url"].endswith(address(payment)), row["attempt"]) == (method, True, 1)
    assert (row["status"], row["answer"], row["invoice"], row["fault"]) == (200, "SUCCESS", invoice, None)


def test_a_merchant_is_called_back_by_get_when_nothing_else_is_said(
    box: Sandbox, receiver: Receiver, invoice: str
) -> None:
    paid = box.tell("POST", f"pay/{invoice}", json={"type": "P2P"})
    assert receiver.next() == Called("GET", address(paid["payment_id"]))


def test_an_address_without_a_query_gets_one(box: Sandbox, receiver: Receiver) -> None:
    payment = box.pay(box.invoice(callback_url=receiver.url.partition("?")[0]), callback="get")
    assert receiver.next().address == f"/callback/t0ken?qpay_payment_id={payment}"


def test_a_merchant_need_not_be_called_back(box: Sandbox, receiver: Receiver, invoice: str) -> None:
    box.pay(invoice, callback="none", amount=5000)
    second = box.pay(invoice, callback="get")
    assert receiver.next().address == address(second)
    assert receiver.received.empty()


def test_a_payment_that_failed_is_told_like_any_other(box: Sandbox, receiver: Receiver, invoice: str) -> None:
    payment = box.pay(invoice, status="FAILED", callback="get")
    assert receiver.next().address == address(payment)


def test_a_merchant_can_be_called_back_many_times_and_later(box: Sandbox, receiver: Receiver, invoice: str) -> None:
    started = time.monotonic()
    payment = box.pay(invoice, callback={"times": 3, "after_seconds": 0.3, "method": "POST"})
    assert [receiver.next() for _ in range(3)] == [Called("POST", address(payment))] * 3
    assert time.monotonic() - started >= 0.3


def test_a_merchant_can_be_called_back_again_about_an_old_payment(
    box: Sandbox, receiver: Receiver, invoice: str
) -> None:
    payment = box.pay(invoice, callback="get")
    first = receiver.next()
    attempts = box.tell("POST", f"callback/{payment}", json={"times": 2})
    assert [receiver.next() for _ in range(2)] == [first] * 2
    assert [(attempt["attempt"], attempt["status"]) for attempt in attempts] == [(1, 200)] * 2
    assert box.tell("POST", f"callback/{payment}")[0]["method"] == "GET"
    assert box.effects(payment) == [("payment.paid", 15000)]


def test_a_callback_that_is_answered_with_5xx_is_sent_again(box: Sandbox, receiver: Receiver, invoice: str) -> None:
    receiver.statuses = [500, 503]
    payment = box.pay(invoice)
    box.tell("POST", f"callback/{payment}")
    assert box.callbacks(payment) == [(1, 500), (2, 503), (3, 200)]


def test_and_is_lost_after_a_few_times(box: Sandbox, receiver: Receiver, invoice: str) -> None:
    receiver.statuses = [500] * 9
    payment = box.pay(invoice)
    box.tell("POST", f"callback/{payment}")
    assert box.callbacks(payment) == [(1, 500), (2, 500), (3, 500)]


@pytest.mark.parametrize("status", [204, 302, 401, 404])
def test_any_other_answer_is_final(box: Sandbox, receiver: Receiver, invoice: str, status: int) -> None:
    receiver.statuses = [status]
    payment = box.pay(invoice)
    box.tell("POST", f"callback/{payment}")
    assert box.callbacks(payment) == [(1, status)]


def test_nobody_need_listen(box: Sandbox) -> None:
    payment = box.pay(box.invoice())
    attempts: list[dict[str, Any]] = box.tell("POST", f"callback/{payment}")
    assert [(attempt["attempt"], attempt["status"]) for attempt in attempts] == [(1, None), (2, None), (3, None)]


# Disturbed.


def test_a_callback_can_be_sent_twice(box: Sandbox, receiver: Receiver, invoice: str) -> None:
    box.arm("callback", "twice", object=invoice)
    box.pay(invoice, callback="get")
    assert receiver.next() == receiver.next()


def test_a_callback_can_be_late(box: Sandbox, receiver: Receiver, invoice: str) -> None:
    box.arm("callback", "late", seconds=0.4)
    started = time.monotonic()
    box.pay(invoice, callback="get")
    receiver.next()
    assert time.monotonic() - started >= 0.4


def test_a_callback_can_be_overtaken(box: Sandbox, receiver: Receiver, invoice: str) -> None:
    box.arm("callback", "out_of_order")
    first = box.pay(invoice, amount=5000, callback="get")
    second = box.pay(invoice, callback="get")
    assert [receiver.next().address for _ in range(2)] == [address(second), address(first)]


def test_a_callback_can_be_lost_and_a_check_still_knows(box: Sandbox, receiver: Receiver) -> None:
    invoice = box.invoice(callback_url=receiver.url, sender_invoice_no="ORD-lost")
    box.arm("callback", "lost", object="ORD-lost")
    payment = box.pay(invoice, callback="get")
    (lost,) = eventually(lambda: box.tell("GET", f"callbacks?object={payment}"))
    assert (lost["attempt"], lost["status"], lost["fault"]) == (0, None, "lost")
    assert receiver.received.empty()
    assert box.check(invoice)["paid_amount"] == 15000


def test_callbacks_can_be_slow(box: Sandbox, receiver: Receiver, invoice: str) -> None:
    box.tell("POST", "latency", json={"milliseconds": 300, "operation": "callback"})
    started = time.monotonic()
    box.pay(invoice, callback="get")
    receiver.next()
    assert time.monotonic() - started >= 0.3
