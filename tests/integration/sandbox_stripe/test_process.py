"""The process, and the HTTP server underneath."""

from __future__ import annotations

import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import stripe

from sandbox.http import refuse_beyond_loopback
from tests.integration.sandbox_stripe.driver import Sandbox, sandbox
from tests.shop import eventually

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
