"""Delhivery's pushes: who sent them, and what of their body is taken."""

import json
from dataclasses import astuple
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import BadSecret, Malformed
from shared.providers.delhivery_push import Push, read, verify

SECRET = "a-secret-of-this-month"
OLD_SECRET = "a-secret-of-last-month"
AWB = "1234567890123"


# Who sent it.


@pytest.mark.parametrize("secrets", [(SECRET,), (SECRET, OLD_SECRET), (OLD_SECRET, SECRET)])
def test_one_of_our_secrets_passes_wherever_it_stands(secrets: tuple[str, ...]) -> None:
    for secret in secrets:
        verify(secret, secrets)


@pytest.mark.parametrize(
    "offered",
    [
        None,
        "",
        " ",
        OLD_SECRET,
        SECRET.upper(),
        SECRET[:-1],
        f"{SECRET} ",
        f"{SECRET},{SECRET}",
        "s\u00e9cret",
        "\udcff",
        "x" * 100_000,
    ],
    ids=lambda offered: repr(offered)[:30],
)
def test_another_secret_is_refused(offered: str | None) -> None:
    with pytest.raises(BadSecret):
        verify(offered, [SECRET])


@pytest.mark.parametrize("secrets", [(), ("",), ("  ",), ("", "  ")])
@pytest.mark.parametrize("offered", [None, "", "  ", SECRET])
def test_without_a_secret_nothing_passes_not_even_an_empty_one(offered: str | None, secrets: tuple[str, ...]) -> None:
    with pytest.raises(BadSecret):
        verify(offered, secrets)


def test_an_empty_secret_beside_a_real_one_opens_nothing() -> None:
    verify(SECRET, ["", SECRET])
    with pytest.raises(BadSecret):
        verify("", ["", SECRET])


# What it says.


def scan(**more: Any) -> dict[str, Any]:
    """A push as Delhivery sends it by default; `more` are members of the shipment, or of its status."""
    status = {
        "Status": "In Transit",
        "StatusType": "UD",
        "StatusDateTime": "2026-08-01T10:11:12.003",
        "StatusLocation": "Mumbai_Hub",
        "Instructions": "Handed over to Ann Smith",
    }
    shipment = {
        "Status": status | {name: value for name, value in more.items() if name in status},
        "PickUpDate": "2026-08-01T09:00:00",
        "NSLCode": "X-PPOM",
        "Sortcode": "BOM/ANN",
        "ReferenceNo": "ORD-1",
        "AWB": AWB,
    }
    return {"Shipment": shipment | {name: value for name, value in more.items() if name not in status}}


def pushed(body: Any) -> Push:
    return read(json.dumps(body).encode())


def test_the_default_form_tells_the_pair_the_code_and_the_time() -> None:
    told = pushed(scan())
    assert (told.waybill, told.status_type, told.status, told.code) == (AWB, "UD", "In Transit", "X-PPOM")
    assert told.at == datetime(2026, 8, 1, 4, 41, 12, 3000, tzinfo=UTC)
    assert told.is_dated
    assert not told.hints


@pytest.mark.parametrize(
    "body",
    [
        {"awb": AWB, "status": "Cancelled", "current_status": "Cancelled - Customer Request"},
        {"waybill": AWB, "status": "Cancelled"},
        {"awb": None, "waybill": AWB, "status": "Cancelled"},
        {"Shipment": None, "awb": AWB, "status": "Cancelled"},
        {"awb": AWB, "status": "Cancelled", "Sortcode": [1], "more": {"deep": True}},
    ],
    ids=str,
)
def test_a_mapped_form_tells_a_word_and_no_time(body: dict[str, Any]) -> None:
    told = pushed(body)
    assert (told.waybill, told.status_type, told.status, told.code) == (AWB, None, "Cancelled", None)
    assert (told.at, told.is_dated, told.hints) == (None, False, True)


@pytest.mark.parametrize(
    "body",
    [
        scan(Status="Given to Ann Smith, 5550100", NSLCode="Ann Smith", StatusType="Ann Smith"),
        scan(Instructions="Ann Smith cancelled, 5550100"),
        {"awb": AWB, "status": "Returned by Ann Smith of 12 Hill Road", "current_status": "Ann Smith"},
    ],
    ids=str,
)
def test_no_free_text_is_kept(body: dict[str, Any]) -> None:
    told = f"{astuple(pushed(body))}"
    assert not {word for word in ("Ann", "5550100", "Hill", "Mumbai", "BOM", "ORD-1") if word in told}


@pytest.mark.parametrize(
    "about",
    [
        {"Status": None, "StatusType": None, "NSLCode": None, "StatusDateTime": None, "Instructions": None},
        {"Status": [], "StatusType": 1, "NSLCode": {}, "StatusDateTime": 1790000000, "Instructions": ["cancelled"]},
        {"Status": "", "StatusType": "", "NSLCode": "", "StatusDateTime": "", "Instructions": ""},
    ],
    ids=str,
)
def test_a_scan_that_tells_nothing_still_says_where_to_look(about: dict[str, Any]) -> None:
    told = pushed(scan(**about))
    assert (told.waybill, told.status_type, told.status, told.code, told.at) == (AWB, None, None, None, None)
    assert not told.hints
    assert not told.is_dated


def test_a_scan_without_a_status_still_says_where_to_look() -> None:
    assert pushed({"Shipment": {"AWB": AWB}}).waybill == AWB
    assert pushed({"awb": AWB}).status is None


def test_a_time_that_cannot_be_read_does_not_date_a_scan() -> None:
    assert not pushed(scan(StatusDateTime="soon")).is_dated


@pytest.mark.parametrize("waybill", ["1", "A" * 64, "AWB-1_b", AWB])
def test_a_waybill_is_one_word(waybill: str) -> None:
    for body in (scan(AWB=waybill), {"awb": waybill}, {"waybill": waybill}):
        assert pushed(body).waybill == waybill


@pytest.mark.parametrize(
    "waybill",
    [None, "", " ", "A" * 65, "A 1", "A1\n", " A1", "A,B", "A/1", "\u0661", "\u00e9", 1234567890123, True, []],
)
def test_what_names_no_waybill_is_malformed(waybill: Any) -> None:
    for body in (scan(AWB=waybill), {"awb": waybill}, {"waybill": waybill, "status": "Cancelled"}):
        with pytest.raises(Malformed):
            pushed(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"1",
        b'"1234567890123"',
        b"{}",
        b"\xff\xfe",
        b'{"awb": "\xff"}',
        b'{"awb": "\\ud800"}',
        b'{"Shipment": []}',
        b'{"Shipment": {}}',
        b'{"Shipment": {"AWB": "1", "Status": "Delivered"}}',
        b"[" * 100_000,
        b'{"awb": ' + b"[" * 100_000,
        b"<root><awb>1</awb></root>",
        b"awb=1",
    ],
    ids=lambda body: repr(body)[:40],
)
def test_what_is_no_push_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        read(body)


@given(body=st.binary(max_size=300))
def test_whatever_is_sent_without_a_form_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        read(body)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(said=ANYTHING)
def test_whatever_stands_beside_a_waybill_breaks_nothing(said: Any) -> None:
    for name in ("Status", "StatusType", "StatusDateTime", "Instructions", "NSLCode", "PickUpDate"):
        assert pushed(scan(**{name: said})).waybill == AWB
    assert pushed({"awb": AWB, "status": said, "current_status": said}).waybill == AWB


# What it sounds like.


@pytest.mark.parametrize(
    ("about", "hints"),
    [
        # A way back reads just like a way out; only the pair and the code tell.
        ({"StatusType": "RT", "Status": "In Transit"}, True),
        ({"StatusType": "RT", "Status": "Pending"}, True),
        ({"StatusType": "RT", "Status": "Dispatched"}, True),
        ({"StatusType": "DL", "Status": "RTO"}, True),
        ({"Status": "Not Picked", "NSLCode": "DTUP-210"}, True),
        ({"Status": "Not Picked", "NSLCode": "X-PNP", "Instructions": "Shipment not received from client"}, False),
        ({"Instructions": "Seller cancelled the order"}, True),
        ({"Status": "Cancelled"}, True),
        ({"Instructions": "Cancellation request rejected"}, False),
        ({"Instructions": "Carton damaged, parts missing"}, False),
        ({"StatusLocation": "Returned goods, RTO hub"}, False),
        ({"Sortcode": "RTO", "ReferenceNo": "cancelled"}, False),
        ({"Status": "Pending", "Instructions": "Undelivered"}, False),
        ({"StatusType": "DL", "Status": "Delivered"}, False),
        ({"StatusType": "DL", "Status": "DTO"}, False),
        ({"StatusType": "XX", "Status": "Lost"}, False),
    ],
    ids=str,
)
def test_a_scan_hints_by_its_pair_its_code_or_its_words(about: dict[str, Any], hints: bool) -> None:
    assert pushed(scan(**about)).hints is hints


@pytest.mark.parametrize(
    ("status", "current_status", "hints"),
    [
        ("Cancelled", "Cancelled - Customer Request", True),
        ("In Transit", "RTO Initiated", True),
        ("RTO", None, True),
        ("In Transit", "Not cancelled", False),
        ("In Transit", "Carton at port", False),
        ("Delivered", "Delivered", False),
        (None, None, False),
    ],
)
def test_a_mapped_push_hints_by_either_of_its_words(status: Any, current_status: Any, hints: bool) -> None:
    assert pushed({"awb": AWB, "status": status, "current_status": current_status}).hints is hints


# Whether it came before.

DIFFERENT = [
    scan(),
    scan(AWB="9"),
    scan(NSLCode="X-PIOM"),
    scan(NSLCode=None),
    scan(StatusType="RT"),
    scan(Status="Pending"),
    scan(StatusDateTime="2026-08-01T10:11:12.004"),
    scan(StatusDateTime=None),
    {"awb": AWB, "status": "In Transit"},
    {"awb": AWB, "status": "In Transit", "current_status": "UD"},
    {"awb": AWB, "status": "UD", "current_status": "In Transit"},
    {"awb": AWB, "status": "In TransitUD"},
    {"awb": AWB},
]


def test_scans_that_differ_in_what_tells_them_apart_have_fingerprints_of_their_own() -> None:
    fingerprints = {pushed(body).fingerprint for body in DIFFERENT}
    assert len(fingerprints) == len(DIFFERENT)
    assert {len(fingerprint) for fingerprint in fingerprints} == {32}


@pytest.mark.parametrize(
    "again",
    [
        scan(),
        scan(Instructions="Handed over"),
        scan(StatusLocation="Delhi"),
        scan(Sortcode=None, ReferenceNo=None, PickUpDate=None),
        scan() | {"more": True},
    ],
    ids=str,
)
def test_a_repetition_has_the_same_fingerprint_whatever_else_it_says(again: dict[str, Any]) -> None:
    assert pushed(again).fingerprint == pushed(scan()).fingerprint


def test_a_fingerprint_is_the_same_in_every_release() -> None:
    """Pushes that were kept before an upgrade are known after it."""
    assert pushed(scan()).fingerprint.hex() == "867273511a23b74ace7a040039e249d025fe4210bb69ad81f4eecfb574556264"
    assert (
        pushed({"waybill": AWB, "status": "Cancelled"}).fingerprint.hex()
        == "6ce03bf33a267c2c7f4b544a5a40224fa3a6f26713d7ae9f98e627d78a7eec0d"
    )
