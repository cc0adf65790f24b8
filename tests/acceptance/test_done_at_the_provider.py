"""What somebody did at the provider is followed: at once when it tells us, and without a word by reconciliation."""

from collections.abc import Callable
from typing import Any

import pytest

from shared.providers.stripe_webhooks import CONCERNS
from tests.acceptance.standing import (
    MULTICAPTURE,
    bought_and_captured,
    job,
    nothing_is_wrong,
    open_alerts,
    payment,
    refunds,
)
from tests.shop import Purchase, Shop, eventually

INCREMENTAL = {"payment_method_options": {"card": {"request_incremental_authorization": "if_available"}}}

Look = Callable[[], Any]


class Way:
    """How the mesh comes to know: it is told, or it compares."""

    def __init__(self, shop: Shop, source: str) -> None:
        self.shop, self.source = shop, source

    def prepare(self, purchase: Purchase) -> None:
        """What happens from now on is told, or is not; whatever was told before has been looked at."""
        if self.source == "reconciliation":
            events = [event["id"] for event in self.shop.sent(purchase.reference, *CONCERNS)]
            eventually(lambda: self.shop.has_followed(events))
            self.shop.unheard(purchase.reference)

    def follow(self, purchase: Purchase, look: Look) -> Any:
        """Wait until what was done is seen; return what `look` then gives."""
        if self.source == "reconciliation":
            assert not look(), "seen before anybody looked"
            self.shop.compare(purchase.reference)
        return eventually(look)

    def told_by(self, purchase: Purchase, event: str) -> None:
        """The timeline has this event once, by the way in which the mesh came to know."""
        entries = [entry for entry in self.shop.view(purchase.order_id)["timeline"] if entry["event"] == event]
        assert [entry["source"] for entry in entries] == [self.source]


@pytest.fixture(params=["webhook", "reconciliation"])
def way(shop: Shop, request: pytest.FixtureRequest) -> Way:
    return Way(shop, request.param)


# The hold.


def test_a_hold_that_was_captured_at_the_provider_makes_the_order_paid_and_a_person_hears_of_it(shop, way):
    purchase = shop.buy()
    way.prepare(purchase)
    shop.provider.v1.payment_intents.capture(purchase.reference)
    view = way.follow(purchase, lambda: (seen := shop.view(purchase.order_id))["status"] == "captured" and seen)
    assert view["payment"] | {"status": "captured", "captured": 3800, "released": 0} == view["payment"]
    assert job(shop, purchase) == "done"
    way.told_by(purchase, "payment_captured_elsewhere")
    way.told_by(purchase, "order_captured")
    title = f"Order {purchase.order_id}: 38.00 USD were captured at the provider, not by us"
    assert open_alerts(shop, purchase) == [("warning", title)]
    late = shop.cancel(purchase)
    assert (late.status_code, late.json()["code"]) == (409, "late_cancel")
    assert (
        shop.sql(
            "SELECT 1 FROM outbox WHERE task = 'capture.payment' AND subject LIKE 'cap_%%' AND subject IN "
            "(SELECT id FROM capture_jobs WHERE order_id = %s)",
            purchase.order_id,
        )
        == []
    )
    nothing_is_wrong(shop, purchase)


@pytest.mark.parametrize("how", ["canceled", "expired"])
def test_a_hold_that_is_gone_leaves_the_order_without_money_and_a_person_hears_of_it(shop, way, how):
    purchase = shop.buy()
    way.prepare(purchase)
    if how == "canceled":
        shop.provider.v1.payment_intents.cancel(purchase.reference)
    else:
        shop.happen("expire", purchase.reference)
    view = way.follow(
        purchase, lambda: (seen := shop.view(purchase.order_id))["payment"]["status"] == "voided" and seen
    )
    assert view["status"] == "pending"
    assert view["payment"] | {"captured": 0, "released": 3800} == view["payment"]
    assert job(shop, purchase) == "failed"
    way.told_by(purchase, "authorization_canceled" if how == "canceled" else "authorization_lapsed")
    words = "was canceled at the provider" if how == "canceled" else "expired"
    alert = ("critical", f"Order {purchase.order_id} has no money: its authorization {words}")
    assert open_alerts(shop, purchase) == [alert]
    nothing_is_wrong(shop, purchase)
    # Nothing is held that a cancel could give back; once the order is canceled, nobody needs to look any more.
    assert shop.cancel(purchase).json()["payment_action"] == "none"
    shop.compare(purchase.reference)
    assert open_alerts(shop, purchase) == []


def test_a_hold_that_was_captured_in_part_is_left_to_a_person_and_we_take_no_more(shop, way):
    reference = shop.authorize(**MULTICAPTURE)
    body = shop.register(shop.order(reference)).json()
    purchase = Purchase(body["order_id"], body["modification_token"], reference, body["total"])
    way.prepare(purchase)
    capture = shop.provider.v1.payment_intents.capture
    capture(reference, {"amount_to_capture": 1000, "final_capture": False})
    view = way.follow(purchase, lambda: (seen := shop.view(purchase.order_id))["payment"]["captured"] and seen)
    assert view["payment"] | {"status": "partially_captured", "captured": 1000, "released": 0} == view["payment"]
    assert (view["status"], job(shop, purchase)) == ("pending", "failed")
    ((severity, title),) = open_alerts(shop, purchase)
    assert (severity, "10.00 USD of 38.00 USD" in title) == ("critical", True)
    assert shop.cancel(purchase).json()["code"] == "partial_capture"
    # Somebody takes the rest: now it is paid.
    capture(reference, {"amount_to_capture": 2800})
    view = way.follow(purchase, lambda: (seen := shop.view(purchase.order_id))["status"] == "captured" and seen)
    assert view["payment"] | {"status": "captured", "captured": 3800} == view["payment"]
    way.told_by(purchase, "payment_partly_captured_elsewhere")
    way.told_by(purchase, "payment_captured_elsewhere")
    assert [severity for severity, _ in open_alerts(shop, purchase)] == ["warning"]
    nothing_is_wrong(shop, purchase)


def test_less_than_the_order_costs_captured_for_good_releases_the_rest(shop, way):
    purchase = shop.buy()
    way.prepare(purchase)
    shop.provider.v1.payment_intents.capture(purchase.reference, {"amount_to_capture": 3000})
    found = way.follow(purchase, lambda: (seen := payment(shop, purchase))["captured"] and seen)
    assert found | {"status": "partially_captured", "captured": 3000, "released": 800} == found
    assert [severity for severity, _ in open_alerts(shop, purchase)] == ["critical"]
    nothing_is_wrong(shop, purchase)


def test_a_hold_that_grew_at_the_provider_is_followed(shop, way):
    reference = shop.authorize(**INCREMENTAL)
    body = shop.register(shop.order(reference)).json()
    purchase = Purchase(body["order_id"], body["modification_token"], reference, body["total"])
    way.prepare(purchase)
    shop.provider.v1.payment_intents.increment_authorization(reference, {"amount": 5000})
    way.follow(purchase, lambda: payment(shop, purchase)["authorized"] == 5000)
    way.told_by(purchase, "authorization_changed")
    assert job(shop, purchase) == "waiting"
    assert shop.cancel(purchase).json()["payment_action"] == "voided"
    assert payment(shop, purchase)["released"] == 5000
    nothing_is_wrong(shop, purchase)


def test_a_hold_that_could_not_be_voided_and_was_canceled_by_hand_resolves_its_alert(shop, way):
    purchase = shop.buy()
    shop.fault("cancel", "decline", reference=purchase.reference)
    shop.cancel(purchase)
    assert [severity for severity, _ in open_alerts(shop, purchase)] == ["critical"]
    way.prepare(purchase)
    shop.provider.v1.payment_intents.cancel(purchase.reference)
    way.follow(purchase, lambda: payment(shop, purchase)["status"] == "voided")
    assert open_alerts(shop, purchase) == []
    nothing_is_wrong(shop, purchase)


def test_a_canceled_order_whose_hold_was_captured_by_hand_is_for_a_person(shop, way):
    purchase = shop.buy()
    shop.fault("cancel", "decline", reference=purchase.reference)
    shop.cancel(purchase)
    way.prepare(purchase)
    shop.provider.v1.payment_intents.capture(purchase.reference)
    way.follow(purchase, lambda: payment(shop, purchase)["status"] == "captured")
    assert shop.view(purchase.order_id)["status"] == "canceled"
    titles = [title for severity, title in open_alerts(shop, purchase) if severity == "critical"]
    assert any("is canceled, and 38.00 USD were captured" in title for title in titles)
    # The person refunds it by hand, too: the alert goes away.
    shop.provider.v1.refunds.create({"payment_intent": purchase.reference})
    way.follow(purchase, lambda: payment(shop, purchase)["status"] == "refunded")
    shop.compare(purchase.reference)
    assert not any("were captured" in title for _, title in open_alerts(shop, purchase))


# Refunds.


def test_refunds_made_at_the_provider_become_refunds_here(shop, way):
    purchase = bought_and_captured(shop)
    way.prepare(purchase)
    part = shop.provider.v1.refunds.create({"payment_intent": purchase.reference, "amount": 1000})
    found = way.follow(purchase, lambda: (seen := payment(shop, purchase))["refunded"] == 1000 and seen)
    assert found["status"] == "partially_refunded"
    rest = shop.provider.v1.refunds.create({"payment_intent": purchase.reference})
    found = way.follow(purchase, lambda: (seen := payment(shop, purchase))["refunded"] == 3800 and seen)
    assert found["status"] == "refunded"
    assert refunds(shop, purchase) == [
        (1000, "completed", "provider", part.id),
        (2800, "completed", "provider", rest.id),
    ]
    way.told_by(purchase, "payment_partially_refunded")
    way.told_by(purchase, "payment_refunded")
    assert open_alerts(shop, purchase) == []
    nothing_is_wrong(shop, purchase)


def test_captured_and_refunded_at_the_provider_before_anybody_looked(shop):
    purchase = shop.buy()
    shop.unheard(purchase.reference)
    shop.provider.v1.payment_intents.capture(purchase.reference)
    shop.provider.v1.refunds.create({"payment_intent": purchase.reference})
    shop.compare(purchase.reference)
    found = payment(shop, purchase)
    assert found | {"status": "refunded", "captured": 3800, "refunded": 3800} == found
    nothing_is_wrong(shop, purchase)


def test_an_order_that_is_registered_after_its_payment_was_refunded_has_those_refunds(shop):
    reference = shop.authorize()
    shop.unheard(reference)
    shop.provider.v1.payment_intents.capture(reference)
    refund = shop.provider.v1.refunds.create({"payment_intent": reference})
    purchase = shop.overdue(reference)
    assert eventually(lambda: refunds(shop, purchase)) == [(3800, "completed", "provider", refund.id)]
    assert payment(shop, purchase)["status"] == "refunded"
    nothing_is_wrong(shop, purchase)


def test_a_refund_that_fails_later_is_followed_and_a_person_hears_of_it(shop, way):
    purchase = bought_and_captured(shop)
    refund = shop.provider.v1.refunds.create({"payment_intent": purchase.reference})
    eventually(lambda: payment(shop, purchase)["status"] == "refunded")
    way.prepare(purchase)
    shop.happen("fail", refund.id)
    found = way.follow(purchase, lambda: (seen := payment(shop, purchase))["status"] == "captured" and seen)
    assert found["refunded"] == 0
    assert [state for _, state, *_ in refunds(shop, purchase)] == ["failed"]
    assert [severity for severity, _ in open_alerts(shop, purchase)] == ["critical"]
    nothing_is_wrong(shop, purchase)


def test_a_refund_that_the_provider_decides_later_is_followed(shop, way):
    purchase = bought_and_captured(shop)
    way.prepare(purchase)
    shop.fault("refund", "pending", reference=purchase.reference)
    refund = shop.provider.v1.refunds.create({"payment_intent": purchase.reference, "amount": 1000})
    way.follow(purchase, lambda: refunds(shop, purchase) == [(1000, "processing", "provider", refund.id)])
    assert payment(shop, purchase)["refunded"] == 0
    shop.happen("succeed", refund.id)
    way.follow(purchase, lambda: payment(shop, purchase)["refunded"] == 1000)
    assert refunds(shop, purchase) == [(1000, "completed", "provider", refund.id)]
    nothing_is_wrong(shop, purchase)


def test_a_refund_that_failed_at_once_moved_no_money_and_is_none_of_ours(shop):
    purchase = bought_and_captured(shop)
    shop.unheard(purchase.reference)
    refund = shop.provider.v1.refunds.create({"payment_intent": purchase.reference, "amount": 1000})
    shop.happen("fail", refund.id)
    shop.compare(purchase.reference)
    assert refunds(shop, purchase) == []
    nothing_is_wrong(shop, purchase)


def test_a_refund_of_ours_that_took_effect_under_a_former_key_is_not_taken_for_somebody_elses(shop):
    purchase = bought_and_captured(shop)
    shop.unheard(purchase.reference)
    shop.fault("refund", "decline", reference=purchase.reference)
    shop.refund(purchase.order_id, key="first", amount=10)
    ((refund_id,),) = shop.sql("SELECT id FROM refunds WHERE order_id = %s", purchase.order_id)
    # A twin of the attempt that was refused comes through after all, and then the refund is tried again.
    tag = {"countermand_refund": refund_id, "countermand_generation": "1"}
    late = shop.provider.v1.refunds.create({"payment_intent": purchase.reference, "amount": 1000, "metadata": tag})
    shop.sql(
        "UPDATE refunds SET state = 'initiated', generation = 2, key_since = NULL, last_error = NULL,"
        " settled_at = NULL, last_attempt_at = NULL WHERE id = %s",
        refund_id,
    )
    shop.compare(purchase.reference)
    shop.sql("INSERT INTO outbox (subject, task, due_at) VALUES (%s, 'refund.payment', now())", refund_id)
    eventually(lambda: payment(shop, purchase)["refunded"] == 1000)
    ((amount, state, _, provider_id),) = refunds(shop, purchase)
    assert (amount, state, provider_id) == (1000, "completed", late.id)
    assert shop.ledger(purchase.reference).count("refund.created") == 1
    nothing_is_wrong(shop, purchase)
