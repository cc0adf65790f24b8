"""What goes wrong between us and Delhivery, and is neither a yes nor a no."""

import pickle
import socket
from collections.abc import Callable
from typing import Any

import pytest

from shared.providers.couriers import Throttled
from shared.providers.delhivery import Delhivery
from shared.providers.ports import Unknown
from tests.unit.answering import PATIENCE
from tests.unit.delhivery.server import NOT_LET_IN, Server

AWB = "1234567890123"
HTML = "<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>"

Call = Callable[[Delhivery], object]

CALLS: list[Any] = [
    pytest.param(lambda courier: courier.track([AWB]), id="track"),
    pytest.param(lambda courier: courier.cancel(AWB), id="cancel"),
]

either = pytest.mark.parametrize("call", CALLS)


def unknown(courier: Delhivery, call: Call) -> Unknown:
    """The failure of a call that must not tell whether it happened."""
    with pytest.raises(Unknown) as caught:
        call(courier)
    return caught.value


@either
@pytest.mark.parametrize("status", [400, 404, 405, 409, 500, 502, 503, 504, 201, 204])
def test_every_status_but_one_is_unknown(server: Server, courier: Delhivery, call: Call, status: int) -> None:
    server.say(status, b"" if status == 204 else {"status": True, "ShipmentData": []})
    failure = unknown(courier, call)
    assert failure.reason == f"http_{status}"
    assert not isinstance(failure, Throttled)


@either
@pytest.mark.parametrize("status", [403, 429])
def test_being_turned_away_asks_for_a_pause_of_half_a_minute(
    server: Server, courier: Delhivery, call: Call, status: int
) -> None:
    server.say(status, HTML, "text/html")
    failure = unknown(courier, call)
    assert isinstance(failure, Throttled)
    assert failure.pause >= 30
    assert failure.reason == f"http_{status}"


def test_being_turned_away_is_told_alike_in_another_process() -> None:
    again = pickle.loads(pickle.dumps(Throttled("http_403", 30.0)))  # noqa: S301  # our own words
    assert (again.reason, again.pause, str(again)) == ("http_403", 30.0, "http_403")


@either
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, ""),
        (401, {"status": False, "error": NOT_LET_IN}),
        (200, NOT_LET_IN),
        (200, {"Success": False, "Error": NOT_LET_IN}),
        (200, {"status": False, "error": NOT_LET_IN}),
        (200, f"<root><status>False</status><error>{NOT_LET_IN}</error></root>"),
        (500, NOT_LET_IN),
    ],
    ids=str,
)
def test_a_wrong_token_is_a_persons_to_mend_and_refuses_nothing(
    server: Server, courier: Delhivery, call: Call, status: int, body: Any
) -> None:
    server.say(status, body)
    assert unknown(courier, call).reason == "not_let_in"


@either
@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (HTML, "text/html"),
        ("", "application/json"),
        ("OK", "text/plain"),
        ('{"status": true, "ShipmentData": [', "application/json"),
        ('{"status": true, "ShipmentData": []}', "truncated"),
        (b"\xff\xfe", "application/json"),
        ("[" * 100_000, "application/json"),
        ('{"status": ' + "[" * 100_000, "application/json"),
        ("null", "application/json"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_an_answer_that_is_not_delhiverys_is_unknown(
    server: Server, courier: Delhivery, call: Call, body: Any, media_type: str
) -> None:
    server.say(200, body, media_type)
    unknown(courier, call)


def test_shipments_in_another_form_than_was_asked_for_are_unknown(server: Server, courier: Delhivery) -> None:
    server.say(200, f"<root><Shipment><AWB>{AWB}</AWB></Shipment></root>", "application/xml")
    with pytest.raises(Unknown):
        courier.track([AWB])


@either
@pytest.mark.parametrize("status", [301, 302, 307])
def test_nobody_is_followed_to_another_place(server: Server, courier: Delhivery, call: Call, status: int) -> None:
    server.say(status, "")
    assert unknown(courier, call).reason == f"http_{status}"
    assert len(server.asked) == 1


@either
def test_a_dropped_connection_is_unknown_and_is_not_tried_again_behind_our_back(
    server: Server, courier: Delhivery, call: Call
) -> None:
    server.answers.append((0, "dropped", b""))
    assert unknown(courier, call).reason == "ConnectionError"
    assert len(server.asked) == 1


@either
def test_an_answer_that_does_not_come_in_time_is_unknown(server: Server, call: Call) -> None:
    hasty = Delhivery("t0k3n", server.url, (30, PATIENCE), connections=1)
    server.answers.append((0, "withheld", b""))
    assert unknown(hasty, call).reason == "ReadTimeout"
    assert len(server.asked) == 1


@either
def test_a_courier_that_is_not_there_is_unknown(call: Call) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and never listens
        courier = Delhivery("t0k3n", f"http://127.0.0.1:{nobody.getsockname()[1]}", (30, 30), connections=1)
        assert unknown(courier, call).reason == "ConnectionError"


@either
def test_no_failure_repeats_what_delhivery_said_of_people(server: Server, courier: Delhivery, call: Call) -> None:
    for status in (200, 400, 403, 500):
        server.say(status, {"Success": False, "Error": "Ann Smith, 5550100", "remark": "Ann Smith"})
        assert "Ann" not in f"{unknown(courier, call)}"
