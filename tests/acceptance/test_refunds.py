"""Refunds by an operator: captured money goes back, never twice and never more than was taken."""

import subprocess
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.broker import Publisher, celery_app
from shared.queues import Task
from shared.store.outbox import Message
from tests.problems import assert_problem
from tests.shop import Purchase, Shop, at_once, eventually

#: One line of a hundred dollars.
HUNDRED = {"lines": [{"sku": "HAT", "quantity": 1, "unit_price": 10_000}], "shipping": 0}


def buy_for_a_hundred(shop: Shop) -> Purchase:
    return shop.buy_captured(10_000, **HUNDRED)


def key() -> str:
    return uuid.uuid4().hex


def refund_of(answer) -> dict:
    assert answer.status_code == 200, answer.text
    assert answer.json()["success"] is True
    return answer.json()["data"]["refund"]


def money(shop: Shop, purchase: Purchase) -> tuple:
    """How the payment stands: its status, what was captured, what is promised of it, and what is back."""
    query = "SELECT status, captured, refunding, refunded FROM payments WHERE order_id = %s"
    ((*stands,),) = shop.sql(query, purchase.order_id)
    payment = shop.view(purchase.order_id)["payment"]
    if shop.sql(query, purchase.order_id) != [tuple(stands)]:  # it moved between the two looks
        return money(shop, purchase)
    assert (payment["status"], payment["captured"], payment["refunded"]) == (stands[0], stands[1], stands[3])
    return tuple(stands)


def given_back(shop: Shop, purchase: Purchase) -> list[int]:
    """The refunds that the provider's ledger knows, in minor units."""
    effects = shop.effects(purchase.reference)
    return [effect["amount"] for effect in effects if effect["operation"] == "refund.created"]


def refund_requests(shop: Shop, purchase: Purchase) -> list[dict]:
    return [r for r in shop.requests_to_provider(purchase.reference) if r["operation"] == "refund"]


def keys(shop: Shop, purchase: Purchase) -> set[str]:
    """The idempotency keys under which the provider was asked for a refund."""
    return {request["idempotency_key"] for request in refund_requests(shop, purchase)}


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
    assert shop.cancel(purchase).json()["payment_action"] == "none"
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


def test_a_refund_that_failed_is_tried_again_when_its_hour_is_over(shop):
    purchase = shop.buy_captured()
    shop.fault("refund", "decline", reference=purchase.reference)
    problem = assert_problem(shop.refund(purchase.order_id), 502, code="refund_failed")
    assert "declined" not in problem["message"]
    (row,) = shop.view(purchase.order_id)["refunds"]
    assert row | {"status": "failed", "error": "card_declined", "attempts": 1} == row
    assert money(shop, purchase) == ("captured", 3800, 0, 0)
    (alert,) = shop.alerts(purchase.order_id)
    assert (alert["severity"], alert["open"]) == ("critical", True)

    one = key()
    early = shop.refund(purchase.order_id, one)
    problem = assert_problem(early, 429, code="refund_cooldown")
    assert 0 < int(early.headers["retry-after"]) <= 4
    assert datetime.fromisoformat(problem["retry_at"]) > datetime.now(UTC)
    assert len(refund_requests(shop, purchase)) == 1
    later = eventually(lambda: (answer := shop.refund(purchase.order_id)).status_code != 429 and answer)
    assert refund_of(later)["status"] == "completed"
    (row,) = shop.view(purchase.order_id)["refunds"]
    assert row | {"status": "completed", "error": None, "attempts": 2} == row
    assert keys(shop, purchase) == {f"refund:{row['refund_id']}:1", f"refund:{row['refund_id']}:2"}
    assert len(refund_requests(shop, purchase)) == 2
    assert given_back(shop, purchase) == [3800]
    assert [alert["open"] for alert in shop.alerts(purchase.order_id)] == [False]
    again = shop.refund(purchase.order_id, one)
    assert (again.content, again.headers["retry-after"]) == (early.content, "0")


def test_what_a_twin_got_through_after_a_refusal_is_found_before_it_is_made_again(shop):
    purchase = buy_for_a_hundred(shop)
    shop.fault("refund", "decline", reference=purchase.reference)
    assert_problem(shop.refund(purchase.order_id, key(), amount=60), 502, code="refund_failed")
    (row,) = shop.view(purchase.order_id)["refunds"]
    tag = {"countermand_refund": row["refund_id"], "countermand_generation": "1"}
    twin = {"payment_intent": purchase.reference, "amount": 6000, "metadata": tag}
    made = shop.provider.v1.refunds.create(twin, {"idempotency_key": "the twin's"})
    later = eventually(
        lambda: (answer := shop.refund(purchase.order_id, key(), amount=60)).status_code != 429 and answer
    )
    assert refund_of(later)["status"] == "completed"
    (row,) = shop.view(purchase.order_id)["refunds"]
    assert row["provider_id"] == made.id
    assert given_back(shop, purchase) == [6_000]


#: Faults before the refund takes effect, and faults that hide that it did.
BEFORE = ("drop_before", "timeout_before", "error_500_before", "html_502", "rate_limit")
AFTER = ("drop_after", "timeout_after", "error_500_after")


@pytest.mark.parametrize("fault", BEFORE + AFTER)
def test_an_unknown_outcome_is_not_a_failure_and_ends_as_one_refund_under_one_key(shop, fault):
    purchase = shop.buy_captured()
    shop.fault("refund", fault, reference=purchase.reference)
    # While the provider is silent a twin may find out first: the sweep sends it after a message out of patience.
    status = refund_of(shop.refund(purchase.order_id))["status"]
    assert status in (("processing", "completed") if "timeout" in fault else ("processing",))
    eventually(lambda: money(shop, purchase) == ("refunded", 3800, 0, 3800))
    (row,) = shop.view(purchase.order_id)["refunds"]
    assert given_back(shop, purchase) == [3800]
    assert {request["idempotency_key"] for request in refund_requests(shop, purchase)} == {
        f"refund:{row['refund_id']}:1"
    }
    assert [alert["open"] for alert in shop.alerts(purchase.order_id)] == [False] * (status == "processing")
    assert ("refund_unanswered" in shop.events(purchase.order_id)) == (status == "processing")
    assert refund_of(shop.refund(purchase.order_id))["alreadyRefunded"]


def test_a_twin_that_is_already_calling_the_provider_is_no_failure(shop):
    purchase = shop.buy_captured()
    shop.fault("refund", "conflict", reference=purchase.reference)
    assert refund_of(shop.refund(purchase.order_id))["status"] in ("completed", "processing")
    eventually(lambda: money(shop, purchase) == ("refunded", 3800, 0, 3800))
    assert given_back(shop, purchase) == [3800]
    assert shop.alerts(purchase.order_id) == []


def test_one_message_that_comes_many_times_at_once_is_one_refund(shop):
    purchase = shop.buy_captured()
    app = celery_app(shop.settings)
    try:
        shop.slow_down("refund", 800)
        headers = shop.bearer("admin", "op_1") | {"Prefer": "respond-async"}
        accepted = shop.http.post(f"/api/admin/orders/{purchase.order_id}/refund", json={}, headers=headers)
        refund_id = eventually(lambda: [row["refund_id"] for row in shop.view(purchase.order_id)["refunds"]])[0]
        assert Publisher(app).publish([Message(Task.REFUND_PAYMENT, refund_id)] * 6)
        eventually(lambda: len(refund_requests(shop, purchase)) > 1)  # they do meet there
        eventually(lambda: money(shop, purchase) == ("refunded", 3800, 0, 3800))
    finally:
        app.close()
    assert given_back(shop, purchase) == [3800]
    assert keys(shop, purchase) == {f"refund:{refund_id}:1"}
    answer = eventually(lambda: shop.intent(accepted.headers["location"], shop.bearer("admin"))["answer"])
    assert answer["body"]["data"]["refund"]["status"] == "completed"
    assert shop.events(purchase.order_id).count("refund_completed") == 1
    assert shop.alerts(purchase.order_id) == []


@pytest.mark.parametrize("fault", ["error_500_during", "error_500_after"])
def test_past_the_life_of_its_key_a_refund_is_read_back_and_not_made_again_under_it(shop, fault):
    """The provider keeps a 500 under its key: asked again, it says the same for as long as it remembers the key."""
    purchase = shop.buy_captured()
    shop.fault("refund", fault, reference=purchase.reference)
    shop.fault("retrieve", "drop_before", times=-1)
    assert refund_of(shop.refund(purchase.order_id))["status"] == "processing"
    shop.sql("UPDATE refunds SET key_since = key_since - interval '1 day' WHERE order_id = %s", purchase.order_id)
    shop.behave()
    eventually(lambda: money(shop, purchase) == ("refunded", 3800, 0, 3800))
    assert given_back(shop, purchase) == [3800]
    ((generation,),) = shop.sql("SELECT generation FROM refunds WHERE order_id = %s", purchase.order_id)
    assert generation == (2 if fault == "error_500_during" else 1)


#: Carries a refund out in a process that slept for more than a minute right after its claim.
ASLEEP = """
import sys
from workers import refund
clock = iter((0.0, refund.CLAIM_LASTS + 1))
refund.now = lambda: next(clock)
refund.refund_payment(sys.argv[1])
"""


def test_a_worker_that_slept_since_its_claim_asks_for_nothing_and_leaves_it_to_the_next(shop):
    purchase = shop.buy_captured()
    shop.fault("refund", "drop_before", reference=purchase.reference)
    refund_id = refund_of(shop.refund(purchase.order_id))["refundId"]
    postponed = "UPDATE outbox SET due_at = now() + %s * interval '1 hour' WHERE subject = %s RETURNING subject"
    assert shop.sql(postponed, 1, refund_id) == [(refund_id,)]
    before = refund_requests(shop, purchase)
    program = [sys.executable, "-c", ASLEEP, refund_id]
    subprocess.run(program, env=shop.stack.environment(), check=True, timeout=60, cwd=Path(__file__).parents[2])
    assert refund_requests(shop, purchase) == before
    assert shop.sql(postponed, 0, refund_id) == [(refund_id,)]
    eventually(lambda: money(shop, purchase) == ("refunded", 3800, 0, 3800))
    assert given_back(shop, purchase) == [3800]


def test_a_refund_that_the_provider_has_not_decided_is_followed(shop):
    for outcome in ("succeed", "fail"):
        purchase = shop.buy_captured()
        shop.fault("refund", "pending", reference=purchase.reference)
        assert refund_of(shop.refund(purchase.order_id))["status"] == "processing"
        assert money(shop, purchase) == ("captured", 3800, 3800, 0)
        (row,) = shop.view(purchase.order_id)["refunds"]
        shop.happen(outcome, row["provider_id"])
        after = ("refunded", 3800, 0, 3800) if outcome == "succeed" else ("captured", 3800, 0, 0)
        eventually(lambda purchase=purchase, after=after: money(shop, purchase) == after)
        assert len(refund_requests(shop, purchase)) == 1
        assert [alert["open"] for alert in shop.alerts(purchase.order_id)] == ([True] if outcome == "fail" else [])


def test_a_refund_that_the_provider_takes_its_time_for_is_never_given_up(shop):
    purchase = shop.buy_captured()
    shop.fault("refund", "pending", reference=purchase.reference)
    refund_id = refund_of(shop.refund(purchase.order_id))["refundId"]
    limit = shop.settings.retry_limit
    attempt = "UPDATE refunds SET attempts = %s WHERE id = %s RETURNING last_attempt_at"
    ((before,),) = shop.sql(attempt, limit, refund_id)
    count = "SELECT attempts FROM refunds WHERE id = %s AND last_attempt_at > %s + interval '3 seconds'"
    ((attempts,),) = eventually(lambda: shop.sql(count, refund_id, before))  # so it was looked up more than once
    assert attempts <= limit + 1
    (row,) = shop.view(purchase.order_id)["refunds"]
    shop.happen("succeed", row["provider_id"])
    eventually(lambda: money(shop, purchase) == ("refunded", 3800, 0, 3800))
    assert shop.alerts(purchase.order_id) == []


def test_who_asks_for_a_refund_that_failed_once_more_says_why_anew(shop):
    purchase = shop.buy_captured()
    shop.fault("refund", "decline", reference=purchase.reference)
    assert_problem(shop.refund(purchase.order_id, reason="It arrived broken"), 502, code="refund_failed")
    again = {"reason": "The shopper called"}
    eventually(lambda: shop.refund(purchase.order_id, **again).status_code == 200)
    view = shop.view(purchase.order_id)
    assert view["refunds"][0]["reason"] == again["reason"]
    told = [entry["data"].get("reason") for entry in view["timeline"] if entry["event"].startswith("refund_")]
    assert [words for words in told if words] == ["It arrived broken", "The shopper called"]


def test_a_refund_that_fails_after_it_had_succeeded_is_reopened_and_can_be_made_again(shop):
    purchase = shop.buy_captured()
    refund_id = refund_of(shop.refund(purchase.order_id))["refundId"]
    (row,) = shop.view(purchase.order_id)["refunds"]
    shop.happen("fail", row["provider_id"])
    eventually(lambda: money(shop, purchase) == ("captured", 3800, 0, 0))
    (alert,) = shop.alerts(purchase.order_id)
    assert (alert["severity"], alert["open"]) == ("critical", True)
    assert shop.events(purchase.order_id)[-2:] == ["refund_failed", "capture_stands"]
    later = eventually(lambda: (answer := shop.refund(purchase.order_id)).status_code != 429 and answer)
    assert refund_of(later)["refundId"] == refund_id
    assert money(shop, purchase) == ("refunded", 3800, 0, 3800)
    assert [effect["operation"] for effect in shop.effects(purchase.reference)][-3:] == [
        "refund.created",
        "refund.failed",
        "refund.created",
    ]
    assert len(eventually(lambda: (mails := shop.mails(purchase.order_id))[1:] and mails)) == 2


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
