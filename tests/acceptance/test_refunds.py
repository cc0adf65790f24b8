"""Refunds by an operator: captured money goes back, never twice and never more than was taken."""

import uuid

import pytest

from tests.acceptance.refunds import buy_for_a_hundred, given_back, key, money, refund_of, refund_requests
from tests.problems import assert_problem
from tests.shop import at_once, eventually


def test_all_that_was_captured_is_refunded_and_the_shopper_told(shop):
    purchase = shop.buy_captured()
    answer = shop.refund(purchase.order_id, reason="It arrived broken")
    refund = refund_of(answer)
    (row,) = shop.view(purchase.order_id)["refunds"]
    assert refund == {
        "refundId": row["refund_id"],
        "amount": 38.00,
        "status": "completed",
        "isCOD": False,
        "notPaid": False,
        "alreadyRefunded": False,
    }
    assert '"amount":38.00' in answer.text
    assert answer.json()["message"] == "Refund processed successfully"
    assert answer.json()["data"]["order"]["payment"]["status"] == "refunded"
    assert row | {"amount": 3800, "status": "completed", "attempts": 1, "reason": "It arrived broken"} == row
    assert money(shop, purchase) == ("refunded", 3800, 0, 3800)
    assert shop.view(purchase.order_id)["status"] == "captured"
    assert given_back(shop, purchase) == [3800]
    assert {request["idempotency_key"] for request in refund_requests(shop, purchase)} == {
        f"refund:{row['refund_id']}:1"
    }
    assert shop.events(purchase.order_id)[-4:] == [
        "refund_initiated",
        "refund_started",
        "refund_completed",
        "payment_refunded",
    ]
    (mail,) = eventually(lambda: shop.mails(purchase.order_id))
    assert mail["subject"] == f"Your refund for order {purchase.order_id}"
    for words in ("38.00 USD", row["refund_id"], "5 to 7 working days"):
        assert words in str(mail)


def test_refunding_a_refunded_order_says_so_and_calls_nobody(shop):
    purchase = shop.buy_captured()
    first = refund_of(shop.refund(purchase.order_id))
    before = refund_requests(shop, purchase)
    for body in ({}, {"deductShipping": True}, {"amount": "38.00"}, {"amount": 1}):
        again = refund_of(shop.refund(purchase.order_id, key(), **body))
        assert again == first | {"alreadyRefunded": True}
    assert refund_requests(shop, purchase) == before
    assert given_back(shop, purchase) == [3800]


def test_what_was_refunded_in_parts_is_told_by_the_last_of_them(shop):
    purchase = shop.buy_captured()
    shop.refund(purchase.order_id, key(), amount=10)
    last = refund_of(shop.refund(purchase.order_id, key(), amount=28))
    again = refund_of(shop.refund(purchase.order_id))
    assert again == last | {"alreadyRefunded": True}


def test_parts_are_refunded_until_all_is_used_up(shop):
    purchase = buy_for_a_hundred(shop)
    assert refund_of(shop.refund(purchase.order_id, key(), amount=60))["amount"] == 60
    assert money(shop, purchase) == ("partially_refunded", 10_000, 0, 6_000)
    assert refund_of(shop.refund(purchase.order_id, key(), amount="39.99"))["amount"] == 39.99
    answer = shop.refund(purchase.order_id, key(), amount=0.02)
    assert_problem(answer, 422, code="refund_too_large", left="0.01", currency="USD")
    assert refund_of(shop.refund(purchase.order_id))["amount"] == 0.01
    assert money(shop, purchase) == ("refunded", 10_000, 0, 10_000)
    assert given_back(shop, purchase) == [6_000, 3_999, 1]
    assert shop.events(purchase.order_id).count("payment_partially_refunded") == 2


def test_shipping_may_be_kept_and_given_back_later(shop):
    purchase = shop.buy_captured()
    assert refund_of(shop.refund(purchase.order_id, deductShipping=True))["amount"] == 33.00
    assert refund_of(shop.refund(purchase.order_id, deductShipping=True))["alreadyRefunded"]
    assert given_back(shop, purchase) == [3300]
    assert refund_of(shop.refund(purchase.order_id))["amount"] == 5.00
    assert given_back(shop, purchase) == [3300, 500]


@pytest.mark.parametrize("amount", [0, -1, "0.00", "-5", "NaN", "Infinity", "1e500", "1e-500", 0.001, "ten", [1]])
def test_amounts_that_are_none_are_refused(shop, amount):
    purchase = shop.buy_captured()
    assert_problem(shop.refund(purchase.order_id, key(), amount=amount), 422, code="invalid")
    assert refund_requests(shop, purchase) == []
    assert money(shop, purchase) == ("captured", 3800, 0, 0)


def test_more_places_than_the_currency_has_and_another_currency_are_refused(shop):
    reference = shop.authorize(3800, "jpy")
    body = shop.order(reference, currency="JPY")
    shop.provider.v1.payment_intents.capture(reference)
    assert shop.register(body).status_code == 201
    order_id = body["order_id"]
    for wrong in ({"amount": 10.5}, {"amount": "10.0"}, {"amount": 10, "currency": "USD"}):
        assert_problem(shop.refund(order_id, key(), **wrong), 422, code="invalid")
    answer = shop.refund(order_id, key(), amount=1000)
    assert '"amount":1000,' in answer.text
    assert shop.view(order_id)["payment"]["refunded"] == 1000


def test_more_than_was_captured_is_refused(shop):
    purchase = shop.buy_captured()
    assert_problem(shop.refund(purchase.order_id, key(), amount="38.01"), 422, code="refund_too_large", left="38.00")
    assert refund_requests(shop, purchase) == []


def test_a_part_needs_a_key_and_all_of_it_does_not(shop):
    purchase = buy_for_a_hundred(shop)
    assert_problem(shop.refund(purchase.order_id, amount=60), 400, code="idempotency_key_required")
    assert refund_requests(shop, purchase) == []
    assert refund_of(shop.refund(purchase.order_id, amount=100.00))["amount"] == 100
    assert refund_of(shop.refund(purchase.order_id, amount=100.00))["alreadyRefunded"]
    assert given_back(shop, purchase) == [10_000]


def test_one_key_is_one_refund_and_one_answer(shop):
    purchase, one = buy_for_a_hundred(shop), key()
    first = shop.refund(purchase.order_id, one, amount=30)
    again = shop.refund(purchase.order_id, one, amount=30)
    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    assert_problem(shop.refund(purchase.order_id, one, amount=31), 422, code="idempotency_key_reused")
    assert given_back(shop, purchase) == [3_000]


def test_of_two_refunds_of_60_on_100_started_at_once_one_is_made(shop):
    for _ in range(5):
        purchase = buy_for_a_hundred(shop)
        answers = at_once(2, lambda _, order_id=purchase.order_id: shop.refund(order_id, key(), amount=60))
        made, refused = sorted(answers, key=lambda answer: answer.status_code)
        assert refund_of(made)["amount"] == 60
        assert_problem(refused, 422, code="refund_too_large", left="40.00")
        assert given_back(shop, purchase) == [6_000]


def test_many_full_refunds_started_at_once_are_one(shop):
    purchase = shop.buy_captured()
    answers = at_once(8, lambda number: shop.refund(purchase.order_id, key() if number % 2 else None))
    assert {refund_of(answer)["status"] for answer in answers} == {"completed"}
    assert given_back(shop, purchase) == [3800]
    assert len(shop.view(purchase.order_id)["refunds"]) == 1


def test_cash_on_delivery_and_free_orders_have_nothing_to_refund(shop):
    for provider, flag in (("cod", "isCOD"), ("none", "notPaid")):
        body = shop.order(None, payment={"provider": provider})
        assert shop.register(body).status_code == 201
        refund = refund_of(shop.refund(body["order_id"]))
        flags = dict.fromkeys(("isCOD", "notPaid", "alreadyRefunded"), False) | {flag: True}
        assert refund == {"refundId": None, "amount": 0, "status": "none"} | flags


def test_a_hold_that_was_not_captured_is_released_instead(shop):
    purchase = shop.buy()
    assert_problem(shop.refund(purchase.order_id, key(), amount=10), 409, code="not_captured")
    refund = refund_of(shop.refund(purchase.order_id))
    assert refund | {"amount": 38.00, "status": "completed"} == refund
    assert shop.ledger(purchase.reference)[-1] == "payment_intent.canceled"
    view = shop.view(purchase.order_id)
    assert (view["status"], view["payment"]["status"], view["payment"]["released"]) == ("pending", "voided", 3800)
    assert refund_of(shop.refund(purchase.order_id))["notPaid"]
    assert shop.cancel(purchase).json()["payment_action"] == "voided"
    assert "refund.created" not in shop.ledger(purchase.reference)


def test_a_refund_while_the_capture_is_under_way_waits_for_its_outcome(shop):
    shop.slow_down("capture", 1500)
    purchase = shop.buy_overdue()
    eventually(lambda: shop.view(purchase.order_id)["payment"]["status"] == "capturing")
    assert shop.view(purchase.order_id)["edit_status"] == "locked_for_capture"
    refund = refund_of(shop.refund(purchase.order_id))
    assert refund | {"amount": 38.00, "status": "completed"} == refund
    moves = shop.ledger(purchase.reference)[-2:]
    assert moves == ["payment_intent.captured", "refund.created"]
    assert shop.view(purchase.order_id)["edit_status"] == "open"


def test_the_database_refuses_the_second_of_two_refunds_also_when_no_rule_does(shop):
    purchase = buy_for_a_hundred(shop)
    assert refund_of(shop.refund(purchase.order_id, key(), amount=60))
    with pytest.raises(Exception, match="payments_refunds_within_capture"):
        shop.sql(
            "INSERT INTO refunds (id, order_id, payment_id, amount, source, actor)"
            " SELECT 'rfd_' || id, order_id, id, 6000, 'test', 'test' FROM payments WHERE order_id = %s",
            purchase.order_id,
        )


def test_only_operators_refund_and_only_what_there_is(shop):
    purchase = shop.buy_captured(customer_id="cus_1")
    path = f"/api/admin/orders/{purchase.order_id}/refund"
    for headers in (shop.bearer("service"), shop.bearer("customer", "cus_1"), {"x-modification-token": purchase.token}):
        assert_problem(shop.http.post(path, json={}, headers=headers), 403, code="forbidden")
    assert_problem(shop.http.post(path, json={}), 401, code="unauthorized")
    assert_problem(shop.refund(f"ord_{uuid.uuid4().hex}"), 404, code="not_found")
    assert given_back(shop, purchase) == []


def test_the_words_of_an_operator_are_for_operators_and_never_logged(shop):
    words = f"words-{uuid.uuid4().hex}"
    purchase = shop.buy_captured()
    refund_of(shop.refund(purchase.order_id, reason=words))
    seen = shop.http.get(f"/orders/{purchase.order_id}", headers={"x-modification-token": purchase.token})
    assert words not in seen.text
    assert words in str(shop.view(purchase.order_id))
    logs = (shop.stack.root / "log").glob("*.log")
    assert all(words not in log.read_text(errors="replace") for log in logs)
