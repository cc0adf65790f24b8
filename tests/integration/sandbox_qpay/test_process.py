"""The process, and what it keeps."""

from __future__ import annotations

import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.integration.sandbox_qpay.driver import Receiver, Sandbox, refusal, sandbox
from tests.shop import eventually


def seen(box: Sandbox, invoice: str) -> object:
    """All that can be seen of an invoice."""
    return box.tell("GET", "ledger"), box.show(invoice), box.check(invoice), box.tell("GET", "callbacks")


def test_what_happened_survives_a_restart(tmp_path: Path, receiver: Receiver) -> None:
    with sandbox(tmp_path) as (box, process):
        token, invoice = box.token, box.invoice(callback_url=receiver.url)
        refunded = box.pay(invoice, "CARD", callback="get")
        settled = box.pay(invoice, "CARD", late=True)
        box.refund(refunded)
        box.tell("POST", f"settle/{settled}")
        eventually(lambda: box.callbacks(refunded) == [(1, 200)])
        before, asked = seen(box, invoice), box.asked(invoice)
        assert process.end() == 0
    with sandbox(tmp_path) as (box, process):
        box.token = token
        assert box.asked(invoice)[: len(asked)] == asked
        assert seen(box, invoice) == before
        assert refusal(box.refund(refunded)) == (400, "PAYMENT_ALREADY_CANCELED")
        assert refusal(box.refund(settled)) == (400, "PAYMENT_SETTLED")
        assert process.end(signal.SIGKILL) == -signal.SIGKILL
    with sandbox(tmp_path) as (box, _):
        assert seen(box, invoice) == before
        assert refusal(box.cancel(invoice)) == (400, "INVOICE_PAID")


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_and_cleanly_also_while_a_request_hangs_and_a_callback_waits(
    tmp_path: Path, by: signal.Signals
) -> None:
    with sandbox(tmp_path) as (box, process):
        assert box.tell("GET", "health") == {"status": "ok"}
        payment = box.pay(box.invoice(), "CARD", callback={"after_seconds": 30})
        box.arm("refund", "timeout_after")
        with ThreadPoolExecutor(1) as pool:
            hanging = pool.submit(lambda: box.refund(payment))
            eventually(lambda: box.effects(payment)[-1] == ("payment.refunded", 15000))
            started = time.monotonic()
            assert process.end(by) == 0
            assert time.monotonic() - started < 2
            assert isinstance(hanging.exception(timeout=3), httpx.TransportError)


@pytest.mark.parametrize("statement", ["UPDATE ledger SET amount = 1", "DELETE FROM ledger"])
def test_the_ledger_is_append_only_whoever_writes(tmp_path: Path, statement: str) -> None:
    with sandbox(tmp_path) as (box, process):
        box.invoice()
        assert process.end() == 0
    file = sqlite3.connect(tmp_path / "qpay.sqlite3")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        file.execute(statement)
    file.close()


def test_it_listens_on_loopback_only_and_says_where(tmp_path: Path) -> None:
    with sandbox(tmp_path) as (box, process):
        assert process.addresses == [str(box.http.base_url).rstrip("/")]
        assert box.http.base_url.host == "127.0.0.1"
