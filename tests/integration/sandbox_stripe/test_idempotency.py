"""A key makes a request happen once, for as long as it is remembered."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
import stripe

from tests.integration.sandbox_stripe.driver import Sandbox, refused


def test_the_same_key_gets_the_first_answer_again(box: Sandbox) -> None:
    intent = box.hold()
    first = box.intents.cancel(intent.id, {}, {"idempotency_key": f"void-{intent.id}"})
    again = box.intents.cancel(intent.id, {}, {"idempotency_key": f"void-{intent.id}"})
    assert again.to_dict() == first.to_dict()
    original, replay = first.last_response, again.last_response
    assert original is not None
    assert replay is not None
    assert "Idempotent-Replayed" not in original.headers
    assert replay.headers["Idempotent-Replayed"] == "true"
    assert replay.headers["Original-Request"] == original.headers["Request-Id"]
    assert box.effect_names(intent.id).count("payment_intent.canceled") == 1


def test_a_refusal_that_was_executed_is_replayed_too(box: Sandbox) -> None:
    intent = box.hold()
    key = f"capture-{intent.id}"
    box.arm("capture", "decline")
    refused(lambda: box.intents.capture(intent.id, {}, {"idempotency_key": key}), stripe.CardError)
    error = refused(lambda: box.intents.capture(intent.id, {}, {"idempotency_key": key}), stripe.CardError)
    assert error.headers["Idempotent-Replayed"] == "true"
    assert box.intents.capture(intent.id).status == "succeeded"


def test_a_key_belongs_to_its_parameters_and_its_address(box: Sandbox) -> None:
    intent = box.hold()
    key = f"one-{intent.id}"
    box.intents.capture(intent.id, {"amount_to_capture": 700}, {"idempotency_key": key})
    other: list[Callable[[], object]] = [
        lambda: box.intents.capture(intent.id, {"amount_to_capture": 800}, {"idempotency_key": key}),
        lambda: box.intents.cancel(intent.id, {}, {"idempotency_key": key}),
    ]
    for call in other:
        assert refused(call, stripe.IdempotencyError).http_status == 400


def test_a_refused_parameter_does_not_use_up_the_key(box: Sandbox) -> None:
    intent = box.hold()
    key = f"retry-{intent.id}"
    refused(lambda: box.intents.capture(intent.id, {"amount_to_capture": -1}, {"idempotency_key": key}))
    assert box.intents.capture(intent.id, {}, {"idempotency_key": key}).status == "succeeded"


def test_a_key_in_use_conflicts_and_the_conflict_is_not_kept(box: Sandbox) -> None:
    intent = box.hold()
    key = f"twins-{intent.id}"
    box.tell("POST", "latency", json={"milliseconds": 300, "operation": "cancel"})

    def cancel() -> object:
        with requests.Session() as session:
            return session.post(
                f"{box.url}/v1/payment_intents/{intent.id}/cancel",
                headers={"Authorization": "Bearer sk_test_1", "Idempotency-Key": key},
            ).status_code

    with ThreadPoolExecutor(2) as pool:
        twins = [pool.submit(cancel) for _ in range(2)]
        assert sorted(str(twin.result()) for twin in twins) == ["200", "409"]
    assert box.intents.cancel(intent.id, {}, {"idempotency_key": key}).status == "canceled"
    assert box.effect_names(intent.id).count("payment_intent.canceled") == 1


def test_a_key_means_nothing_on_a_read(box: Sandbox) -> None:
    intent = box.hold()
    key = f"read-{intent.id}"
    assert box.intents.retrieve(intent.id, {}, {"idempotency_key": key}).status == "requires_capture"
    box.intents.cancel(intent.id)
    assert box.intents.retrieve(intent.id, {}, {"idempotency_key": key}).status == "canceled"


def test_a_forgotten_key_is_a_new_request(box: Sandbox) -> None:
    intent = box.hold(capture_method="automatic")
    key = f"refund-{intent.id}"
    first = box.refunds.create({"payment_intent": intent.id, "amount": 100}, {"idempotency_key": key})
    box.tell("DELETE", "idempotency_keys")
    second = box.refunds.create({"payment_intent": intent.id, "amount": 100}, {"idempotency_key": key})
    assert second.id != first.id


def test_a_key_is_remembered_for_a_day(box: Sandbox) -> None:
    intent = box.hold(capture_method="automatic")

    def refund() -> str:
        wish: Any = {"payment_intent": intent.id, "amount": 100}
        return box.refunds.create(wish, {"idempotency_key": f"refund-{intent.id}"}).id

    first = refund()
    box.tell("POST", "idempotency_keys/age/86000")
    assert refund() == first
    box.tell("POST", "idempotency_keys/age/401")
    assert refund() != first


def test_a_key_is_at_most_255_characters_long(box: Sandbox) -> None:
    refused(lambda: box.refunds.create({"charge": "ch"}, {"idempotency_key": "k" * 256}), stripe.IdempotencyError)
