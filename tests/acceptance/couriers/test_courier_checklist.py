"""The fifteen scenarios of the client contract's checklist for couriers and refunds, line by line."""

import uuid
from datetime import datetime

from tests.acceptance.refunds import refund_of
from tests.depot import PRICE, SHIPPING, Depot, Parcel
from tests.problems import assert_problem
from tests.shop import eventually


def key() -> str:
    return uuid.uuid4().hex


def returned(depot: Depot) -> Parcel:
    """An order whose parcel came back, and whose money was given back."""
    parcel = depot.paid()
    depot.returns(parcel, push="default")
    depot.refunded(parcel)
    return parcel


def test_line_1_a_webhook_cancels_a_prepaid_order_and_refunds_it(depot):
    parcel = depot.paid()
    depot.never_leaves(parcel)
    answer = depot.hint(parcel)
    assert (answer.status_code, answer.json()) == (
        200,
        {"success": True, "message": "Webhook processed successfully"},
    )
    assert depot.canceled(parcel)["cancellation_source"] == "delhivery_webhook"
    depot.refunded(parcel)
    assert depot.refunds(parcel) == [PRICE]


def test_line_2_a_webhook_cancels_an_order_with_cash_on_delivery_and_refunds_nothing(depot):
    parcel = depot.cash_on_delivery()
    depot.never_leaves(parcel)
    assert depot.hint(parcel).status_code == 200
    assert depot.canceled(parcel)["cancellation_source"] == "delhivery_webhook"
    assert depot.shop.view(parcel.order_id)["refunds"] == []


def test_line_3_an_operators_cancel_with_a_reason_is_answered_as_the_contract_has_it(depot):
    parcel = depot.paid()
    answer = depot.shop.cancel_by_operator(parcel.order_id, reason="Customer request")
    assert answer.status_code == 200
    body = answer.json()
    assert (body["success"], body["message"]) == (True, "Order cancelled successfully")
    refund = depot.refunded(parcel)
    assert body["data"]["refundProcessed"] is True
    assert body["data"]["refundDetails"] == {"refundId": refund["refund_id"], "amount": 38.00, "status": "completed"}
    order = depot.shop.view(parcel.order_id)
    assert (order["status"], order["cancellation_source"]) == ("canceled", "admin")
    assert depot.entries(parcel, "order_canceled")[0]["reason"] == "Customer request"
    assert depot.refunds(parcel) == [PRICE]


def test_line_4_an_operators_refund_of_a_paid_order_is_answered_as_the_contract_has_it(depot):
    parcel = depot.paid()
    answer = depot.shop.refund(parcel.order_id, reason="Manual refund", amount=38.00, deductShipping=False)
    assert refund_of(answer) == {
        "refundId": depot.refunded(parcel)["refund_id"],
        "amount": 38.00,
        "status": "completed",
        "isCOD": False,
        "notPaid": False,
        "alreadyRefunded": False,
    }
    assert answer.json()["message"] == "Refund processed successfully"
    assert depot.refunds(parcel) == [PRICE]


def test_line_5_a_refund_of_an_order_without_a_payment_succeeds_and_says_that_nothing_was_paid(depot):
    parcel = depot.register({"provider": "none"})
    told = refund_of(depot.shop.refund(parcel.order_id))
    assert told | {"notPaid": True, "isCOD": False, "alreadyRefunded": False} == told


def test_line_6_a_refund_of_a_refunded_order_succeeds_and_moves_nothing(depot):
    parcel = depot.paid()
    first = refund_of(depot.shop.refund(parcel.order_id))
    again = refund_of(depot.shop.refund(parcel.order_id, key()))
    assert again == first | {"alreadyRefunded": True}
    assert depot.refunds(parcel) == [PRICE]


def test_line_7_a_part_is_refunded_and_more_than_is_left_is_not(depot):
    parcel = depot.paid()
    assert refund_of(depot.shop.refund(parcel.order_id, key(), amount=8.00))["amount"] == 8.00
    assert_problem(depot.shop.refund(parcel.order_id, key(), amount=30.01), 422, code="refund_too_large")
    assert depot.shop.view(parcel.order_id)["payment"]["status"] == "partially_refunded"
    assert depot.refunds(parcel) == [800]


def test_line_8_a_sync_of_one_order_finds_its_cancellation_without_any_webhook(depot):
    parcel = depot.paid()
    depot.returns(parcel)
    answer = depot.sync(parcel)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["success"], body["message"]) == (True, "Status synced successfully")
    data = body["data"]
    assert (data["status"], data["cancellationDetected"]) == ("In Transit", True)
    assert (data["order"]["order_id"], data["order"]["status"]) == (parcel.order_id, "canceled")
    assert depot.canceled(parcel)["cancellation_source"] == "delhivery_sync"
    depot.refunded(parcel)
    assert depot.refunds(parcel) == [PRICE - SHIPPING]


def test_line_9_a_bulk_sync_reports_on_each_order_and_cancels_what_comes_back(depot):
    back, onwards = depot.paid(), depot.paid()
    depot.returns(back)
    depot.scan(onwards, "UD", "Dispatched", picked_up=True)
    answer = depot.bulk_sync(limit=5000)
    assert answer.status_code == 200
    body = answer.json()
    assert body["success"] is True
    lines = {line["orderId"]: line for line in body["data"]["details"]}
    assert lines[back.order_id] == {
        "orderId": back.order_id,
        "awb": back.awb,
        "success": True,
        "status": "In Transit",
        "cancellationDetected": True,
        "error": None,
    }
    assert lines[onwards.order_id] | {"status": "Dispatched", "cancellationDetected": False} == lines[onwards.order_id]
    data = body["data"]
    assert data["total"] == len(lines) == data["synced"] + data["cancelled"] + data["errors"]
    assert depot.canceled(back)["cancellation_source"] == "delhivery_sync"
    assert depot.shop.view(onwards.order_id)["status"] == "captured"


def test_line_10_the_cancellation_is_mailed_once(depot):
    parcel = depot.cash_on_delivery()
    depot.never_leaves(parcel, push="default")
    text = depot.letters(parcel, "canceled")["canceled"]
    assert parcel.order_id in text
    assert "canceled before it left us" in text


def test_line_11_the_refund_is_mailed_once_with_its_amount_its_number_and_how_long_it_takes(depot):
    parcel = returned(depot)
    text = depot.letters(parcel, "canceled", "refunded")["refunded"]
    for words in ("33.00 INR", depot.refunded(parcel)["refund_id"], "5 to 7 working days"):
        assert words in text


def test_line_12_what_a_dashboard_shows_of_a_refund_its_status_id_amount_dates_and_error_is_in_the_order(depot):
    parcel = depot.paid()
    depot.misbehave("razorpay", "refund", "decline", parcel.reference)
    depot.never_leaves(parcel, push="default")
    failed = depot.refunded(parcel, "failed")
    assert (failed["amount"], failed["error"], failed["attempts"]) == (PRICE, "balance_too_low", 1)
    eventually(lambda: depot.shop.refund(parcel.order_id, key()).status_code == 200)
    refund = depot.refunded(parcel)
    assert (refund["refund_id"], refund["error"], refund["attempts"]) == (failed["refund_id"], None, 2)
    assert refund["provider_id"].startswith("rfnd_")
    assert datetime.fromisoformat(refund["initiated_at"]) <= datetime.fromisoformat(refund["last_attempt_at"])
    assert datetime.fromisoformat(refund["last_attempt_at"]) <= datetime.fromisoformat(refund["settled_at"])


def test_line_13_what_a_shop_page_shows_of_a_refund_its_status_amount_and_dates_is_in_the_shoppers_order(depot):
    parcel = returned(depot)
    seen = depot.shop.http.get(f"/orders/{parcel.order_id}", headers=parcel.credential)
    assert seen.status_code == 200
    (refund,) = seen.json()["refunds"]
    assert (refund["status"], refund["amount"], refund["reason"]) == ("completed", PRICE - SHIPPING, None)
    assert datetime.fromisoformat(refund["initiated_at"]) <= datetime.fromisoformat(refund["settled_at"])
    assert seen.json()["payment"]["refunded"] == PRICE - SHIPPING
    assert seen.json()["shipment"]["canceled_before_pickup"] is False


def test_line_14_the_inventory_is_restored_once(depot):
    parcel = depot.paid()
    assert depot.shop.stock(parcel.sku) == 8
    depot.returns(parcel, push="default")
    depot.canceled(parcel)
    assert depot.shop.stock(parcel.sku) == 10
    depot.scan(parcel, "DL", "RTO", push="default")
    depot.looked_at(parcel)
    assert depot.sync(parcel).status_code == 200
    assert depot.shop.cancel_by_operator(parcel.order_id).status_code == 200
    assert depot.shop.stock(parcel.sku) == 10


def test_line_15_the_timeline_tells_of_everything_in_order_with_who_was_behind_it(depot):
    parcel = returned(depot)
    timeline = depot.shop.view(parcel.order_id)["timeline"]
    assert [entry["event"] for entry in timeline] == [
        "order_registered",
        "shipment_registered",
        "capture_started",
        "payment_captured",
        "order_captured",
        "shipment_tracked",
        "shipment_canceled",
        "refund_initiated",
        "order_canceled",
        "refund_started",
        "refund_completed",
        "payment_partially_refunded",
    ]
    actors = {entry["event"]: entry["actor"] for entry in timeline}
    assert actors["order_canceled"] == actors["shipment_canceled"] == "courier:delhivery"
    tracked = depot.entries(parcel, "shipment_tracked")
    assert tracked == [{"from": "registered", "to": "returning", "courier_status": "In Transit"}]
