"""The process: what it keeps, whom it serves, how it ends, and what its control refuses."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.integration.sandbox_delhivery.driver import Receiver, Sandbox, sandbox
from tests.integration.sandbox_process import ROOT
from tests.shop import eventually


def test_what_happened_survives_a_restart(tmp_path: Path) -> None:
    with sandbox(tmp_path) as (box, process):
        canceled, lagging = box.manifest(), box.manifest()
        for awb in (canceled, lagging):
            box.cancel(awb)
        box.tell("POST", f"settle/{canceled}")
        known = (box.tell("GET", "ledger"), box.track(canceled, lagging), box.tell("GET", "requests")[:2])
        assert process.end() == 0
    with sandbox(tmp_path) as (box, process):
        assert (box.tell("GET", "ledger"), box.track(canceled, lagging), box.tell("GET", "requests")[:2]) == known
        assert box.cancel(canceled)["status"] is True
        assert process.end(signal.SIGKILL) == -signal.SIGKILL
    with sandbox(tmp_path) as (box, _):
        assert (box.tell("GET", "ledger"), box.track(canceled, lagging)) == known[:2]
        assert box.tell("POST", f"settle/{lagging}")["Status"]["StatusCode"] == "DTUP-210"


def test_a_cancel_takes_effect_also_when_the_process_was_down_at_that_moment(tmp_path: Path) -> None:
    with sandbox(tmp_path, "--settle-seconds", "1") as (box, process):
        awb = box.manifest()
        box.cancel(awb)
        assert process.end() == 0
    time.sleep(1)  # the moment comes while nobody runs; later is as good
    with sandbox(tmp_path) as (box, _):
        assert eventually(lambda: box.effects(awb)[-1] == "canceled", within=3)


def test_the_ledger_is_never_changed(tmp_path: Path) -> None:
    with sandbox(tmp_path) as (box, process):
        box.manifest()
        assert process.end() == 0
    file = sqlite3.connect(tmp_path / "delhivery.sqlite3")
    for change in ("UPDATE ledger SET operation = 'x'", "DELETE FROM ledger"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            file.execute(change)
    file.close()


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_and_cleanly_also_while_a_cancel_lags_and_a_push_waits(
    tmp_path: Path, by: signal.Signals
) -> None:
    with (
        closing(Receiver()) as receiver,
        sandbox(tmp_path, "--push-url", receiver.url, "--push-secret", "s") as (box, process),
    ):
        assert box.tell("GET", "health") == {"status": "ok"}
        box.cancel(box.manifest())
        box.arm("push", "late")
        box.scan(box.manifest(), "UD", "Pending")
        started = time.monotonic()
        assert process.end(by) == 0
        assert time.monotonic() - started < 2


def test_the_secret_of_pushes_can_stand_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELHIVERY_PUSH_SECRET", "from-the-environment")
    with closing(Receiver()) as receiver, sandbox(tmp_path, "--push-url", receiver.url) as (box, _):
        box.tell("POST", f"push/{box.manifest()}")
        assert receiver.received.get(timeout=5)[1]["X-Delhivery-Secret"] == "from-the-environment"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--push-url", "http://127.0.0.1:9/"], "--push-url needs --push-secret"),
        (["--push-url", "http://192.0.2.1/", "--push-secret", "s"], "loopback only"),
    ],
)
def test_it_does_not_start_to_push_without_a_secret_or_beyond_loopback(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    command = [sys.executable, "-m", "sandbox.delhivery", "--port", "0", "--data", str(tmp_path), *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "DELHIVERY_PUSH_SECRET"}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=10, check=False)
    assert ended.returncode != 0
    assert said in ended.stderr


# The control.


def test_thousands_of_shipments_are_made_at_once(box: Sandbox) -> None:
    many = [{"awb": f"7{number:012}", "reference_no": f"BULK-{number}"} for number in range(5000)]
    since = box.tell("GET", "ledger")[-1:]
    started = time.monotonic()
    assert box.tell("POST", "shipments", json=many) == {"manifested": 5000}
    assert time.monotonic() - started < 1.5
    rows = box.tell("GET", f"ledger?since={since[0]['seq'] if since else 0}")
    assert [row["awb"] for row in rows] == [new["awb"] for new in many]
    assert len(box.track(*(new["awb"] for new in many[:50]))) == 50


def test_of_shipments_that_cannot_all_be_made_none_is(box: Sandbox) -> None:
    taken = box.manifest()
    before = box.tell("GET", "ledger")
    many = [{"awb": awb, "reference_no": "ORD-1"} for awb in ("8000000000001", taken)]
    assert box.http.post(f"{box.url}/_sandbox/shipments", json=many).status_code == 400
    assert box.tell("GET", "ledger") == before
    assert box.ask("8000000000001").json()["Success"] is False


@pytest.mark.parametrize(
    "shipment",
    [
        {"reference_no": "ORD-1"},
        {"awb": "", "reference_no": "ORD-1"},
        {"awb": "1,2", "reference_no": "ORD-1"},
        {"awb": "8000000000002"},
        {"awb": "8000000000002", "reference_no": "ORD-1", "order_type": "Prepaid"},
        {"awb": "8000000000002", "reference_no": "ORD-1", "cod_amount": 100},
        {"awb": "8000000000002", "reference_no": "ORD-1", "order_type": "COD", "cod_amount": -1},
        {"awb": "8000000000002", "reference_no": "ORD-1", "returned": True},
        [{"awb": "8000000000002", "reference_no": "ORD-1"}, {"awb": "8000000000002", "reference_no": "ORD-1"}],
    ],
)
def test_a_shipment_that_makes_no_sense_is_refused(box: Sandbox, shipment: Any) -> None:
    assert box.http.post(f"{box.url}/_sandbox/shipments", json=shipment).status_code == 400
    assert box.effects("8000000000002") == []


@pytest.mark.parametrize(
    ("path", "wish", "status"),
    [
        ("scan/none", {"status_type": "UD", "status": "Pending"}, 404),
        ("push/none", {}, 404),
        ("settle/none", {}, 404),
        ("scan/{awb}", {"status": "Pending"}, 400),
        ("scan/{awb}", {"status_type": "UD", "status": ""}, 400),
        ("scan/{awb}", {"status_type": "UD", "status": "Pending", "at": "2026-08-01T10:00:00"}, 400),
        ("scan/{awb}", {"status_type": "UD", "status": "Pending", "push": "xml"}, 400),
        ("push/{awb}", {"shape": "default", "current_status": "ok"}, 400),
        ("push/{awb}", {"times": 0}, 400),
        ("push/{awb}", {}, 400),  # nobody listens
        ("settle/{awb}", {}, 400),  # no cancel was accepted
        ("dance/{awb}", {}, 404),
    ],
)
def test_what_makes_no_sense_is_refused_and_has_no_effect(box: Sandbox, path: str, wish: Any, status: int) -> None:
    awb = box.manifest()
    assert box.http.post(f"{box.url}/_sandbox/{path.format(awb=awb)}", json=wish).status_code == status
    assert box.effects(awb) == ["manifested"]
    assert box.http.get(f"{box.url}/_sandbox/ledger?since=yesterday").status_code == 400
