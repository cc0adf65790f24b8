"""The process, and what it keeps."""

from __future__ import annotations

import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from requests.exceptions import ConnectionError

from tests.integration.sandbox_razorpay.driver import Sandbox, new_key, sandbox
from tests.shop import eventually


def seen(box: Sandbox, payment: str) -> object:
    """All that can be seen of a payment."""
    return box.tell("GET", "ledger"), box.fetch(payment, {"expand[]": "refunds"})


def test_what_happened_survives_a_restart(tmp_path: Path) -> None:
    key = new_key()
    with sandbox(tmp_path) as (box, process):
        payment = box.paid()
        refund = box.refund(payment, key, amount=4000)
        before = seen(box, payment)
        asked = box.tell("GET", "requests")
        assert process.end() == 0
    with sandbox(tmp_path) as (box, process):
        assert box.tell("GET", "requests") == asked
        assert box.refund(payment, key, amount=4000) == refund
        assert seen(box, payment) == before
        assert process.end(signal.SIGKILL) == -signal.SIGKILL
    with sandbox(tmp_path) as (box, _):
        assert seen(box, payment) == before


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_and_cleanly_also_while_requests_hang(tmp_path: Path, by: signal.Signals) -> None:
    with sandbox(tmp_path) as (box, process):
        assert box.tell("GET", "health") == {"status": "ok"}
        payment = box.paid()
        box.arm("refund", "timeout_after")
        with ThreadPoolExecutor(1) as pool:
            hanging = pool.submit(lambda: box.refund(payment))
            eventually(lambda: box.effect_names(payment)[-1] == "refund.processed")
            started = time.monotonic()
            assert process.end(by) == 0
            assert time.monotonic() - started < 2
            assert isinstance(hanging.exception(timeout=3), ConnectionError)


@pytest.mark.parametrize("statement", ["UPDATE ledger SET amount = 1", "DELETE FROM ledger"])
def test_the_ledger_is_append_only_whoever_writes(tmp_path: Path, statement: str) -> None:
    with sandbox(tmp_path) as (box, process):
        box.pay()
        assert process.end() == 0
    database = sqlite3.connect(tmp_path / "razorpay.sqlite3")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        database.execute(statement)
    database.close()
