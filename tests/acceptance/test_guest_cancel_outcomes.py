"""The provider refuses, or nobody knows what it did: the booking stands, or stays canceling until it is known."""

from datetime import timedelta
from typing import Any

import pytest

from tests.hotel import FLEXIBLE, Hotel, Stay
from tests.problems import assert_problem
from tests.shop import Shop, eventually


@pytest.fixture
def hotel(shop: Shop) -> Hotel:
    return Hotel(shop)


def assert_stands(hotel: Hotel, stay: Stay, status: str) -> None:
    """The booking is what it was, and its link is as good as before."""
    view = hotel.view(stay)
    assert (view["status"], view["can_cancel"]) == (status, True)
    assert not hotel.is_used(stay)
    assert hotel.shop.stock(stay.sku) == 9


def refused(hotel: Hotel, stay: Stay) -> None:
    """The cancel fails, and nobody outside hears why."""
    answer = hotel.cancel(stay)
    problem = assert_problem(answer, 502, code="cancellation_failed")
    assert not any(word in answer.text.lower() for word in ("stripe", "declined", "card_", "pi_", "re_")), problem
    assert hotel.shop.logged("worker", event="cancellation_refused", booking_id=stay.booking_id)


def test_a_refused_refund_leaves_the_booking_and_the_next_attempt_is_another_refund_at_once(
    hotel: Hotel, shop: Shop
) -> None:
    stay = hotel.confirmed()
    shop.fault("refund", "decline", reference=stay.reference)
    refused(hotel, stay)
    assert_stands(hotel, stay, "CONFIRMED")
    assert [alert["open"] for alert in shop.alerts(stay.booking_id)] == [True]
    answer = hotel.cancel(stay, headers={"Prefer": "wait=2"})  # which is less than the cooldown of operators
    assert answer.status_code == 200, answer.text
    key = f"guest_cancel_refund:{stay.booking_id}"
    (again,) = shop.sql("SELECT id FROM refunds WHERE order_id = %s AND state = 'completed'", stay.booking_id)
    assert hotel.keys(stay) == {key, f"{key}:{again[0]}"}
    assert hotel.moves(stay) == [("captured", 50_000), ("refund.created", 45_000)]
    assert [alert["open"] for alert in shop.alerts(stay.booking_id)] == [False]


def test_after_a_refused_refund_another_sum_is_another_operation(hotel: Hotel, shop: Shop) -> None:
    stay = hotel.confirmed()
    shop.fault("refund", "decline", reference=stay.reference)
    refused(hotel, stay)
    later = "UPDATE bookings SET check_in = check_in + %s, check_out = check_out + %s WHERE order_id = %s"
    shop.sql(later, timedelta(days=40), timedelta(days=40), stay.booking_id)
    answer = hotel.cancel(stay)
    assert answer.json()["cancellation"]["refund_amount"] == "500.00"
    assert hotel.moves(stay) == [("captured", 50_000), ("refund.created", 50_000)]
    assert len(hotel.keys(stay)) == 2


def test_a_refused_void_leaves_the_booking_and_its_hold(hotel: Hotel, shop: Shop) -> None:
    stay = hotel.book()
    shop.fault("cancel", "decline", reference=stay.reference)
    refused(hotel, stay)
    assert_stands(hotel, stay, "PENDING_APPROVAL")
    assert hotel.moves(stay) == []
    assert hotel.cancel(stay).status_code == 200
    assert hotel.moves(stay) == [("canceled", 50_000)]
    assert [alert["open"] for alert in shop.alerts(stay.booking_id)] == [False]


def waiting_job(shop: Shop, stay: Stay, state: str = "waiting") -> None:
    """A capture that is to come, of which no message is on its way yet."""
    shop.sql(
        "INSERT INTO capture_jobs (id, order_id, payment_id, due_at, state)"
        " SELECT 'cap_' || gen_random_uuid(), order_id, id, now() + interval '1 hour', %s"
        " FROM payments WHERE order_id = %s",
        state,
        stay.booking_id,
    )


def test_a_refused_void_leaves_what_the_hotel_has_approved_approved(hotel: Hotel, shop: Shop) -> None:
    stay = hotel.book()
    waiting_job(shop, stay)
    shop.fault("cancel", "decline", reference=stay.reference)
    refused(hotel, stay)
    eventually(lambda: hotel.view(stay)["status"] == "CONFIRMED")
    assert hotel.moves(stay) == [("captured", 50_000)]


def test_a_booking_that_was_approved_twice_is_declined_with_one_void(hotel: Hotel, shop: Shop) -> None:
    stay = hotel.book()
    waiting_job(shop, stay, "removed")
    waiting_job(shop, stay)
    answer = shop.cancel_by_operator(stay.booking_id)
    assert answer.status_code == 200, answer.text
    assert hotel.moves(stay) == [("canceled", 50_000)]


def test_who_pays_in_the_moment_of_the_cancel_pays_what_the_policy_says(hotel: Hotel, shop: Shop) -> None:
    wish: Any = {"amount": 50_000, "currency": "eur", "payment_method_types": ["card"]}
    intent = shop.provider.v1.payment_intents.create(wish)
    stay = hotel.booked(intent.id)
    shop.unheard(intent.id)
    shop.provider.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    cancellation = hotel.cancel(stay).json()["cancellation"]
    assert (cancellation["cancellation_fee"], cancellation["refund_amount"]) == ("50.00", "450.00")
    assert cancellation["applied_rule"] == "rule_1"
    assert hotel.moves(stay)[-1] == ("refund.created", 45_000)
    shop.compare(intent.id)
    assert shop.drift(intent.id) == []


def test_a_settling_that_breaks_parks_its_guest_and_goes_on_when_an_operator_says_so(
    hotel: Hotel, shop: Shop, breaks_on_purpose: None
) -> None:
    stay = hotel.confirmed()
    with shop.broken("guest_cancellations", f"NEW.order_id = '{stay.booking_id}' AND NEW.state = 'done'"):
        waiting = hotel.cancel(stay, headers={"Prefer": "respond-async"})
        answer = eventually(lambda: _answer(shop, waiting, stay), 120)
        assert (answer["status"], answer["body"]["code"]) == (500, "parked")
        assert hotel.view(stay)["status"] == "CANCELING"
    assert shop.retry(waiting.json()["intent"]).status_code == 200
    eventually(lambda: hotel.order(stay)["status"] == "canceled")
    assert hotel.cancel(stay).status_code == 200
    assert hotel.moves(stay) == [("captured", 50_000), ("refund.created", 45_000)]
    title = f"cancel.settle_booking {stay.booking_id}%"
    assert shop.sql("SELECT resolved_at IS NULL FROM alerts WHERE title LIKE %s", title) == [(False,)]


def test_no_more_than_the_price_is_kept_of_a_larger_hold(hotel: Hotel) -> None:
    stay = hotel.book({"refundable": False, "capture_fee": True}, amount=60_000)
    cancellation = hotel.cancel(stay).json()["cancellation"]
    assert (cancellation["cancellation_fee"], cancellation["refund_amount"]) == ("500.00", "100.00")
    assert hotel.moves(stay) == [("captured", 50_000)]


def test_a_booking_whose_hold_was_captured_in_part_is_for_its_hotel_to_settle(hotel: Hotel, shop: Shop) -> None:
    parts: Any = {"payment_method_options": {"card": {"request_multicapture": "if_available"}}}
    stay = hotel.booked(shop.authorize(50_000, "eur", **parts))
    shop.provider.v1.payment_intents.capture(
        str(stay.reference), {"amount_to_capture": 20_000, "final_capture": False}
    )
    eventually(lambda: hotel.order(stay)["payment"]["captured"] == 20_000)
    assert_problem(hotel.cancel(stay), 422, code="partial_capture")
    assert hotel.moves(stay) == [("captured", 20_000)]


def test_after_a_refusal_it_is_looked_up_what_somebody_did_at_the_provider(hotel: Hotel, shop: Shop) -> None:
    stay = hotel.confirmed()
    shop.unheard(str(stay.reference))
    shop.provider.v1.refunds.create({"payment_intent": str(stay.reference), "amount": 20_000})
    refused(hotel, stay)
    eventually(lambda: hotel.order(stay)["payment"]["refunded"] == 20_000)
    cancellation = hotel.cancel(stay).json()["cancellation"]
    assert (cancellation["cancellation_fee"], cancellation["refund_amount"]) == ("50.00", "250.00")


def test_a_booking_of_which_some_is_back_is_canceled_although_the_rest_is_refused(hotel: Hotel, shop: Shop) -> None:
    stay = hotel.confirmed()
    shop.fault("refund", "pending", reference=stay.reference)
    assert shop.refund(stay.booking_id, "goodwill-" + stay.booking_id, amount=100).status_code == 200
    ((goodwill,),) = shop.sql("SELECT provider_id FROM refunds WHERE order_id = %s", stay.booking_id)
    shop.slow_down("refund", 2000)
    waiting = hotel.cancel(stay, headers={"Prefer": "respond-async"})
    eventually(lambda: hotel.view(stay)["status"] == "CANCELING")
    shop.happen("fail", goodwill)
    eventually(lambda: "refund_failed" in hotel.shop.events(stay.booking_id))
    shop.fault("refund", "decline", reference=stay.reference)
    answer = eventually(lambda: _answer(shop, waiting, stay))
    assert answer["status"] == 200
    cancellation = answer["body"]["cancellation"]
    kept = hotel.order(stay)["payment"]["captured"] - hotel.order(stay)["payment"]["refunded"]
    assert (cancellation["cancellation_fee"], cancellation["refund_amount"]) == (f"{kept / 100:.2f}", "350.00")
    assert any(alert["open"] and alert["severity"] == "critical" for alert in shop.alerts(stay.booking_id))


def test_a_fee_that_cannot_be_captured_leaves_the_booking_as_it_was(hotel: Hotel, shop: Shop) -> None:
    stay = hotel.book(FLEXIBLE | {"capture_fee": True})
    shop.fault("capture", "decline", reference=stay.reference)
    refused(hotel, stay)
    assert_stands(hotel, stay, "PENDING_APPROVAL")
    assert hotel.order(stay)["total"] == 50_000
    assert hotel.approve(stay).status_code == 200
    eventually(lambda: hotel.view(stay)["status"] == "CONFIRMED")
    assert hotel.moves(stay) == [("captured", 50_000)]


@pytest.mark.parametrize("fault", ["timeout_before", "drop_before", "error_500_before", "rate_limit", "html_502"])
def test_during_an_outage_nothing_is_decided_and_after_it_the_money_moves_once(
    hotel: Hotel, shop: Shop, fault: str
) -> None:
    stay = hotel.confirmed()
    shop.fault("any", fault, reference=stay.reference, times=-1, seconds=1)
    waiting = hotel.cancel(stay, headers={"Prefer": "wait=1"})
    assert (waiting.status_code, waiting.json()["state"]) in ((202, "accepted"), (202, "working"))
    view = hotel.view(stay)
    assert (view["status"], view["can_cancel"], view["cancellation"]) == ("CANCELING", False, None)
    assert not hotel.is_used(stay)
    assert shop.stock(stay.sku) == 9
    assert hotel.moves(stay) == [("captured", 50_000)]
    shop.behave()
    answer = eventually(lambda: _answer(shop, waiting, stay))
    assert answer["status"] == 200
    assert answer["body"] == hotel.cancel(stay).json()
    assert hotel.moves(stay) == [("captured", 50_000), ("refund.created", 45_000)]
    assert hotel.is_used(stay)
    assert [alert["open"] for alert in shop.alerts(stay.booking_id)] == [False]


@pytest.mark.parametrize("fault", ["timeout_after", "drop_after", "error_500_after"])
def test_a_refund_whose_answer_was_lost_is_found_and_not_made_again(hotel: Hotel, shop: Shop, fault: str) -> None:
    stay = hotel.confirmed()
    shop.fault("refund", fault, reference=stay.reference, seconds=5)
    answer = hotel.cancel(stay, headers={"Prefer": "wait=30"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["cancellation"]["refund_amount"] == "450.00"
    assert hotel.moves(stay) == [("captured", 50_000), ("refund.created", 45_000)]


@pytest.mark.parametrize("fault", ["timeout_before", "timeout_after"])
def test_a_void_whose_answer_was_lost_is_read_back(hotel: Hotel, shop: Shop, fault: str) -> None:
    stay = hotel.book()
    shop.fault("cancel", fault, reference=stay.reference, seconds=5)
    answer = hotel.cancel(stay, headers={"Prefer": "wait=30"})
    assert answer.status_code == 200, answer.text
    assert hotel.moves(stay) == [("canceled", 50_000)]


def test_a_refund_that_the_provider_has_taken_in_cancels_the_booking_and_is_followed(hotel: Hotel, shop: Shop) -> None:
    stay = hotel.confirmed()
    shop.fault("refund", "pending", reference=stay.reference)
    answer = hotel.cancel(stay)
    cancellation = answer.json()["cancellation"]
    assert cancellation["refund_reference"].startswith("re_")
    assert cancellation["refund_processed_at"] is None
    assert hotel.order(stay)["status"] == "canceled"
    shop.happen("succeed", cancellation["refund_reference"])
    eventually(lambda: hotel.order(stay)["payment"]["refunded"] == 45_000)


def test_a_hold_that_lapsed_before_its_fee_could_be_captured_costs_nothing(hotel: Hotel, shop: Shop) -> None:
    stay = hotel.book(FLEXIBLE | {"capture_fee": True})
    shop.unheard(str(stay.reference))
    shop.happen("expire", str(stay.reference))
    answer = hotel.cancel(stay)
    cancellation = answer.json()["cancellation"]
    assert (cancellation["cancellation_fee"], cancellation["refund_amount"]) == ("0.00", "500.00")
    assert cancellation["description"].endswith("; waived, since nothing was charged to the card")
    assert hotel.order(stay)["payment"]["status"] == "voided"


def _answer(shop: Shop, waiting: Any, stay: Stay) -> Any:
    return shop.http.get(waiting.headers["location"], params={"token": stay.token}).json()["answer"]
