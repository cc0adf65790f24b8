"""The ten edge cases that the client contract of couriers lists, each in its own words and under its own number."""

import uuid

import pytest

from tests.acceptance.refunds import refund_of
from tests.depot import PRICE, SHIPPING
from tests.problems import assert_problem
from tests.shop import eventually


def key() -> str:
    return uuid.uuid4().hex


# 1 and 2: the pickup decides about the shipping.


def test_case_1_a_shipment_canceled_before_pickup_is_refunded_whole_restocked_and_told(depot):
    parcel = depot.paid()
    assert depot.shop.stock(parcel.sku) == 8
    depot.never_leaves(parcel, push="default")
    order = depot.canceled(parcel)
    assert (order["cancellation_source"], order["cancellation_refund"]) == ("delhivery_webhook", "full")
    assert depot.shop.stock(parcel.sku) == 10
    assert depot.refunded(parcel)["amount"] == PRICE
    assert depot.refunds(parcel) == [PRICE]
    shown = depot.shipment(parcel)
    assert shown["canceled_at"]
    assert (shown["canceled_before_pickup"], shown["cancellation_reason"]) == (True, "UD / Not Picked (DTUP-210)")
    (entry,) = depot.entries(parcel, "shipment_canceled")
    assert (entry["told"], entry["reason"]) == ("Cancelled before pickup", "UD / Not Picked (DTUP-210)")
    letters = depot.letters(parcel, "canceled", "refunded")
    assert "was canceled before it left us" in letters["canceled"]
    assert "but for the shipping" not in letters["canceled"]


def test_case_2_a_shipment_that_comes_back_after_pickup_is_refunded_but_for_the_shipping(depot):
    parcel = depot.paid()
    depot.returns(parcel, push="default")
    order = depot.canceled(parcel)
    assert (order["cancellation_source"], order["cancellation_refund"]) == ("delhivery_webhook", "less_shipping")
    assert depot.shop.stock(parcel.sku) == 10
    assert depot.refunded(parcel)["amount"] == PRICE - SHIPPING
    assert depot.refunds(parcel) == [PRICE - SHIPPING]
    assert depot.shipment(parcel)["canceled_before_pickup"] is False
    (entry,) = depot.entries(parcel, "shipment_canceled")
    assert entry["told"] == "Cancelled after pickup"
    letters = depot.letters(parcel, "canceled", "refunded")
    assert "on its way back to us" in letters["canceled"]
    assert "but for the shipping" in letters["canceled"]
    assert "33.00 INR" in letters["refunded"]


def test_case_2_an_operator_may_give_the_shipping_back_as_well(depot):
    parcel = depot.paid()
    depot.returns(parcel, push="default")
    depot.refunded(parcel)
    assert refund_of(depot.shop.refund(parcel.order_id))["amount"] == 5.00
    assert depot.refunds(parcel) == [PRICE - SHIPPING, SHIPPING]
    assert depot.shop.view(parcel.order_id)["payment"]["status"] == "refunded"


# 3: cash on delivery.


def test_case_3_a_canceled_order_with_cash_on_delivery_is_restocked_and_told_without_a_refund(depot):
    parcel = depot.cash_on_delivery()
    depot.returns(parcel, push="default")
    order = depot.canceled(parcel)
    assert (order["cancellation_refund"], order["refunds"]) == ("none", [])
    assert depot.shop.stock(parcel.sku) == 10
    letters = depot.letters(parcel, "canceled")
    assert "refund" not in letters["canceled"]
    told = refund_of(depot.shop.refund(parcel.order_id))
    assert told == {
        "refundId": None,
        "amount": 0,
        "status": "none",
        "isCOD": True,
        "notPaid": False,
        "alreadyRefunded": False,
    }


# 4: told many times.


def test_case_4_many_pushes_about_one_shipment_cancel_once_refund_once_and_are_noted(depot):
    parcel = depot.paid()
    depot.never_leaves(parcel, push="default")
    depot.refunded(parcel)
    for number in range(3):
        assert depot.hint(parcel, current=f"Cancelled - {number}").status_code == 200
    eventually(lambda: depot.entries(parcel, "shipment_hinted"))
    depot.looked_at(parcel)
    assert len(depot.entries(parcel, "order_canceled")) == 1
    assert len(depot.entries(parcel, "shipment_canceled")) == 1
    assert depot.refunds(parcel) == [PRICE]
    assert depot.shop.stock(parcel.sku) == 10
    depot.letters(parcel, "canceled", "refunded")


# 5 and 6: a refund that fails, and is tried again.


def test_case_5_a_refund_that_razorpay_refuses_leaves_the_order_canceled_and_tells_the_desk(depot):
    parcel = depot.paid()
    depot.misbehave("razorpay", "refund", "decline", parcel.reference)
    depot.never_leaves(parcel, push="default")
    refund = depot.refunded(parcel, "failed")
    assert depot.shop.view(parcel.order_id)["status"] == "canceled"
    assert (refund["error"], refund["attempts"]) == ("balance_too_low", 1)
    assert depot.refunds(parcel) == []
    (entry,) = depot.entries(parcel, "refund_failed")
    assert entry["error"] == "balance_too_low"
    (alert,) = depot.shop.alerts(parcel.order_id)
    assert (alert["severity"], alert["open"]) == ("critical", True)
    letters = depot.letters(parcel, "canceled")
    assert "What you paid is being refunded" in letters["canceled"]
    eventually(lambda: ["desk@countermand.example"] in [mail["to"] for mail in depot.shop.mails(parcel.order_id)])


@pytest.mark.parametrize("fault", ["timeout_before", "timeout_after", "gateway_error_before", "gateway_error_after"])
def test_case_5_a_refund_without_an_answer_has_not_failed_and_is_made_once(depot, fault):
    parcel = depot.paid()
    depot.misbehave("razorpay", "refund", fault, parcel.reference)
    depot.never_leaves(parcel, push="default")
    assert depot.refunded(parcel)["amount"] == PRICE
    assert depot.refunds(parcel) == [PRICE]
    assert len({request["idempotency_key"] for request in depot.asked(parcel, "refund")}) == 1
    assert depot.entries(parcel, "refund_failed") == []
    depot.letters(parcel, "canceled", "refunded")


def test_case_6_a_refund_is_tried_again_no_sooner_than_its_cooldown_is_over(depot):
    parcel = depot.paid()
    depot.misbehave("razorpay", "refund", "decline", parcel.reference)
    depot.never_leaves(parcel, push="default")
    first = depot.refunded(parcel, "failed")
    early = depot.shop.refund(parcel.order_id, key())
    assert_problem(early, 429, code="refund_cooldown")
    assert 0 < int(early.headers["retry-after"]) <= 4
    assert len(depot.asked(parcel, "refund")) == 1
    later = eventually(lambda: (answer := depot.shop.refund(parcel.order_id)).status_code != 429 and answer)
    assert refund_of(later)["status"] == "completed"
    (refund,) = depot.shop.view(parcel.order_id)["refunds"]
    assert refund | {"refund_id": first["refund_id"], "attempts": 2, "error": None} == refund
    assert depot.refunds(parcel) == [PRICE]
    assert len({request["idempotency_key"] for request in depot.asked(parcel, "refund")}) == 2
    names = [name for name in depot.shop.events(parcel.order_id) if name.startswith("refund_")]
    assert names == [
        "refund_initiated",
        "refund_started",
        "refund_failed",
        "refund_retried",
        "refund_started",
        "refund_completed",
    ]


# 7 and 8: nothing to give back.


def test_case_7_refunding_what_was_refunded_says_so_and_does_not_call_razorpay(depot):
    parcel = depot.paid()
    depot.never_leaves(parcel, push="default")
    depot.refunded(parcel)
    before = depot.asked(parcel, "refund")
    told = refund_of(depot.shop.refund(parcel.order_id, key()))
    assert told | {"alreadyRefunded": True, "amount": 38.00, "status": "completed"} == told
    assert depot.asked(parcel, "refund") == before
    assert depot.refunds(parcel) == [PRICE]


def test_case_8_a_canceled_order_that_nobody_paid_for_has_no_refund_and_says_so(depot):
    parcel = depot.register({"provider": "none"})
    depot.never_leaves(parcel, push="default")
    assert depot.canceled(parcel)["refunds"] == []
    told = refund_of(depot.shop.refund(parcel.order_id))
    assert told | {"refundId": None, "notPaid": True, "isCOD": False} == told


def test_case_8_money_that_razorpay_only_holds_is_not_refunded_but_left_to_lapse(depot):
    parcel = depot.held()
    depot.never_leaves(parcel, push="default")
    depot.canceled(parcel)
    eventually(lambda: depot.entries(parcel, "void_lapsing"))
    assert depot.asked(parcel, "refund") == depot.asked(parcel, "capture") == []
    depot.happen("razorpay", "lapse", str(parcel.reference))
    eventually(lambda: depot.shop.view(parcel.order_id)["payment"]["status"] == "voided")
    told = refund_of(depot.shop.refund(parcel.order_id))
    assert told | {"refundId": None, "notPaid": True} == told
    assert depot.asked(parcel, "refund") == []


# 9: a part.


def test_case_9_a_part_is_refunded_stored_and_shown_and_never_more_than_is_left(depot):
    parcel = depot.paid()
    assert refund_of(depot.shop.refund(parcel.order_id, key(), amount=10.00))["amount"] == 10.00
    view = depot.shop.view(parcel.order_id)
    assert (view["payment"]["status"], view["payment"]["refunded"]) == ("partially_refunded", 1000)
    (refund,) = view["refunds"]
    assert (refund["amount"], refund["status"]) == (1000, "completed")
    too_much = depot.shop.refund(parcel.order_id, key(), amount=28.01)
    assert_problem(too_much, 422, code="refund_too_large", left="28.00", currency="INR")
    assert depot.refunds(parcel) == [1000]


def test_case_9_what_was_refunded_in_part_is_completed_when_its_parcel_comes_back(depot):
    parcel = depot.paid()
    depot.shop.refund(parcel.order_id, key(), amount=10.00)
    depot.never_leaves(parcel, push="default")
    eventually(lambda: depot.shop.view(parcel.order_id)["payment"]["status"] == "refunded")
    assert depot.refunds(parcel) == [1000, PRICE - 1000]


# 10: somebody else speaks.


@pytest.mark.parametrize("headers", [{}, {"X-Delhivery-Secret": "wrong"}], ids=["none", "wrong"])
def test_case_10_a_push_without_the_secret_is_refused_logged_and_not_processed(depot, headers):
    parcel = depot.paid()
    body = {"awb": parcel.awb, "status": "Cancelled", "current_status": "Cancelled - Customer Request"}
    refusal = {"event": "webhook_refused", "provider": "delhivery", "code": "bad_secret"}
    before = len(depot.shop.logged("gateway", **refusal))
    answer = depot.shop.http.post("/api/shipping/delhivery/webhook", json=body, headers=headers)
    assert_problem(answer, 401, code="bad_secret")
    eventually(lambda: len(depot.shop.logged("gateway", **refusal)) == before + 1)
    assert depot.shop.sql("SELECT 1 FROM courier_events WHERE awb = %s", parcel.awb) == []
    depot.stands(parcel)
