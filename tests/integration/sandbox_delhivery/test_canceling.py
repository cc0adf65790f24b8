"""A cancel is accepted or refused at once, and takes effect later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.sandbox_delhivery.driver import AUTHORIZED, CANCEL, Sandbox, sandbox
from tests.shop import eventually

MANIFESTED = ("UD", "Manifested", "X-UCI")
NOT_RECEIVED = ("UD", "Not Picked", "X-PNP")
SELLER_CANCELED = ("UD", "Not Picked", "DTUP-210")

CANCELED = "Shipment has been cancelled."

# The answer.


def test_an_accepted_cancel_is_told_in_json_when_json_is_asked_for(box: Sandbox) -> None:
    awb = box.manifest()
    assert box.cancel(awb) == {"status": True, "waybill": awb, "order_id": f"ORD-{awb}", "remark": CANCELED}


def test_and_in_xml_when_it_is_not(box: Sandbox) -> None:
    awb = box.manifest()
    answer = box.request_cancel(awb, Accept="*/*")
    assert answer.headers["Content-Type"].startswith("application/xml")
    assert answer.text == (
        f"<root><status>True</status><waybill>{awb}</waybill><order_id>ORD-{awb}</order_id>"
        f"<remark>{CANCELED}</remark></root>"
    )


def test_a_refusal_is_told_in_the_same_form_and_escaped(box: Sandbox) -> None:
    answer = box.request_cancel("<9&", Accept="*/*")
    assert answer.status_code == 200
    assert answer.text == (
        "<root><status>False</status><waybill>&lt;9&amp;</waybill>"
        "<error>No such waybill or Order Id found</error></root>"
    )


def test_an_unknown_waybill_is_refused_with_200_and_an_error(box: Sandbox) -> None:
    answer = box.request_cancel("9999999999999")
    expected = {"status": False, "waybill": "9999999999999", "error": "No such waybill or Order Id found"}
    assert (answer.status_code, answer.json()) == (200, expected)


@pytest.mark.parametrize(
    "body",
    [
        '{"waybill":"%s","cancellation":true}',
        '{"waybill":"%s","cancellation":"True"}',
        '{"waybill":"%s","cancellation":"false"}',
        '{"waybill":%s,"cancellation":"true"}',
        '{"waybill":"%s"}',
        '{"cancellation":"true"}',
        '{"waybill":"%s","cancellation":"true","name":"Asha"}',
        '["%s"]',
        "",
    ],
)
def test_a_body_that_is_not_to_the_letter_is_refused(box: Sandbox, body: str) -> None:
    awb = box.manifest()
    headers = AUTHORIZED | {"Content-Type": "application/json"}
    answer = box.http.post(box.url + CANCEL, data=body.replace("%s", awb), headers=headers)
    assert (answer.status_code, answer.json()["status"]) == (400, False)
    assert box.effects(awb) == ["manifested"]


def test_a_form_is_refused(box: Sandbox) -> None:
    awb = box.manifest()
    answer = box.http.post(box.url + CANCEL, data={"waybill": awb, "cancellation": "true"}, headers=AUTHORIZED)
    assert (answer.status_code, answer.json()["status"]) == (400, False)


# Where it is allowed.


@pytest.mark.parametrize(
    ("reverse", "pair"),
    [
        (False, ("UD", "Manifested")),
        (False, ("UD", "In Transit")),
        (False, ("UD", "Pending")),
        (True, ("PP", "Scheduled")),
    ],
)
def test_it_is_accepted_where_the_state_allows_it(box: Sandbox, reverse: bool, pair: tuple[str, str]) -> None:
    awb = box.manifest(reverse=reverse)
    box.scan(awb, *pair)
    assert box.cancel(awb)["status"] is True
    assert box.effects(awb) == ["manifested", "scanned", "cancel_accepted"]


@pytest.mark.parametrize(
    ("reverse", "pair"),
    [
        (False, ("UD", "Not Picked")),
        (False, ("UD", "Dispatched")),
        (False, ("DL", "Delivered")),
        (False, ("DL", "RTO")),
        (False, ("RT", "In Transit")),
        (False, ("PP", "Scheduled")),
        (False, ("UD", "Lost")),
        (True, ("PP", "Open")),
        (True, ("PP", "Dispatched")),
        (True, ("PU", "In Transit")),
        (True, ("DL", "DTO")),
        (True, ("UD", "Manifested")),
    ],
)
def test_it_is_refused_with_200_and_a_remark_where_it_does_not(
    box: Sandbox, reverse: bool, pair: tuple[str, str]
) -> None:
    awb = box.manifest(reverse=reverse)
    box.scan(awb, *pair)
    told = box.cancel(awb)
    assert (told["status"], told["remark"]) == (False, "Shipment can not be cancelled in its current status.")
    assert box.effects(awb) == ["manifested", "scanned", "cancel_refused"]
    assert box.stands(awb)[:2] == pair


# What becomes of it.


def test_tracking_lags_behind_and_tells_no_reason_at_first(tmp_path: Path) -> None:
    with sandbox(tmp_path, "--settle-seconds", "3") as (box, _):
        awb = box.manifest()
        assert box.cancel(awb)["status"] is True
        assert box.stands(awb) == MANIFESTED
        assert eventually(lambda: box.stands(awb) != MANIFESTED, within=5)
        assert box.stands(awb) == NOT_RECEIVED
        assert "canceled" not in box.effects(awb)
        assert eventually(lambda: box.stands(awb) == SELLER_CANCELED, within=5)
        instructions = [scan["ScanDetail"]["Instructions"] for scan in box.track(awb)[awb]["Scans"][1:]]
        assert instructions == ["Shipment not received from client", "Seller cancelled the order"]
        assert box.effects(awb) == ["manifested", "cancel_accepted", "scanned", "scanned", "canceled"]


def test_the_lag_is_ninety_seconds_long_unless_it_is_told_to_be_over(box: Sandbox) -> None:
    awb = box.manifest()
    box.cancel(awb)
    assert box.stands(awb) == MANIFESTED
    told = box.tell("POST", f"settle/{awb}")
    assert told["Status"]["StatusCode"] == "DTUP-210"
    assert box.stands(awb) == SELLER_CANCELED


@pytest.mark.parametrize(
    ("reverse", "pair", "end"),
    [
        (False, ("UD", "In Transit"), ("RT", "In Transit")),
        (False, ("UD", "Pending"), ("RT", "In Transit")),
        (True, ("PP", "Scheduled"), ("CN", "Canceled")),
    ],
)
def test_what_is_under_way_is_sent_back_and_a_pickup_is_called_off(
    box: Sandbox, reverse: bool, pair: tuple[str, str], end: tuple[str, str]
) -> None:
    awb = box.manifest(reverse=reverse)
    box.scan(awb, *pair)
    box.cancel(awb)
    assert box.stands(awb)[:2] == pair
    box.tell("POST", f"settle/{awb}")
    assert box.stands(awb)[:2] == end
    assert box.effects(awb)[2:] == ["cancel_accepted", "scanned", "canceled"]


@pytest.mark.parametrize("settled", [False, True])
def test_repeating_gives_the_same_success_and_no_second_effect(box: Sandbox, settled: bool) -> None:
    awb = box.manifest()
    first = box.cancel(awb)
    if settled:
        box.tell("POST", f"settle/{awb}")
    assert box.cancel(awb) == first
    assert box.effects(awb).count("cancel_accepted") == 1
    assert box.tell("POST", f"settle/{awb}")["Status"]["StatusCode"] == "DTUP-210"
    assert box.effects(awb).count("canceled") == 1


def test_a_parcel_that_moves_on_overtakes_its_cancel(box: Sandbox) -> None:
    awb = box.manifest()
    assert box.cancel(awb)["status"] is True
    box.scan(awb, "DL", "Delivered")
    refused = box.http.post(f"{box.url}/_sandbox/settle/{awb}")
    assert refused.status_code == 400
    assert box.stands(awb)[:2] == ("DL", "Delivered")
    assert box.cancel(awb)["status"] is False
    assert box.effects(awb) == ["manifested", "cancel_accepted", "scanned", "cancel_refused"]


def test_the_ledger_says_how_the_shipment_stood(box: Sandbox) -> None:
    awb = box.manifest()
    box.cancel(awb)
    box.tell("POST", f"settle/{awb}")
    rows: list[dict[str, Any]] = box.tell("GET", f"ledger?object={awb}")
    assert [(row["status_type"], row["status"], row["code"]) for row in rows] == [
        MANIFESTED,
        MANIFESTED,
        NOT_RECEIVED,
        SELLER_CANCELED,
        SELLER_CANCELED,
    ]
    assert {row["awb"] for row in rows} == {awb}
    assert rows == sorted(rows, key=lambda row: (row["seq"], row["at"]))
    assert box.tell("GET", f"ledger?object={awb}&since={rows[-2]['seq']}") == rows[-1:]
