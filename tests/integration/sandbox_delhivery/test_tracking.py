"""Where parcels are: the wire form, the batch, and what is refused."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.integration.sandbox_delhivery.driver import AUTHORIZED, TRACK, Sandbox, sandbox

MADE_UP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?")


def test_a_shipment_looks_as_it_does_on_the_wire(box: Sandbox) -> None:
    awb = box.manifest()
    box.scan(
        awb,
        "UD",
        "In Transit",
        code="X-PPOM",
        instructions="Shipment picked up",
        at="2026-08-01T04:41:12.003Z",
        picked_up=True,
    )
    shipment = box.track(awb)[awb]
    assert shipment.pop("Consignee")["Name"]
    assert [each["ScanDetail"]["Scan"] for each in shipment["Scans"]] == ["Manifested", "In Transit"]
    location = shipment["Origin"]
    assert shipment.pop("Scans")[-1] == {
        "ScanDetail": {
            "Scan": "In Transit",
            "ScanType": "UD",
            "ScanDateTime": "2026-08-01T10:11:12.003",
            "StatusDateTime": "2026-08-01T10:11:12.003",
            "ScannedLocation": location,
            "StatusCode": "X-PPOM",
            "Instructions": "Shipment picked up",
        }
    }
    assert shipment == {
        "AWB": awb,
        "ReferenceNo": f"ORD-{awb}",
        "OrderType": "Pre-paid",
        "Status": {
            "Status": "In Transit",
            "StatusType": "UD",
            "StatusCode": "X-PPOM",
            "StatusDateTime": "2026-08-01T10:11:12.003",
            "StatusLocation": location,
            "Instructions": "Shipment picked up",
            "RecievedBy": "",
        },
        "ReverseInTransit": False,
        "RTOStartedDate": None,
        "ReturnedDate": None,
        "DeliveryDate": None,
        "PickUpDate": "2026-08-01T10:11:12.003",
        "PickedupDate": "2026-08-01T10:11:12.003",
        "FirstAttemptDate": None,
        "DispatchCount": 0,
        "ExpectedDeliveryDate": None,
        "CODAmount": 0,
        "InvoiceAmount": 0,
        "Origin": location,
        "Destination": "Pune_Hub (Maharashtra)",
    }


@pytest.mark.parametrize(
    ("at", "written"),
    [
        ("2026-08-01T04:41:12Z", "2026-08-01T10:11:12"),
        ("2026-08-01T04:41:12.500Z", "2026-08-01T10:11:12.5"),
        ("2026-08-01T04:41:12.003+00:00", "2026-08-01T10:11:12.003"),
        ("2026-08-01T00:41:12.123456-04:00", "2026-08-01T10:11:12.123456"),
        ("2026-12-31T20:00:00Z", "2027-01-01T01:30:00"),
    ],
)
def test_a_time_is_in_ist_without_saying_so_and_its_fraction_is_as_long_as_it_needs(
    box: Sandbox, at: str, written: str
) -> None:
    awb = box.manifest()
    box.scan(awb, "UD", "Pending", at=at)
    assert box.track(awb)[awb]["Status"]["StatusDateTime"] == written


def test_a_scan_is_made_now_unless_it_is_told_when(box: Sandbox) -> None:
    awb = box.manifest()
    box.scan(awb, "UD", "Pending")
    written = box.track(awb)[awb]["Status"]["StatusDateTime"]
    assert MADE_UP.fullmatch(written)
    now = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=5, minutes=30)
    assert timedelta() <= now - datetime.fromisoformat(written) < timedelta(seconds=10)


def test_a_shipment_is_not_picked_up_before_a_scan_says_so_and_only_once(box: Sandbox) -> None:
    awb = box.manifest()
    box.scan(awb, "UD", "In Transit", at="2026-08-01T04:00:00Z")
    assert box.track(awb)[awb]["PickedupDate"] is None
    box.scan(awb, "UD", "In Transit", at="2026-08-01T05:00:00Z", picked_up=True)
    box.scan(awb, "UD", "In Transit", at="2026-08-01T06:00:00Z", picked_up=True)
    assert box.track(awb)[awb]["PickedupDate"] == "2026-08-01T10:30:00"


def test_dates_are_those_of_the_first_scan_of_their_kind(box: Sandbox) -> None:
    awb = box.manifest()
    dates = ("FirstAttemptDate", "DeliveryDate", "RTOStartedDate", "ReturnedDate")
    story = [("UD", "Dispatched"), ("UD", "Dispatched"), ("RT", "In Transit"), ("RT", "Pending"), ("DL", "RTO")]
    for hour, pair in enumerate(story):
        box.scan(awb, *pair, at=f"2026-08-01T{hour:02}:00:00Z")
    returned = box.track(awb)[awb]
    assert [returned[name] for name in dates] == [
        "2026-08-01T05:30:00",
        None,
        "2026-08-01T07:30:00",
        "2026-08-01T09:30:00",
    ]
    assert returned["DispatchCount"] == 2
    delivered = box.manifest()
    box.scan(delivered, "DL", "Delivered", at="2026-08-01T00:00:00Z")
    assert box.track(delivered)[delivered]["DeliveryDate"] == "2026-08-01T05:30:00"


def test_a_return_under_way_says_so(box: Sandbox) -> None:
    awb = box.manifest()
    assert box.scan(awb, "RT", "In Transit")["ReverseInTransit"] is True
    assert box.scan(awb, "DL", "RTO")["ReverseInTransit"] is False


def test_any_pair_can_be_scanned(box: Sandbox) -> None:
    awb = box.manifest()
    box.scan(awb, "QQ", "Lost in the ports", code="X-1")
    assert box.stands(awb) == ("QQ", "Lost in the ports", "X-1")


def test_a_shipment_starts_as_its_direction_has_it(box: Sandbox) -> None:
    assert box.stands(box.manifest())[:2] == ("UD", "Manifested")
    assert box.stands(box.manifest(reverse=True))[:2] == ("PP", "Open")


def test_cash_on_delivery_is_told_in_rupees(box: Sandbox) -> None:
    awb = box.manifest(order_type="COD", cod_amount=499.5)
    assert (box.track(awb)[awb]["OrderType"], box.track(awb)[awb]["CODAmount"]) == ("COD", 499.5)


@pytest.mark.parametrize("verbose", [{"verbose": "0"}, {"verbose": None}])
def test_scans_are_told_only_when_they_are_asked_for(box: Sandbox, verbose: dict[str, Any]) -> None:
    awb = box.manifest()
    assert "Scans" not in box.track(awb, **verbose)[awb]
    assert "Scans" in box.track(awb)[awb]


# The batch.


def test_a_batch_leaves_out_what_is_unknown_and_keeps_no_order(box: Sandbox) -> None:
    asked = [box.manifest() for _ in range(3)]
    answered = list(box.track(asked[0], "9999999999999", *asked[1:]))
    assert answered != asked
    assert sorted(answered) == asked


def test_a_waybill_that_is_asked_for_twice_is_answered_once(box: Sandbox) -> None:
    awb = box.manifest()
    assert len(box.ask(awb, awb).json()["ShipmentData"]) == 1


def test_fifty_waybills_are_answered_and_one_more_is_refused(box: Sandbox) -> None:
    awb = box.manifest()
    others = [str(number) for number in range(49)]
    assert list(box.track(awb, *others)) == [awb]
    refused = box.ask(awb, *others, "49")
    assert (refused.status_code, refused.json()["Success"]) == (400, False)
    assert [row["asked"] for row in box.tell("GET", f"requests?object={awb}")] == [50, 51]


def test_when_all_are_unknown_it_is_a_success_that_says_it_is_none(box: Sandbox) -> None:
    answer = box.ask("9999999999999", "9999999999998")
    text = "Data does not exists for provided Waybill(s)"
    assert (answer.status_code, answer.json()) == (200, {"Success": False, "Error": text, "rmk": text})


def test_an_order_is_tracked_by_its_reference(box: Sandbox) -> None:
    order = "ORDER-OF-TWO"
    parcels = [box.manifest(reference_no=order) for _ in range(2)]
    assert sorted(box.track(waybill=None, ref_ids=f"{order},none")) == parcels
    unknown = box.ask(waybill=None, ref_ids="none")
    assert (unknown.status_code, unknown.json()["Error"]) == (200, "No such waybill or Order Id found")


# What is refused.


@pytest.mark.parametrize(
    "query",
    [
        "",
        "waybill=",
        "waybill=1,,2",
        "waybill=1&waybill=2",
        "waybill=1&ref_ids=2",
        "waybill=1&verbose=true",
        "waybill=1&verbose=",
        "waybills=1",
        "waybill=1&token=abc",
    ],
)
def test_a_query_that_makes_no_sense_is_refused(box: Sandbox, query: str) -> None:
    answer = box.http.get(f"{box.url}{TRACK}?{query}", headers=AUTHORIZED)
    assert (answer.status_code, answer.json()["Success"]) == (400, False)


@pytest.mark.parametrize("authorization", [None, "Token", "Token ", "Bearer sandbox", "sandbox"])
def test_a_token_is_needed(box: Sandbox, authorization: str | None) -> None:
    awb = box.manifest()
    for method, path in (("GET", f"{TRACK}?waybill={awb}"), ("POST", "/api/p/edit")):
        answer = box.http.request(method, box.url + path, headers={"Authorization": authorization})
        assert (answer.status_code, answer.text) == (401, "Login or API Key Required")
    assert box.effects(awb) == ["manifested"]


def test_what_has_no_address_is_not_found(box: Sandbox) -> None:
    for path in ("/api/v1/packages/json", "/api/p/create"):
        assert box.http.get(box.url + path, headers=AUTHORIZED).status_code == 404
    assert box.tell("GET", "requests")[-1]["operation"] == "unknown"


def test_who_is_too_fast_gets_the_page_of_a_firewall(tmp_path: Path) -> None:
    with sandbox(tmp_path, "--rate-limit", "3") as (box, _):
        awb = box.manifest()
        answers: list[requests.Response] = [box.ask(awb) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 403, 403]
        assert "html" in answers[-1].headers["Content-Type"]
        assert "Retry-After" not in answers[-1].headers
        assert box.cancel(awb)["status"] is True  # only Track calls are counted
        assert [row["status"] for row in box.tell("GET", "requests")] == [200, 200, 200, 403, 403, 200]
