"""Having a shipment canceled: accepted, refused, or unknown."""

from typing import Any

import pytest

from shared.providers.delhivery import Delhivery
from shared.providers.ports import Refused, Unknown
from tests.unit.delhivery.server import Server

AWB = "1234567890123"

XML = """<?xml version="1.0" encoding="utf-8"?>
<root><status>{}</status><waybill>1234567890123</waybill><order_id>ORD-1</order_id><remark>{}</remark></root>"""
REMARK = "Shipment of Ann Smith has been cancelled."


def test_a_cancel_asks_for_one_waybill_in_texts_only(server: Server, courier: Delhivery) -> None:
    server.say(200, {"status": True, "waybill": AWB, "remark": REMARK})
    courier.cancel(AWB)
    (asked,) = server.asked
    assert (asked["method"], asked["path"], asked["query"]) == ("POST", "/api/p/edit", {})
    assert asked["body"] == {"waybill": AWB, "cancellation": "true"}
    assert asked["headers"]["authorization"] == "Token t0k3n"
    assert asked["headers"]["accept"] == asked["headers"]["content-type"] == "application/json"


@pytest.mark.parametrize(
    "answer",
    [
        {"status": True, "waybill": AWB, "order_id": "ORD-1", "remark": REMARK},
        {"status": "True", "waybill": AWB},
        {"status": "true"},
        {"status": True, "waybill": 1234567890123},
        XML.format("True", REMARK),
        XML.format("true", REMARK),
        "\n" + XML.format("True", REMARK).partition("\n")[2],
        "<root><status> True </status></root>",
    ],
    ids=str,
)
def test_what_delhivery_accepts_is_accepted_in_either_form(server: Server, courier: Delhivery, answer: Any) -> None:
    server.say(200, answer)
    courier.cancel(AWB)


@pytest.mark.parametrize(
    "answer",
    [
        {"status": False, "waybill": AWB, "error": "Ann Smith has it already"},
        {"status": False, "remark": "Ann Smith has it already"},
        {"status": "False", "error": "Ann Smith has it already"},
        {"status": "false"},
        {"status": False, "remark": "Shipment has been cancelled."},
        XML.format("False", "Ann Smith has it already"),
        XML.format("false", ""),
    ],
    ids=str,
)
def test_a_no_is_a_refusal_with_a_code_of_ours(server: Server, courier: Delhivery, answer: Any) -> None:
    server.say(200, answer)
    with pytest.raises(Refused) as caught:
        courier.cancel(AWB)
    assert (caught.value.code, str(caught.value)) == ("courier_refused", "courier_refused")


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"status": None},
        {"status": ""},
        {"status": 1},
        {"status": "success"},
        {"status": ["true"]},
        {"error": "Something went wrong"},
        {"remark": "Shipment has been cancelled."},
        {"status": True, "waybill": "9999999999999"},
        {"status": False, "waybill": "9999999999999"},
        [],
        "true",
        "",
        "<root></root>",
        "<root><status/></root>",
        "<root><status>True</status><waybill>9999999999999</waybill></root>",
        "<root><other><status>True</status></other></root>",
        "<root><status>True</status>",
        '<?xml version="1.0" encoding="klingon"?><root><status>True</status></root>',
        '<!DOCTYPE root [<!ENTITY yes "True">]><root><status>&yes;</status></root>',
        '<!DOCTYPE root [<!ENTITY yes SYSTEM "file:///etc/hostname">]><root><status>&yes;</status></root>',
        "<html><body>True</body></html>",
    ],
    ids=str,
)
def test_an_answer_that_says_neither_yes_nor_no_of_this_shipment_is_unknown(
    server: Server, courier: Delhivery, answer: Any
) -> None:
    server.say(200, answer)
    with pytest.raises(Unknown):
        courier.cancel(AWB)


def test_every_attempt_asks_the_very_same_and_hears_the_very_same(server: Server, courier: Delhivery) -> None:
    for _ in range(2):
        server.say(200, {"status": True, "waybill": AWB, "remark": REMARK})
        courier.cancel(AWB)
    first, second = server.asked
    assert first == second
