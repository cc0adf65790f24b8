"""Stripe's answers sorted into done, refused and unknown: through its real SDK, against a server that says anything."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from shared.providers.ports import (
    Captured,
    Declined,
    HoldStatus,
    ProviderRefund,
    RefundStatus,
    RefundTag,
    Refused,
    Unknown,
    Voided,
)
from shared.providers.stripe import Stripe

Asked = dict[str, Any]

#: Seconds until an answer is given up.
PATIENCE = 0.3


class Server(ThreadingHTTPServer):
    """Says what it is told to say, once to each request, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, str, bytes]] = []
        self.asked: list[Asked] = []
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def say(self, status: int, body: Any, media_type: str = "application/json") -> None:
        """Answer the next request like this; bytes and text go out as they are."""
        raw = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.answers.append((status, media_type, raw))

    def complain(self, status: int, **error: Any) -> None:
        """Answer the next request with an error in Stripe's form."""
        self.say(status, {"error": {"message": "Ann Smith's card, 4242...", **error}})


class Handler(BaseHTTPRequestHandler):
    """One request a connection."""

    server: Server

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        address = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        self.server.asked.append(
            {
                "method": self.command,
                "path": address.path,
                "query": parse_qs(address.query),
                "form": form,
                "headers": {name.lower(): value for name, value in self.headers.items()},
            }
        )
        status, media_type, raw = self.server.answers.pop(0)
        if status == 0:  # no answer at all: dropped, or withheld until the test ends
            if media_type == "withheld":
                self.server.released.wait()
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(raw) + (100 if media_type == "truncated" else 0)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server
        assert server.answers == [], "an answer was never asked for"


@pytest.fixture
def provider(server: Server) -> Stripe:
    return Stripe("sk_test_1", server.url, (30, 30), connections=1)


def intent(status: str, amount: int = 3800, capturable: int = 0, received: int = 0, **more: Any) -> dict[str, Any]:
    """A PaymentIntent as Stripe shows it."""
    return {
        "id": "pi_1",
        "object": "payment_intent",
        "status": status,
        "amount": amount,
        "amount_capturable": capturable,
        "amount_received": received,
        "currency": "usd",
        "latest_charge": None,
    } | more


# What is asked.


def test_a_void_asks_for_a_cancel_under_our_key_and_no_other(server: Server, provider: Stripe) -> None:
    server.say(200, intent("canceled"))
    assert provider.void("pi_1", "void:v1") is Voided.RELEASED
    (asked,) = server.asked
    assert (asked["method"], asked["path"]) == ("POST", "/v1/payment_intents/pi_1/cancel")
    assert asked["headers"]["idempotency-key"] == "void:v1"
    assert asked["form"] == {"cancellation_reason": "requested_by_customer"}


def test_a_capture_asks_for_its_amount_under_our_key_and_no_other(server: Server, provider: Stripe) -> None:
    server.say(200, intent("succeeded", received=700))
    assert provider.capture("pi_1", 700, "capture:c1") is Captured.CAPTURED
    (asked,) = server.asked
    assert (asked["method"], asked["path"]) == ("POST", "/v1/payment_intents/pi_1/capture")
    assert asked["headers"]["idempotency-key"] == "capture:c1"
    assert asked["form"] == {"amount_to_capture": "700"}


def test_every_attempt_asks_the_very_same_under_the_very_same_key(server: Server, provider: Stripe) -> None:
    for _ in range(2):
        server.complain(500, type="api_error")
        with pytest.raises(Unknown):
            provider.capture("pi_1", 700, "capture:c1")
    first, second = server.asked
    assert first == second


@pytest.mark.parametrize("status", [409, 429, 500, 503])
def test_the_sdk_itself_asks_once_since_the_outbox_asks_again(server: Server, provider: Stripe, status: int) -> None:
    server.complain(status, type="api_error")
    with pytest.raises(Unknown):
        provider.void("pi_1", "void:v1")
    assert len(server.asked) == 1


def test_no_request_reports_on_us(server: Server, provider: Stripe) -> None:
    for _ in range(2):  # the SDK would report on the first with the second
        server.say(200, intent("requires_capture", capturable=3800))
        provider.read("pi_1")
    assert all("x-stripe-client-telemetry" not in asked["headers"] for asked in server.asked)


def test_nothing_is_written_to_the_home_directory(server: Server, tmp_path: Path) -> None:
    server.say(200, intent("requires_capture", capturable=3800))
    server.say(200, intent("canceled"))
    program = (
        "import sys; from shared.providers.stripe import Stripe; "
        "provider = Stripe('sk_test_1', sys.argv[1], (3, 30), 1); provider.read('pi_1'); provider.void('pi_1', 'k')"
    )
    environment = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config"), "PATH": os.environ["PATH"]}
    subprocess.run(
        [sys.executable, "-B", "-c", program, server.url], env=environment, cwd=Path(__file__).parents[2], check=True
    )
    assert len(server.asked) == 2
    assert list(tmp_path.iterdir()) == []


def test_no_proxy_of_the_environment_is_asked(
    server: Server, provider: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    server.say(200, intent("canceled"))
    assert provider.void("pi_1", "void:v1") is Voided.RELEASED


# What a hold says of itself.


@pytest.mark.parametrize(
    ("shown", "status", "captured", "released"),
    [
        (intent("requires_payment_method"), HoldStatus.UNCONFIRMED, 0, 0),
        (intent("requires_confirmation"), HoldStatus.UNCONFIRMED, 0, 0),
        (intent("requires_action"), HoldStatus.UNCONFIRMED, 0, 0),
        (intent("processing"), HoldStatus.UNCONFIRMED, 0, 0),
        (intent("a status of next year"), HoldStatus.UNCONFIRMED, 0, 0),
        (intent("requires_capture", capturable=3800), HoldStatus.HELD, 0, 0),
        (intent("canceled"), HoldStatus.RELEASED, 0, 3800),
        (intent("succeeded", received=3800), HoldStatus.CAPTURED, 3800, 0),
        (intent("succeeded", received=1000), HoldStatus.PARTIALLY_CAPTURED, 1000, 2800),
        (intent("requires_capture", received=1000, capturable=2800), HoldStatus.PARTIALLY_CAPTURED, 1000, 0),
    ],
)
def test_a_hold_is_read_as_what_has_become_of_its_money(
    server: Server, provider: Stripe, shown: dict[str, Any], status: HoldStatus, captured: int, released: int
) -> None:
    server.say(200, shown)
    found = provider.read("pi_1")
    assert (found.status, found.captured, found.released) == (status, captured, released)
    assert (found.reference, found.currency, found.authorized) == ("pi_1", "USD", 3800)
    assert server.asked[0]["query"] == {"expand[0]": ["latest_charge"]}
    assert "idempotency-key" not in server.asked[0]["headers"]


def test_the_hour_at_which_a_hold_lapses_stands_on_its_charge(server: Server, provider: Stripe) -> None:
    charge = {
        "id": "ch_1",
        "object": "charge",
        "payment_method_details": {"type": "card", "card": {"capture_before": 86400}},
    }
    server.say(200, intent("requires_capture", capturable=3800, latest_charge=charge))
    assert provider.read("pi_1").capture_before == datetime(1970, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    "charge",
    [
        None,
        "ch_1",
        {"id": "ch_1", "object": "charge", "payment_method_details": None},
        {"id": "ch_1", "object": "charge", "payment_method_details": {"type": "link"}},
        {"id": "ch_1", "object": "charge", "payment_method_details": {"type": "card", "card": {}}},
    ],
)
def test_a_hold_whose_end_nobody_told_has_none(server: Server, provider: Stripe, charge: Any) -> None:
    server.say(200, intent("requires_capture", capturable=3800, latest_charge=charge))
    assert provider.read("pi_1").capture_before is None


@pytest.mark.parametrize(
    ("reason", "expired"),
    [("expired", True), ("automatic", True), ("requested_by_customer", False), (None, False)],
)
def test_a_hold_that_expired_is_told_from_one_that_was_canceled(
    server: Server, provider: Stripe, reason: str | None, expired: bool
) -> None:
    server.say(200, intent("canceled", cancellation_reason=reason))
    assert provider.read("pi_1").expired is expired


# Refunds.

TAG = RefundTag("rfd_1", 2)


def refund(status: str = "succeeded", **more: Any) -> dict[str, Any]:
    """A Refund as Stripe shows it, with our tag."""
    metadata = {"countermand_refund": "rfd_1", "countermand_generation": "2"}
    return {"id": "re_1", "object": "refund", "amount": 700, "status": status, "metadata": metadata} | more


def test_a_refund_carries_our_key_and_is_found_again_by_our_id(server: Server, provider: Stripe) -> None:
    server.say(200, refund())
    made = provider.refund("pi_1", 700, TAG, "refund:rfd_1:2")
    assert made == ProviderRefund("re_1", 700, RefundStatus.SUCCEEDED, None, TAG)
    (asked,) = server.asked
    assert (asked["method"], asked["path"]) == ("POST", "/v1/refunds")
    assert asked["headers"]["idempotency-key"] == "refund:rfd_1:2"
    assert asked["form"] == {
        "payment_intent": "pi_1",
        "amount": "700",
        "metadata[countermand_refund]": "rfd_1",
        "metadata[countermand_generation]": "2",
    }


@pytest.mark.parametrize(
    ("shown", "status", "error"),
    [
        (refund("pending", pending_reason="insufficient_funds"), RefundStatus.PENDING, None),
        (refund("requires_action"), RefundStatus.PENDING, None),
        (refund("a status of next year"), RefundStatus.PENDING, None),
        (refund("succeeded"), RefundStatus.SUCCEEDED, None),
        (refund("failed", failure_reason="lost_or_stolen_card"), RefundStatus.FAILED, "lost_or_stolen_card"),
        (refund("failed"), RefundStatus.FAILED, "failed"),
        (refund("canceled"), RefundStatus.FAILED, "canceled"),
    ],
)
def test_a_refund_is_read_as_how_it_stands(
    server: Server, provider: Stripe, shown: dict[str, Any], status: RefundStatus, error: str | None
) -> None:
    server.say(200, shown)
    found = provider.read_refund("re_1")
    assert (found.status, found.error) == (status, error)
    assert server.asked[0]["path"] == "/v1/refunds/re_1"


@pytest.mark.parametrize(
    "metadata", [None, {}, {"countermand_refund": "rfd_1"}, {"countermand_refund": "r", "countermand_generation": "x"}]
)
def test_a_refund_that_somebody_else_made_has_no_tag(server: Server, provider: Stripe, metadata: Any) -> None:
    server.say(200, refund(metadata=metadata))
    assert provider.read_refund("re_1").tag is None


def test_every_refund_of_a_payment_is_read_page_by_page(server: Server, provider: Stripe) -> None:
    for page, more in ((["re_3", "re_2"], True), (["re_1"], False)):
        found = [refund(id=one) for one in page]
        server.say(200, {"object": "list", "data": found, "has_more": more, "url": "/v1/refunds"})
    assert [found.provider_id for found in provider.refunds("pi_1")] == ["re_3", "re_2", "re_1"]
    first, second = server.asked
    assert first["query"] == {"payment_intent": ["pi_1"], "limit": ["100"]}
    assert second["query"] == {"payment_intent": ["pi_1"], "limit": ["100"], "starting_after": ["re_2"]}


def test_a_page_that_is_lost_on_the_way_leaves_everything_unknown(server: Server, provider: Stripe) -> None:
    server.say(200, {"object": "list", "data": [refund()], "has_more": True, "url": "/v1/refunds"})
    server.complain(500, type="api_error")
    with pytest.raises(Unknown):
        provider.refunds("pi_1")


def test_the_issuers_no_is_told_from_the_providers(server: Server, provider: Stripe) -> None:
    server.complain(402, type="card_error", code="card_declined")
    with pytest.raises(Declined):
        provider.capture("pi_1", 700, "capture:c1")
    server.complain(400, type="invalid_request_error", code="amount_too_large")
    with pytest.raises(Refused) as caught:
        provider.capture("pi_1", 700, "capture:c1")
    assert not isinstance(caught.value, Declined)


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


# Refunds and disputes that somebody else is at.


@pytest.mark.parametrize(
    ("charge", "refunded"),
    [(None, 0), ("ch_1", 0), ({"id": "ch_1", "object": "charge", "amount_refunded": 1200}, 1200)],
)
def test_what_was_given_back_stands_on_the_charge(server: Server, provider: Stripe, charge: Any, refunded: int) -> None:
    if isinstance(charge, dict):
        charge |= {"payment_method_details": {"type": "card", "card": {}}}
    server.say(200, intent("succeeded", received=3800, latest_charge=charge))
    assert provider.read("pi_1").refunded == refunded


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        ("needs_response", "open"),
        ("under_review", "open"),
        ("warning_needs_response", "open"),
        ("appeal_under_review", "open"),
        ("a status of tomorrow", "open"),
        ("won", "won"),
        ("warning_closed", "won"),
        ("prevented", "won"),
        ("lost", "lost"),
    ],
)
def test_a_dispute_is_open_until_the_bank_has_decided(
    server: Server, provider: Stripe, status: str, meaning: str
) -> None:
    server.say(200, {"id": "du_1", "object": "dispute", "status": status, "amount": 3800, "currency": "usd"})
    dispute = provider.read_dispute("du_1")
    assert (dispute.reference, dispute.status, dispute.amount, dispute.currency) == ("du_1", meaning, 3800, "USD")
    assert server.asked[0]["path"] == "/v1/disputes/du_1"


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
