"""The rules of a refund: only captured money, never more than is left, and never silently twice."""

from __future__ import annotations

import time

from msgspec import UNSET

from sandbox.stripe import refusals
from sandbox.stripe.amounts import money
from sandbox.stripe.call import Call
from sandbox.stripe.objects import Charge, PaymentIntent, Refund, new_id
from sandbox.stripe.refusals import Refusal


def create(call: Call) -> Refund:
    """Give captured money back: the amount asked for, or all that is left."""
    charge = _charge_to_refund(call)
    amount = call.parameters.get("amount", charge.refundable)
    _refuse_amount(charge, amount)
    if call.declined:
        raise refusals.declined(charge=charge.id)
    refund = Refund(
        id=new_id("re"),
        amount=amount,
        balance_transaction=new_id("txn"),
        charge=charge.id,
        created=int(time.time()),
        currency=charge.currency,
        destination_details={"card": {"reference_status": "pending", "type": "refund"}, "type": "card"},
        metadata={},
        payment_intent=charge.payment_intent,
        reason=call.parameters.get("reason"),
    )
    if call.undecided:  # too little balance, as Stripe tells it
        refund.status, refund.pending_reason = "pending", "insufficient_funds"
    refund.amend(call.parameters.get("metadata", {}))
    charge.amount_refunded += amount
    charge.refunded = charge.amount_refunded == charge.amount_captured
    call.store.add(refund, str(charge.payment_intent))
    call.store.save(charge)
    call.record("refund.created", refund, amount)
    call.announce("refund.created", refund)
    call.announce("charge.refunded", charge)
    return refund


def fail(call: Call) -> Refund:
    """Let a refund fail after all, as a card's issuer may days later; the money is the merchant's again."""
    refund = _undecided(call, "succeeded", "pending")
    charge = call.store.find(Charge, str(refund.charge))
    if charge is None:
        raise LookupError(f"{refund.id} has lost its charge")
    refund.status, refund.failure_reason, refund.pending_reason = "failed", "expired_or_canceled_card", UNSET
    refund.failure_balance_transaction = new_id("txn")
    charge.amount_refunded -= refund.amount
    charge.refunded = False
    call.store.save(refund)
    call.store.save(charge)
    call.record("refund.failed", refund, refund.amount)
    call.announce("refund.failed", refund)
    call.announce("refund.updated", refund)
    call.announce("charge.refund.updated", refund)
    return refund


def succeed(call: Call) -> Refund:
    """Let a refund that was pending go through."""
    refund = _undecided(call, "pending")
    refund.status, refund.pending_reason = "succeeded", UNSET
    call.store.save(refund)
    call.record("refund.succeeded", refund, refund.amount)
    call.announce("refund.updated", refund)
    call.announce("charge.refund.updated", refund)
    return refund


def _undecided(call: Call, *statuses: str) -> Refund:
    """The refund that is named, in one of these statuses; raises when there is none."""
    refund = call.store.find(Refund, call.object or "")
    if refund is None:
        raise refusals.missing("refund", call.object or "", "id")
    if refund.status not in statuses:
        raise Refusal(400, f"This refund has a status of {refund.status}.", code="status_transition_invalid")
    return refund


def _charge_to_refund(call: Call) -> Charge:
    """The captured charge that is named, by its own id or by its PaymentIntent's; raises when there is none."""
    named, intent_named = call.parameters.get("charge"), call.parameters.get("payment_intent")
    if not named and not intent_named:
        message = "One of the following params should be provided for this request: payment_intent or charge."
        raise Refusal(400, message, code="parameter_missing", param="payment_intent")
    return _by_charge(call, named) if named else _by_intent(call, str(intent_named))


def _by_charge(call: Call, id: str) -> Charge:
    charge = call.store.find(Charge, id)
    if charge is None:
        raise refusals.missing("charge", id, "charge")
    if not charge.amount_captured:
        message = (
            f"This charge ({id}) has not been captured. Cancel its PaymentIntent ({charge.payment_intent}) instead of "
            "refunding it."
        )
        raise Refusal(400, message, param="charge", executed=True)
    return charge


def _by_intent(call: Call, id: str) -> Charge:
    intent = call.store.find(PaymentIntent, id)
    if intent is None:
        raise refusals.missing("payment_intent", id, "payment_intent")
    charge = call.store.find(Charge, str(intent.latest_charge))
    if charge is None or not charge.amount_captured:
        message = f"This PaymentIntent ({id}) does not have a successful charge to refund."
        raise Refusal(400, message, param="payment_intent", executed=True)
    return charge


def _refuse_amount(charge: Charge, amount: int) -> None:
    """Raise when the charge has less left than this, or when the cardholder has claimed it."""
    if charge.disputed:
        message = f"Charge {charge.id} has been charged back; cannot issue a refund."
        raise Refusal(400, message, code="charge_disputed", executed=True)
    if not charge.refundable:
        message = f"Charge {charge.id} has already been refunded."
        raise Refusal(400, message, code="charge_already_refunded", executed=True)
    if amount > charge.refundable:
        asked, left = money(amount, charge.currency), money(charge.refundable, charge.currency)
        message = f"Refund amount ({asked}) is greater than unrefunded amount on charge ({left})"
        raise Refusal(400, message, param="amount", executed=True)
