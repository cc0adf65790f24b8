"""A hotel registers policies and bookings, and approves what it wants to be paid for."""

import uuid
from typing import Any

import pytest

from tests.hotel import FLEXIBLE, Hotel
from tests.problems import assert_problem, nothing_recorded
from tests.shop import Shop, eventually


@pytest.fixture
def hotel(shop: Shop) -> Hotel:
    return Hotel(shop)


def test_a_policy_has_a_version_for_each_change(hotel: Hotel, shop: Shop) -> None:
    policy_id = f"pol_{uuid.uuid4().hex}"

    def put(policy: dict[str, Any]) -> int:
        answer = shop.http.put(f"/policies/{policy_id}", json=policy, headers=shop.bearer("service"))
        assert answer.status_code == 200, answer.text
        version: int = answer.json()["version"]
        return version

    assert [put(FLEXIBLE), put(FLEXIBLE), put({"refundable": False}), put(FLEXIBLE)] == [1, 1, 2, 3]


def test_no_policy_at_all_is_not_the_policy_that_everything_is_free(shop: Shop) -> None:
    with nothing_recorded(shop):
        answer = shop.http.put("/policies/pol_1", headers=shop.bearer("service"))
        assert_problem(answer, 400, code="malformed")


@pytest.mark.parametrize("role", ["customer", "admin"])
def test_only_the_hotel_s_back_end_registers(hotel: Hotel, shop: Shop, role: str) -> None:
    with nothing_recorded(shop):
        answer = shop.http.post("/bookings", json=hotel.body("pol_1", None), headers=shop.bearer(role))
        assert_problem(answer, 403, code="forbidden")
        assert_problem(shop.http.put("/policies/pol_1", json={}, headers=shop.bearer(role)), 403, code="forbidden")


def test_the_same_booking_again_is_the_same_with_the_same_link(hotel: Hotel) -> None:
    body = hotel.body(hotel.put_policy(FLEXIBLE), hotel.shop.authorize(50_000, "eur"))
    first, again = hotel.register(body), hotel.register(body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.json() | {"guest_token": ""} == {
        "booking_id": body["booking_id"],
        "status": "PENDING_APPROVAL",
        "total": 50_000,
        "currency": "EUR",
        "nights": 3,
        "policy_id": body["policy_id"],
        "policy_version": 1,
        "guest_token": "",
    }
    other = hotel.register(body | {"email": "somebody@example.com"})
    assert_problem(other, 409, code="order_conflict")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"policy_id": "pol_nowhere"}, 422, "policy_unknown"),
        ({"check_out": "2020-01-01T00:00"}, 422, "invalid"),
        ({"check_in": "2026-13-41T00:00"}, 422, "invalid"),
        ({"check_in": "2026-12-24T15:00Z"}, 422, "invalid"),
        ({"hotel": {"slug": "a", "name": "A", "email": "a@example.com", "time_zone": "Mars/Base"}}, 422, "invalid"),
        ({"hotel": {"slug": "a", "name": "A", "email": "a@example.com", "time_zone": "UTC\x00"}}, 422, "invalid"),
        ({"hotel": {"slug": "a/b", "name": "A", "email": "a@example.com", "time_zone": "UTC"}}, 422, "invalid"),
        ({"lines": []}, 422, "invalid"),
        ({"payment": {"provider": "stripe", "reference": "pi_nowhere"}}, 422, "payment_unusable"),
        ({"currency": "USD"}, 422, "payment_unusable"),
        ({"guest_link": {"actions": []}}, 422, "invalid"),
        ({"fee": 1}, 422, "invalid"),
    ],
)
def test_what_no_booking_can_be_is_refused(hotel: Hotel, changes: dict[str, Any], status: int, code: str) -> None:
    body = hotel.body(hotel.put_policy(FLEXIBLE), hotel.shop.authorize(50_000, "eur")) | changes
    assert_problem(hotel.register(body), status, code=code)
    assert hotel.shop.sql("SELECT 1 FROM orders WHERE id = %s", body["booking_id"]) == []


def test_a_policy_s_amounts_must_be_of_the_booking_s_currency(hotel: Hotel) -> None:
    policy_id = hotel.put_policy({"rules": [{"days_before": 1, "amount": 1000}], "currency": "USD"})
    assert_problem(hotel.register(hotel.body(policy_id, None)), 422, code="invalid")


def test_an_order_and_a_booking_share_no_id_and_no_payment(hotel: Hotel, shop: Shop) -> None:
    purchase = shop.buy()
    policy_id = hotel.put_policy(FLEXIBLE)
    same_id = hotel.body(policy_id, None) | {"booking_id": purchase.order_id}
    assert_problem(hotel.register(same_id), 409, code="order_conflict")
    lines = [{"sku": "ROOM", "quantity": 1, "unit_price": 3800}]
    same_payment = hotel.body(policy_id, purchase.reference, currency="USD", lines=lines)
    assert_problem(hotel.register(same_payment), 409, code="payment_conflict")


def test_a_booking_is_not_captured_before_its_hotel_approves_it(hotel: Hotel, shop: Shop) -> None:
    stay = hotel.book()
    assert shop.sql("SELECT 1 FROM capture_jobs WHERE order_id = %s", stay.booking_id) == []
    assert hotel.approve(stay).json() == {"booking_id": stay.booking_id, "status": "PENDING_APPROVAL"}
    eventually(lambda: hotel.view(stay)["status"] == "CONFIRMED")
    assert hotel.approve(stay).json()["status"] == "CONFIRMED"
    assert hotel.moves(stay) == [("captured", 50_000)]


def test_only_what_is_held_can_be_approved(hotel: Hotel) -> None:
    unpaid, gone = hotel.book(amount=None), hotel.book()
    assert_problem(hotel.approve(unpaid), 409, code="not_authorized")
    assert hotel.cancel(gone).status_code == 200
    assert_problem(hotel.approve(gone), 409, code="booking_canceled")


def test_a_booking_follows_its_payment_from_nothing_to_held_to_paid(hotel: Hotel, shop: Shop) -> None:
    wish: Any = {"amount": 50_000, "currency": "eur", "capture_method": "manual", "payment_method_types": ["card"]}
    intent = shop.provider.v1.payment_intents.create(wish)
    stay = hotel.booked(intent.id)
    assert hotel.view(stay)["status"] == "PENDING_PAYMENT"
    shop.provider.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    eventually(lambda: hotel.view(stay)["status"] == "PENDING_APPROVAL")
    hotel.approve(stay)
    eventually(lambda: hotel.view(stay)["status"] == "CONFIRMED")
    assert hotel.view(stay)["quote"]["cancellation_fee"] == "50.00"
    assert [alert for alert in shop.alerts(stay.booking_id) if alert["open"]] == []


def test_a_booking_that_is_paid_at_once_is_confirmed(hotel: Hotel, shop: Shop) -> None:
    wish: Any = {"amount": 50_000, "currency": "eur", "payment_method_types": ["card"]}
    intent = shop.provider.v1.payment_intents.create(wish)
    stay = hotel.booked(intent.id)
    shop.provider.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    eventually(lambda: hotel.view(stay)["status"] == "CONFIRMED")
    assert hotel.order(stay)["status"] == "captured"
    assert [alert for alert in shop.alerts(stay.booking_id) if alert["open"]] == []


def test_a_booking_needs_neither_an_id_nor_a_payment(hotel: Hotel) -> None:
    body = hotel.body(hotel.put_policy({}), None)
    del body["payment"], body["booking_id"]
    answer = hotel.register(body)
    assert answer.status_code == 201
    assert answer.json()["booking_id"].startswith("bkg_")
