"""Misbehavior to order, and what can be seen of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from razorpay.errors import BadRequestError, GatewayError, ServerError
from requests.exceptions import ConnectionError, JSONDecodeError

from tests.integration.sandbox_razorpay.driver import Sandbox, new_key
from tests.shop import eventually

#: Each fault, the exception of the SDK that it shows as, and its status, None when the answer is withheld.
BEFORE: list[tuple[str, type[Exception], int | None]] = [
    ("timeout_before", ConnectionError, None),
    ("drop_before", ConnectionError, None),
    ("error_500_before", ServerError, 500),
    ("gateway_error_before", GatewayError, 502),
    ("rate_limit", BadRequestError, 429),
    ("conflict", BadRequestError, 409),
    ("html_502", JSONDecodeError, 502),
]
#: Those that withhold or spoil the answer; the key tells it.
AFTER: list[tuple[str, type[Exception], int | None]] = [
    ("timeout_after", ConnectionError, None),
    ("drop_after", ConnectionError, None),
    ("gateway_error_after", GatewayError, 502),
    ("json_error_after", JSONDecodeError, 200),
]
KEPT: tuple[str, type[Exception], int | None] = ("error_500_after", ServerError, 500)


@pytest.mark.parametrize(("fault", "kind", "status"), BEFORE)
def test_a_fault_before_the_effect_leaves_nothing_and_the_key_is_free(
    box: Sandbox, fault: str, kind: type[Exception], status: int | None
) -> None:
    payment, key = box.paid(), new_key()
    box.arm("refund", fault, object=payment, seconds=0.2)
    with pytest.raises(kind):
        box.refund(payment, key)
    assert "refund.created" not in box.effect_names(payment)
    assert box.refund(payment, key)["status"] == "processed"
    faulted, answered = box.tell("GET", f"requests?object={payment}")
    assert (faulted["fault"], faulted["status"], faulted["idempotency_key"]) == (fault, status, key)
    assert (answered["fault"], answered["status"], answered["replayed"]) == (None, 200, False)


@pytest.mark.parametrize(("fault", "kind", "status"), AFTER)
def test_a_fault_after_the_effect_hides_it_and_the_key_tells(
    box: Sandbox, fault: str, kind: type[Exception], status: int | None
) -> None:
    payment, key = box.paid(), new_key()
    box.arm("refund", fault, seconds=0.2)
    with pytest.raises(kind):
        box.refund(payment, key)
    assert box.effects(payment)[-1] == ("refund.processed", 10000)
    refund = box.refund(payment, key)
    assert box.refunds(payment)["items"] == [refund]
    faulted = box.tell("GET", f"requests?object={payment}")[0]
    assert (faulted["fault"], faulted["status"]) == (fault, status)


@pytest.mark.parametrize(("fault", "refunds"), [("error_500_during", 0), ("error_500_after", 1)])
def test_a_500_of_the_execution_is_kept_whether_something_happened_or_not(
    box: Sandbox, fault: str, refunds: int
) -> None:
    payment, key = box.paid(), new_key()
    box.arm("refund", fault)
    for _ in range(2):
        error = box.refused(lambda: box.refund(payment, key, amount=4000), status=500, kind=ServerError)
        assert error["code"] == "SERVER_ERROR"
    assert box.effect_names(payment).count("refund.created") == refunds
    assert box.refunds(payment)["count"] == refunds


@pytest.mark.parametrize(("fault", "kind", "status"), BEFORE)
def test_a_capture_that_failed_before_its_effect_can_be_repeated(
    box: Sandbox, fault: str, kind: type[Exception], status: int | None
) -> None:
    payment = box.pay()["id"]
    box.arm("capture", fault, seconds=0.2)
    with pytest.raises(kind):
        box.capture(payment)
    assert box.tell("GET", f"requests?object={payment}")[0]["status"] == status
    assert box.fetch(payment)["status"] == "authorized"
    assert box.capture(payment)["status"] == "captured"


@pytest.mark.parametrize(("fault", "kind", "status"), [*AFTER, KEPT])
def test_a_capture_whose_answer_was_lost_is_told_by_the_payment(
    box: Sandbox, fault: str, kind: type[Exception], status: int | None
) -> None:
    payment = box.pay()["id"]
    box.arm("capture", fault, seconds=0.2)
    with pytest.raises(kind):
        box.capture(payment)
    assert box.tell("GET", f"requests?object={payment}")[0]["status"] == status
    assert box.fetch(payment)["captured"]
    assert box.effect_names(payment).count("payment.captured") == 1
    assert box.refused(lambda: box.capture(payment))["description"] == "This payment has already been captured"


def test_a_capture_can_be_declined(box: Sandbox) -> None:
    payment = box.pay()["id"]
    box.arm("capture", "decline")
    assert box.refused(lambda: box.capture(payment))["metadata"]["payment_id"] == payment
    assert box.fetch(payment)["status"] == "authorized"


def test_every_read_can_be_disturbed(box: Sandbox) -> None:
    payment = box.paid()
    refund = box.refund(payment)["id"]
    reads: list[Callable[[], object]] = [
        lambda: box.fetch(payment),
        lambda: box.refunds(payment),
        lambda: box.client.payment.fetch_refund_id(payment, refund, timeout=5),
        lambda: box.client.refund.fetch(refund, timeout=5),
    ]
    for read in reads:
        box.arm("retrieve", "gateway_error_after")
        box.refused(read, status=502, kind=GatewayError)
        read()


def test_a_fault_is_met_as_often_as_it_was_told_and_by_whom(box: Sandbox) -> None:
    first, second = box.pay()["id"], box.pay()["id"]
    box.arm("any", "rate_limit", times=2, object=first)
    assert box.fetch(second)["id"] == second
    for _ in range(2):
        box.refused(lambda: box.fetch(first), status=429)
    assert box.fetch(first)["id"] == first
    box.arm("retrieve", "rate_limit", times=-1)
    for _ in range(3):
        box.refused(lambda: box.fetch(first), status=429)
    box.tell("DELETE", "faults")
    assert box.fetch(first)["id"] == first


def test_a_refund_that_names_its_payment_in_its_body_meets_that_payments_fault(box: Sandbox) -> None:
    payment = box.paid()
    box.arm("refund", "rate_limit", object=payment)
    box.refused(lambda: box.client.refund.create({"payment_id": payment}, timeout=5), status=429)
    assert box.tell("GET", "faults") == []


@pytest.mark.parametrize(
    "fault",
    [
        {"operation": "cancel", "fault": "drop"},
        {"operation": "capture", "fault": "luck"},
        {"operation": "capture", "fault": "pending"},
        {"operation": "retrieve", "fault": "decline"},
        {"operation": "refund", "fault": "twice"},
        {"operation": "refund"},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(box: Sandbox, fault: Any) -> None:
    assert box.http.post(f"{box.url}/_sandbox/faults", json=fault).status_code == 400
    assert box.tell("GET", "faults") == []


def test_clearing_the_faults_drops_the_requests_that_hang(box: Sandbox) -> None:
    payment = box.paid()
    box.arm("refund", "timeout_after")
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(lambda: box.refund(payment))
        eventually(lambda: box.effect_names(payment)[-1] == "refund.processed")
        box.tell("DELETE", "faults")
        with pytest.raises(ConnectionError):
            hanging.result(timeout=3)
    assert box.tell("GET", f"requests?object={payment}")[-1]["status"] is None


def test_latency_is_added_to_the_operation_it_is_for(box: Sandbox) -> None:
    payment = box.pay()["id"]
    box.tell("POST", "latency", json={"milliseconds": 300, "operation": "capture"})
    started = time.monotonic()
    box.capture(payment)
    assert time.monotonic() - started >= 0.3


def test_the_ledger_can_be_read_on_from_where_one_stopped(box: Sandbox) -> None:
    payment, key = box.paid(), new_key()
    last = box.tell("GET", "ledger")[-1]
    assert (last["object"], last["payment"]) == (payment, payment)
    box.arm("refund", "pending")
    refund = box.refund(payment, key, amount=4000)
    (row,) = box.tell("GET", f"ledger?since={last['seq']}")
    assert (row["operation"], row["object"], row["payment"]) == ("refund.created", refund["id"], payment)
    assert (row["amount"], row["currency"], row["idempotency_key"]) == (4000, "INR", key)
    assert abs(row["at"] - time.time()) < 60
    assert requests.get(f"{box.url}/_sandbox/ledger?since=yesterday", timeout=5).status_code == 400
    assert requests.get(f"{box.url}/_sandbox/luck", timeout=5).status_code == 404
