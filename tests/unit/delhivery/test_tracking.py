"""Where shipments are, as Delhivery's answers say."""

from dataclasses import astuple
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.domain.shipments import ShipmentStatus, Tracked
from shared.providers.couriers import CourierService
from shared.providers.delhivery import BATCH, LIVE, Delhivery
from shared.providers.ports import Unknown
from tests.unit.delhivery.server import Server, shipment

AWB = "1234567890123"


def track(server: Server, courier: Delhivery, **more: Any) -> Tracked:
    """What is read of one shipment that is shown like this."""
    server.show(shipment(**more))
    return courier.track([AWB])[AWB]


# What is asked.


def test_a_look_asks_for_its_waybills_without_their_history(server: Server, courier: CourierService) -> None:
    server.show(shipment("A1"), shipment("B2"))
    assert set(courier.track(["A1", "B2"])) == {"A1", "B2"}
    (asked,) = server.asked
    assert (asked["method"], asked["path"]) == ("GET", "/api/v1/packages/json/")
    assert asked["query"] == {"waybill": ["A1,B2"], "verbose": ["0"]}
    assert asked["headers"]["authorization"] == "Token t0k3n"
    assert asked["headers"]["accept"] == "application/json"


def test_a_look_takes_fifty_waybills_and_not_one_more(server: Server, courier: Delhivery) -> None:
    waybills = [str(number) for number in range(BATCH + 1)]
    assert courier.batch == BATCH == 50
    server.show(*(shipment(waybill) for waybill in waybills[:BATCH]))
    assert len(courier.track(waybills[:BATCH])) == BATCH
    with pytest.raises(ValueError, match="51 waybills, at most 50"):
        courier.track(waybills)
    assert len(server.asked) == 1


def test_no_waybills_are_no_question(server: Server, courier: Delhivery) -> None:
    assert courier.track([]) == {}
    assert server.asked == []


def test_the_real_delhivery_is_asked_when_no_other_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    courier, asked = Delhivery("t0k3n", "", (30, 30), connections=1), []
    monkeypatch.setattr(courier._session, "request", lambda *what, **_: asked.append(what) or _Empty())
    assert courier.track([AWB]) == {}
    assert asked == [("GET", f"{LIVE}/api/v1/packages/json/")]
    assert LIVE == "https://track.delhivery.com"


class _Empty:
    """An answer without shipments."""

    status_code, content = 200, b'{"ShipmentData": []}'


def test_no_proxy_of_the_environment_is_asked(
    server: Server, courier: Delhivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert track(server, courier).status == "In Transit"


# What is read.


def test_a_shipment_is_read_as_its_status_and_its_time(server: Server, courier: Delhivery) -> None:
    assert track(server, courier) == Tracked(
        waybill=AWB,
        status_type="UD",
        status="In Transit",
        code="X-PPOM",
        at=datetime(2026, 8, 1, 4, 41, 12, 3000, tzinfo=UTC),
        picked_up=False,
        meaning=ShipmentStatus.IN_TRANSIT,
    )


def test_no_word_about_people_is_kept(server: Server, courier: Delhivery) -> None:
    told = f"{astuple(track(server, courier, Status='Given to Ann Smith, 5550100', StatusCode='Ann Smith'))}"
    assert not {word for word in ("Ann", "5550100", "Handed", "Mumbai", "ORD-1") if word in told}


@pytest.mark.parametrize(
    ("said", "at"),
    [
        ("2026-08-01T10:11:12", "2026-08-01T04:41:12+00:00"),
        ("2026-08-01T10:11:12.5", "2026-08-01T04:41:12.500000+00:00"),
        ("2026-08-01T10:11:12.57", "2026-08-01T04:41:12.570000+00:00"),
        ("2026-08-01T10:11:12.003456", "2026-08-01T04:41:12.003456+00:00"),
        ("2026-08-01T10:11:12.0034567", "2026-08-01T04:41:12.003456+00:00"),
        ("2026-08-01 10:11:12", "2026-08-01T04:41:12+00:00"),
        ("2026-08-01T02:00:00", "2026-07-31T20:30:00+00:00"),
        ("2026-08-01T10:11:12+00:00", "2026-08-01T10:11:12+00:00"),
        ("2026-08-01T10:11:12Z", "2026-08-01T10:11:12+00:00"),
    ],
)
def test_a_time_is_one_of_india_unless_it_says_otherwise(
    server: Server, courier: Delhivery, said: str, at: str
) -> None:
    seen = track(server, courier, StatusDateTime=said).at
    assert seen is not None
    assert seen.isoformat() == at


@pytest.mark.parametrize("said", [None, "", "soon", "2026-13-01T00:00:00", "0001-01-01T00:00:00", 1790000000, [], {}])
def test_a_time_that_cannot_be_read_is_none(server: Server, courier: Delhivery, said: Any) -> None:
    assert track(server, courier, StatusDateTime=said).at is None


@pytest.mark.parametrize(
    ("said", "picked_up"), [(None, False), ("", False), ([], False), ("2026-08-01T09:00:00", True)]
)
def test_only_the_date_of_the_pickup_itself_says_that_a_parcel_was_picked_up(
    server: Server, courier: Delhivery, said: Any, picked_up: bool
) -> None:
    agreed_on = "2026-08-02T12:00:00"
    assert track(server, courier, PickedupDate=said, PickUpDate=agreed_on).picked_up is picked_up


@pytest.mark.parametrize(
    ("about", "meaning"),
    [
        ({"status_type": "DL", "status": "Delivered"}, "delivered"),
        ({"status_type": "DL", "status": "RTO"}, "returned"),
        ({"status_type": "RT", "status": "In Transit"}, "returning"),
        ({"status": "Not Picked", "StatusCode": "DTUP-210"}, "canceled"),
        ({"status": "Not Picked", "StatusCode": "X-PNP"}, "announced"),
        ({"status_type": " DL ", "status": " Delivered "}, "delivered"),
        ({"Status": None}, "unexplained"),
        ({"Status": []}, "unexplained"),
        ({"StatusType": None}, "unexplained"),
        ({"StatusCode": None}, "in_transit"),
        ({"StatusCode": []}, "in_transit"),
        ({"Status": "Delivered to a neighbor, who is called Ann"}, "unexplained"),
    ],
)
def test_what_is_not_said_in_the_known_words_is_unexplained(
    server: Server, courier: Delhivery, about: dict[str, Any], meaning: str
) -> None:
    assert track(server, courier, **about).meaning == meaning


def test_a_shipment_without_a_status_is_known_and_unexplained(server: Server, courier: Delhivery) -> None:
    server.show({"AWB": AWB})
    assert courier.track([AWB])[AWB].meaning == "unexplained"


# Whose it is.


def test_shipments_are_matched_by_waybill_and_not_by_their_place(server: Server, courier: Delhivery) -> None:
    server.show(shipment("C3", status="Pending"), shipment("A1", status="Dispatched"))
    found = courier.track(["A1", "B2", "C3"])
    assert {waybill: seen.status for waybill, seen in found.items()} == {"A1": "Dispatched", "C3": "Pending"}
    assert all(seen.waybill == waybill for waybill, seen in found.items())


@pytest.mark.parametrize("other", ["123", "12345678901234", " 1234567890123", "ORD-1"])
def test_a_shipment_that_was_not_asked_for_is_left_out(server: Server, courier: Delhivery, other: str) -> None:
    server.show(shipment(other))
    assert courier.track([AWB]) == {}


@pytest.mark.parametrize(
    "answer",
    [
        {"Success": False, "Error": "Data does not exists for provided Waybill(s)", "rmk": "Data does not exists"},
        {"Success": False, "Error": "", "rmk": "Data does not exists for provided Waybill(s)"},
        {"Success": False, "Error": "No such waybill or Order Id found"},
        {"ShipmentData": []},
    ],
)
def test_waybills_that_nobody_knows_are_absent(server: Server, courier: Delhivery, answer: Any) -> None:
    server.say(200, answer)
    assert courier.track([AWB]) == {}


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"Success": False},
        {"Success": False, "Error": "Something went wrong, please try again"},
        {"Success": True, "Error": "No such waybill or Order Id found"},
        {"Error": "No such waybill or Order Id found"},
        {"ShipmentData": None, "Success": True},
        {"ShipmentData": {}},
        {"ShipmentData": [{}]},
        {"ShipmentData": [{"Shipment": None}]},
        {"ShipmentData": [{"Shipment": {"AWB": 1234567890123}}]},
        {"ShipmentData": [{"Shipment": {"Status": {"Status": "Delivered", "StatusType": "DL"}}}]},
        [],
        "Delivered",
    ],
    ids=str,
)
def test_an_answer_that_names_no_shipments_and_denies_none_is_unknown(
    server: Server, courier: Delhivery, answer: Any
) -> None:
    server.say(200, answer)
    with pytest.raises(Unknown):
        courier.track([AWB])
