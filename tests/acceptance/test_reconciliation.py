"""Reconciliation: what we began is finished, what nobody can decide is drift, and what rests is left alone."""

import psycopg
import pytest

from tests.acceptance.standing import MULTICAPTURE, bought_and_captured, nothing_is_wrong, open_alerts, payment
from tests.shop import Purchase, Shop, eventually

# What we began ourselves, and never heard the end of.


def forget(shop: Shop, purchase: Purchase, table: str) -> None:
    """Lose the message of a capture or void that got no answer, as giving it up does."""
    statement = f"DELETE FROM outbox WHERE subject IN (SELECT id FROM {table} WHERE order_id = %s) RETURNING subject"  # noqa: S608
    eventually(lambda: shop.sql(statement, purchase.order_id))


def test_a_capture_whose_answer_was_lost_is_finished(shop):
    reference = shop.authorize()
    shop.unheard(reference)
    shop.fault("capture", "timeout_after", reference=reference)
    purchase = shop.overdue(reference)
    eventually(lambda: "payment_intent.captured" in shop.ledger(reference))
    shop.fault("retrieve", "drop_before", reference=reference, times=-1)  # nobody finds that out
    eventually(lambda: "capture_unanswered" in shop.events(purchase.order_id))
    forget(shop, purchase, "capture_jobs")
    shop.behave()
    assert payment(shop, purchase)["status"] == "capturing"
    shop.compare(reference)
    view = eventually(lambda: (seen := shop.view(purchase.order_id))["status"] == "captured" and seen)
    assert view["payment"] | {"status": "captured", "captured": 3800} == view["payment"]
    assert shop.ledger(reference).count("payment_intent.captured") == 1
    nothing_is_wrong(shop, purchase)
    assert open_alerts(shop, purchase) == []


def test_a_void_that_took_effect_is_finished(shop):
    purchase = shop.buy()
    shop.unheard(purchase.reference)
    shop.fault("cancel", "drop_after", reference=purchase.reference)
    shop.fault("retrieve", "drop_before", reference=purchase.reference, times=-1)
    assert shop.cancel(purchase).json()["payment_action"] == "void_failed"
    forget(shop, purchase, "voids")
    shop.behave()
    shop.compare(purchase.reference)
    eventually(lambda: payment(shop, purchase)["status"] == "voided")
    assert shop.ledger(purchase.reference).count("payment_intent.canceled") == 1
    nothing_is_wrong(shop, purchase)
    assert open_alerts(shop, purchase) == []


def test_a_void_that_is_still_to_come_is_left_to_its_task(shop):
    purchase = shop.buy()
    shop.fault("cancel", "drop_before", reference=purchase.reference, times=-1)
    shop.cancel(purchase)
    shop.compare(purchase.reference)
    assert payment(shop, purchase)["status"] == "voiding"
    assert shop.drift(purchase.reference) == []
    shop.behave()
    eventually(lambda: payment(shop, purchase)["status"] == "voided")


# Drift.


def test_where_the_two_sides_disagree_a_person_is_told_until_they_agree(shop):
    purchase = shop.buy()
    shop.unheard(purchase.reference)
    # Rows as no task of ours would leave them.
    shop.sql("UPDATE payments SET status = 'captured', captured = 3800 WHERE reference = %s", purchase.reference)
    shop.compare(purchase.reference)
    (drift,) = shop.drift(purchase.reference)
    assert (drift["kind"], drift["order_id"], drift["resolved_at"]) == ("hold", purchase.order_id, None)
    assert drift["ours"] == {"status": "captured", "authorized": 3800, "captured": 3800, "released": 0}
    assert drift["theirs"] | {"hold": "held", "captured": 0} == drift["theirs"]
    alert = ("critical", f"Order {purchase.order_id}: we and the provider disagree about its payment")
    assert open_alerts(shop, purchase) == [alert]
    assert shop.events(purchase.order_id) == ["order_registered", "drift_found"]
    # Looking again neither doubles it nor makes it go away.
    shop.compare(purchase.reference)
    assert [each["id"] for each in shop.drift(purchase.reference)] == [drift["id"]]
    assert open_alerts(shop, purchase) == [alert]
    # It goes away with its cause.
    shop.provider.v1.payment_intents.capture(purchase.reference)
    shop.compare(purchase.reference)
    assert shop.drift(purchase.reference) == []
    assert [each["id"] for each in shop.drift(purchase.reference, "resolved")] == [drift["id"]]
    assert open_alerts(shop, purchase) == []
    assert shop.events(purchase.order_id)[-1] == "drift_resolved"


def test_a_refund_that_the_provider_does_not_know_is_drift(shop):
    purchase = bought_and_captured(shop)
    ((payment_id,),) = shop.sql("SELECT id FROM payments WHERE reference = %s", purchase.reference)
    shop.sql(
        "INSERT INTO refunds (id, order_id, payment_id, amount, source, actor, state, provider_id, settled_at)"
        " VALUES (%s, %s, %s, 500, 'test', 'test', 'completed', %s, now())",
        f"rfd_{purchase.order_id}",
        purchase.order_id,
        payment_id,
        f"re_{purchase.order_id}",
    )
    shop.compare(purchase.reference)
    (drift,) = shop.drift(purchase.reference)
    assert drift["kind"] == "refunds"
    assert [refund["amount"] for refund in drift["ours"]] == [500]


def test_a_payment_that_the_provider_does_not_know_is_drift(shop):
    purchase = shop.buy()
    lost = f"pi_lost{purchase.order_id}"
    shop.sql("UPDATE payments SET reference = %s WHERE reference = %s", lost, purchase.reference)
    shop.compare(lost)
    (drift,) = shop.drift(lost)
    assert drift["theirs"] == {"hold": "missing", "refusal": "resource_missing"}
    shop.sql("UPDATE payments SET reference = %s WHERE reference = %s", purchase.reference, lost)
    shop.compare(purchase.reference)
    assert shop.drift(purchase.reference) == []


def test_a_provider_that_is_away_is_no_drift_and_the_comparison_comes_again(shop):
    purchase = shop.buy()
    shop.fault("retrieve", "error_500_before", reference=purchase.reference, times=2)
    shop.compare(purchase.reference)
    assert shop.drift(purchase.reference) == []
    assert shop.alerts(purchase.order_id) == []
    reads = [each for each in shop.requests_to_provider(purchase.reference) if each["operation"] == "retrieve"]
    assert [read["status"] for read in reads][-3:] == [500, 500, 200]


def test_rows_that_moved_while_the_provider_was_read_are_no_drift(shop):
    """What was seen is older than what we say by the time that the order's lock is had: both are looked at again."""
    purchase = shop.buy()
    shop.unheard(purchase.reference)
    with psycopg.connect(shop.settings.database_url) as twin:
        twin.execute("SELECT FROM orders WHERE id = %s FOR NO KEY UPDATE", (purchase.order_id,))
        shop.sql("UPDATE payments SET check_at = now() WHERE reference = %s", purchase.reference)
        waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND %s = ANY(pg_blocking_pids(pid))"
        eventually(lambda: shop.sql(waiting, twin.info.backend_pid))  # the provider has said that it is held
        shop.provider.v1.payment_intents.capture(purchase.reference)
        twin.execute(
            "UPDATE payments SET status = 'captured', captured = 3800 WHERE order_id = %s", (purchase.order_id,)
        )
    shop.compare(purchase.reference)
    assert shop.drift(purchase.reference) == shop.drift(purchase.reference, "resolved") == []
    assert shop.alerts(purchase.order_id) == []


def test_the_rest_of_a_hold_that_a_canceled_order_still_has_is_drift_until_somebody_releases_it(shop):
    reference = shop.authorize(**MULTICAPTURE)
    body = shop.register(shop.order(reference)).json()
    purchase = Purchase(body["order_id"], body["modification_token"], reference, body["total"])
    shop.provider.v1.payment_intents.capture(reference, {"amount_to_capture": 1000, "final_capture": False})
    eventually(lambda: payment(shop, purchase)["captured"])
    shop.compare(reference)
    assert shop.drift(reference) == []
    assert shop.cancel_by_operator(purchase.order_id).status_code == 200
    shop.compare(reference)
    assert [drift["theirs"]["hold"] for drift in shop.drift(reference)] == ["partly_captured"]
    alert = ("critical", f"Order {purchase.order_id}: we and the provider disagree about its payment")
    assert open_alerts(shop, purchase) == [alert]


# How often.


def moved(shop: Shop, purchase: Purchase, ago: str) -> None:
    """Let the last move of an order's money have been so long ago, and the order older still."""
    shop.sql("UPDATE orders SET placed_at = now() - interval '2 years' WHERE id = %s", purchase.order_id)
    statement = "UPDATE payments SET moved_at = now() - CAST(%s AS interval) WHERE reference = %s"
    shop.sql(statement, ago, purchase.reference)


def test_what_may_still_move_is_compared_again_soon_and_what_is_at_rest_ever_more_rarely(shop):
    held, taken = shop.buy(), bought_and_captured(shop)
    for purchase in (held, taken):
        moved(shop, purchase, "30 days")
        shop.compare(purchase.reference)
    statement = "SELECT extract(epoch FROM check_at - now())::float8 FROM payments WHERE reference = %s"
    ((soon,),), ((later,),) = shop.sql(statement, held.reference), shop.sql(statement, taken.reference)
    assert soon <= shop.settings.reconcile_after
    assert 14 * 86400 < later <= 15 * 86400


def test_what_has_been_at_rest_for_long_is_compared_no_more(shop):
    purchase = bought_and_captured(shop)
    moved(shop, purchase, "1 year")
    shop.sql("UPDATE payments SET check_at = now() WHERE reference = %s", purchase.reference)
    eventually(lambda: shop.sql("SELECT check_at FROM payments WHERE reference = %s", purchase.reference) == [(None,)])


@pytest.mark.parametrize("how", ["by us", "at the provider"])
def test_what_was_left_alone_is_compared_again_after_its_money_has_moved(shop, how):
    purchase = bought_and_captured(shop)
    moved(shop, purchase, "1 year")
    shop.sql("UPDATE payments SET check_at = NULL WHERE reference = %s", purchase.reference)
    if how == "by us":
        shop.refund(purchase.order_id, key="late", amount=10)
    else:
        shop.provider.v1.refunds.create({"payment_intent": purchase.reference, "amount": 1000})
    eventually(lambda: payment(shop, purchase)["refunded"] == 1000)
    statement = "SELECT check_at BETWEEN now() AND now() + interval '1 hour' FROM payments WHERE reference = %s"
    assert shop.sql(statement, purchase.reference) == [(True,)]
    # The refund fails later, and nobody tells us: it is found out.
    shop.unheard(purchase.reference)
    ((provider_id,),) = shop.sql("SELECT provider_id FROM refunds WHERE order_id = %s", purchase.order_id)
    shop.happen("fail", provider_id)
    shop.compare(purchase.reference)
    eventually(lambda: payment(shop, purchase)["refunded"] == 0)
    assert shop.sql(statement, purchase.reference) == [(True,)]
