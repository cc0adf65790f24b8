"""What lets us in at QPay: when it is fetched, by how many, and what becomes of a call that is turned away."""

import base64
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shared.providers.ports import Refused, Unknown
from shared.providers.qpay import QPay
from tests.unit.answering import raw
from tests.unit.qpay.server import INVOICE_ID, Server, page, tokens

CROWD = 50

LOGIN = "Basic " + base64.b64encode(b"SHOP:s3cr3t").decode()


def now() -> int:
    return int(time.time())


def look(server: Server, provider: QPay) -> str:
    """The token that a call of now shows."""
    server.say(200, page())
    provider.payments(INVOICE_ID)
    return str(server.asked[-1]["headers"]["authorization"])


def ways(server: Server) -> list[str]:
    """How tokens were asked for."""
    return [asked["path"].removeprefix("/auth/") for asked in server.logins]


# When tokens are fetched.


def test_the_first_call_logs_in_and_shows_its_token_with_a_capital_letter(server: Server, provider: QPay) -> None:
    assert look(server, provider) == "Bearer access-1"
    (asked,) = server.logins
    assert (asked["method"], asked["path"], asked["json"]) == ("POST", "/auth/token", None)
    assert asked["headers"]["authorization"] == LOGIN


def test_a_login_may_have_letters_of_any_script(server: Server) -> None:
    provider = QPay("ДЭЛГҮҮР", "нууц", "SHOP_INVOICE", server.url, (30, 30), connections=1)
    look(server, provider)
    assert base64.b64decode(server.logins[0]["headers"]["authorization"].split()[1]).decode() == "ДЭЛГҮҮР:нууц"


@pytest.mark.parametrize(
    ("expires_in", "ways_in"),
    [
        # Moments of the unix clock, as QPay says them.
        (lambda: now() + 86400, ["token"]),
        (lambda: now() + 300, ["token"]),
        (lambda: now() + 30, ["token", "refresh"]),
        (lambda: now(), ["token", "refresh"]),
        (lambda: now() - 86400, ["token", "refresh"]),
        # Durations, as some say.
        (lambda: 86400, ["token"]),
        (lambda: 300.5, ["token"]),
        (lambda: 30, ["token", "refresh"]),
        (lambda: 0, ["token", "refresh"]),
    ],
    ids=range(9),
)
def test_a_token_is_used_until_a_little_before_it_expires(
    server: Server, provider: QPay, expires_in: Callable[[], float], ways_in: list[str]
) -> None:
    server.let_in(200, tokens(1, expires_in=expires_in()))
    shown = [look(server, provider) for _ in range(2)]
    assert shown == ["Bearer access-1", f"Bearer access-{len(ways_in)}"]
    assert ways(server) == ways_in


def test_a_refresh_token_is_shown_once_and_the_next_time_the_new_one(server: Server, provider: QPay) -> None:
    for number in (1, 2):
        server.let_in(200, tokens(number, expires_in=now()))
    assert [look(server, provider) for _ in range(3)] == [f"Bearer access-{number}" for number in (1, 2, 3)]
    assert ways(server) == ["token", "refresh", "refresh"]
    assert [asked["headers"]["authorization"] for asked in server.logins[1:]] == [
        "Bearer refresh-1",
        "Bearer refresh-2",
    ]
    assert [asked["json"] for asked in server.logins] == [None] * 3


@pytest.mark.parametrize(
    "more",
    [
        {"refresh_expires_in": 1_500_000_000},
        {"refresh_expires_in": 30},
        {"refresh_expires_in": 0},
        {"refresh_token": None},
    ],
    ids=str,
)
def test_without_a_refresh_token_that_lasts_the_login_is_shown_again(
    server: Server, provider: QPay, more: dict[str, Any]
) -> None:
    server.let_in(200, tokens(1, expires_in=0) | more)
    assert [look(server, provider) for _ in range(2)] == ["Bearer access-1", "Bearer access-2"]
    assert ways(server) == ["token", "token"]


@pytest.mark.parametrize("status", [400, 401, 403, 422])
def test_a_dead_refresh_token_falls_back_to_a_new_login(server: Server, provider: QPay, status: int) -> None:
    server.let_in(200, tokens(1, expires_in=0))
    server.let_in(status, {"error": "AUTHENTICATION_FAILED"})
    assert [look(server, provider) for _ in range(2)] == ["Bearer access-1", "Bearer access-3"]
    assert ways(server) == ["token", "refresh", "token"]


def test_a_refresh_whose_answer_is_lost_is_not_tried_again_since_its_token_may_be_dead(
    server: Server, provider: QPay
) -> None:
    server.let_in(200, tokens(1, expires_in=0))
    look(server, provider)
    server.letting_in.append((0, "dropped", b""))
    with pytest.raises(Unknown, match=r"^ConnectionError$"):
        provider.payments(INVOICE_ID)
    assert look(server, provider) == "Bearer access-3"
    assert ways(server) == ["token", "refresh", "token"]


# Being turned away.


def test_a_call_that_a_dead_token_kept_out_is_made_again_once_with_a_new_login(server: Server, provider: QPay) -> None:
    look(server, provider)
    server.dead = {"access-1"}
    server.asked.clear()
    assert look(server, provider) == "Bearer access-2"
    first, second = ({**asked, "headers": None} for asked in server.asked)
    assert first == second
    assert ways(server) == ["token", "token"]


def test_a_call_that_is_turned_away_twice_is_unknown_and_not_made_again(server: Server, provider: QPay) -> None:
    server.dead = {"access-1", "access-2"}
    with pytest.raises(Unknown, match=r"^http_401:NO_CREDENTIALS$"):
        provider.payments(INVOICE_ID)
    assert (len(server.asked), ways(server)) == (2, ["token", "token"])


@pytest.mark.parametrize("status", [400, 403, 409, 422, 429, 500, 503])
def test_nothing_but_a_401_is_asked_again(server: Server, provider: QPay, status: int) -> None:
    server.say(status, {"error": "SOME_ERROR"})
    with pytest.raises((Refused, Unknown)):
        provider.create("inv-1", 1500000, "Order 1", "https://shop.example/paid?t=1")
    assert (len(server.asked), ways(server)) == (1, ["token"])


# Not being let in.


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (401, {"error": "AUTHENTICATION_FAILED"}, "not_let_in"),
        (401, "", "not_let_in"),
        (400, {"error": "invalid_client"}, "not_let_in"),
        (403, {"error": "PERMISSION_DENIED"}, "not_let_in"),
        (422, {}, "not_let_in"),
        (404, {}, "http_404"),
        (429, {}, "http_429"),
        (500, {"error": "SYSTEM_BUSY"}, "http_500"),
        (503, "<html></html>", "http_503"),
        (302, tokens(), "http_302"),
        (200, "<html></html>", "DecodeError"),
        (200, "", "DecodeError"),
        (200, b'{"access_token": "\xff"}', "UnicodeDecodeError"),
        (200, "[" * 100_000, "ValidationError"),
        (200, '{"x": ' + "[" * 100_000, "RecursionError"),
        (200, {}, "ValidationError"),
        (200, tokens(access_token=""), "ValidationError"),
        (200, tokens(access_token=None), "ValidationError"),
        (200, tokens(access_token="two words"), "ValidationError"),
        (200, tokens(access_token="a-line\n"), "ValidationError"),
        (200, tokens(expires_in="soon"), "ValidationError"),
        (200, {"access_token": "a-token"}, "ValidationError"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_who_is_not_let_in_knows_nothing_and_asks_for_nothing(
    server: Server, provider: QPay, status: int, body: Any, reason: str
) -> None:
    server.let_in(status, body)
    with pytest.raises(Unknown) as caught:
        provider.payments(INVOICE_ID)
    assert caught.value.reason == reason
    assert (server.asked, len(server.logins)) == ([], 1)
    assert look(server, provider) == "Bearer access-2"


# Many at once.


class Turnstile:
    """A lock that counts who stands before it."""

    def __init__(self) -> None:
        self._lock, self.arrived = threading.Lock(), threading.Semaphore(0)

    def __enter__(self) -> None:
        self.arrived.release()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def crowd(server: Server, provider: QPay) -> list[str]:
    """What as many calls come to that all wait for the same tokens."""
    provider._session._tokens._lock = turnstile = Turnstile()  # type: ignore[assignment]
    server.always = (200, "application/json", raw(page()))
    server.open.clear()

    def outcome(_: int) -> str:
        try:
            return str(provider.payments(INVOICE_ID))
        except Unknown as unknown:
            return unknown.reason

    with ThreadPoolExecutor(CROWD) as threads:
        outcomes = threads.map(outcome, range(CROWD))
        arrived = [turnstile.arrived.acquire(timeout=30) for _ in range(CROWD)]
        server.open.set()
        assert all(arrived)
        return list(outcomes)


@pytest.fixture
def expired(server: Server) -> QPay:
    """A client whose token has expired."""
    provider = QPay("SHOP", "s3cr3t", "SHOP_INVOICE", server.url, (30, 30), connections=CROWD)
    server.let_in(200, tokens(1, expires_in=now() - 1))
    look(server, provider)
    server.logins.clear()
    server.asked.clear()
    return provider


def shown(server: Server) -> list[str]:
    return [asked["headers"]["authorization"] for asked in server.asked]


def test_an_expired_token_is_renewed_by_one_request_for_fifty_calls_at_once(server: Server, expired: QPay) -> None:
    server.let_in(200, tokens(2))
    assert crowd(server, expired) == ["[]"] * CROWD
    assert ways(server) == ["refresh"]
    assert shown(server) == ["Bearer access-2"] * CROWD


def test_fifty_calls_that_are_turned_away_at_once_log_in_by_one_request(server: Server) -> None:
    provider = QPay("SHOP", "s3cr3t", "SHOP_INVOICE", server.url, (30, 30), connections=CROWD)
    look(server, provider)
    server.dead = {"access-1"}
    server.logins.clear()
    server.asked.clear()
    server.let_in(200, tokens(2))
    assert crowd(server, provider) == ["[]"] * CROWD
    assert ways(server) == ["token"]
    assert sorted(shown(server)) == ["Bearer access-1"] * CROWD + ["Bearer access-2"] * CROWD


def test_fifty_calls_at_once_wait_for_one_failure_and_share_it(server: Server, expired: QPay) -> None:
    server.let_in(503, "")
    assert crowd(server, expired) == ["http_503"] * CROWD
    assert (ways(server), server.asked) == (["refresh"], [])


def test_a_token_that_has_expired_when_it_arrives_serves_those_who_waited_for_it(server: Server, expired: QPay) -> None:
    server.let_in(200, tokens(2, expires_in=now() - 1))
    assert crowd(server, expired) == ["[]"] * CROWD
    assert ways(server) == ["refresh"]
