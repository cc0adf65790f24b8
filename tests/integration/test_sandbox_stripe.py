"""Stripe's stand-in, driven by Stripe's own SDK."""

from __future__ import annotations

import json
import queue
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import stripe

from sandbox.http import refuse_beyond_loopback
from tests.integration.sandbox_process import Running, running
from tests.shop import eventually

stripe.enable_telemetry = False

SECRET = "whsec_sandbox"
HELD: dict[str, Any] = {
    "amount": 1000,
    "currency": "usd",
    "capture_method": "manual",
    "payment_method": "pm_card_visa",
    "confirm": True,
}
INCREMENTAL = {"payment_method_options": {"card": {"request_incremental_authorization": "if_available"}}}
MULTICAPTURE = {"payment_method_options": {"card": {"request_multicapture": "if_available"}}}


class Sandbox:
    """One running stand-in, as a test talks to it: through the SDK, and through /_sandbox/."""

    def __init__(self, url: str, api_key: str = "sk_test_1") -> None:
        self.url = url
        self.http = requests.Session()
        self.session = requests.Session()
        self.client = stripe.StripeClient(
            api_key,
            base_addresses={"api": url},
            max_network_retries=0,
            http_client=stripe.RequestsClient(timeout=5, session=self.session),
        )
        self.intents = self.client.v1.payment_intents
        self.refunds = self.client.v1.refunds
        self.charges = self.client.v1.charges
        self.events = self.client.v1.events

    def close(self) -> None:
        self.http.close()
        self.session.close()

    def hold(self, **more: Any) -> stripe.PaymentIntent:
        """A new authorization of 10 dollars."""
        return self.intents.create({**HELD, **more})  # type: ignore[typeddict-item]

    def charge_of(self, id: str) -> stripe.Charge:
        charge = self.intents.retrieve(id, {"expand": ["latest_charge"]}).latest_charge
        assert isinstance(charge, stripe.Charge)
        return charge

    def arm(self, operation: str, fault: str, **more: Any) -> None:
        armed = self.http.post(f"{self.url}/_sandbox/faults", json={"operation": operation, "fault": fault, **more})
        assert armed.status_code == 200, armed.text

    def tell(self, method: str, path: str, **more: Any) -> Any:
        answer = self.http.request(method, f"{self.url}/_sandbox/{path}", **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def effects(self, object: str) -> list[tuple[str, int]]:
        return [(row["operation"], row["amount"]) for row in self.tell("GET", f"ledger?object={object}")]

    def effect_names(self, object: str) -> list[str]:
        return [operation for operation, _ in self.effects(object)]

    def event_types(self, id: str) -> list[str]:
        """The types of the newest events about a PaymentIntent and what belongs to it, in order."""
        events = self.events.list({"limit": 100}).data
        return [event.type for event in reversed(events) if id in json.dumps(event.to_dict())]


@contextmanager
def sandbox(data: Path, *arguments: str) -> Iterator[tuple[Sandbox, Running]]:
    with running("sandbox.stripe", "--port", "0", "--data", str(data), *arguments) as process:
        driven = Sandbox(process.addresses[0])
        try:
            yield driven, process
        finally:
            driven.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("stripe")) as (driven, _):
        yield driven


@pytest.fixture
def box(server: Sandbox) -> Iterator[Sandbox]:
    yield server
    server.tell("DELETE", "faults")
    server.tell("POST", "latency", json={"milliseconds": 0})


def refused(call: Callable[[], object], kind: type[stripe.StripeError] = stripe.InvalidRequestError) -> Any:
    """The error that a call ends in, whole."""
    with pytest.raises(kind) as caught:
        call()
    return caught.value


# PaymentIntents.


def test_a_manual_payment_is_held_and_not_taken(box: Sandbox) -> None:
    intent = box.hold(metadata={"order": "ord_1"}, expand=["latest_charge"])
    assert (intent.status, intent.amount, intent.amount_capturable, intent.amount_received) == (
        "requires_capture",
        1000,
        1000,
        0,
    )
    assert intent.metadata["order"] == "ord_1"
    assert isinstance(intent.latest_charge, stripe.Charge)
    assert not intent.latest_charge.captured
    details: Any = intent.latest_charge.payment_method_details
    assert details.card.capture_before > time.time() + 6 * 86400
    assert box.effects(intent.id) == [("payment_intent.created", 1000), ("payment_intent.authorized", 1000)]


def test_an_automatic_payment_is_taken_at_once(box: Sandbox) -> None:
    intent = box.hold(capture_method="automatic")
    assert (intent.status, intent.amount_received, intent.amount_capturable) == ("succeeded", 1000, 0)
    assert box.charge_of(intent.id).captured
    assert box.event_types(intent.id) == ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]


def test_a_payment_can_be_made_first_and_confirmed_later(box: Sandbox) -> None:
    intent = box.intents.create({"amount": 1000, "currency": "USD", "capture_method": "manual"})
    assert (intent.status, intent.currency, intent.latest_charge) == ("requires_payment_method", "usd", None)
    missing = refused(lambda: box.intents.confirm(intent.id))
    assert missing.code == "payment_intent_unexpected_state"
    assert box.intents.confirm(intent.id, {"payment_method": "pm_card_visa"}).status == "requires_capture"
    assert refused(lambda: box.intents.confirm(intent.id)).code == "payment_intent_unexpected_state"


def test_a_declined_card_leaves_a_payment_that_can_be_tried_again(box: Sandbox) -> None:
    error = refused(lambda: box.hold(payment_method="pm_card_chargeDeclined"), stripe.CardError)
    assert (error.http_status, error.code, error.error.decline_code) == (402, "card_declined", "generic_decline")
    intent = error.error.payment_intent
    assert (intent.status, intent.last_payment_error.code) == ("requires_payment_method", "card_declined")
    assert box.charges.retrieve(error.error.charge).status == "failed"
    assert box.intents.confirm(intent.id, {"payment_method": "pm_card_visa"}).status == "requires_capture"
    assert box.event_types(intent.id)[:3] == [
        "payment_intent.created",
        "charge.failed",
        "payment_intent.payment_failed",
    ]


def test_a_card_may_ask_for_authentication(box: Sandbox) -> None:
    intent = box.hold(payment_method="pm_card_authenticationRequired")
    assert intent.status == "requires_action"
    assert intent.next_action is not None
    assert box.intents.cancel(intent.id).status == "canceled"


def test_payments_are_listed_the_newest_first_page_by_page(box: Sandbox) -> None:
    made = [box.hold().id for _ in range(3)]
    first = box.intents.list({"limit": 2})
    assert [intent.id for intent in first.data] == [made[2], made[1]]
    assert first.has_more
    second = box.intents.list({"limit": 1, "starting_after": made[1], "expand": ["data.latest_charge"]})
    assert second.data[0].id == made[0]
    assert isinstance(second.data[0].latest_charge, stripe.Charge)
    before = box.intents.list({"limit": 2, "ending_before": made[0]})
    assert [intent.id for intent in before.data] == [made[2], made[1]]
    assert box.intents.list({"created": {"gt": int(time.time()) + 60}}).data == []


# Cancel.


def test_a_cancel_releases_the_money_and_makes_no_refund(box: Sandbox) -> None:
    intent = box.hold()
    canceled = box.intents.cancel(intent.id, {"cancellation_reason": "requested_by_customer"})
    assert (canceled.status, canceled.amount_capturable, canceled.amount_received) == ("canceled", 0, 0)
    assert canceled.cancellation_reason == "requested_by_customer"
    assert canceled.canceled_at is not None
    charge = box.charge_of(intent.id)
    assert (charge.amount_captured, charge.amount_refunded, charge.refunded) == (0, 0, False)
    assert box.refunds.list({"payment_intent": intent.id}).data == []
    assert box.effects(intent.id)[-1] == ("payment_intent.canceled", 1000)
    assert box.event_types(intent.id)[-1] == "payment_intent.canceled"


def test_a_second_cancel_is_refused_and_shows_the_payment(box: Sandbox) -> None:
    intent = box.hold()
    box.intents.cancel(intent.id)
    error = refused(lambda: box.intents.cancel(intent.id))
    assert (error.http_status, error.code) == (400, "payment_intent_unexpected_state")
    assert error.error.payment_intent.status == "canceled"
    assert box.effect_names(intent.id).count("payment_intent.canceled") == 1


def test_a_captured_payment_cannot_be_canceled(box: Sandbox) -> None:
    intent = box.hold()
    box.intents.capture(intent.id)
    error = refused(lambda: box.intents.cancel(intent.id))
    assert (error.code, error.error.payment_intent.status) == ("payment_intent_unexpected_state", "succeeded")


def test_a_canceled_payment_cannot_be_captured(box: Sandbox) -> None:
    intent = box.hold()
    box.intents.cancel(intent.id)
    error = refused(lambda: box.intents.capture(intent.id))
    assert (error.code, error.error.payment_intent.status) == ("payment_intent_unexpected_state", "canceled")


def test_a_reason_to_cancel_must_be_one_of_stripes(box: Sandbox) -> None:
    intent = box.hold()
    error = refused(lambda: box.intents.cancel(intent.id, {"cancellation_reason": "bored"}))
    assert error.param == "cancellation_reason"
    assert box.intents.retrieve(intent.id).status == "requires_capture"


# Capture.


def test_a_capture_takes_all_that_is_held(box: Sandbox) -> None:
    intent = box.hold()
    captured = box.intents.capture(intent.id)
    assert (captured.status, captured.amount_received, captured.amount_capturable) == ("succeeded", 1000, 0)
    assert box.effects(intent.id)[-1] == ("payment_intent.captured", 1000)
    assert box.event_types(intent.id)[-2:] == ["charge.captured", "payment_intent.succeeded"]
    assert refused(lambda: box.intents.capture(intent.id)).code == "payment_intent_unexpected_state"


def test_a_partial_capture_releases_the_rest_without_a_refund(box: Sandbox) -> None:
    intent = box.hold()
    captured = box.intents.capture(intent.id, {"amount_to_capture": 700})
    assert (captured.status, captured.amount, captured.amount_received, captured.amount_capturable) == (
        "succeeded",
        1000,
        700,
        0,
    )
    charge = box.charge_of(intent.id)
    assert (charge.amount_captured, charge.amount_refunded, charge.captured) == (700, 0, True)
    assert box.refunds.list({"payment_intent": intent.id}).data == []


def test_more_than_is_held_cannot_be_captured(box: Sandbox) -> None:
    intent = box.hold()
    error = refused(lambda: box.intents.capture(intent.id, {"amount_to_capture": 1001}))
    assert (error.code, error.param) == ("amount_too_large", "amount_to_capture")
    assert box.intents.retrieve(intent.id).amount_capturable == 1000


def test_several_captures_must_have_been_asked_for(box: Sandbox) -> None:
    intent = box.hold()
    error = refused(lambda: box.intents.capture(intent.id, {"amount_to_capture": 300, "final_capture": False}))
    assert error.param == "final_capture"


def test_several_captures_take_the_money_bit_by_bit(box: Sandbox) -> None:
    intent = box.hold(**MULTICAPTURE)
    first = box.intents.capture(intent.id, {"amount_to_capture": 300, "final_capture": False})
    assert (first.status, first.amount_received, first.amount_capturable) == ("requires_capture", 300, 700)
    assert refused(lambda: box.intents.cancel(intent.id)).code == "payment_intent_unexpected_state"
    last = box.intents.capture(intent.id, {"amount_to_capture": 200})
    assert (last.status, last.amount_received, last.amount_capturable) == ("succeeded", 500, 0)
    assert box.charge_of(intent.id).amount_captured == 500


def test_what_is_left_after_a_capture_can_be_released_or_expire(box: Sandbox) -> None:
    released, expired = box.hold(**MULTICAPTURE), box.hold(**MULTICAPTURE)
    for intent in (released, expired):
        box.intents.capture(intent.id, {"amount_to_capture": 300, "final_capture": False})
    assert box.intents.capture(released.id, {"amount_to_capture": 0}).status == "succeeded"
    assert box.tell("POST", f"expire/{expired.id}")["status"] == "succeeded"
    for intent in (released, expired):
        assert box.intents.retrieve(intent.id).amount_received == 300
    assert box.effects(expired.id)[-1] == ("payment_intent.expired", 700)


def test_nothing_cannot_be_captured(box: Sandbox) -> None:
    intent = box.hold()
    error = refused(lambda: box.intents.capture(intent.id, {"amount_to_capture": 0}))
    assert error.param == "amount_to_capture"
    assert box.intents.retrieve(intent.id).status == "requires_capture"


# Increments.


def test_an_authorization_grows_to_a_new_total(box: Sandbox) -> None:
    intent = box.hold(**INCREMENTAL)
    grown = box.intents.increment_authorization(intent.id, {"amount": 1500})
    assert (grown.amount, grown.amount_capturable) == (1500, 1500)
    assert box.charge_of(intent.id).amount == 1500
    assert box.effects(intent.id)[-1] == ("payment_intent.incremented", 1500)
    assert box.intents.capture(intent.id).amount_received == 1500


def test_an_increment_must_have_been_asked_for(box: Sandbox) -> None:
    intent = box.hold()
    error = refused(lambda: box.intents.increment_authorization(intent.id, {"amount": 1500}))
    assert error.code == "payment_intent_unexpected_state"


def test_an_increment_must_be_above_what_is_held(box: Sandbox) -> None:
    intent = box.hold(**INCREMENTAL)
    error = refused(lambda: box.intents.increment_authorization(intent.id, {"amount": 1000}))
    assert error.param == "amount"


def test_a_declined_increment_keeps_the_old_amount_and_counts(box: Sandbox) -> None:
    intent = box.hold(**INCREMENTAL)
    box.arm("increment", "decline")
    error = refused(lambda: box.intents.increment_authorization(intent.id, {"amount": 1500}), stripe.CardError)
    assert (error.code, error.error.payment_intent.amount) == ("card_declined", 1000)
    for step in range(1, 10):
        box.intents.increment_authorization(intent.id, {"amount": 1000 + step})
    error = refused(lambda: box.intents.increment_authorization(intent.id, {"amount": 2000}))
    assert error.code == "payment_intent_unexpected_state"
    assert box.intents.retrieve(intent.id).amount_capturable == 1009


def test_nothing_is_added_after_a_capture(box: Sandbox) -> None:
    asked = {"request_incremental_authorization": "if_available", "request_multicapture": "if_available"}
    intent = box.hold(payment_method_options={"card": asked})
    box.intents.capture(intent.id, {"amount_to_capture": 300, "final_capture": False})
    error = refused(lambda: box.intents.increment_authorization(intent.id, {"amount": 1500}))
    assert error.code == "payment_intent_unexpected_state"


# Expiry.


def test_an_authorization_can_expire(box: Sandbox) -> None:
    intent = box.hold()
    assert box.tell("POST", f"expire/{intent.id}")["cancellation_reason"] == "expired"
    expired = box.intents.retrieve(intent.id)
    assert (expired.status, expired.cancellation_reason) == ("canceled", "expired")
    assert box.effects(intent.id)[-1] == ("payment_intent.expired", 1000)
    assert box.event_types(intent.id)[-2:] == ["charge.expired", "payment_intent.canceled"]
    assert box.http.post(f"{box.url}/_sandbox/expire/{intent.id}").status_code == 400
    assert box.http.post(f"{box.url}/_sandbox/expire/pi_none").status_code == 404


# Refunds.


def test_captured_money_is_refunded_in_parts_and_never_beyond(box: Sandbox) -> None:
    intent = box.hold(capture_method="automatic")
    first = box.refunds.create({"payment_intent": intent.id, "amount": 300, "metadata": {"action": "a1"}})
    assert (first.status, first.amount, first.payment_intent) == ("succeeded", 300, intent.id)
    error = refused(lambda: box.refunds.create({"payment_intent": intent.id, "amount": 800}))
    assert (error.http_status, error.param, error.code) == (400, "amount", None)
    assert str(error.user_message) == "Refund amount ($8.00) is greater than unrefunded amount on charge ($7.00)"
    second = box.refunds.create({"charge": str(intent.latest_charge)})
    assert second.amount == 700
    assert box.charge_of(intent.id).refunded
    assert refused(lambda: box.refunds.create({"payment_intent": intent.id})).code == "charge_already_refunded"
    listed = box.refunds.list({"payment_intent": intent.id, "limit": 100})
    assert [refund.id for refund in listed.data] == [second.id, first.id]
    assert box.refunds.list({"charge": str(intent.latest_charge)}).data == listed.data
    assert getattr(box.refunds.retrieve(first.id).metadata, "action", None) == "a1"
    assert box.effects(first.id) == [("refund.created", 300)]
    assert box.event_types(intent.id)[-2:] == ["refund.created", "charge.refunded"]


@pytest.mark.parametrize("end", ["cancel", "nothing"])
def test_money_that_was_never_captured_is_not_refunded(box: Sandbox, end: str) -> None:
    intent = box.hold()
    if end == "cancel":
        box.intents.cancel(intent.id)
    error = refused(lambda: box.refunds.create({"payment_intent": intent.id}))
    assert "does not have a successful charge to refund" in str(error)
    error = refused(lambda: box.refunds.create({"charge": str(intent.latest_charge)}))
    assert "Cancel its PaymentIntent" in str(error)


def test_a_refund_can_fail_after_it_succeeded(box: Sandbox) -> None:
    intent = box.hold(capture_method="automatic")
    refund = box.refunds.create({"payment_intent": intent.id})
    assert box.tell("POST", f"fail/{refund.id}")["status"] == "failed"
    assert box.refunds.retrieve(refund.id).failure_reason == "expired_or_canceled_card"
    assert box.charge_of(intent.id).amount_refunded == 0
    assert box.effect_names(refund.id) == ["refund.created", "refund.failed"]
    assert "refund.failed" in box.event_types(intent.id)


@pytest.mark.parametrize(("decided", "status", "refunded"), [("succeed", "succeeded", 1000), ("fail", "failed", 0)])
def test_a_refund_can_be_taken_in_and_decided_later(box: Sandbox, decided: str, status: str, refunded: int) -> None:
    intent = box.hold(capture_method="automatic")
    box.arm("refund", "pending")
    refund = box.refunds.create({"payment_intent": intent.id, "amount": 1000})
    assert (refund.status, refund.pending_reason) == ("pending", "insufficient_funds")
    assert box.charge_of(intent.id).amount_refunded == 1000
    assert box.tell("POST", f"{decided}/{refund.id}")["status"] == status
    found = box.refunds.retrieve(refund.id)
    assert found.status == status
    assert "pending_reason" not in found
    assert box.charge_of(intent.id).amount_refunded == refunded
    assert "refund.updated" in box.event_types(intent.id)


def test_a_network_may_shorten_the_life_of_an_authorization(box: Sandbox) -> None:
    intent = box.hold()
    now = int(time.time())
    box.tell("POST", f"shorten/{intent.id}?seconds=600")
    assert now + 600 <= box.charge_of(intent.id).payment_method_details.card.capture_before <= now + 660


# Strictness.


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


# Idempotency.


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


# Faults.

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


# The process.


def test_what_happened_survives_a_restart(tmp_path: Path) -> None:
    with sandbox(tmp_path) as (box, process):
        intent = box.hold()
        box.intents.cancel(intent.id, {}, {"idempotency_key": "once"})
        before = box.tell("GET", "ledger")
        assert process.end() == 0
    with sandbox(tmp_path) as (box, process):
        assert box.tell("GET", "ledger") == before
        again = box.intents.cancel(intent.id, {}, {"idempotency_key": "once"})
        assert again.status == "canceled"
        assert box.tell("GET", "ledger") == before
        assert process.end(signal.SIGKILL) == -signal.SIGKILL
    with sandbox(tmp_path) as (box, _):
        assert box.tell("GET", "ledger") == before


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_and_cleanly_also_while_requests_hang(tmp_path: Path, by: signal.Signals) -> None:
    with sandbox(tmp_path) as (box, process):
        assert box.tell("GET", "health") == {"status": "ok"}
        intent = box.hold()
        box.arm("cancel", "timeout_after")
        with ThreadPoolExecutor(1) as pool:
            hanging = pool.submit(lambda: box.intents.cancel(intent.id))
            eventually(lambda: box.effect_names(intent.id)[-1] == "payment_intent.canceled")
            started = time.monotonic()
            assert process.end(by) == 0
            assert time.monotonic() - started < 2
            assert isinstance(hanging.exception(timeout=3), stripe.APIConnectionError)


def test_it_serves_nobody_beyond_loopback() -> None:
    refuse_beyond_loopback("127.0.0.1")
    with pytest.raises(ValueError, match="loopback"):
        refuse_beyond_loopback("0.0.0.0")  # noqa: S104  # the point is that it is refused


# The server underneath.


def spoken(box: Sandbox, said: bytes) -> bytes:
    """Everything the server answers to these bytes, until it closes the connection."""
    with socket.create_connection(("127.0.0.1", urlsplit(box.url).port or 0), timeout=5) as raw:
        raw.sendall(said)
        return b"".join(iter(lambda: raw.recv(65536), b""))


def test_what_is_not_http_is_refused(box: Sandbox) -> None:
    assert spoken(box, b"EHLO me\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_a_body_that_is_too_large_is_refused(box: Sandbox) -> None:
    head = b"POST /v1/refunds HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n"
    assert spoken(box, head + b"x" * ((1 << 20) + 1)).startswith(b"HTTP/1.1 413 ")


def test_requests_on_one_connection_are_answered_in_order(box: Sandbox) -> None:
    box.tell("POST", "latency", json={"milliseconds": 100, "operation": "retrieve"})
    slow = b"GET /v1/refunds HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk_test_1\r\n\r\n"
    last = b"GET /_sandbox/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answers = spoken(box, slow + last)
    assert answers.count(b"HTTP/1.1 200 OK") == 2
    assert answers.index(b"/v1/refunds") < answers.index(b'{"status":"ok"}')


# Webhooks.


class Receiver:
    """A webhook endpoint; it answers with the statuses it was given first, and then with 200."""

    def __init__(self) -> None:
        self.received: queue.Queue[tuple[bytes, str]] = queue.Queue()
        self.statuses: list[int] = []
        receiver = self

        class Endpoint(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                payload = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.put((payload, self.headers["Stripe-Signature"]))
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
        self.url = f"http://127.0.0.1:{self._server.server_port}/webhooks/stripe"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next(self, client: stripe.StripeClient) -> stripe.Event:
        """The next event, its signature verified as Stripe's SDK does."""
        payload, signature = self.received.get(timeout=5)
        return client.construct_event(payload, signature, SECRET)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    listening = Receiver()
    yield listening
    listening.close()


@pytest.fixture
def listened(receiver: Receiver, tmp_path: Path) -> Iterator[Sandbox]:
    with sandbox(tmp_path, "--webhook-url", receiver.url, "--webhook-secret", SECRET) as (box, _):
        yield box


def owed_nothing(box: Sandbox) -> bool:
    return eventually(lambda: not box.tell("GET", "webhooks")["owed"], within=5)


def test_every_event_is_delivered_signed(listened: Sandbox, receiver: Receiver) -> None:
    intent = listened.hold()
    held = [receiver.next(listened.client) for _ in range(3)]
    assert {event.type for event in held} == {
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.amount_capturable_updated",
    }
    listened.intents.cancel(intent.id, {}, {"idempotency_key": "void-1"})
    event = receiver.next(listened.client)
    assert event.type == "payment_intent.canceled"
    assert event.request is not None
    assert event.request.idempotency_key == "void-1"
    assert event.data.object["id"] == intent.id
    assert listened.events.retrieve(event.id).to_dict() == event.to_dict()
    assert owed_nothing(listened)


def test_an_event_is_delivered_until_it_is_taken(listened: Sandbox, receiver: Receiver) -> None:
    receiver.statuses = [500]
    listened.intents.create({"amount": 1000, "currency": "usd"})
    first, second = receiver.next(listened.client), receiver.next(listened.client)
    assert first.id == second.id
    assert owed_nothing(listened)


def test_an_event_can_be_sent_twice(listened: Sandbox, receiver: Receiver) -> None:
    listened.arm("webhook", "twice")
    listened.intents.create({"amount": 1000, "currency": "usd"})
    assert receiver.next(listened.client).id == receiver.next(listened.client).id


def test_an_event_can_be_late(listened: Sandbox, receiver: Receiver) -> None:
    listened.arm("webhook", "late", seconds=0.3)
    started = time.monotonic()
    listened.intents.create({"amount": 1000, "currency": "usd"})
    receiver.next(listened.client)
    assert time.monotonic() - started >= 0.3


def test_an_event_can_be_overtaken(listened: Sandbox, receiver: Receiver) -> None:
    listened.arm("webhook", "out_of_order", object="payment_intent.created")
    intent = listened.intents.create({"amount": 1000, "currency": "usd"})
    listened.intents.cancel(intent.id)
    types = [receiver.next(listened.client).type for _ in range(2)]
    assert types == ["payment_intent.canceled", "payment_intent.created"]


def test_what_is_owed_is_delivered_after_a_restart(receiver: Receiver, tmp_path: Path) -> None:
    hook = ("--webhook-url", receiver.url, "--webhook-secret", SECRET)
    with sandbox(tmp_path, *hook) as (box, process):
        box.arm("webhook", "late", seconds=30)
        box.intents.create({"amount": 1000, "currency": "usd"})
        assert process.end() == 0
    with sandbox(tmp_path, *hook) as (box, _):
        assert receiver.next(box.client).type == "payment_intent.created"
        assert owed_nothing(box)


def test_an_event_can_be_given_up(listened: Sandbox, receiver: Receiver) -> None:
    listened.arm("webhook", "lost", object="payment_intent.created")
    intent = listened.intents.create({"amount": 1000, "currency": "usd"})
    listened.intents.cancel(intent.id)
    assert receiver.next(listened.client).type == "payment_intent.canceled"
    assert owed_nothing(listened)


def test_a_disturbance_can_be_for_all_that_belongs_to_one_payment(listened: Sandbox, receiver: Receiver) -> None:
    intent = listened.intents.create({"amount": 1000, "currency": "usd"})
    assert receiver.next(listened.client).type == "payment_intent.created"
    listened.arm("webhook", "lost", object=intent.id, times=-1)
    listened.intents.confirm(intent.id, {"payment_method": "pm_card_visa"})  # tells of its charge, too
    assert owed_nothing(listened)
    assert receiver.received.empty()


def test_only_the_events_that_the_endpoint_enabled_are_sent(receiver: Receiver, tmp_path: Path) -> None:
    hook = ("--webhook-url", receiver.url, "--webhook-secret", SECRET, "--webhook-events", "payment_intent.canceled")
    with sandbox(tmp_path, *hook) as (box, _):
        intent = box.intents.create({"amount": 1000, "currency": "usd"})
        box.intents.cancel(intent.id)
        event = receiver.next(box.client)
        assert (event.type, event.pending_webhooks) == ("payment_intent.canceled", 1)
        assert [event.pending_webhooks for event in box.events.list({"type": "payment_intent.created"})] == [0]
        assert owed_nothing(box)
        assert receiver.received.empty()


def test_while_its_secret_is_rolled_an_event_is_signed_with_both(receiver: Receiver, tmp_path: Path) -> None:
    hook = ("--webhook-url", receiver.url, "--webhook-secret", SECRET, "--webhook-secret", "whsec_next")
    with sandbox(tmp_path, *hook) as (box, _):
        box.intents.create({"amount": 1000, "currency": "usd"})
        payload, signature = receiver.received.get(timeout=5)
        for secret in (SECRET, "whsec_next"):
            assert box.client.construct_event(payload, signature, secret).type == "payment_intent.created"


@pytest.mark.parametrize("end", ["won", "lost"])
def test_a_cardholder_can_dispute_captured_money(listened: Sandbox, receiver: Receiver, end: str) -> None:
    intent = listened.hold()
    listened.intents.capture(intent.id)
    dispute = listened.tell("POST", f"dispute/{intent.id}")
    assert (dispute["amount"], dispute["status"], dispute["payment_intent"]) == (1000, "needs_response", intent.id)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        listened.refunds.create({"payment_intent": intent.id})
    assert refused.value.code == "charge_disputed"
    listened.tell("POST", f"{end}/{dispute['id']}")
    assert listened.client.v1.disputes.retrieve(dispute["id"]).status == end
    types = [receiver.next(listened.client).type for _ in range(8 if end == "lost" else 9)]
    assert sorted(type for type in types if "dispute" in type) == sorted(
        ["charge.dispute.created", "charge.dispute.funds_withdrawn", "charge.dispute.closed"]
        + (["charge.dispute.funds_reinstated"] if end == "won" else [])
    )
    assert [e["operation"] for e in listened.tell("GET", f"ledger?object={intent.id}")][-2:] == [
        "dispute.created",
        f"dispute.{end}",
    ]


def test_money_that_was_never_captured_cannot_be_disputed(box: Sandbox) -> None:
    intent = box.hold()
    answer = box.http.post(f"{box.url}/_sandbox/dispute/{intent.id}")
    assert answer.status_code == 400
