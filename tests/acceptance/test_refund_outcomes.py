"""What becomes of a refund: it failed, nobody knows, it is not decided yet; and it is still never made twice."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from shared.broker import Publisher, celery_app
from shared.queues import Task
from shared.store.outbox import Message
from tests.acceptance.refunds import buy_for_a_hundred, given_back, key, keys, money, refund_of, refund_requests
from tests.problems import assert_problem
from tests.shop import Purchase, Shop, eventually


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


@pytest.mark.parametrize("parts", [(3800,), (1000, 2800)], ids=["at once", "in parts"])
def test_what_somebody_gave_back_at_the_provider_while_ours_was_on_its_way_is_the_answer(shop, parts):
    purchase = shop.buy_captured()
    told = refund_of(overtaken(shop, purchase, shop.refund, parts))
    *_, last = shop.view(purchase.order_id)["refunds"]
    assert told | {"refundId": last["refund_id"], "status": "completed", "alreadyRefunded": True} == told
    assert refund_of(shop.refund(purchase.order_id)) == told
    assert money(shop, purchase) == ("refunded", 3800, 0, 3800)
    assert sorted(given_back(shop, purchase)) == sorted(parts)
    assert not [alert for alert in shop.alerts(purchase.order_id) if "refund of" in alert["title"]]
    eventually(lambda: not any(alert["open"] for alert in shop.alerts(purchase.order_id)))
    assert shop.drift(purchase.reference) == []


def test_an_operators_cancel_whose_refund_somebody_made_meanwhile_tells_of_theirs(shop):
    purchase = shop.buy_captured()
    answer = overtaken(shop, purchase, shop.cancel_by_operator, (3800,))
    assert answer.status_code == 200, answer.text
    details = answer.json()["data"]["refundDetails"]
    last = shop.view(purchase.order_id)["refunds"][-1]
    assert details | {"refundId": last["refund_id"], "amount": 38.00, "status": "completed"} == details
    assert (answer.json()["data"]["refundProcessed"], last["source"]) == (True, "provider")
    assert money(shop, purchase) == ("refunded", 3800, 0, 3800)


def overtaken(
    shop: Shop, purchase: Purchase, act: Callable[[str], httpx.Response], parts: tuple[int, ...]
) -> httpx.Response:
    """Ask for a refund that is with the provider already, and takes effect only after somebody has refunded these."""
    shop.slow_down("refund", 2000)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(act, purchase.order_id)
        eventually(lambda: refund_requests(shop, purchase))
        shop.slow_down("refund", 0)
        for amount in parts:
            shop.provider.v1.refunds.create({"payment_intent": purchase.reference, "amount": amount})
        return asked.result(30)


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
    mails = eventually(lambda: (mails := shop.mails(purchase.order_id))[2:] and mails)
    desk, shopper = ["desk@countermand.example"], ["ann@example.com"]
    assert sorted(mail["to"] for mail in mails) == [shopper, shopper, desk]
