"""A key makes a refund happen once, for as long as it is remembered."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.integration.sandbox_razorpay.driver import CREDENTIALS, Sandbox, new_key


def test_the_same_key_gets_the_first_answer_again(box: Sandbox) -> None:
    payment, key = box.paid(), new_key()
    first = box.refund(payment, key, amount=4000, receipt="act-1")
    again = box.refund(payment, key, receipt="act-1", amount=4000)
    assert again == first
    assert box.effect_names(payment).count("refund.created") == 1
    assert [row["idempotency_key"] for row in box.tell("GET", f"ledger?object={first['id']}")] == [key, key]
    original, replay = box.tell("GET", f"requests?object={payment}")
    assert (original["replayed"], replay["replayed"]) == (False, True)
    assert (original["idempotency_key"], replay["idempotency_key"]) == (key, key)


def test_without_a_key_the_same_refund_happens_twice(box: Sandbox) -> None:
    payment = box.paid()
    assert box.refund(payment, amount=4000) != box.refund(payment, amount=4000)
    assert box.fetch(payment)["amount_refunded"] == 8000


def test_a_key_belongs_to_its_body_and_its_address(box: Sandbox) -> None:
    payment, other, key = box.paid(), box.paid(), new_key()
    box.refund(payment, key, amount=4000)
    different: list[Callable[[], object]] = [
        lambda: box.refund(payment, key, amount=5000),
        lambda: box.refund(payment, key),
        lambda: box.refund(other, key, amount=4000),
    ]
    for call in different:
        assert box.refused(call, status=409)["description"] == (
            "Different request with the same idempotency key has already been processed."
        )
    assert box.fetch(payment)["amount_refunded"] == 4000
    assert box.fetch(other)["amount_refunded"] == 0


def test_a_refusal_that_was_executed_is_replayed_too(box: Sandbox) -> None:
    payment, key = box.paid(), new_key()
    box.arm("refund", "decline")
    for _ in range(2):
        assert "enough balance" in box.refused(lambda: box.refund(payment, key))["description"]
    assert box.refund(payment, new_key())["status"] == "processed"


def test_a_wrong_parameter_does_not_use_up_the_key(box: Sandbox) -> None:
    payment, key = box.paid(), new_key()
    box.refused(lambda: box.refund(payment, key, amount=1))
    assert box.refund(payment, key)["status"] == "processed"


def test_a_key_in_use_conflicts_and_the_conflict_is_not_kept(box: Sandbox) -> None:
    payment, key = box.paid(), new_key()
    box.tell("POST", "latency", json={"milliseconds": 500, "operation": "refund"})

    def refund() -> tuple[int, str]:
        answer = requests.post(
            f"{box.url}/v1/payments/{payment}/refund",
            auth=CREDENTIALS,
            headers={"X-Refund-Idempotency": key},
            timeout=5,
        )
        return answer.status_code, answer.json().get("error", {}).get("description", "")

    with ThreadPoolExecutor(2) as pool:
        twins = sorted(twin.result() for twin in [pool.submit(refund) for _ in range(2)])
    assert twins == [(200, ""), (409, "Another request with the same idempotency key is still in progress.")]
    assert box.refund(payment, key)["status"] == "processed"
    assert box.effect_names(payment).count("refund.created") == 1


@pytest.mark.parametrize("key", ["", "k" * 9, "key with spaces", "key.with.dots", "schlüssel-1234"])
def test_a_key_of_a_wrong_form_is_refused(box: Sandbox, key: str) -> None:
    payment = box.paid()
    assert "idempotency key" in box.refused(lambda: box.refund(payment, key))["description"]
    assert "refund.created" not in box.effect_names(payment)


def test_a_key_of_ten_characters_will_do(box: Sandbox) -> None:
    payment = box.paid()
    key = new_key()[-10:]
    assert box.refund(payment, key) == box.refund(payment, key)


def test_a_forgotten_key_is_a_new_request(box: Sandbox) -> None:
    payment, key = box.paid(), new_key()
    first = box.refund(payment, key, amount=4000)
    assert box.tell("DELETE", "idempotency_keys")["keys"] >= 1
    assert box.refund(payment, key, amount=4000)["id"] != first["id"]


def test_a_capture_knows_no_key(box: Sandbox) -> None:
    payment, key = box.pay()["id"], new_key()
    body = {"amount": 10000, "currency": "INR"}

    def capture() -> object:
        headers = {"X-Refund-Idempotency": key}
        return box.client.payment.post_url(f"/v1/payments/{payment}/capture", dict(body), headers=headers, timeout=5)

    capture()
    assert box.refused(capture)["description"] == "This payment has already been captured"
