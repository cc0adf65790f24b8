"""Capture: once, never above what is held, in time; and whatever else became of the hold is told apart."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from tests.problems import assert_problem
from tests.shop import Purchase, Shop, eventually


def moves(shop: Shop, purchase: Purchase) -> list[tuple[str, int]]:
    """What happened to the money at the provider after it was held."""
    return [(effect["operation"], effect["amount"]) for effect in shop.effects(purchase.reference)[2:]]


def requests(shop: Shop, purchase: Purchase, operation: str) -> int:
    """How often the provider was asked for this."""
    return [request["operation"] for request in shop.requests_to_provider(purchase.reference)].count(operation)


def job_of(shop: Shop, purchase: Purchase) -> tuple[str, str]:
    ((job_id, state),) = shop.sql("SELECT id, state FROM capture_jobs WHERE order_id = %s", purchase.order_id)
    return job_id, state


def stands(shop: Shop, purchase: Purchase) -> tuple:
    """How the order, its payment and its capture job stand."""
    view = shop.view(purchase.order_id)
    return view["status"], view["payment"]["status"], job_of(shop, purchase)[1]


def settled(shop: Shop, purchase: Purchase, job: str) -> dict:
    """The order, when its capture job has come to this state; it may be changed again then."""
    eventually(lambda: job_of(shop, purchase)[1] == job)
    view = shop.view(purchase.order_id)
    assert view["edit_status"] == "open"
    return view


def test_less_than_was_authorized_is_captured_and_the_rest_released(shop):
    purchase = shop.buy_captured(5000)
    payment = shop.view(purchase.order_id)["payment"]
    assert payment | {"authorized": 5000, "captured": 3800, "released": 1200} == payment
    assert moves(shop, purchase) == [("payment_intent.captured", 3800)]
    intent = shop.provider.v1.payment_intents.retrieve(purchase.reference)
    assert (intent.status, intent.amount_received, intent.amount_capturable) == ("succeeded", 3800, 0)


def test_more_than_was_authorized_is_refused_before_anybody_is_asked(shop):
    purchase = shop.buy()
    shop.sql(
        "WITH collection AS (UPDATE payment_collections SET amount = 3801 WHERE order_id = %s)"
        " UPDATE payments SET amount = 3801 WHERE order_id = %s",
        purchase.order_id,
        purchase.order_id,
    )
    shop.remind(shop.hurry(purchase))
    view = settled(shop, purchase, "failed")
    assert (view["status"], view["payment"]["status"]) == ("pending", "authorized")
    assert requests(shop, purchase, "capture") == 0
    assert view["timeline"][-1]["event"] == "capture_refused"
    assert view["timeline"][-1]["data"]["error"] == "above_authorization"
    assert [(alert["severity"], alert["open"]) for alert in shop.alerts(purchase.order_id)] == [("critical", True)]


def test_a_stray_message_of_a_capture_that_was_removed_is_passed_over(shop):
    purchase = shop.buy()
    shop.refund(purchase.order_id)  # of what is only held: the order stands, and nothing is captured any more
    job_id = shop.hurry(purchase)
    shop.remind(job_id)
    eventually(lambda: not shop.reminders(job_id))
    assert shop.view(purchase.order_id)["payment"]["status"] == "voided"


def test_captured_twice_is_one_effect(shop):
    purchase = shop.buy_captured()
    job_id, _ = job_of(shop, purchase)
    for _ in range(3):
        shop.remind(job_id)
        eventually(lambda: shop.reminders(job_id) == 0)
    assert moves(shop, purchase) == [("payment_intent.captured", 3800)]
    assert requests(shop, purchase, "capture") == 1


def test_after_a_void_nothing_is_captured(shop):
    purchase = shop.buy()
    job_id, _ = job_of(shop, purchase)
    assert shop.cancel(purchase).status_code == 200
    shop.remind(job_id)
    eventually(lambda: shop.reminders(job_id) == 0)
    assert moves(shop, purchase) == [("payment_intent.canceled", 3800)]
    assert requests(shop, purchase, "capture") == 0


def test_after_a_capture_nothing_is_voided(shop):
    purchase = shop.buy_captured()
    assert_problem(shop.cancel(purchase), 409, code="late_cancel")
    assert shop.cancel_by_operator(purchase.order_id).status_code == 200
    assert [operation for operation, _ in moves(shop, purchase)] == ["payment_intent.captured", "refund.created"]
    assert requests(shop, purchase, "cancel") == 0


def test_voided_twice_is_one_effect(shop):
    purchase = shop.buy()
    assert shop.cancel(purchase).status_code == 200
    ((void_id,),) = shop.sql("SELECT id FROM voids WHERE order_id = %s", purchase.order_id)
    shop.sql("INSERT INTO outbox (subject, task, due_at) VALUES (%s, 'void.payment', now())", void_id)
    eventually(lambda: shop.reminders(void_id) == 0)
    assert shop.cancel_by_operator(purchase.order_id).status_code == 200
    assert moves(shop, purchase) == [("payment_intent.canceled", 3800)]


def test_a_capture_that_the_issuer_declines_leaves_the_hold_and_tells_a_person(shop):
    reference = shop.authorize()
    shop.fault("capture", "decline", reference=reference)
    purchase = overdue(shop, reference)
    view = settled(shop, purchase, "failed")
    assert (view["status"], view["payment"]["status"]) == ("pending", "authorized")
    assert view["timeline"][-1]["event"] == "capture_declined"
    assert [(alert["severity"], alert["open"]) for alert in shop.alerts(purchase.order_id)] == [("critical", True)]
    refund = shop.refund(purchase.order_id).json()["data"]["refund"]
    assert refund["status"] == "completed"
    assert moves(shop, purchase) == [("payment_intent.canceled", 3800)]


@pytest.mark.parametrize(
    ("elsewhere", "event"), [("expire", "authorization_lapsed"), ("cancel", "authorization_canceled")]
)
def test_a_hold_that_is_gone_is_told_apart_by_why(shop, elsewhere, event):
    purchase = shop.buy()
    shop.unheard(purchase.reference)
    if elsewhere == "expire":
        shop.happen("expire", purchase.reference)
    else:
        shop.provider.v1.payment_intents.cancel(purchase.reference)
    shop.remind(shop.hurry(purchase))
    view = settled(shop, purchase, "failed")
    assert (view["status"], view["payment"]["status"], view["payment"]["released"]) == ("pending", "voided", 3800)
    assert view["timeline"][-1]["event"] == event
    assert [(alert["severity"], alert["open"]) for alert in shop.alerts(purchase.order_id)] == [("critical", True)]
    assert shop.refund(purchase.order_id).json()["data"]["refund"]["notPaid"]


def test_what_somebody_else_captured_at_the_provider_is_paid_for(shop):
    purchase = shop.buy()
    shop.unheard(purchase.reference)
    shop.provider.v1.payment_intents.capture(purchase.reference)
    shop.remind(shop.hurry(purchase))
    view = settled(shop, purchase, "done")
    assert (view["status"], view["payment"]["status"], view["payment"]["captured"]) == ("captured", "captured", 3800)
    assert [entry["event"] for entry in view["timeline"]][-2:] == ["payment_captured_elsewhere", "order_captured"]
    assert moves(shop, purchase) == [("payment_intent.captured", 3800)]
    assert shop.alerts(purchase.order_id) == []


def test_a_hold_that_lapses_before_the_grace_period_ends_is_captured_in_time_and_a_person_told(shop):
    reference = shop.authorize()
    shop.happen("shorten", reference, seconds=int(shop.settings.capture_margin) + 600)
    purchase = overdue(shop, reference, placed_at=datetime.now(UTC).isoformat())
    ((due_in, before_grace),) = shop.sql(
        "SELECT extract(epoch FROM j.due_at - now())::int, j.due_at < o.grace_until"
        " FROM capture_jobs j JOIN orders o ON o.id = j.order_id WHERE o.id = %s",
        purchase.order_id,
    )
    assert 540 < due_in <= 600
    assert before_grace
    assert [(alert["severity"], alert["open"]) for alert in shop.alerts(purchase.order_id)] == [("warning", True)]
    shop.remind(shop.hurry(purchase))
    settled(shop, purchase, "done")
    assert [alert["open"] for alert in shop.alerts(purchase.order_id)] == [False]


def test_a_hold_that_lasts_is_captured_when_the_grace_period_is_over(shop):
    purchase = shop.buy()
    ((same,),) = shop.sql(
        "SELECT j.due_at = o.grace_until FROM capture_jobs j JOIN orders o ON o.id = j.order_id WHERE o.id = %s",
        purchase.order_id,
    )
    assert same
    assert shop.alerts(purchase.order_id) == []


def overdue(shop: Shop, reference: str, **changes: str) -> Purchase:
    """Register an order with this hold; its grace period is over, unless it is told otherwise."""
    placed_at = datetime.now(UTC) - timedelta(seconds=shop.settings.grace_period + 1)
    answer = shop.register(shop.order(reference, **{"placed_at": placed_at.isoformat()} | changes))
    assert answer.status_code == 201, answer.text
    body = answer.json()
    return Purchase(body["order_id"], body["modification_token"], reference, body["total"])


def test_amounts_and_timeline_of_an_order_tell_of_all_that_happened(shop):
    purchase = shop.buy_captured(5000)
    assert shop.refund(purchase.order_id, uuid.uuid4().hex, amount=8).status_code == 200
    view = shop.view(purchase.order_id)
    assert view["payment"] == {
        "provider": "stripe",
        "reference": purchase.reference,
        "status": "partially_refunded",
        "authorized": 5000,
        "captured": 3800,
        "released": 1200,
        "refunded": 800,
    }
    assert [(refund["amount"], refund["status"]) for refund in view["refunds"]] == [(800, "completed")]
    assert [(entry["event"], entry["source"]) for entry in view["timeline"]] == [
        ("order_registered", "register"),
        ("capture_started", "capture"),
        ("payment_captured", "capture"),
        ("order_captured", "capture"),
        ("refund_initiated", "refund"),
        ("refund_started", "refund"),
        ("refund_completed", "refund"),
        ("payment_partially_refunded", "refund"),
    ]
    assert view["timeline"][4]["actor"] == "admin:op_1"
