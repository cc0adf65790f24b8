"""QPay's answers sorted into done, refused and unknown."""

import logging
import re
import socket
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from shared.providers.ports import Refused, Unknown
from shared.providers.qpay import QPay
from tests.unit.answering import PATIENCE
from tests.unit.qpay.server import INVOICE_ID, PAYMENT_ID, Server, invoice, page, payment, tokens

Call = Callable[[QPay], object]

CALLS: list[Any] = [
    pytest.param(lambda qpay: qpay.create("inv-1", 1500000, "Order 1", "https://shop.example/paid"), id="create"),
    pytest.param(lambda qpay: qpay.cancel(INVOICE_ID), id="cancel"),
    pytest.param(lambda qpay: qpay.payments(INVOICE_ID), id="payments"),
    pytest.param(lambda qpay: qpay.read_payment(PAYMENT_ID), id="read_payment"),
    pytest.param(lambda qpay: qpay.refund(PAYMENT_ID), id="refund"),
]

each = pytest.mark.parametrize("call", CALLS)

HTML = "<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>"


def unknown(qpay: QPay, call: Call) -> str:
    """Why a call does not tell whether it happened."""
    with pytest.raises(Unknown) as caught:
        call(qpay)
    return caught.value.reason


def refused(qpay: QPay, call: Call) -> str:
    with pytest.raises(Refused) as caught:
        call(qpay)
    return caught.value.code


# Refused: nothing happened, and asking again the same way is of no use.


@each
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"error": "SOME_ERROR", "message": "Алдаа"}, "not_valid:SOME_ERROR"),
        ({"message": "SOME_ERROR"}, "not_valid:SOME_ERROR"),
        ({"error_code": "SOME_ERROR"}, "not_valid:SOME_ERROR"),
        ({"error": "Алдаа", "error_code": "SOME_ERROR"}, "not_valid:SOME_ERROR"),
        ({"error": "Bad Request", "message": "SOME_ERROR"}, "not_valid:SOME_ERROR"),
        ({"error": {"page_limit": {"type": "MIN_NUMBER", "message": "Алдаа"}}}, "not_valid:MIN_NUMBER"),
        ({"error": {"a": "no", "b": {}, "c": {"type": "MAX_LENGTH"}}}, "not_valid:MAX_LENGTH"),
        ({"error": {"a": {"type": {"type": {"type": 17}}}}}, "not_valid"),
        ({"error": {}}, "not_valid"),
        ({"error": ["SOME_ERROR"]}, "not_valid"),
        ({"error": "Ann Smith"}, "not_valid"),
        ({"message": "ANN"}, "not_valid"),
        ({"error": "ANN_SMITH@EXAMPLE.COM"}, "not_valid"),
        ({"error": "SOME_ERROR\n"}, "not_valid"),
        ({"error": "A_" * 40 + "A"}, "not_valid"),
        ({"error_code": 17}, "not_valid"),
        ({}, "not_valid"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_no_is_a_refusal_with_a_code_in_whatever_form_it_comes(
    server: Server, provider: QPay, call: Call, body: Any, code: str
) -> None:
    server.say(400, body)
    assert refused(provider, call) == code


@pytest.mark.parametrize(
    "body",
    [
        {"error": "PAYMENT_SETTLED", "message": "Төлбөр"},
        {"message": "PAYMENT_SETTLED"},
        {"error_code": "PAYMENT_SETTLED"},
        {"error": {"payment": {"type": "PAYMENT_SETTLED"}}},
    ],
    ids=str,
)
def test_a_code_means_the_same_in_every_form(server: Server, provider: QPay, body: Any) -> None:
    server.say(200, payment())
    server.say(400, body)
    assert refused(provider, lambda qpay: qpay.refund(PAYMENT_ID)) == "settled"


@pytest.mark.parametrize("body", [{}, {"error": "INVOICE_NOTFOUND"}], ids=str)
def test_a_422_says_that_nobody_knows_the_invoice(server: Server, provider: QPay, body: Any) -> None:
    server.say(422, body)
    assert refused(provider, lambda qpay: qpay.payments(INVOICE_ID)) == "no_such_id"


@pytest.mark.parametrize("named", ["", ".", "..", "../auth/token", "1/2", "1?a=b", "1#", "1\n", "\u0661", "a" * 65])
def test_what_is_no_id_leads_to_no_other_address(server: Server, provider: QPay, named: str) -> None:
    assert provider.cancel(named) == "unknown_invoice"
    assert provider.read_payment(named) is None
    assert refused(provider, lambda qpay: qpay.payments(named)) == "no_such_id"
    assert refused(provider, lambda qpay: qpay.refund(named)) == "no_such_id"
    assert (server.asked, server.logins) == ([], [])


# Unknown: it may have happened.


@each
@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (500, {"error": "SYSTEM_BUSY", "message": "Алдаа"}, "http_500:SYSTEM_BUSY"),
        (400, {"error": "SYSTEM_BUSY"}, "http_400:SYSTEM_BUSY"),
        (422, {"message": "SYSTEM_BUSY"}, "http_422:SYSTEM_BUSY"),
        (200, {"error": "SYSTEM_BUSY"}, "http_200:SYSTEM_BUSY"),
        (500, {"error": "INVOICE_PAID"}, "http_500:INVOICE_PAID"),
        (502, HTML, "http_502"),
        (503, {}, "http_503"),
        (504, "", "http_504"),
        (429, {}, "http_429"),
        (408, {}, "http_408"),
        # The number or the id may be taken by an attempt of ours that did happen.
        (409, {}, "http_409"),
        (409, {"error": "NOT_UNIQUE"}, "http_409:NOT_UNIQUE"),
        # A person mends these, and the operation goes on.
        (403, {"error": "PERMISSION_DENIED"}, "http_403:PERMISSION_DENIED"),
        (400, {"error": "PERMISSION_DENIED"}, "http_400:PERMISSION_DENIED"),
        (400, {"error": "NO_CREDENTIALS"}, "http_400:NO_CREDENTIALS"),
        (400, {"error": "NO_CREDENDIALS"}, "http_400:NO_CREDENDIALS"),
        (400, {"error": "AUTHENTICATION_FAILED"}, "http_400:AUTHENTICATION_FAILED"),
        (404, {}, "http_404"),
        (404, HTML, "http_404"),
        (405, {}, "http_405"),
        # None of these is QPay's.
        (400, HTML, "http_400"),
        (422, HTML, "http_422"),
        (400, [], "http_400"),
        (422, "null", "http_422"),
        (200, HTML, "http_200"),
        (200, "", "http_200"),
        (200, "OK", "http_200"),
        (200, [], "http_200"),
        (200, "null", "http_200"),
        (200, b"\xff\xfe", "http_200"),
        (200, '{"rows": [', "http_200"),
        (200, '{"error": ' + "[" * 100_000, "http_200"),
        (204, "", "http_204"),
        (301, {}, "http_301"),
        (307, {}, "http_307"),
        # A success that says it is a refusal is neither.
        (200, {"error": "INVOICE_PAID"}, "http_200:INVOICE_PAID"),
        (200, {"error": "Амжилтгүй"}, "http_200"),
        (200, {"error_code": 17}, "http_200"),
        (200, {"message": "PAYMENT_SETTLED"}, "http_200:PAYMENT_SETTLED"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_an_answer_that_says_nothing_of_the_money_is_unknown_and_is_asked_for_once(
    server: Server, provider: QPay, call: Call, status: int, body: Any, reason: str
) -> None:
    server.say(status, body)
    assert unknown(provider, call) == reason
    assert len(server.asked) == 1


@pytest.mark.parametrize("body", [HTML, "", "[]", '{"error": "SYSTEM_BUSY"}'])
def test_a_refund_behind_an_answer_that_nobody_understands_is_unknown(
    server: Server, provider: QPay, body: str
) -> None:
    server.say(200, payment())
    server.say(200, body)
    unknown(provider, lambda qpay: qpay.refund(PAYMENT_ID))
    assert len(server.asked) == 2


@each
@pytest.mark.parametrize("kind", ["dropped", "truncated"])
def test_a_connection_that_breaks_is_unknown_and_is_not_tried_again_behind_our_back(
    server: Server, provider: QPay, call: Call, kind: str
) -> None:
    server.answers.append((200 if kind == "truncated" else 0, kind, b"{}"))
    assert unknown(provider, call) in ("ConnectionError", "ChunkedEncodingError")
    assert len(server.asked) == 1


@each
def test_no_call_waits_longer_than_its_time(server: Server, call: Call) -> None:
    hasty = QPay("SHOP", "s3cr3t", "SHOP_INVOICE", server.url, (30, PATIENCE), connections=1)
    server.answers.append((0, "withheld", b""))
    assert unknown(hasty, call) == "ReadTimeout"
    assert len(server.asked) == 1


@each
def test_nor_does_a_login_wait_longer_than_its_time(server: Server, call: Call) -> None:
    hasty = QPay("SHOP", "s3cr3t", "SHOP_INVOICE", server.url, (30, PATIENCE), connections=1)
    server.letting_in.append((0, "withheld", b""))
    assert unknown(hasty, call) == "ReadTimeout"
    assert (server.asked, len(server.logins)) == ([], 1)


@each
def test_a_provider_that_is_not_there_is_unknown(call: Call) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and never listens
        address = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        qpay = QPay("SHOP", "s3cr3t", "SHOP_INVOICE", address, (30, 30), connections=1)
        assert unknown(qpay, call) == "ConnectionError"


@pytest.mark.parametrize("address", ["nowhere", "http://", "ftp://127.0.0.1", "http://127.0.0.1:99999"])
def test_an_address_that_a_person_must_mend_is_unknown(address: str) -> None:
    qpay = QPay("SHOP", "s3cr3t", "SHOP_INVOICE", address, (30, 30), connections=1)
    unknown(qpay, lambda qpay: qpay.cancel(INVOICE_ID))


# What is asked, whatever is called.


def ask_everything(server: Server, provider: QPay) -> None:
    """Make every call there is."""
    for answer in (invoice(), {}, page(), payment(), payment(), {}):
        server.say(200, answer)
    provider.create("inv-1", 1500000, "Order 1", "https://shop.example/paid")
    provider.cancel(INVOICE_ID)
    provider.payments(INVOICE_ID)
    provider.read_payment(PAYMENT_ID)
    provider.refund(PAYMENT_ID)


def test_every_call_shows_the_same_token_and_no_cookie(server: Server, provider: QPay) -> None:
    ask_everything(server, provider)
    assert len(server.logins) == 1
    assert {asked["headers"]["authorization"] for asked in server.asked} == {"Bearer access-1"}
    assert all("cookie" not in asked["headers"] for asked in server.asked + server.logins)


def test_no_proxy_of_the_environment_is_asked(server: Server, provider: QPay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    ask_everything(server, provider)


# What nobody gets to read.

SECRET = re.compile("s3cr3t|access-|refresh-|Ann Smith|U0hPUDpzM2NyM3Q")  # the last is the login in base64


@each
@pytest.mark.parametrize(
    ("letting_in", "answer"),
    [
        ((200, tokens(1, access_token="access-\n")), None),
        ((200, tokens(1, access_token="access-\u0436")), None),
        ((200, tokens(1, expires_in="access-")), None),
        ((200, '"access-'), None),
        ((401, {"error": "s3cr3t"}), None),
        ((500, "access-"), None),
        ((200, tokens()), (400, {"error": "Ann Smith", "message": "Ann Smith"})),
        ((200, tokens()), (500, {"error": "Ann Smith"})),
        ((200, tokens()), (200, "Ann Smith")),
        ((200, tokens()), (0, "")),
    ],
    ids=range(10),
)
def test_no_failure_and_no_log_tells_a_secret_or_a_name(
    server: Server, provider: QPay, call: Call, letting_in: Any, answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.let_in(*letting_in)
    if answer:
        server.say(*answer)
    with pytest.raises((Refused, Unknown)) as caught:
        call(provider)
    told = "".join(traceback.format_exception(caught.value))
    assert not SECRET.search(told + caplog.text)


def test_no_part_of_a_client_prints_its_secrets(server: Server, provider: QPay) -> None:
    server.say(200, page())
    provider.payments(INVOICE_ID)
    parts = (provider, provider._session, provider._session._tokens, provider._session._tokens._grant)
    assert not any(SECRET.search(f"{part!r} {part}") for part in parts)
