"""Misbehavior to order, and what can be seen of it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.integration.sandbox_delhivery.driver import AUTHORIZED, TRACK, Sandbox
from tests.shop import eventually

#: The faults before the effect and after it, with the status that is answered, None for none.
BEFORE = [
    ("timeout_before", None),
    ("drop_before", None),
    ("error_500_before", 500),
    ("html_502", 502),
    ("throttle", 403),
    ("unauthorized", 401),
    ("refuse", 200),
]
AFTER = [
    ("timeout_after", None),
    ("drop_after", None),
    ("error_500_after", 500),
    ("not_json", 200),
    ("xml", 200),
]


def canceled(box: Sandbox, awb: str) -> requests.Response | None:
    """What a cancel is answered, None for nothing."""
    try:
        return box.request_cancel(awb)
    except requests.ConnectionError:
        return None


@pytest.mark.parametrize(("fault", "status"), BEFORE)
def test_a_fault_before_the_effect_leaves_nothing(box: Sandbox, fault: str, status: int | None) -> None:
    awb = box.manifest()
    box.arm("cancel", fault, object=awb, seconds=0.2)
    answer = canceled(box, awb)
    assert (answer.status_code if answer is not None else None) == status
    assert "cancel_accepted" not in box.effects(awb)
    assert box.http.post(f"{box.url}/_sandbox/settle/{awb}").status_code == 400
    assert box.cancel(awb)["status"] is True
    (faulted, answered) = box.tell("GET", f"requests?object={awb}")
    assert (faulted["fault"], faulted["status"], faulted["operation"]) == (fault, status, "cancel")
    assert (answered["fault"], answered["status"]) == (None, 200)


@pytest.mark.parametrize(("fault", "status"), AFTER)
def test_a_fault_after_the_effect_hides_it(box: Sandbox, fault: str, status: int | None) -> None:
    awb = box.manifest()
    box.arm("cancel", fault, object=awb, seconds=0.2)
    answer = canceled(box, awb)
    assert (answer.status_code if answer is not None else None) == status
    assert box.effects(awb) == ["manifested", "cancel_accepted"]
    assert box.tell("GET", f"requests?object={awb}")[-1]["status"] == status


@pytest.mark.parametrize(("fault", "status"), [each for each in BEFORE + AFTER if each[0] != "refuse"])
def test_a_track_call_meets_the_same_faults(box: Sandbox, fault: str, status: int | None) -> None:
    awb = box.manifest()
    box.arm("track", fault, seconds=0.2)
    try:
        answered: int | None = box.ask(awb).status_code
    except requests.ConnectionError:
        answered = None
    assert answered == status
    assert list(box.track(awb)) == [awb]


def test_a_refusal_to_order_is_a_200_that_says_no(box: Sandbox) -> None:
    awb = box.manifest()
    box.arm("cancel", "refuse")
    assert box.cancel(awb)["status"] is False
    assert box.effects(awb) == ["manifested", "cancel_refused"]
    assert box.stands(awb)[:2] == ("UD", "Manifested")


def test_xml_comes_in_spite_of_what_is_accepted(box: Sandbox) -> None:
    awb = box.manifest()
    box.arm("any", "xml", times=2)
    assert box.request_cancel(awb).text.startswith("<root><status>True</status>")
    told = box.ask(awb)
    assert told.headers["Content-Type"].startswith("application/xml")
    assert f"<ShipmentData><Shipment><AWB>{awb}</AWB>" in told.text


def test_a_body_that_is_no_json_claims_to_be_some(box: Sandbox) -> None:
    box.arm("track", "not_json")
    answer = box.ask(box.manifest())
    assert answer.headers["Content-Type"] == "application/json"
    with pytest.raises(requests.JSONDecodeError):
        answer.json()


def test_one_waybill_of_a_batch_can_be_left_out(box: Sandbox) -> None:
    first, second, third = (box.manifest() for _ in range(3))
    box.arm("track", "partial", object=second)
    assert set(box.track(first, second, third)) == {first, third}
    assert set(box.track(first, second, third)) == {first, second, third}
    box.arm("track", "partial")
    assert list(box.track(first, second)) == [second]


def test_a_batch_meets_a_fault_that_is_aimed_at_any_of_its_waybills(box: Sandbox) -> None:
    first, second, third = (box.manifest() for _ in range(3))
    box.arm("track", "html_502", object=second)
    assert list(box.track(first)) == [first]
    assert len(box.track(first, third)) == 2
    assert box.ask(first, second).status_code == 502
    assert len(box.track(first, second)) == 2
    asked = [(row["asked"], row["fault"]) for row in box.tell("GET", f"requests?object={second}")]
    assert asked == [(2, "html_502"), (2, None)]


@pytest.mark.parametrize(
    "fault",
    [
        {"operation": "cancel", "fault": "partial"},
        {"operation": "track", "fault": "refuse"},
        {"operation": "track", "fault": "late"},
        {"operation": "push", "fault": "html_502"},
        {"operation": "manifest", "fault": "drop"},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(box: Sandbox, fault: Any) -> None:
    assert box.http.post(f"{box.url}/_sandbox/faults", json=fault).status_code == 400


def test_clearing_the_faults_drops_the_requests_that_hang(box: Sandbox) -> None:
    awb = box.manifest()
    box.arm("cancel", "timeout_after")
    with ThreadPoolExecutor(1) as pool, requests.Session() as other:
        hanging = pool.submit(lambda: canceled(box, awb))
        eventually(lambda: "cancel_accepted" in other.get(f"{box.url}/_sandbox/ledger?object={awb}").text)
        other.delete(f"{box.url}/_sandbox/faults")
        assert hanging.result(timeout=3) is None


def test_requests_that_wait_do_not_wait_for_each_other(box: Sandbox) -> None:
    awb = box.manifest()
    box.tell("POST", "latency", json={"milliseconds": 300, "operation": "track"})

    def ask(_: int) -> int:
        query = {"waybill": awb}
        return requests.get(box.url + TRACK, params=query, headers=AUTHORIZED, timeout=5).status_code

    started = time.monotonic()
    with ThreadPoolExecutor(10) as pool:
        assert set(pool.map(ask, range(10))) == {200}
    assert 0.3 <= time.monotonic() - started < 1.5
