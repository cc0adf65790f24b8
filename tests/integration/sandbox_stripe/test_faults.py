"""Misbehavior to order, and what can be seen of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
import stripe

from tests.integration.sandbox_stripe.driver import Sandbox, refused
from tests.shop import eventually

BEFORE: list[tuple[str, type[stripe.StripeError], int | None]] = [
    ("timeout_before", stripe.APIConnectionError, None),
    ("drop_before", stripe.APIConnectionError, None),
    ("error_500_before", stripe.APIError, 500),
    ("rate_limit", stripe.RateLimitError, 429),
    ("conflict", stripe.APIError, 409),
    ("html_502", stripe.APIError, 502),
]
AFTER: list[tuple[str, type[stripe.StripeError], int | None]] = [
    ("timeout_after", stripe.APIConnectionError, None),
    ("drop_after", stripe.APIConnectionError, None),
    ("error_500_after", stripe.APIError, 500),
]


@pytest.mark.parametrize(("fault", "kind", "status"), BEFORE)
def test_a_fault_before_the_effect_leaves_nothing_and_the_key_is_free(
    box: Sandbox, fault: str, kind: type[stripe.StripeError], status: int | None
) -> None:
    intent = box.hold()
    key = f"{fault}-{intent.id}"
    box.arm("cancel", fault, object=intent.id, seconds=0.2)
    error = refused(lambda: box.intents.cancel(intent.id, {}, {"idempotency_key": key}), kind)
    assert error.http_status == status
    assert box.intents.retrieve(intent.id).status == "requires_capture"
    assert box.intents.cancel(intent.id, {}, {"idempotency_key": key}).status == "canceled"
    faulted, _, answered = box.tell("GET", f"requests?object={intent.id}")[-3:]
    assert (faulted["fault"], faulted["status"], faulted["idempotency_key"]) == (fault, status, key)
    assert answered["status"] == 200


def test_drop_is_short_for_drop_before(box: Sandbox) -> None:
    intent = box.hold()
    box.arm("cancel", "drop")
    refused(lambda: box.intents.cancel(intent.id), stripe.APIConnectionError)
    assert box.intents.retrieve(intent.id).status == "requires_capture"


@pytest.mark.parametrize(("fault", "kind", "status"), AFTER)
def test_a_fault_after_the_effect_hides_it_and_the_key_tells(
    box: Sandbox, fault: str, kind: type[stripe.StripeError], status: int | None
) -> None:
    intent = box.hold()
    key = f"{fault}-{intent.id}"
    box.arm("cancel", fault, seconds=0.2)
    refused(lambda: box.intents.cancel(intent.id, {}, {"idempotency_key": key}), kind)
    assert box.effects(intent.id)[-1] == ("payment_intent.canceled", 1000)
    if status is None:
        assert box.intents.cancel(intent.id, {}, {"idempotency_key": key}).status == "canceled"
    else:
        error = refused(lambda: box.intents.cancel(intent.id, {}, {"idempotency_key": key}), kind)
        assert (error.http_status, error.headers["Idempotent-Replayed"]) == (500, "true")
        assert refused(lambda: box.intents.cancel(intent.id)).code == "payment_intent_unexpected_state"


def test_a_500_during_the_execution_is_kept_though_nothing_happened(box: Sandbox) -> None:
    intent = box.hold()
    key = f"stuck-{intent.id}"
    box.arm("cancel", "error_500_during")
    refused(lambda: box.intents.cancel(intent.id, {}, {"idempotency_key": key}), stripe.APIError)
    refused(lambda: box.intents.cancel(intent.id, {}, {"idempotency_key": key}), stripe.APIError)
    assert box.intents.cancel(intent.id, {}, {"idempotency_key": f"new-{key}"}).status == "canceled"


@pytest.mark.parametrize("operation", ["confirm", "cancel", "refund", "create"])
def test_a_decline_can_be_ordered(box: Sandbox, operation: str) -> None:
    intent = box.intents.create({"amount": 1000, "currency": "usd", "payment_method": "pm_card_visa"})
    calls: dict[str, Callable[[], object]] = {
        "confirm": lambda: box.intents.confirm(intent.id),
        "cancel": lambda: box.intents.cancel(intent.id),
        "refund": lambda: box.refunds.create({"payment_intent": intent.id}),
        "create": box.hold,
    }
    if operation == "refund":
        box.intents.confirm(intent.id)
    box.arm(operation, "decline")
    assert refused(calls[operation], stripe.CardError).code == "card_declined"


def test_a_fault_is_met_as_often_as_it_was_told_and_by_whom(box: Sandbox) -> None:
    first, second = box.hold(), box.hold()
    box.arm("any", "rate_limit", times=2, object=first.id)
    assert box.intents.retrieve(second.id).id == second.id
    for _ in range(2):
        refused(lambda: box.intents.retrieve(first.id), stripe.RateLimitError)
    assert box.intents.retrieve(first.id).id == first.id
    box.arm("retrieve", "rate_limit", times=-1)
    for _ in range(3):
        refused(lambda: box.intents.retrieve(first.id), stripe.RateLimitError)
    assert box.tell("GET", "faults")[0]["times"] == -1
    box.tell("DELETE", "faults")
    assert box.intents.retrieve(first.id).id == first.id


@pytest.mark.parametrize(
    "fault",
    [
        {"operation": "cancel", "fault": "luck"},
        {"operation": "dance", "fault": "drop"},
        {"operation": "cancel"},
        {"operation": "cancel", "fault": "twice"},
        {"operation": "retrieve", "fault": "decline"},
        {"operation": "cancel", "fault": "drop", "times": 0},
        {"operation": "cancel", "fault": "drop", "often": 2},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(box: Sandbox, fault: Any) -> None:
    assert box.http.post(f"{box.url}/_sandbox/faults", json=fault).status_code == 400
    assert box.tell("GET", "faults") == []


def test_clearing_the_faults_drops_the_requests_that_hang(box: Sandbox) -> None:
    intent = box.hold()
    box.arm("cancel", "timeout_after")
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(lambda: box.intents.cancel(intent.id))
        eventually(lambda: box.effect_names(intent.id)[-1] == "payment_intent.canceled")
        box.tell("DELETE", "faults")
        with pytest.raises(stripe.APIConnectionError):
            hanging.result(timeout=3)
    assert box.tell("GET", f"requests?object={intent.id}")[-1]["status"] is None


def test_a_request_whose_answer_was_withheld_is_found_by_what_it_made(box: Sandbox) -> None:
    created: Any = {"amount": 1000, "currency": "usd", "metadata": {"n": str(time.time_ns())}}
    key = created["metadata"]["n"]
    box.arm("create", "drop_after")
    refused(lambda: box.intents.create(created, {"idempotency_key": key}), stripe.APIConnectionError)
    intent = box.intents.create(created, {"idempotency_key": key})
    lost, replayed = box.tell("GET", f"requests?object={intent.id}")
    assert (lost["fault"], lost["status"], lost["replayed"]) == ("drop_after", None, False)
    assert (replayed["fault"], replayed["status"], replayed["replayed"]) == (None, 200, True)


def test_requests_that_wait_do_not_wait_for_each_other(box: Sandbox) -> None:
    intent = box.hold()
    box.tell("POST", "latency", json={"milliseconds": 300})

    def read() -> int:
        return requests.get(
            f"{box.url}/v1/payment_intents/{intent.id}", headers={"Authorization": "Bearer sk_test_1"}, timeout=5
        ).status_code

    started = time.monotonic()
    with ThreadPoolExecutor(10) as pool:
        assert {answer.result() for answer in [pool.submit(read) for _ in range(10)]} == {200}
    assert 0.3 <= time.monotonic() - started < 1.5


def test_the_ledger_can_be_read_on_from_where_one_stopped(box: Sandbox) -> None:
    intent = box.hold()
    last = box.tell("GET", "ledger")[-1]
    assert last["object"] == intent.id
    box.intents.cancel(intent.id, {}, {"idempotency_key": f"since-{intent.id}"})
    (row,) = box.tell("GET", f"ledger?since={last['seq']}")
    assert (row["operation"], row["currency"], row["idempotency_key"]) == (
        "payment_intent.canceled",
        "usd",
        f"since-{intent.id}",
    )
    assert row["request_id"].startswith("req_")
    assert box.http.get(f"{box.url}/_sandbox/ledger?since=yesterday").status_code == 400
