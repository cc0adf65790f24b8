"""Money that is held, captured, canceled, incremented, or expires."""

from __future__ import annotations

import time
from typing import Any

import stripe

from tests.integration.sandbox_stripe.driver import Sandbox, refused

INCREMENTAL = {"payment_method_options": {"card": {"request_incremental_authorization": "if_available"}}}
MULTICAPTURE = {"payment_method_options": {"card": {"request_multicapture": "if_available"}}}


# PaymentIntents.


def test_a_manual_payment_is_held_and_not_taken(box: Sandbox) -> None:
    intent = box.hold(metadata={"order": "ord_1"}, expand=["latest_charge"])
    assert (intent.status, intent.amount, intent.amount_capturable, intent.amount_received) == (
        "requires_capture",
        1000,
        1000,
        0,
    )
    assert intent.metadata["order"] == "ord_1"
    assert isinstance(intent.latest_charge, stripe.Charge)
    assert not intent.latest_charge.captured
    details: Any = intent.latest_charge.payment_method_details
    assert details.card.capture_before > time.time() + 6 * 86400
    assert box.effects(intent.id) == [("payment_intent.created", 1000), ("payment_intent.authorized", 1000)]


def test_an_automatic_payment_is_taken_at_once(box: Sandbox) -> None:
    intent = box.hold(capture_method="automatic")
    assert (intent.status, intent.amount_received, intent.amount_capturable) == ("succeeded", 1000, 0)
    assert box.charge_of(intent.id).captured
    assert box.event_types(intent.id) == ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]


def test_a_payment_can_be_made_first_and_confirmed_later(box: Sandbox) -> None:
    intent = box.intents.create({"amount": 1000, "currency": "USD", "capture_method": "manual"})
    assert (intent.status, intent.currency, intent.latest_charge) == ("requires_payment_method", "usd", None)
    missing = refused(lambda: box.intents.confirm(intent.id))
    assert missing.code == "payment_intent_unexpected_state"
    assert box.intents.confirm(intent.id, {"payment_method": "pm_card_visa"}).status == "requires_capture"
    assert refused(lambda: box.intents.confirm(intent.id)).code == "payment_intent_unexpected_state"


def test_a_declined_card_leaves_a_payment_that_can_be_tried_again(box: Sandbox) -> None:
    error = refused(lambda: box.hold(payment_method="pm_card_chargeDeclined"), stripe.CardError)
    assert (error.http_status, error.code, error.error.decline_code) == (402, "card_declined", "generic_decline")
    intent = error.error.payment_intent
    assert (intent.status, intent.last_payment_error.code) == ("requires_payment_method", "card_declined")
    assert box.charges.retrieve(error.error.charge).status == "failed"
    assert box.intents.confirm(intent.id, {"payment_method": "pm_card_visa"}).status == "requires_capture"
    assert box.event_types(intent.id)[:3] == [
        "payment_intent.created",
        "charge.failed",
        "payment_intent.payment_failed",
    ]


def test_a_card_may_ask_for_authentication(box: Sandbox) -> None:
    intent = box.hold(payment_method="pm_card_authenticationRequired")
    assert intent.status == "requires_action"
    assert intent.next_action is not None
    assert box.intents.cancel(intent.id).status == "canceled"


def test_payments_are_listed_the_newest_first_page_by_page(box: Sandbox) -> None:
    made = [box.hold().id for _ in range(3)]
    first = box.intents.list({"limit": 2})
    assert [intent.id for intent in first.data] == [made[2], made[1]]
    assert first.has_more
    second = box.intents.list({"limit": 1, "starting_after": made[1], "expand": ["data.latest_charge"]})
    assert second.data[0].id == made[0]
    assert isinstance(second.data[0].latest_charge, stripe.Charge)
    before = box.intents.list({"limit": 2, "ending_before": made[0]})
    assert [intent.id for intent in before.data] == [made[2], made[1]]
    assert box.intents.list({"created": {"gt": int(time.time()) + 60}}).data == []


# Cancel.


def test_a_cancel_releases_the_money_and_makes_no_refund(box: Sandbox) -> None:
    intent = box.hold()
    canceled = box.intents.cancel(intent.id, {"cancellation_reason": "requested_by_customer"})
    assert (canceled.status, canceled.amount_capturable, canceled.amount_received) == ("canceled", 0, 0)
    assert canceled.cancellation_reason == "requested_by_customer"
    assert canceled.canceled_at is not None
    charge = box.charge_of(intent.id)
    assert (charge.amount_captured, charge.amount_refunded, charge.refunded) == (0, 0, False)
    assert box.refunds.list({"payment_intent": intent.id}).data == []
    assert box.effects(intent.id)[-1] == ("payment_intent.canceled", 1000)
    assert box.event_types(intent.id)[-1] == "payment_intent.canceled"


def test_a_second_cancel_is_refused_and_shows_the_payment(box: Sandbox) -> None:
    intent = box.hold()
    box.intents.cancel(intent.id)
    error = refused(lambda: box.intents.cancel(intent.id))
    assert (error.http_status, error.code) == (400, "payment_intent_unexpected_state")
    assert error.error.payment_intent.status == "canceled"
    assert box.effect_names(intent.id).count("payment_intent.canceled") == 1


def test_a_captured_payment_cannot_be_canceled(box: Sandbox) -> None:
    intent = box.hold()
    box.intents.capture(intent.id)
    error = refused(lambda: box.intents.cancel(intent.id))
    assert (error.code, error.error.payment_intent.status) == ("payment_intent_unexpected_state", "succeeded")


def test_a_canceled_payment_cannot_be_captured(box: Sandbox) -> None:
    intent = box.hold()
    box.intents.cancel(intent.id)
    error = refused(lambda: box.intents.capture(intent.id))
    assert (error.code, error.error.payment_intent.status) == ("payment_intent_unexpected_state", "canceled")


def test_a_reason_to_cancel_must_be_one_of_stripes(box: Sandbox) -> None:
    intent = box.hold()
    error = refused(lambda: box.intents.cancel(intent.id, {"cancellation_reason": "bored"}))
    assert error.param == "cancellation_reason"
    assert box.intents.retrieve(intent.id).status == "requires_capture"


# Capture.


def test_a_capture_takes_all_that_is_held(box: Sandbox) -> None:
    intent = box.hold()
    captured = box.intents.capture(intent.id)
    assert (captured.status, captured.amount_received, captured.amount_capturable) == ("succeeded", 1000, 0)
    assert box.effects(intent.id)[-1] == ("payment_intent.captured", 1000)
    assert box.event_types(intent.id)[-2:] == ["charge.captured", "payment_intent.succeeded"]
    assert refused(lambda: box.intents.capture(intent.id)).code == "payment_intent_unexpected_state"


def test_a_partial_capture_releases_the_rest_without_a_refund(box: Sandbox) -> None:
    intent = box.hold()
    captured = box.intents.capture(intent.id, {"amount_to_capture": 700})
    assert (captured.status, captured.amount, captured.amount_received, captured.amount_capturable) == (
        "succeeded",
        1000,
        700,
        0,
    )
    charge = box.charge_of(intent.id)
    assert (charge.amount_captured, charge.amount_refunded, charge.captured) == (700, 0, True)
    assert box.refunds.list({"payment_intent": intent.id}).data == []


def test_more_than_is_held_cannot_be_captured(box: Sandbox) -> None:
    intent = box.hold()
    error = refused(lambda: box.intents.capture(intent.id, {"amount_to_capture": 1001}))
    assert (error.code, error.param) == ("amount_too_large", "amount_to_capture")
    assert box.intents.retrieve(intent.id).amount_capturable == 1000


def test_several_captures_must_have_been_asked_for(box: Sandbox) -> None:
    intent = box.hold()
    error = refused(lambda: box.intents.capture(intent.id, {"amount_to_capture": 300, "final_capture": False}))
    assert error.param == "final_capture"


def test_several_captures_take_the_money_bit_by_bit(box: Sandbox) -> None:
    intent = box.hold(**MULTICAPTURE)
    first = box.intents.capture(intent.id, {"amount_to_capture": 300, "final_capture": False})
    assert (first.status, first.amount_received, first.amount_capturable) == ("requires_capture", 300, 700)
    assert refused(lambda: box.intents.cancel(intent.id)).code == "payment_intent_unexpected_state"
    last = box.intents.capture(intent.id, {"amount_to_capture": 200})
    assert (last.status, last.amount_received, last.amount_capturable) == ("succeeded", 500, 0)
    assert box.charge_of(intent.id).amount_captured == 500


def test_what_is_left_after_a_capture_can_be_released_or_expire(box: Sandbox) -> None:
    released, expired = box.hold(**MULTICAPTURE), box.hold(**MULTICAPTURE)
    for intent in (released, expired):
        box.intents.capture(intent.id, {"amount_to_capture": 300, "final_capture": False})
    assert box.intents.capture(released.id, {"amount_to_capture": 0}).status == "succeeded"
    assert box.tell("POST", f"expire/{expired.id}")["status"] == "succeeded"
    for intent in (released, expired):
        assert box.intents.retrieve(intent.id).amount_received == 300
    assert box.effects(expired.id)[-1] == ("payment_intent.expired", 700)


def test_nothing_cannot_be_captured(box: Sandbox) -> None:
    intent = box.hold()
    error = refused(lambda: box.intents.capture(intent.id, {"amount_to_capture": 0}))
    assert error.param == "amount_to_capture"
    assert box.intents.retrieve(intent.id).status == "requires_capture"


# Increments.


def test_an_authorization_grows_to_a_new_total(box: Sandbox) -> None:
    intent = box.hold(**INCREMENTAL)
    grown = box.intents.increment_authorization(intent.id, {"amount": 1500})
    assert (grown.amount, grown.amount_capturable) == (1500, 1500)
    assert box.charge_of(intent.id).amount == 1500
    assert box.effects(intent.id)[-1] == ("payment_intent.incremented", 1500)
    assert box.intents.capture(intent.id).amount_received == 1500


def test_an_increment_must_have_been_asked_for(box: Sandbox) -> None:
    intent = box.hold()
    error = refused(lambda: box.intents.increment_authorization(intent.id, {"amount": 1500}))
    assert error.code == "payment_intent_unexpected_state"


def test_an_increment_must_be_above_what_is_held(box: Sandbox) -> None:
    intent = box.hold(**INCREMENTAL)
    error = refused(lambda: box.intents.increment_authorization(intent.id, {"amount": 1000}))
    assert error.param == "amount"


def test_a_declined_increment_keeps_the_old_amount_and_counts(box: Sandbox) -> None:
    intent = box.hold(**INCREMENTAL)
    box.arm("increment", "decline")
    error = refused(lambda: box.intents.increment_authorization(intent.id, {"amount": 1500}), stripe.CardError)
    assert (error.code, error.error.payment_intent.amount) == ("card_declined", 1000)
    for step in range(1, 10):
        box.intents.increment_authorization(intent.id, {"amount": 1000 + step})
    error = refused(lambda: box.intents.increment_authorization(intent.id, {"amount": 2000}))
    assert error.code == "payment_intent_unexpected_state"
    assert box.intents.retrieve(intent.id).amount_capturable == 1009


def test_nothing_is_added_after_a_capture(box: Sandbox) -> None:
    asked = {"request_incremental_authorization": "if_available", "request_multicapture": "if_available"}
    intent = box.hold(payment_method_options={"card": asked})
    box.intents.capture(intent.id, {"amount_to_capture": 300, "final_capture": False})
    error = refused(lambda: box.intents.increment_authorization(intent.id, {"amount": 1500}))
    assert error.code == "payment_intent_unexpected_state"


# Expiry.


def test_an_authorization_can_expire(box: Sandbox) -> None:
    intent = box.hold()
    assert box.tell("POST", f"expire/{intent.id}")["cancellation_reason"] == "expired"
    expired = box.intents.retrieve(intent.id)
    assert (expired.status, expired.cancellation_reason) == ("canceled", "expired")
    assert box.effects(intent.id)[-1] == ("payment_intent.expired", 1000)
    assert box.event_types(intent.id)[-2:] == ["charge.expired", "payment_intent.canceled"]
    assert box.http.post(f"{box.url}/_sandbox/expire/{intent.id}").status_code == 400
    assert box.http.post(f"{box.url}/_sandbox/expire/pi_none").status_code == 404


def test_a_network_may_shorten_the_life_of_an_authorization(box: Sandbox) -> None:
    intent = box.hold()
    now = int(time.time())
    box.tell("POST", f"shorten/{intent.id}?seconds=600")
    assert now + 600 <= box.charge_of(intent.id).payment_method_details.card.capture_before <= now + 660
