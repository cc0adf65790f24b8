"""A guest takes a booking back: the money first, by the policy, and once."""

import uuid
from typing import Any

import pytest

from tests.hotel import FLEXIBLE, ROUTES, Hotel, Stay
from tests.problems import assert_problem
from tests.shop import Shop, at_once, eventually


@pytest.fixture
def hotel(shop: Shop) -> Hotel:
    return Hotel(shop)


def canceled(answer: Any) -> dict[str, Any]:
    """The cancellation that a 200 tells of."""
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["success"], body["message"]) == (True, "Booking cancelled successfully")
    found: dict[str, Any] = body["cancellation"]
    return found


# A: a booking that is paid for.


@pytest.mark.parametrize("route", ROUTES)
def test_a_confirmed_booking_is_refunded_but_for_the_fee_under_the_key_of_its_contract(
    hotel: Hotel, shop: Shop, route: str
) -> None:
    stay = hotel.confirmed()
    assert hotel.view(stay)["can_cancel"]
    answer = canceled(hotel.cancel(stay, route))
    assert (answer["cancellation_fee"], answer["refund_amount"]) == ("50.00", "450.00")
    assert answer["refund_reference"].startswith("re_")
    assert answer["refund_processed_at"]
    assert answer["description"] == "Cancellation less than 30 days before check-in: 10% of the price"
    assert hotel.keys(stay) == {f"guest_cancel_refund:{stay.booking_id}"}
    assert hotel.moves(stay) == [("captured", 50_000), ("refund.created", 45_000)]
    order = hotel.order(stay)
    assert (order["status"], order["cancellation_source"], order["kind"]) == ("canceled", "guest", "booking")
    assert (order["payment"]["captured"], order["payment"]["refunded"]) == (50_000, 45_000)
    assert shop.stock(stay.sku) == 10
    assert hotel.is_used(stay)


def test_the_guest_and_the_hotel_are_told_once_each_what_it_cost(hotel: Hotel, shop: Shop) -> None:
    stay = hotel.confirmed()
    canceled(hotel.cancel(stay))
    canceled(hotel.cancel(stay))
    eventually(lambda: len(shop.mails(stay.booking_id)) == 2)
    (to_guest,), (to_hotel,) = shop.mails_to(stay.email), shop.mails_to(stay.desk)
    for mail, words in (to_guest, ("450.00 EUR", "50.00 EUR")), (to_hotel, ("450.00 EUR", "50.00 EUR")):
        assert all(word in mail["text"] for word in words)


def test_when_the_policy_keeps_everything_nobody_asks_the_provider(hotel: Hotel, shop: Shop) -> None:
    stay = hotel.confirmed(days=1)
    answer = canceled(hotel.cancel(stay))
    assert (answer["cancellation_fee"], answer["refund_amount"]) == ("500.00", "0.00")
    assert answer["refund_reference"] is None
    assert hotel.moves(stay) == [("captured", 50_000)]
    assert hotel.order(stay)["status"] == "canceled"


def test_what_an_operator_gave_back_before_is_neither_fee_nor_refund(hotel: Hotel, shop: Shop) -> None:
    stay = hotel.confirmed()
    assert shop.refund(stay.booking_id, uuid.uuid4().hex, amount=470, reason="no hot water").status_code == 200
    eventually(lambda: hotel.order(stay)["payment"]["refunded"] == 47_000)
    answer = canceled(hotel.cancel(stay))
    assert (answer["cancellation_fee"], answer["refund_amount"]) == ("30.00", "0.00")
    assert hotel.order(stay)["payment"]["refunded"] == 47_000


@pytest.mark.parametrize(
    ("currency", "total", "fee", "back"),
    [("JPY", 12_345, "1235", "11110"), ("KWD", 12_345_670, "1234.567", "11111.103")],
)
def test_other_currencies_have_other_minor_units(
    hotel: Hotel, shop: Shop, currency: str, total: int, fee: str, back: str
) -> None:
    reference = shop.authorize(total, currency.lower())
    lines = [{"sku": f"ROOM-{uuid.uuid4().hex}", "quantity": 1, "unit_price": total}]
    stay = hotel.booked(reference, currency=currency, lines=lines)
    hotel.approve(stay)
    eventually(lambda: hotel.view(stay)["status"] == "CONFIRMED")
    answer = canceled(hotel.cancel(stay))
    assert (answer["cancellation_fee"], answer["refund_amount"]) == (fee, back)


def test_an_operator_s_own_refund_is_told_of_although_a_guest_cancels_meanwhile(hotel: Hotel, shop: Shop) -> None:
    stay = hotel.confirmed()
    shop.slow_down("refund", 1500)
    answers = at_once(
        2,
        lambda number: (
            hotel.cancel(stay, headers={"Prefer": "wait=30"})
            if number
            else shop.refund(stay.booking_id, f"goodwill-{stay.booking_id}", amount=100)
        ),
    )
    assert answers[1].status_code == 200, answers[1].text
    assert answers[0].status_code in (200, 409, 422), answers[0].text
    told = 3 if answers[0].status_code == 200 else 2  # the cancel's two, and the refund's own
    eventually(lambda: len(shop.mails(stay.booking_id)) == told)


# B: a booking whose money is only held.


@pytest.mark.parametrize("route", ROUTES)
def test_a_booking_that_waits_for_its_approval_is_voided_and_nothing_is_charged(
    hotel: Hotel, shop: Shop, route: str
) -> None:
    stay = hotel.book()
    assert hotel.view(stay)["status"] == "PENDING_APPROVAL"
    answer = canceled(hotel.cancel(stay, route))
    assert (answer["cancellation_fee"], answer["refund_amount"]) == ("0.00", "500.00")
    assert answer["refund_reference"] is None
    assert hotel.moves(stay) == [("canceled", 50_000)]
    found = shop.provider.v1.payment_intents.retrieve(str(stay.reference))
    assert found.cancellation_reason == "requested_by_customer"
    assert hotel.order(stay)["payment"]["status"] == "voided"


def test_a_policy_may_have_the_fee_captured_out_of_what_is_held(hotel: Hotel) -> None:
    stay = hotel.book(FLEXIBLE | {"capture_fee": True})
    answer = canceled(hotel.cancel(stay))
    assert (answer["cancellation_fee"], answer["refund_amount"]) == ("50.00", "450.00")
    assert hotel.moves(stay) == [("captured", 5_000)]
    payment = hotel.order(stay)["payment"]
    assert (payment["status"], payment["captured"], payment["released"]) == ("captured", 5_000, 45_000)


def test_nobody_can_pay_any_more_for_a_booking_that_was_canceled_before_it_was_paid(hotel: Hotel, shop: Shop) -> None:
    wish = {"amount": 50_000, "currency": "eur", "capture_method": "manual", "payment_method_types": ["card"]}
    intent = shop.provider.v1.payment_intents.create(wish)
    stay = hotel.booked(intent.id)
    assert hotel.view(stay)["status"] == "PENDING_PAYMENT"
    answer = canceled(hotel.cancel(stay))
    assert (answer["cancellation_fee"], answer["refund_amount"]) == ("0.00", "0.00")
    assert shop.provider.v1.payment_intents.retrieve(intent.id).status == "canceled"
    assert hotel.order(stay)["payment"]["status"] == "voided"


@pytest.mark.parametrize("payment", [{"provider": "none"}, {"provider": "stripe"}])
def test_without_a_payment_there_is_nothing_to_do_but_to_cancel(hotel: Hotel, payment: dict[str, str]) -> None:
    stay = hotel.booked(None, payment=payment)
    assert hotel.view(stay)["status"] == "PENDING_PAYMENT"
    answer = canceled(hotel.cancel(stay))
    assert (answer["cancellation_fee"], answer["refund_amount"], answer["refund_reference"]) == ("0.00", "0.00", None)
    assert hotel.order(stay)["status"] == "canceled"


# D: once and for all.


def test_again_it_is_answered_as_before_and_the_provider_is_not_asked(hotel: Hotel, shop: Shop) -> None:
    stay = hotel.confirmed()
    first = hotel.cancel(stay)
    moved = hotel.moves(stay), hotel.keys(stay)
    for route in ROUTES:
        again = hotel.cancel(stay, route, reason="again")
        assert (again.status_code, again.text) == (200, first.text)
    in_query = shop.http.post(stay.path, params={"token": stay.token})
    assert (in_query.status_code, in_query.text) == (200, first.text)
    assert (hotel.moves(stay), hotel.keys(stay)) == moved


@pytest.mark.parametrize("keyed", [False, True])
def test_fifty_cancels_at_once_make_one_refund_and_give_one_answer(hotel: Hotel, keyed: bool) -> None:
    stay = hotel.confirmed()

    def cancel(number: int) -> Any:
        headers = {"Idempotency-Key": f"key-{number}"} if keyed else {}
        return hotel.cancel(stay, ROUTES[number % 2], headers=headers)

    answers = at_once(50, cancel)
    assert {answer.status_code for answer in answers} == {200}, {answer.text for answer in answers}
    assert len({answer.text for answer in answers}) == 1
    assert hotel.moves(stay) == [("captured", 50_000), ("refund.created", 45_000)]
    assert hotel.keys(stay) == {f"guest_cancel_refund:{stay.booking_id}"}


def test_what_the_hotel_has_declined_cannot_be_canceled(hotel: Hotel, shop: Shop) -> None:
    stay = hotel.book()
    assert shop.cancel_by_operator(stay.booking_id, reason="no rooms").status_code == 200
    assert hotel.view(stay)["status"] == "DECLINED"
    assert_problem(hotel.cancel(stay), 409, code="booking_declined")
    assert not hotel.is_used(stay)


def test_a_stay_that_is_over_cannot_be_canceled(hotel: Hotel) -> None:
    stay = hotel.confirmed(days=-10)
    assert hotel.view(stay)["status"] == "COMPLETED"
    assert_problem(hotel.cancel(stay), 409, code="booking_completed")


# Who else moves the money.


def test_a_shopper_s_routes_and_edits_are_not_for_bookings(hotel: Hotel, shop: Shop) -> None:
    stay = hotel.book()
    headers = shop.modification(stay.booking_id)
    assert_problem(shop.http.post(f"/store/orders/{stay.booking_id}/cancel", headers=headers), 409, code="is_booking")
    edit = shop.http.post(f"/store/orders/{stay.booking_id}/items/1", json={"quantity": 2}, headers=headers)
    assert_problem(edit, 409, code="is_booking")


def test_while_its_guest_takes_it_back_operators_and_the_hotel_are_asked_to_wait(hotel: Hotel, shop: Shop) -> None:
    stay = hotel.confirmed()
    shop.fault("refund", "timeout_before", reference=stay.reference)
    waiting = hotel.cancel(stay, headers={"Prefer": "respond-async"})
    assert waiting.status_code == 202
    eventually(lambda: hotel.view(stay)["status"] == "CANCELING")
    assert_problem(shop.cancel_by_operator(stay.booking_id), 409, code="booking_canceling")
    assert_problem(shop.refund(stay.booking_id), 409, code="booking_canceling")
    assert_problem(hotel.approve(stay), 409, code="booking_canceling")
    location = waiting.headers["location"]

    def answer() -> Any:
        return shop.http.get(location, params={"token": stay.token}).json()["answer"]

    assert eventually(answer)["status"] == 200
    assert hotel.moves(stay) == [("captured", 50_000), ("refund.created", 45_000)]


def test_a_booking_that_somebody_captured_meanwhile_is_refunded_as_it_was_shown(hotel: Hotel, shop: Shop) -> None:
    stay = hotel.book()
    shop.unheard(str(stay.reference))
    shop.provider.v1.payment_intents.capture(str(stay.reference))
    answer = canceled(hotel.cancel(stay))
    assert (answer["cancellation_fee"], answer["refund_amount"]) == ("0.00", "500.00")
    assert hotel.moves(stay) == [("captured", 50_000), ("refund.created", 50_000)]
    shop.compare(str(stay.reference))
    assert shop.drift(str(stay.reference)) == []
    assert not [alert for alert in shop.alerts(stay.booking_id) if alert["open"]]


def test_a_hotel_that_declines_a_booking_nobody_has_paid_closes_its_payment(hotel: Hotel, shop: Shop) -> None:
    wish = {"amount": 50_000, "currency": "eur", "capture_method": "manual", "payment_method_types": ["card"]}
    intent = shop.provider.v1.payment_intents.create(wish)
    stay: Stay = hotel.booked(intent.id)
    assert shop.cancel_by_operator(stay.booking_id).status_code == 200
    eventually(lambda: shop.provider.v1.payment_intents.retrieve(intent.id).status == "canceled")
    assert hotel.view(stay)["status"] == "DECLINED"
