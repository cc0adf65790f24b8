"""Stripe's answers sorted into done, refused and unknown."""

import socket
from typing import Any

import pytest

from shared.providers.ports import Captured, Refused, Unknown, Voided
from shared.providers.stripe import Stripe
from tests.unit.answering import PATIENCE
from tests.unit.stripe.server import Server, intent

# Done, though it looks like a refusal.


def unexpected(server: Server, status: str) -> None:
    """Refuse the next request since the PaymentIntent is in this state, and show it as Stripe does."""
    server.complain(
        400, type="invalid_request_error", code="payment_intent_unexpected_state", payment_intent=intent(status)
    )


@pytest.mark.parametrize(
    ("status", "meaning"), [("canceled", Voided.ALREADY_RELEASED), ("succeeded", Voided.ALREADY_CAPTURED)]
)
def test_a_hold_that_cannot_be_voided_says_why(server: Server, provider: Stripe, status: str, meaning: Voided) -> None:
    unexpected(server, status)
    assert provider.void("pi_1", "void:v1") is meaning


@pytest.mark.parametrize(
    ("status", "meaning"), [("succeeded", Captured.ALREADY_CAPTURED), ("canceled", Captured.LAPSED)]
)
def test_a_hold_that_cannot_be_captured_says_why(
    server: Server, provider: Stripe, status: str, meaning: Captured
) -> None:
    unexpected(server, status)
    assert provider.capture("pi_1", 700, "capture:c1") is meaning


@pytest.mark.parametrize("status", ["requires_capture", "requires_action", ""])
def test_a_state_that_explains_nothing_is_a_refusal(server: Server, provider: Stripe, status: str) -> None:
    for call in (lambda: provider.void("pi_1", "void:v1"), lambda: provider.capture("pi_1", 700, "capture:c1")):
        unexpected(server, status)
        with pytest.raises(Refused, match=f"payment_intent_unexpected_state:{status}"):
            call()


def test_a_wrong_state_without_its_payment_intent_is_a_refusal(server: Server, provider: Stripe) -> None:
    server.complain(400, type="invalid_request_error", code="payment_intent_unexpected_state")
    with pytest.raises(Refused):
        provider.void("pi_1", "void:v1")


# Refused: nothing happened, and asking again the same way is of no use.


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (402, {"type": "card_error", "code": "card_declined", "decline_code": "do_not_honor"}, "card_declined"),
        (404, {"type": "invalid_request_error", "code": "resource_missing", "param": "intent"}, "resource_missing"),
        (400, {"type": "invalid_request_error", "code": "amount_too_large"}, "amount_too_large"),
        (400, {"type": "invalid_request_error", "param": "amount"}, "invalid_request_error"),
        (400, {"type": "invalid_request_error", "code": "charge_expired_for_capture"}, "charge_expired_for_capture"),
    ],
)
def test_a_no_is_a_refusal_with_its_code(
    server: Server, provider: Stripe, status: int, error: dict[str, str], code: str
) -> None:
    for call in (
        lambda: provider.void("pi_1", "void:v1"),
        lambda: provider.capture("pi_1", 700, "capture:c1"),
        lambda: provider.read("pi_1"),
    ):
        server.complain(status, **error)
        with pytest.raises(Refused) as caught:
            call()
        assert caught.value.code == code


# Unknown: it may have happened.


@pytest.mark.parametrize(
    ("status", "error", "reason"),
    [
        # The same key is being worked on: the SDK's APIError, not its IdempotencyError.
        (409, {"type": "idempotency_error", "code": "idempotency_key_in_use"}, "idempotency_key_in_use"),
        (429, {"type": "invalid_request_error", "code": "rate_limit"}, "rate_limit"),
        (429, {"type": "invalid_request_error", "code": "lock_timeout"}, "lock_timeout"),
        (400, {"type": "invalid_request_error", "code": "rate_limit"}, "rate_limit"),
        (500, {"type": "api_error"}, "api_error"),
        (503, {"type": "api_error"}, "api_error"),
        (424, {"type": "api_error", "code": "dependency"}, "dependency"),
        # A person mends these, and the operation goes on.
        (401, {"type": "invalid_request_error", "code": "api_key_expired"}, "api_key_expired"),
        (403, {"type": "invalid_request_error"}, "invalid_request_error"),
    ],
)
def test_an_answer_that_says_nothing_of_the_money_is_unknown(
    server: Server, provider: Stripe, status: int, error: dict[str, str], reason: str
) -> None:
    for call in (
        lambda: provider.void("pi_1", "void:v1"),
        lambda: provider.capture("pi_1", 700, "capture:c1"),
        lambda: provider.read("pi_1"),
    ):
        server.complain(status, **error)
        with pytest.raises(Unknown) as caught:
            call()
        assert caught.value.reason == reason


def test_another_request_under_our_key_may_have_happened(server: Server, provider: Stripe) -> None:
    """What an earlier release asked under this key is compared, too: it may have taken effect, so it must be read."""
    server.complain(400, type="idempotency_error")
    with pytest.raises(Unknown):
        provider.void("pi_1", "void:v1")


HTML = "<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>"


@pytest.mark.parametrize(
    ("status", "body", "media_type"),
    [
        (502, HTML, "text/html"),
        (500, "", "text/plain"),
        (404, HTML, "text/html"),
        (400, HTML, "text/html"),
        (402, "null", "application/json"),
        (400, "[]", "application/json"),
        (400, '{"error": "a word"}', "application/json"),
        (200, HTML, "text/html"),
        (200, "", "application/json"),
        (200, '{"id": "pi_1", "obj', "application/json"),
        (200, '{"id": "pi_1"}', "truncated"),
        (200, b"\xff\xfe", "application/json"),
    ],
)
def test_an_answer_that_is_not_stripes_is_unknown(
    server: Server, provider: Stripe, status: int, body: Any, media_type: str
) -> None:
    server.say(status, body, media_type)
    with pytest.raises(Unknown):
        provider.void("pi_1", "void:v1")


def test_a_dropped_connection_is_unknown(server: Server, provider: Stripe) -> None:
    server.answers.append((0, "dropped", b""))
    with pytest.raises(Unknown, match="APIConnectionError"):
        provider.capture("pi_1", 700, "capture:c1")
    assert len(server.asked) == 1


def test_an_answer_that_does_not_come_in_time_is_unknown(server: Server) -> None:
    hasty = Stripe("sk_test_1", server.url, (30, PATIENCE), connections=1)
    server.answers.append((0, "withheld", b""))
    with pytest.raises(Unknown, match="APIConnectionError"):
        hasty.void("pi_1", "void:v1")
    assert len(server.asked) == 1


def test_a_provider_that_is_not_there_is_unknown() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and never listens
        provider = Stripe("sk_test_1", f"http://127.0.0.1:{nobody.getsockname()[1]}", (30, 30), connections=1)
        with pytest.raises(Unknown, match="APIConnectionError"):
            provider.void("pi_1", "void:v1")


def test_no_error_repeats_what_stripe_said_of_people(server: Server, provider: Stripe) -> None:
    server.complain(402, type="card_error", code="card_declined")
    with pytest.raises(Refused) as refused:
        provider.void("pi_1", "void:v1")
    server.complain(500, type="api_error")
    with pytest.raises(Unknown) as unknown:
        provider.void("pi_1", "void:v1")
    assert "Ann" not in f"{refused.value} {unknown.value}"
