"""Razorpay's answers sorted into done, refused and unknown."""

import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shared.providers.ports import RefundTag, Refused, Unknown
from shared.providers.razorpay import Razorpay
from tests.unit.answering import PATIENCE
from tests.unit.razorpay.server import HOLD_LIFETIME, Server, complaint, payment

TAG = RefundTag("rfd_1", 2)

Calls = list[Callable[[], object]]


@pytest.fixture
def calls(provider: Razorpay) -> Calls:
    """Every call whose first answer is its last, unless that is a no to a refund."""
    return [
        lambda: provider.read("pay_1"),
        lambda: provider.void("pay_1", "void:v1"),
        lambda: provider.capture("pay_1", 3800, "capture:c1"),
        lambda: provider.read_refund("rfnd_1"),
        lambda: provider.refunds("pay_1"),
    ]


# Refused: nothing happened, and asking again the same way is of no use.


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({}, "BAD_REQUEST_ERROR"),
        ({"reason": None}, "BAD_REQUEST_ERROR"),
        ({"code": "bad_request_error"}, "bad_request_error"),
        ({"reason": "input_validation_failed"}, "BAD_REQUEST_ERROR:input_validation_failed"),
        ({"reason": "Ann Smith has no card"}, "BAD_REQUEST_ERROR"),
        ({"reason": "ann@example.com"}, "BAD_REQUEST_ERROR"),
        ({"reason": {"name": "Ann"}}, "BAD_REQUEST_ERROR"),
        ({"description": "The id provided does not exist"}, "no_such_id"),
    ],
)
def test_a_no_is_a_refusal_with_its_code(server: Server, calls: Calls, error: dict[str, Any], code: str) -> None:
    for call in calls:
        server.complain(400, **error)
        with pytest.raises(Refused) as caught:
            call()
        assert caught.value.code == code


@pytest.mark.parametrize(
    "named",
    ["", "pay_", "pay_1/refunds", "../refunds/rfnd_1", "pay_1?a=b", "pay_1#", "qr_codes", "pay_1\n", "pay_\u0661"],
)
def test_what_is_no_id_is_refused_before_it_leads_to_another_address(
    server: Server, provider: Razorpay, named: str
) -> None:
    for call in (
        lambda: provider.read(named),
        lambda: provider.void(named, "void:v1"),
        lambda: provider.capture(named, 700, "capture:c1"),
        lambda: provider.refund(named, 700, TAG, "refund:rfd_1:2"),
        lambda: provider.refunds(named),
        lambda: provider.read_refund(named),
    ):
        with pytest.raises(Refused, match=r"^no_such_id$"):
            call()
    assert server.asked == []


# Unknown: it may have happened.


@pytest.mark.parametrize(
    ("status", "error", "reason"),
    [
        (409, {}, "http_409:BAD_REQUEST_ERROR"),
        (429, {"description": "Too many requests"}, "http_429:BAD_REQUEST_ERROR"),
        (500, {}, "http_500:BAD_REQUEST_ERROR"),
        (503, {"code": "SERVER_ERROR"}, "http_503:SERVER_ERROR"),
        (502, {"code": "GATEWAY_ERROR"}, "http_502:GATEWAY_ERROR"),
        (400, {"code": "GATEWAY_ERROR"}, "http_400:GATEWAY_ERROR"),
        (400, {"code": "SERVER_ERROR"}, "http_400:SERVER_ERROR"),
        (400, {"code": "AN_ERROR_OF_NEXT_YEAR"}, "http_400:AN_ERROR_OF_NEXT_YEAR"),
        (400, {"code": "Ann Smith"}, "http_400"),
        (400, {"code": None}, "http_400"),
        (400, {"description": None, "code": 17}, "http_400"),
        (400, {"description": "Request failed because another payment operation is in progress."}, "another_operation"),
        # A person mends these, and the operation goes on.
        (401, {"description": "Authentication failed"}, "http_401:BAD_REQUEST_ERROR"),
        (403, {}, "http_403:BAD_REQUEST_ERROR"),
        (404, {"description": "The requested URL was not found on the server."}, "no_such_url"),
        (400, {"description": "The requested URL was not found on the server."}, "no_such_url"),
    ],
)
def test_an_answer_that_says_nothing_of_the_money_is_unknown(
    server: Server, provider: Razorpay, calls: Calls, status: int, error: dict[str, Any], reason: str
) -> None:
    for call in (*calls, lambda: provider.refund("pay_1", 700, TAG, "refund:rfd_1:2")):
        server.complain(status, **error)
        with pytest.raises(Unknown) as caught:
            call()
        assert caught.value.reason == reason


HTML = "<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>"


@pytest.mark.parametrize(
    ("status", "body", "media_type"),
    [
        (502, HTML, "text/html"),
        (500, "", "text/plain"),
        (404, HTML, "text/html"),
        (400, HTML, "text/html"),
        (400, "null", "application/json"),
        (400, "[]", "application/json"),
        (400, '{"error": "a word"}', "application/json"),
        (302, "", "text/html"),
        (307, payment("captured"), "application/json"),
        (200, HTML, "text/html"),
        (200, "", "application/json"),
        (200, "[]", "application/json"),
        (200, "{}", "application/json"),
        (200, '{"id": "pay_1", "enti', "application/json"),
        (200, '{"id": "pay_1"}', "truncated"),
        (200, b"\xff\xfe", "application/json"),
        (200, "[" * 100_000, "application/json"),
        (200, payment("captured", amount="3800"), "application/json"),
        (200, payment("captured", amount=True), "application/json"),
        (200, payment("captured", captured=None), "application/json"),
        (200, payment("captured", created_at=10**20), "application/json"),
        (200, complaint("A refusal that says it is a success"), "application/json"),
    ],
)
def test_an_answer_that_is_not_razorpays_is_unknown(
    server: Server, provider: Razorpay, status: int, body: Any, media_type: str
) -> None:
    server.say(status, body, media_type)
    with pytest.raises(Unknown):
        provider.read("pay_1")
    assert len(server.asked) == 1


@pytest.mark.parametrize("body", [HTML, "", "[]", "{}", '{"id": "rfnd_1"}'])
def test_a_refund_that_was_made_behind_an_answer_that_nobody_understands_is_unknown(
    server: Server, provider: Razorpay, body: str
) -> None:
    server.say(200, body)
    with pytest.raises(Unknown):
        provider.refund("pay_1", 700, TAG, "refund:rfd_1:2")
    assert len(server.asked) == 1


def test_a_success_without_a_word_is_unknown(server: Server, provider: Razorpay) -> None:
    server.say(204, "")
    with pytest.raises(Unknown, match=r"^http_204$"):
        provider.read("pay_1")


def test_a_dropped_connection_is_unknown(server: Server, provider: Razorpay) -> None:
    server.answers.append((0, "dropped", b""))
    with pytest.raises(Unknown, match=r"^ConnectionError$"):
        provider.refund("pay_1", 700, TAG, "refund:rfd_1:2")
    assert len(server.asked) == 1


@pytest.mark.parametrize("number", range(5))
def test_no_call_waits_longer_than_its_time(server: Server, number: int) -> None:
    hasty = Razorpay("rzp_test_1", "secret", server.url, (30, PATIENCE), connections=1, hold_lifetime=HOLD_LIFETIME)
    calls: Calls = [
        lambda: hasty.read("pay_1"),
        lambda: hasty.capture("pay_1", 3800, "capture:c1"),
        lambda: hasty.refund("pay_1", 700, TAG, "refund:rfd_1:2"),
        lambda: hasty.refunds("pay_1"),
        lambda: hasty.read_refund("rfnd_1"),
    ]
    server.answers.append((0, "withheld", b""))
    with pytest.raises(Unknown, match=r"^ReadTimeout$"):
        calls[number]()
    assert len(server.asked) == 1


def test_a_provider_that_is_not_there_is_unknown() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and never listens
        address = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        provider = Razorpay("rzp_test_1", "secret", address, (30, 30), connections=1, hold_lifetime=HOLD_LIFETIME)
        with pytest.raises(Unknown, match=r"^ConnectionError$"):
            provider.read("pay_1")


@pytest.mark.parametrize("address", ["nowhere", "http://", "ftp://127.0.0.1", "http://127.0.0.1:99999"])
def test_an_address_that_a_person_must_mend_is_unknown(address: str) -> None:
    provider = Razorpay("rzp_test_1", "secret", address, (30, 30), connections=1, hold_lifetime=HOLD_LIFETIME)
    with pytest.raises(Unknown):
        provider.read("pay_1")


def test_no_error_repeats_what_razorpay_said_of_people(server: Server, provider: Razorpay) -> None:
    server.complain(400, "Ann Smith's card, 4242...", reason="Ann's card")
    with pytest.raises(Refused) as refused:
        provider.read("pay_1")
    server.complain(500, "Ann Smith's card, 4242...", code="Ann's card")
    with pytest.raises(Unknown) as unknown:
        provider.read("pay_1")
    assert "Ann" not in f"{refused.value} {unknown.value}"


# Many calls at once.

TWINS = 8

MANY: list[tuple[int, dict[str, Any], str]] = [
    (200, payment("captured", id="pay_0"), "pay_0"),
    (400, complaint("", reason="the_first"), "BAD_REQUEST_ERROR:the_first"),
    (401, complaint(""), "http_401:BAD_REQUEST_ERROR"),
    (429, complaint(""), "http_429:BAD_REQUEST_ERROR"),
    (409, complaint(""), "http_409:BAD_REQUEST_ERROR"),
    (400, complaint("", code="GATEWAY_ERROR"), "http_400:GATEWAY_ERROR"),
    (500, complaint("", code="SERVER_ERROR"), "http_500:SERVER_ERROR"),
    (200, payment("authorized", id="pay_7"), "pay_7"),
]


def test_calls_at_once_each_keep_their_own_answer(server: Server) -> None:
    provider = Razorpay("rzp_test_1", "secret", server.url, (30, 30), connections=TWINS, hold_lifetime=HOLD_LIFETIME)
    for number, (status, body, _) in enumerate(MANY):
        server.say(status, body)
        server.always[f"/v1/payments/pay_{number}"] = server.answers.pop()
    server.together = threading.Barrier(TWINS, timeout=30)

    def outcome(number: int) -> str:
        try:
            return provider.read(f"pay_{number}").reference
        except Refused as refusal:
            return refusal.code
        except Unknown as unknown:
            return unknown.reason

    with ThreadPoolExecutor(TWINS) as threads:
        for _ in range(5):
            assert list(threads.map(outcome, range(TWINS))) == [expected for _, _, expected in MANY]
