"""Scans, pushed to a webhook: once more when they are not taken, and then never again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from queue import Empty
from typing import Any

import pytest

from tests.integration.sandbox_delhivery.driver import Receiver, Sandbox, sandbox
from tests.shop import eventually

SECRET = "pushed-by-delhivery"


@pytest.fixture(scope="module")
def listened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sandbox, Receiver]]:
    with closing(Receiver()) as receiver:
        pushed = ("--push-url", receiver.url, "--push-secret", SECRET)
        with sandbox(tmp_path_factory.mktemp("delhivery"), *pushed) as (box, _):
            yield box, receiver


@pytest.fixture
def box(listened: tuple[Sandbox, Receiver]) -> Iterator[Sandbox]:
    yield listened[0]
    listened[0].tell("DELETE", "faults")


@pytest.fixture
def receiver(listened: tuple[Sandbox, Receiver]) -> Receiver:
    while not listened[1].received.empty():
        listened[1].received.get()
    return listened[1]


def test_a_scan_is_pushed_in_delhiverys_own_shape_with_the_merchants_header(box: Sandbox, receiver: Receiver) -> None:
    awb = box.manifest()
    scanned = box.scan(awb, "UD", "In Transit", code="X-PPOM", instructions="Shipment picked up", picked_up=True)
    body, headers = receiver.received.get(timeout=5)
    at = scanned["Status"]["StatusDateTime"]
    assert body == {
        "Shipment": {
            "Status": {
                "Status": "In Transit",
                "StatusDateTime": at,
                "StatusType": "UD",
                "StatusLocation": "Mumbai_Hub (Maharashtra)",
                "Instructions": "Shipment picked up",
            },
            "PickUpDate": at,
            "NSLCode": "X-PPOM",
            "Sortcode": "BOM/MUM",
            "ReferenceNo": f"ORD-{awb}",
            "AWB": awb,
        }
    }
    assert (headers["X-Delhivery-Secret"], headers["Content-Type"]) == (SECRET, "application/json")
    (pushed,) = eventually(lambda: box.tell("GET", f"pushes?object={awb}"))
    assert (pushed["body"], pushed["shape"], pushed["attempt"]) == (body, "default", 1)
    assert (pushed["status"], pushed["answer"], pushed["taken"]) == (200, '{"success":true}', True)
    assert 0 < pushed["milliseconds"] < 500


def test_a_scan_can_be_pushed_in_another_shape_or_not_at_all(box: Sandbox, receiver: Receiver) -> None:
    awb = box.manifest()
    box.scan(awb, "UD", "Pending", push="mapped")
    assert receiver.next() == {"awb": awb, "status": "Pending", "current_status": "Pending"}
    box.scan(awb, "UD", "Dispatched", push="waybill")
    assert receiver.next() == {"waybill": awb, "status": "Dispatched"}
    box.scan(awb, "DL", "Delivered", push="none")
    box.scan(awb, "DL", "RTO", push="waybill")
    assert receiver.next()["status"] == "RTO"


def test_a_push_can_be_repeated_word_for_word_without_a_scan(box: Sandbox, receiver: Receiver) -> None:
    awb = box.manifest()
    box.scan(awb, "UD", "Pending")
    first = receiver.next()
    answers = box.tell("POST", f"push/{awb}", json={"shape": "default", "times": 3})
    assert [receiver.next() for _ in range(3)] == [first] * 3
    assert [(answer["status"], answer["attempt"]) for answer in answers] == [(200, 1)] * 3
    assert box.effects(awb) == ["manifested", "scanned"]


@pytest.mark.parametrize(
    ("wish", "body"),
    [
        ({"shape": "mapped", "status": "a carton"}, {"status": "a carton", "current_status": "a carton"}),
        ({"shape": "mapped", "status": "RTO", "current_status": "ok"}, {"status": "RTO", "current_status": "ok"}),
        ({"shape": "mapped", "current_status": "ok"}, {"status": "Manifested", "current_status": "ok"}),
    ],
)
def test_a_push_can_say_other_words_than_the_scan(
    box: Sandbox, receiver: Receiver, wish: dict[str, str], body: dict[str, str]
) -> None:
    awb = box.manifest()
    box.tell("POST", f"push/{awb}", json=wish)
    assert receiver.next() == {"awb": awb, **body}


def test_what_a_cancel_brings_about_is_pushed_too(box: Sandbox, receiver: Receiver) -> None:
    awb = box.manifest()
    box.cancel(awb)
    box.tell("POST", f"settle/{awb}")
    assert {receiver.next()["Shipment"]["NSLCode"] for _ in range(2)} == {"X-PNP", "DTUP-210"}


def test_a_push_that_is_not_taken_is_sent_once_more_at_once(box: Sandbox, receiver: Receiver) -> None:
    awb = box.manifest()
    receiver.statuses = [503]
    answers = box.tell("POST", f"push/{awb}")
    assert receiver.next() == receiver.next()
    assert [(answer["status"], answer["taken"]) for answer in answers] == [(503, False), (200, True)]
    assert answers[1]["at"] - answers[0]["at"] < 0.5


@pytest.mark.parametrize("status", [500, 401, 302, 201])
def test_and_is_then_lost_for_good(box: Sandbox, receiver: Receiver, status: int) -> None:
    awb = box.manifest()
    receiver.statuses = [status, status]
    assert [answer["taken"] for answer in box.tell("POST", f"push/{awb}")] == [False, False]
    assert receiver.next() == receiver.next()
    with pytest.raises(Empty):  # a third one would come as soon as the second did, and end this wait
        receiver.received.get(timeout=0.5)
    assert box.pushes(awb) == [(1, status), (2, status)]


def test_an_answer_after_half_a_second_is_none(box: Sandbox, receiver: Receiver) -> None:
    awb = box.manifest()
    receiver.seconds = [0.8]
    slow, quick = box.tell("POST", f"push/{awb}")
    assert (slow["status"], slow["taken"]) == (None, False)
    assert 500 <= slow["milliseconds"] < 800
    assert (quick["status"], quick["taken"]) == (200, True)


def test_nobody_need_listen_at_the_address(tmp_path: Path) -> None:
    with sandbox(tmp_path, "--push-url", "http://127.0.0.1:9/", "--push-secret", SECRET) as (box, _):
        awb = box.manifest()
        assert [answer["status"] for answer in box.tell("POST", f"push/{awb}")] == [None, None]


# Disturbed.


def test_a_push_can_be_sent_twice(box: Sandbox, receiver: Receiver) -> None:
    awb = box.manifest()
    box.arm("push", "twice", object=awb)
    box.scan(awb, "UD", "Pending")
    assert receiver.next() == receiver.next()


def test_a_push_can_be_late(box: Sandbox, receiver: Receiver) -> None:
    awb = box.manifest()
    box.arm("push", "late", object=awb, seconds=0.4)
    started = time.monotonic()
    box.scan(awb, "UD", "Pending")
    receiver.next()
    assert time.monotonic() - started >= 0.4


def test_a_push_can_be_overtaken(box: Sandbox, receiver: Receiver) -> None:
    awb = box.manifest()
    box.arm("push", "out_of_order", object=awb)
    for status in ("In Transit", "Pending"):
        box.scan(awb, "UD", status)
    assert [receiver.next()["Shipment"]["Status"]["Status"] for _ in range(2)] == ["Pending", "In Transit"]


def test_a_push_can_be_lost_and_track_still_knows(box: Sandbox, receiver: Receiver) -> None:
    awb, other = box.manifest(), box.manifest()
    box.arm("push", "lost", object=awb)
    box.scan(awb, "UD", "Pending")
    box.scan(other, "UD", "Pending")
    assert receiver.next()["Shipment"]["AWB"] == other
    assert receiver.received.empty()
    assert box.stands(awb)[:2] == ("UD", "Pending")
    (lost,) = eventually(lambda: box.tell("GET", f"pushes?object={awb}"))
    assert (lost["attempt"], lost["fault"], lost["taken"]) == (0, "lost", False)


# Without a webhook.


def test_without_an_address_nothing_is_pushed_and_none_can_be_asked_for(tmp_path: Path) -> None:
    with sandbox(tmp_path) as (box, _):
        awb = box.manifest()
        box.scan(awb, "UD", "Pending")
        assert box.pushes(awb) == []
        wishes: list[tuple[str, Any]] = [
            ("push", {}),
            ("scan", {"status_type": "UD", "status": "Pending", "push": "mapped"}),
        ]
        for path, wish in wishes:
            assert box.http.post(f"{box.url}/_sandbox/{path}/{awb}", json=wish).status_code == 400
        assert box.effects(awb) == ["manifested", "scanned"]
