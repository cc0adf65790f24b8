"""Who may see and cancel a booking: whoever has its link, and that booking only."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.hotel import ROUTES, Hotel, Stay
from tests.problems import assert_problem
from tests.shop import Shop


@pytest.fixture
def hotel(shop: Shop) -> Hotel:
    return Hotel(shop)


def untouched(hotel: Hotel, *stays: Stay) -> None:
    """These bookings stand, with their money where it was, and no link was used."""
    for stay in stays:
        assert hotel.order(stay)["status"] == "pending"
        assert hotel.moves(stay) == []
        assert not hotel.is_used(stay)


@pytest.mark.parametrize("route", ROUTES)
def test_without_a_token_nobody_is_let_in(hotel: Hotel, shop: Shop, route: str) -> None:
    stay = hotel.book()
    assert_problem(shop.http.get(stay.path), 401, code="unauthorized")
    assert_problem(shop.http.post(stay.path + route), 401, code="unauthorized")
    assert_problem(shop.http.post(stay.path + route, headers=shop.bearer("admin")), 401, code="unauthorized")
    untouched(hotel, stay)


@pytest.mark.parametrize("token", ["gt_nobody-has-this", "x", "' OR 1=1", "\u00e9"])
def test_a_token_that_is_none_of_ours_is_refused(hotel: Hotel, shop: Shop, token: str) -> None:
    stay = hotel.book()
    assert_problem(hotel.look(stay, token), 403, code="token_refused")
    assert_problem(hotel.cancel(stay, token=token), 403, code="token_refused")
    assert_problem(shop.http.post(stay.path, params={"token": token}), 403, code="token_refused")
    untouched(hotel, stay)


def test_a_token_opens_no_other_booking_and_that_is_logged(hotel: Hotel, shop: Shop) -> None:
    mine, theirs = hotel.book(), hotel.book()
    assert_problem(hotel.look(theirs, mine.token), 403, code="token_refused")
    assert_problem(hotel.cancel(theirs, token=mine.token), 403, code="token_refused")
    untouched(hotel, mine, theirs)
    assert shop.logged("gateway", event="ownership_violation", booking_id=theirs.booking_id)


def test_a_token_opens_no_booking_under_another_hotel(hotel: Hotel, shop: Shop) -> None:
    mine, theirs = hotel.book(), hotel.book()
    for slug in (theirs.hotel, "nowhere"):
        path = f"/hotels/{slug}/bookings/{mine.booking_id}"
        assert_problem(shop.http.get(path, params={"token": mine.token}), 403, code="token_refused")
        assert_problem(shop.http.post(path, json={"token": mine.token}), 403, code="token_refused")
    untouched(hotel, mine, theirs)


@pytest.mark.parametrize(("action", "other"), [("view", "cancel"), ("cancel", "view")])
def test_a_token_is_good_for_nothing_but_its_actions(hotel: Hotel, action: str, other: str) -> None:
    stay = hotel.book(guest_link={"actions": [action]})
    opened = {"view": lambda: hotel.look(stay), "cancel": lambda: hotel.cancel(stay)}
    assert_problem(opened[other](), 403, code="token_refused")
    assert opened[action]().status_code == 200


def test_a_token_expires(hotel: Hotel) -> None:
    stay = hotel.book(guest_link={"expires_at": (datetime.now(UTC) - timedelta(seconds=1)).isoformat()})
    assert_problem(hotel.look(stay), 403, code="token_expired")
    assert_problem(hotel.cancel(stay), 403, code="token_expired")
    untouched(hotel, stay)


def test_a_token_that_was_used_up_gives_its_own_success_again_and_opens_nothing_else(hotel: Hotel, shop: Shop) -> None:
    stay, other = hotel.book(), hotel.book()
    first = hotel.cancel(stay)
    assert first.status_code == 200
    assert hotel.is_used(stay)
    again = hotel.cancel(stay)
    assert (again.status_code, again.text) == (200, first.text)
    assert_problem(hotel.look(stay), 403, code="token_used_up")
    assert_problem(hotel.look(other, stay.token), 403, code="token_refused")
    assert_problem(hotel.cancel(other, token=stay.token), 403, code="token_refused")
    untouched(hotel, other)


def test_another_link_shows_the_cancel_and_its_answer_is_the_same(hotel: Hotel) -> None:
    stay = hotel.confirmed()
    invited = hotel.invite(stay)
    assert invited.status_code == 200
    token = invited.json()["guest_token"]
    assert token != stay.token
    first = hotel.cancel(stay)
    view = hotel.look(stay, token).json()
    assert (view["status"], view["can_cancel"], view["quote"]) == ("CANCELLED", False, None)
    assert view["cancellation"] == first.json()["cancellation"]
    assert hotel.cancel(stay, token=token).text == first.text


def test_a_link_may_be_for_looking_only(hotel: Hotel) -> None:
    stay = hotel.book()
    token = hotel.invite(stay, actions=["view"]).json()["guest_token"]
    assert hotel.look(stay, token).status_code == 200
    assert_problem(hotel.cancel(stay, token=token), 403, code="token_refused")


def test_of_a_token_nothing_is_kept_but_its_hash(hotel: Hotel, shop: Shop) -> None:
    stay = hotel.book()
    assert hotel.cancel(stay).status_code == 200
    ((hash,),) = shop.sql("SELECT hash FROM guest_tokens WHERE order_id = %s", stay.booking_id)
    assert bytes(hash) == hashlib.sha256(stay.token.encode()).digest()
    for table in ("intents", "timeline", "outbox", "emails", "guest_cancellations", "orders", "bookings"):
        rows = shop.sql(f"SELECT count(*) FROM {table} t WHERE t::text LIKE %s", f"%{stay.token}%")  # noqa: S608
        assert rows == [(0,)], table
    for log in (shop.stack.root / "log").glob("*.log"):
        assert stay.token not in log.read_text(errors="replace"), log


def test_an_operator_sees_the_intent_and_not_the_link(hotel: Hotel, shop: Shop) -> None:
    stay = hotel.book()
    ((intent_id,),) = shop.sql(
        "SELECT id FROM intents WHERE subject = %s AND operation = 'register_booking'", stay.booking_id
    )
    assert shop.intent(f"/intents/{intent_id}", shop.bearer("admin"))["answer"]["body"]["guest_token"] is None
    assert shop.intent(f"/intents/{intent_id}", shop.bearer("service"))["answer"]["body"]["guest_token"] == stay.token


def test_a_token_tells_how_its_own_cancel_has_fared_and_no_other(hotel: Hotel, shop: Shop) -> None:
    stay, other = hotel.book(), hotel.book()
    started = hotel.cancel(stay, headers={"Prefer": "respond-async"})
    assert started.status_code == 202
    location = started.headers["location"]
    assert stay.token not in location
    assert shop.intent(f"{location}?token={stay.token}", {})["operation"] == "cancel_booking"
    assert_problem(shop.http.get(location, params={"token": other.token}), 403, code="not_yours")
    assert_problem(shop.http.get(location, params={"token": "nobody"}), 403, code="token_refused")
    assert_problem(shop.http.get(location), 401, code="unauthorized")


def test_the_same_request_for_a_link_under_one_key_gives_the_same_link(hotel: Hotel, shop: Shop) -> None:
    stay = hotel.book()
    headers = shop.bearer("service") | {"Idempotency-Key": "one-more"}

    def invite(body: dict[str, Any]) -> Any:
        return shop.http.post(f"/bookings/{stay.booking_id}/tokens", json=body, headers=headers)

    first, again = invite({}), invite({})
    assert (again.status_code, json.loads(again.text)) == (200, json.loads(first.text))
    assert_problem(invite({"actions": ["view"]}), 422, code="idempotency_key_reused")


@pytest.mark.parametrize("role", ["customer", "admin"])
def test_only_the_hotel_s_back_end_issues_links_and_approves(hotel: Hotel, shop: Shop, role: str) -> None:
    stay = hotel.book()
    for path in ("tokens", "approve"):
        answer = shop.http.post(f"/bookings/{stay.booking_id}/{path}", headers=shop.bearer(role))
        assert_problem(answer, 403, code="forbidden")
        missing = shop.http.post(f"/bookings/bkg_nowhere/{path}", headers=shop.bearer("service"))
        assert_problem(missing, 404, code="not_found")
