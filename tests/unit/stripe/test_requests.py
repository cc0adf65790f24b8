"""What is asked of Stripe, through its real SDK."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.providers.ports import Captured, Unknown, Voided
from shared.providers.stripe import Stripe
from tests.unit.stripe.server import Server, intent


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
        [sys.executable, "-B", "-c", program, server.url], env=environment, cwd=Path(__file__).parents[3], check=True
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
