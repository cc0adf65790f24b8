"""What a hold says of itself, and what becomes of it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.providers.ports import Captured, HoldStatus, Refused, Unknown, Unraisable, Voided
from shared.providers.razorpay import Razorpay
from tests.unit.razorpay.server import Server, payment

LAPSED = payment("refunded", captured=False)


@pytest.mark.parametrize(
    ("shown", "status", "amounts"),
    [
        (payment("created"), HoldStatus.UNCONFIRMED, (0, 0, 0, 0)),
        (payment("failed"), HoldStatus.UNCONFIRMED, (0, 0, 0, 0)),
        (payment("a status of next year"), HoldStatus.UNCONFIRMED, (0, 0, 0, 0)),
        (payment("authorized"), HoldStatus.HELD, (3800, 0, 0, 0)),
        (payment("captured"), HoldStatus.CAPTURED, (3800, 3800, 0, 0)),
        (payment("captured", amount_refunded=700), HoldStatus.CAPTURED, (3800, 3800, 0, 700)),
        (payment("refunded"), HoldStatus.CAPTURED, (3800, 3800, 0, 3800)),
        (LAPSED, HoldStatus.RELEASED, (3800, 0, 3800, 0)),
    ],
)
def test_a_hold_is_read_as_what_has_become_of_its_money(
    server: Server, provider: Razorpay, shown: dict[str, Any], status: HoldStatus, amounts: tuple[int, int, int, int]
) -> None:
    server.say(200, shown)
    found = provider.read("pay_1")
    assert (found.status, (found.authorized, found.captured, found.released, found.refunded)) == (status, amounts)
    assert (found.reference, found.currency, found.incremental) == ("pay_1", "INR", False)
    assert (server.asked[0]["method"], server.asked[0]["path"]) == ("GET", "/v1/payments/pay_1")


@pytest.mark.parametrize(
    ("shown", "end"),
    [
        (payment("authorized"), datetime(1970, 1, 5, tzinfo=UTC)),
        (payment("created"), None),
        (payment("captured"), None),
        (LAPSED, None),
    ],
)
def test_a_hold_lapses_when_the_accounts_own_time_has_passed(
    server: Server, provider: Razorpay, shown: dict[str, Any], end: datetime | None
) -> None:
    server.say(200, shown)
    assert provider.read("pay_1").capture_before == end


@pytest.mark.parametrize(
    ("shown", "expired"), [(LAPSED, True), (payment("refunded"), False), (payment("authorized"), False)]
)
def test_whatever_is_released_there_has_expired(
    server: Server, provider: Razorpay, shown: dict[str, Any], expired: bool
) -> None:
    server.say(200, shown)
    assert provider.read("pay_1").expired is expired


@pytest.mark.parametrize(
    ("shown", "meaning"),
    [
        (payment("authorized"), Voided.LAPSING),
        (payment("created"), Voided.LAPSING),
        (payment("failed"), Voided.LAPSING),
        (payment("captured"), Voided.ALREADY_CAPTURED),
        (payment("refunded"), Voided.ALREADY_CAPTURED),
        (LAPSED, Voided.ALREADY_RELEASED),
    ],
)
def test_a_void_asks_for_nothing_and_says_what_becomes_of_the_hold(
    server: Server, provider: Razorpay, shown: dict[str, Any], meaning: Voided
) -> None:
    server.say(200, shown)
    assert provider.void("pay_1", "void:v1") is meaning
    assert [asked["method"] for asked in server.asked] == ["GET"]


# Captures.


def test_a_capture_asks_for_all_that_is_held_in_the_currency_that_was_read(server: Server, provider: Razorpay) -> None:
    server.say(200, payment("authorized", currency="MYR"))
    server.say(200, payment("captured", currency="MYR"))
    assert provider.capture("pay_1", 3800, "capture:c1") is Captured.CAPTURED
    _, asked = server.asked
    assert (asked["method"], asked["path"]) == ("POST", "/v1/payments/pay_1/capture")
    assert asked["json"] == {"amount": 3800, "currency": "MYR"}


@pytest.mark.parametrize("amount", [1, 3799, 3801])
def test_a_capture_of_another_amount_than_is_held_is_refused_by_us(
    server: Server, provider: Razorpay, amount: int
) -> None:
    server.say(200, payment("authorized"))
    with pytest.raises(Refused, match=r"^not_the_amount_held$"):
        provider.capture("pay_1", amount, "capture:c1")
    assert [asked["method"] for asked in server.asked] == ["GET"]


@pytest.mark.parametrize("status", ["created", "failed", "a status of next year"])
def test_a_capture_of_what_nobody_holds_is_refused_by_us(server: Server, provider: Razorpay, status: str) -> None:
    server.say(200, payment(status))
    with pytest.raises(Refused, match=r"^not_held$"):
        provider.capture("pay_1", 3800, "capture:c1")
    assert [asked["method"] for asked in server.asked] == ["GET"]


ENDED = [
    (payment("captured"), Captured.ALREADY_CAPTURED),
    (payment("refunded"), Captured.ALREADY_CAPTURED),
    (LAPSED, Captured.LAPSED),
]


@pytest.mark.parametrize(("shown", "meaning"), ENDED)
def test_a_payment_that_cannot_be_captured_any_more_says_why(
    server: Server, provider: Razorpay, shown: dict[str, Any], meaning: Captured
) -> None:
    server.say(200, shown)
    assert provider.capture("pay_1", 700, "capture:c1") is meaning
    assert [asked["method"] for asked in server.asked] == ["GET"]


@pytest.mark.parametrize("description", ["This payment has already been captured", "Words of next year"])
@pytest.mark.parametrize(("shown", "meaning"), ENDED)
def test_a_capture_that_came_too_late_is_told_by_the_state_and_not_by_the_words(
    server: Server, provider: Razorpay, shown: dict[str, Any], meaning: Captured, description: str
) -> None:
    server.say(200, payment("authorized"))
    server.complain(400, description)
    server.say(200, shown)
    assert provider.capture("pay_1", 3800, "capture:c1") is meaning


def test_a_capture_that_was_refused_while_the_money_is_held_stays_refused(server: Server, provider: Razorpay) -> None:
    server.say(200, payment("authorized"))
    server.complain(400, reason="input_validation_failed")
    server.say(200, payment("authorized"))
    with pytest.raises(Refused, match=r"^BAD_REQUEST_ERROR:input_validation_failed$"):
        provider.capture("pay_1", 3800, "capture:c1")


def test_a_state_that_lags_behind_the_words_leaves_a_capture_unknown(server: Server, provider: Razorpay) -> None:
    server.say(200, payment("authorized"))
    server.complain(400, "This payment has already been captured")
    server.say(200, payment("authorized"))
    with pytest.raises(Unknown, match=r"^already_captured$"):
        provider.capture("pay_1", 3800, "capture:c1")


def test_a_refusal_whose_state_cannot_be_read_leaves_a_capture_unknown(server: Server, provider: Razorpay) -> None:
    server.say(200, payment("authorized"))
    server.complain(400)
    server.say(502, "")
    with pytest.raises(Unknown, match=r"^http_502$"):
        provider.capture("pay_1", 3800, "capture:c1")


def test_an_answer_that_shows_no_capture_leaves_it_unknown(server: Server, provider: Razorpay) -> None:
    server.say(200, payment("authorized"))
    server.say(200, payment("authorized"))
    with pytest.raises(Unknown, match=r"^not_captured_yet$"):
        provider.capture("pay_1", 3800, "capture:c1")


# What this provider does not offer.


def test_a_hold_is_never_raised(server: Server, provider: Razorpay) -> None:
    with pytest.raises(Unraisable, match=r"^not_offered$"):
        provider.increment("pay_1", 4000, "edit:e1")
    assert server.asked == []


def test_nothing_is_held_beside_a_hold(server: Server, provider: Razorpay) -> None:
    with pytest.raises(Refused, match=r"^not_offered$"):
        provider.authorize_beside("pay_1", 200, "edt_1", "edit:e1")
    assert provider.find_beside("pay_1", "edt_1") is None
    assert server.asked == []


def test_a_dispute_is_not_read(server: Server, provider: Razorpay) -> None:
    with pytest.raises(Refused, match=r"^not_offered$"):
        provider.read_dispute("disp_1")
    assert server.asked == []
