"""Captured money that is given back."""

from __future__ import annotations

import pytest

from tests.integration.sandbox_stripe.driver import Sandbox, refused


def test_captured_money_is_refunded_in_parts_and_never_beyond(box: Sandbox) -> None:
    intent = box.hold(capture_method="automatic")
    first = box.refunds.create({"payment_intent": intent.id, "amount": 300, "metadata": {"action": "a1"}})
    assert (first.status, first.amount, first.payment_intent) == ("succeeded", 300, intent.id)
    error = refused(lambda: box.refunds.create({"payment_intent": intent.id, "amount": 800}))
    assert (error.http_status, error.param, error.code) == (400, "amount", None)
    assert str(error.user_message) == "Refund amount ($8.00) is greater than unrefunded amount on charge ($7.00)"
    second = box.refunds.create({"charge": str(intent.latest_charge)})
    assert second.amount == 700
    assert box.charge_of(intent.id).refunded
    assert refused(lambda: box.refunds.create({"payment_intent": intent.id})).code == "charge_already_refunded"
    listed = box.refunds.list({"payment_intent": intent.id, "limit": 100})
    assert [refund.id for refund in listed.data] == [second.id, first.id]
    assert box.refunds.list({"charge": str(intent.latest_charge)}).data == listed.data
    assert getattr(box.refunds.retrieve(first.id).metadata, "action", None) == "a1"
    assert box.effects(first.id) == [("refund.created", 300)]
    assert box.event_types(intent.id)[-2:] == ["refund.created", "charge.refunded"]


@pytest.mark.parametrize("end", ["cancel", "nothing"])
def test_money_that_was_never_captured_is_not_refunded(box: Sandbox, end: str) -> None:
    intent = box.hold()
    if end == "cancel":
        box.intents.cancel(intent.id)
    error = refused(lambda: box.refunds.create({"payment_intent": intent.id}))
    assert "does not have a successful charge to refund" in str(error)
    error = refused(lambda: box.refunds.create({"charge": str(intent.latest_charge)}))
    assert "Cancel its PaymentIntent" in str(error)


def test_a_refund_can_fail_after_it_succeeded(box: Sandbox) -> None:
    intent = box.hold(capture_method="automatic")
    refund = box.refunds.create({"payment_intent": intent.id})
    assert box.tell("POST", f"fail/{refund.id}")["status"] == "failed"
    assert box.refunds.retrieve(refund.id).failure_reason == "expired_or_canceled_card"
    assert box.charge_of(intent.id).amount_refunded == 0
    assert box.effect_names(refund.id) == ["refund.created", "refund.failed"]
    assert "refund.failed" in box.event_types(intent.id)


@pytest.mark.parametrize(("decided", "status", "refunded"), [("succeed", "succeeded", 1000), ("fail", "failed", 0)])
def test_a_refund_can_be_taken_in_and_decided_later(box: Sandbox, decided: str, status: str, refunded: int) -> None:
    intent = box.hold(capture_method="automatic")
    box.arm("refund", "pending")
    refund = box.refunds.create({"payment_intent": intent.id, "amount": 1000})
    assert (refund.status, refund.pending_reason) == ("pending", "insufficient_funds")
    assert box.charge_of(intent.id).amount_refunded == 1000
    assert box.tell("POST", f"{decided}/{refund.id}")["status"] == status
    found = box.refunds.retrieve(refund.id)
    assert found.status == status
    assert "pending_reason" not in found
    assert box.charge_of(intent.id).amount_refunded == refunded
    assert "refund.updated" in box.event_types(intent.id)
