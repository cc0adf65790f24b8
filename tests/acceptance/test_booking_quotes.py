"""What a guest is shown is what the guest is charged, for as long as it is valid; no amount comes from a client."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared import tokens
from tests.hotel import FLEXIBLE, Hotel, Stay
from tests.problems import assert_problem
from tests.shop import Shop

#: Free until two days before check-in, then everything.
EDGE: dict[str, Any] = {"rules": [{"hours_before": 48, "percent": "100"}]}


@pytest.fixture
def hotel(shop: Shop) -> Hotel:
    return Hotel(shop)


def cross_the_edge(shop: Shop, stay: Stay) -> None:
    """Let 48 hours before check-in be now: the booking moves in time, instead of the clock."""
    shop.sql(
        "UPDATE bookings SET check_in = (now() AT TIME ZONE time_zone) + interval '48 hours', check_out ="
        " (now() AT TIME ZONE time_zone) + interval '72 hours' WHERE order_id = %s",
        stay.booking_id,
    )


def signed(shop: Shop, stay: Stay, ago: timedelta, shown: str = "taken") -> str:
    """A quote as the gateway has signed it some time ago."""
    return tokens.quote(shop.settings, stay.booking_id, datetime.now(UTC) - ago, shown)


def fee(answer: Any) -> str:
    assert answer.status_code == 200, answer.text
    found: str = answer.json()["cancellation"]["cancellation_fee"]
    return found


def test_a_quote_says_what_a_cancel_costs_now(hotel: Hotel) -> None:
    quote = hotel.view(hotel.confirmed())["quote"]
    assert (quote["cancellation_fee"], quote["refund_amount"], quote["currency"]) == ("50.00", "450.00", "EUR")
    assert quote["applied_rule"] == "rule_1"
    assert datetime.fromisoformat(quote["valid_until"]) > datetime.now(UTC) + timedelta(minutes=9)


def test_who_confirms_in_time_pays_what_was_shown_although_an_edge_has_passed(hotel: Hotel, shop: Shop) -> None:
    stay = hotel.confirmed(EDGE)
    quote_id = hotel.view(stay)["quote"]["quote_id"]
    cross_the_edge(shop, stay)
    assert hotel.view(stay)["quote"]["cancellation_fee"] == "500.00"
    assert fee(hotel.cancel(stay, quote_id=quote_id)) == "0.00"


def test_without_the_quote_it_is_reckoned_anew(hotel: Hotel, shop: Shop) -> None:
    stay = hotel.confirmed(EDGE)
    assert hotel.view(stay)["quote"]["cancellation_fee"] == "0.00"
    cross_the_edge(shop, stay)
    assert fee(hotel.cancel(stay)) == "500.00"


def test_what_was_shown_too_long_ago_is_refused_and_nothing_happens(hotel: Hotel, shop: Shop) -> None:
    stay = hotel.confirmed()
    late = hotel.cancel(stay, quote_id=signed(shop, stay, timedelta(minutes=11)))
    assert_problem(late, 409, code="quote_expired")
    assert hotel.view(stay)["status"] == "CONFIRMED"
    assert hotel.moves(stay) == [("captured", 50_000)]
    assert fee(hotel.cancel(stay, quote_id=hotel.view(stay)["quote"]["quote_id"])) == "50.00"


def test_an_expired_quote_of_what_is_canceled_gets_the_same_answer(hotel: Hotel, shop: Shop) -> None:
    stay = hotel.confirmed()
    first = hotel.cancel(stay)
    again = hotel.cancel(stay, quote_id=signed(shop, stay, timedelta(minutes=11)))
    assert (again.status_code, again.text) == (200, first.text)


def test_a_quote_that_is_not_ours_or_for_another_booking_is_refused(hotel: Hotel, shop: Shop) -> None:
    stay, other = hotel.confirmed(), hotel.book()
    for quote_id in ("x", "qt_1", hotel.view(other)["quote"]["quote_id"], shop.bearer("admin")["Authorization"][7:]):
        assert_problem(hotel.cancel(stay, quote_id=quote_id), 422, code="quote_unknown")
    assert hotel.view(stay)["status"] == "CONFIRMED"


@pytest.mark.parametrize("amount", [{"refund_amount": "500.00"}, {"cancellation_fee": "0.00"}, {"amount": 1}])
def test_no_amount_of_a_client_is_taken(hotel: Hotel, amount: dict[str, Any]) -> None:
    stay = hotel.confirmed()
    assert_problem(hotel.cancel(stay, **amount), 422, code="invalid")
    assert hotel.view(stay)["status"] == "CONFIRMED"


def test_what_was_shown_free_stays_free_although_the_hotel_has_taken_the_money_meanwhile(hotel: Hotel) -> None:
    stay = hotel.book()
    quote = hotel.view(stay)["quote"]
    assert (quote["cancellation_fee"], quote["refund_amount"]) == ("0.00", "500.00")
    hotel.approve(stay)
    answer = hotel.cancel(stay, quote_id=quote["quote_id"])
    assert fee(answer) == "0.00"
    assert answer.json()["cancellation"]["refund_amount"] == "500.00"


def test_a_policy_that_changes_later_changes_nothing_for_who_has_booked(hotel: Hotel) -> None:
    policy_id = hotel.put_policy(FLEXIBLE)
    stay = hotel.confirmed()
    body = hotel.body(policy_id, hotel.shop.authorize(50_000, "eur"))
    token = hotel.register(body).json()["guest_token"]
    booked = Stay(body["booking_id"], token, None, body["hotel"]["slug"], "", "", "")
    hotel.put_policy({"refundable": False}, policy_id)
    hotel.approve(booked)
    assert hotel.view(stay)["quote"]["cancellation_fee"] == "50.00"
    later = hotel.body(policy_id, None)
    assert (hotel.register(later).json()["policy_version"], hotel.order(booked)["booking"]["policy_version"]) == (2, 1)


def test_the_free_window_after_booking_costs_nothing(hotel: Hotel) -> None:
    stay = hotel.confirmed({"refundable": False, "free_hours": 24})
    assert fee(hotel.cancel(stay)) == "0.00"
    placed_at = (datetime.now(UTC) - timedelta(hours=25)).isoformat()
    late = hotel.confirmed({"refundable": False, "free_hours": 24}, placed_at=placed_at)
    assert fee(hotel.cancel(late)) == "500.00"
