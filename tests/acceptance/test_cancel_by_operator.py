"""An operator takes an order back at any time: status first, then its money, and never as if it were free."""

import uuid

import pytest

from tests.problems import assert_problem
from tests.shop import Purchase, Shop, at_once, eventually


def data_of(answer) -> dict:
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["success"], body["message"]) == (True, "Order cancelled successfully")
    return body["data"]


def buy_captured_goods(shop: Shop) -> tuple[Purchase, str]:
    sku = f"SKU-{uuid.uuid4().hex}"
    shop.put_stock(sku, 10)
    line = {"sku": sku, "quantity": 2, "unit_price": 1500, "tax_rate": "0.10"}
    return shop.buy_captured(lines=[line]), sku


def moves(shop: Shop, purchase: Purchase) -> list[str]:
    """What happened to the money at the provider after it was held."""
    return shop.ledger(purchase.reference)[2:]


def test_an_order_that_was_paid_for_is_canceled_restocked_and_refunded(shop):
    purchase, sku = buy_captured_goods(shop)
    assert shop.stock(sku) == 8
    answer = shop.cancel_by_operator(purchase.order_id, reason="Customer request")
    data = data_of(answer)
    (row,) = shop.view(purchase.order_id)["refunds"]
    assert data["refundProcessed"] is True
    assert data["refundDetails"] == {"refundId": row["refund_id"], "amount": 38.00, "status": "completed"}
    assert '"amount":38.00' in answer.text
    assert (data["order"]["order_id"], data["order"]["status"]) == (purchase.order_id, "canceled")
    view = shop.view(purchase.order_id)
    assert (view["status"], view["payment"]["status"], view["cancellation_source"]) == ("canceled", "refunded", "admin")
    assert view["cancellation_refund"] == "full"
    assert moves(shop, purchase) == ["payment_intent.captured", "refund.created"]
    assert shop.stock(sku) == 10
    mails = eventually(lambda: (mails := shop.mails(purchase.order_id))[1:] and mails)
    assert {mail["subject"] for mail in mails} == {
        f"Your order {purchase.order_id} is canceled",
        f"Your refund for order {purchase.order_id}",
    }
    assert not any("Nothing is charged" in str(mail) for mail in mails)


def test_a_repeated_cancel_answers_from_the_present_state_and_moves_nothing(shop):
    purchase, sku = buy_captured_goods(shop)
    first = data_of(shop.cancel_by_operator(purchase.order_id))
    again = data_of(shop.cancel_by_operator(purchase.order_id, reason="again"))
    assert again["refundDetails"] == first["refundDetails"]
    answers = at_once(6, lambda number: shop.cancel_by_operator(purchase.order_id, reason=f"once more {number}"))
    assert all(data_of(answer)["refundDetails"] == first["refundDetails"] for answer in answers)
    assert moves(shop, purchase) == ["payment_intent.captured", "refund.created"]
    assert shop.stock(sku) == 10


def test_many_cancels_and_refunds_of_one_order_started_at_once_move_its_money_once(shop):
    purchase, sku = buy_captured_goods(shop)
    act = (shop.cancel_by_operator, shop.refund)
    answers = at_once(8, lambda number: act[number % 2](purchase.order_id, reason=f"at once {number}"))
    assert {answer.status_code for answer in answers} == {200}, [answer.text for answer in answers]
    assert moves(shop, purchase) == ["payment_intent.captured", "refund.created"]
    assert shop.stock(sku) == 10
    assert shop.view(purchase.order_id)["status"] == "canceled"


def test_an_operator_may_keep_the_money_and_give_it_back_later(shop):
    purchase, _ = buy_captured_goods(shop)
    data = data_of(shop.cancel_by_operator(purchase.order_id, skipRefund=True))
    assert (data["refundProcessed"], data["refundDetails"]) == (False, None)
    view = shop.view(purchase.order_id)
    assert (view["status"], view["cancellation_refund"]) == ("canceled", "skipped")
    assert view["payment"]["status"] == "captured"
    assert moves(shop, purchase) == ["payment_intent.captured"]
    assert shop.refund(purchase.order_id).json()["data"]["refund"]["status"] == "completed"
    assert moves(shop, purchase) == ["payment_intent.captured", "refund.created"]


def test_who_keeps_the_rest_gives_nothing_back_whatever_was_refunded_before(shop):
    purchase, _ = buy_captured_goods(shop)
    assert shop.refund(purchase.order_id, uuid.uuid4().hex, amount=8).status_code == 200
    data = data_of(shop.cancel_by_operator(purchase.order_id, skipRefund=True, reason="It was worn"))
    assert (data["refundProcessed"], data["refundDetails"]) == (False, None)
    (entry,) = [one for one in shop.view(purchase.order_id)["timeline"] if one["event"] == "order_canceled"]
    assert entry["data"]["reason"] == "It was worn"


def test_what_was_refunded_in_part_before_is_refunded_up_to_what_was_captured(shop):
    purchase, _ = buy_captured_goods(shop)
    assert shop.refund(purchase.order_id, uuid.uuid4().hex, amount=8).status_code == 200
    assert data_of(shop.cancel_by_operator(purchase.order_id))["refundDetails"]["amount"] == 30.00
    refunds = [effect["amount"] for effect in shop.effects(purchase.reference)[3:]]
    assert refunds == [800, 3000]
    assert shop.view(purchase.order_id)["payment"]["status"] == "refunded"


def test_an_order_whose_money_is_only_held_is_canceled_and_its_hold_released(shop):
    purchase = shop.buy()
    data = data_of(shop.cancel_by_operator(purchase.order_id))
    assert data["refundProcessed"] is True
    assert data["refundDetails"] | {"amount": 38.00, "status": "completed"} == data["refundDetails"]
    assert moves(shop, purchase) == ["payment_intent.canceled"]
    view = shop.view(purchase.order_id)
    assert (view["status"], view["payment"]["status"], view["cancellation_refund"]) == ("canceled", "voided", "none")
    assert shop.cancel(purchase).json()["payment_action"] == "voided"


@pytest.mark.parametrize("provider", ["cod", "none"])
def test_an_order_that_nobody_paid_for_is_canceled_without_a_refund(shop, provider):
    body = shop.order(None, payment={"provider": provider})
    assert shop.register(body).status_code == 201
    data = data_of(shop.cancel_by_operator(body["order_id"]))
    assert (data["refundProcessed"], data["refundDetails"]) == (False, None)
    assert data["order"]["status"] == "canceled"


def test_a_cancel_while_the_capture_is_under_way_waits_for_its_outcome(shop):
    shop.slow_down("capture", 1500)
    purchase = shop.buy_overdue()
    eventually(lambda: shop.view(purchase.order_id)["payment"]["status"] == "capturing")
    assert data_of(shop.cancel_by_operator(purchase.order_id))["refundDetails"]["status"] == "completed"
    assert moves(shop, purchase) == ["payment_intent.captured", "refund.created"]
    assert shop.view(purchase.order_id)["status"] == "canceled"


def test_a_refund_that_fails_leaves_the_order_canceled_and_is_made_after_its_hour(shop):
    purchase, sku = buy_captured_goods(shop)
    shop.fault("refund", "decline", reference=purchase.reference)
    data = data_of(shop.cancel_by_operator(purchase.order_id))
    assert data["refundProcessed"] is False
    assert data["refundDetails"]["status"] == "failed"
    assert shop.view(purchase.order_id)["status"] == "canceled"
    assert shop.stock(sku) == 10
    assert_problem(shop.refund(purchase.order_id), 429, code="refund_cooldown")
    assert shop.view(purchase.order_id)["payment"]["refunded"] == 0
    later = eventually(lambda: (answer := shop.refund(purchase.order_id)).status_code != 429 and answer)
    assert later.json()["data"]["refund"]["status"] == "completed"
    assert moves(shop, purchase) == ["payment_intent.captured", "refund.created"]


def test_a_cancel_right_after_a_refund_failed_promises_the_next_attempt_and_waits_with_it(shop):
    purchase, _ = buy_captured_goods(shop)
    shop.fault("refund", "decline", reference=purchase.reference)
    assert_problem(shop.refund(purchase.order_id), 502, code="refund_failed")
    data = data_of(shop.cancel_by_operator(purchase.order_id))
    assert (data["refundProcessed"], data["refundDetails"]["status"]) == (True, "initiated")
    assert [r["operation"] for r in shop.requests_to_provider(purchase.reference)].count("refund") == 1
    eventually(lambda: shop.view(purchase.order_id)["payment"]["status"] == "refunded")
    first, second = (r["at"] for r in shop.requests_to_provider(purchase.reference) if r["operation"] == "refund")
    assert second - first >= shop.settings.refund_cooldown


def test_a_void_that_gets_no_answer_leaves_the_order_canceled_and_is_told_as_under_way(shop):
    purchase = shop.buy()
    shop.fault("cancel", "drop_before", reference=purchase.reference)
    data = data_of(shop.cancel_by_operator(purchase.order_id))
    assert (data["refundProcessed"], data["refundDetails"]["status"]) == (True, "processing")
    eventually(lambda: shop.view(purchase.order_id)["payment"]["status"] == "voided")
    assert moves(shop, purchase) == ["payment_intent.canceled"]


def test_only_operators_may_and_only_what_there_is(shop):
    purchase = shop.buy(customer_id="cus_1")
    path = f"/api/admin/orders/{purchase.order_id}/cancel"
    for headers in (shop.bearer("service"), shop.bearer("customer", "cus_1"), {"x-modification-token": purchase.token}):
        assert_problem(shop.http.post(path, json={}, headers=headers), 403, code="forbidden")
    assert_problem(shop.cancel_by_operator(f"ord_{uuid.uuid4().hex}"), 404, code="not_found")
    assert_problem(shop.cancel_by_operator(purchase.order_id, skiprefund=True), 422, code="invalid")
    assert shop.view(purchase.order_id)["status"] == "pending"
