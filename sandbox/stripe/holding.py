"""What becomes of held money: it is captured, released or raised, or it expires.

Each operation reads the intent, judges whether its state allows the change, makes it, and leaves three traces in the
same transaction: the objects, the ledger, the events.  Since API version 2025-03-31.basil neither a cancel nor a
partial capture makes a Refund.
"""

from __future__ import annotations

import time

from sandbox.stripe import refusals
from sandbox.stripe.amounts import refuse_amount
from sandbox.stripe.call import Call
from sandbox.stripe.objects import Charge, PaymentIntent, new_id
from sandbox.stripe.refusals import Refusal

CANCELABLE = ("requires_payment_method", "requires_capture", "requires_confirmation", "requires_action", "processing")
MOST_CAPTURES = 50
MOST_INCREMENTS = 10
INCREMENT_ATTEMPTS = ("payment_intent.incremented", "payment_intent.increment_declined")


def capture(call: Call) -> PaymentIntent:
    """Take authorized money; what is not taken by the last capture is released."""
    intent = call.payment_intent()
    if intent.status != "requires_capture":
        raise refusals.unexpected_state(_why_not_capturable(intent), intent)
    charge = call.latest_charge(intent)
    last = call.parameters.get("final_capture", True)
    amount = call.parameters.get("amount_to_capture", intent.amount_capturable)
    _refuse_capture(call, intent, charge, amount, last)
    if call.declined:
        raise refusals.declined(charge=charge.id, payment_intent=intent)
    intent.amend(call.parameters.get("metadata", {}))
    return take(call, intent, charge, amount, last=last or amount == intent.amount_capturable)


def _why_not_capturable(intent: PaymentIntent) -> str:
    if intent.status == "succeeded":
        return "This PaymentIntent could not be captured because it has already been captured."
    return (
        f"This PaymentIntent could not be captured because it has a status of {intent.status}. Only a PaymentIntent "
        "with one of the following statuses may be captured: requires_capture."
    )


def _refuse_capture(call: Call, intent: PaymentIntent, charge: Charge, amount: int, last: bool) -> None:
    """Raise when this amount may not be taken."""
    if amount > intent.amount_capturable:
        raise Refusal(
            400,
            "The requested capture amount is greater than the authorized amount.",
            code="amount_too_large",
            param="amount_to_capture",
            executed=True,
        )
    if amount == 0 and not intent.amount_received:
        message = "This value must be greater than or equal to 1."
        raise Refusal(400, message, code="parameter_invalid_integer", param="amount_to_capture")
    if last:
        return
    if charge.card.multicapture.status != "available":
        message = "Multicapture is not available for this PaymentIntent: final_capture must not be false."
        raise Refusal(400, message, param="final_capture", executed=True)
    if call.store.count(intent.id, "payment_intent.captured") >= MOST_CAPTURES - 1:
        message = f"A PaymentIntent can be captured at most {MOST_CAPTURES} times."
        raise Refusal(400, message, param="final_capture", executed=True)


def take(
    call: Call, intent: PaymentIntent, charge: Charge, amount: int, *, last: bool, told_as: str = "charge.captured"
) -> PaymentIntent:
    intent.amount_received += amount
    intent.amount_capturable -= amount
    charge.amount_captured += amount
    charge.captured = last
    charge.balance_transaction = charge.balance_transaction or new_id("txn")
    call.record("payment_intent.captured", intent, amount)
    call.announce(told_as, charge)
    if last:
        return _finish(call, intent, charge)
    call.store.save(intent)
    call.store.save(charge)
    call.announce("payment_intent.amount_capturable_updated", intent)
    return intent


def _finish(call: Call, intent: PaymentIntent, charge: Charge) -> PaymentIntent:
    """Release what is left after the last capture; the payment is then complete."""
    intent.status, intent.amount_capturable, charge.captured = "succeeded", 0, True
    call.store.save(intent)
    call.store.save(charge)
    call.announce("payment_intent.succeeded", intent)
    return intent


def cancel(call: Call) -> PaymentIntent:
    """Release what is still authorized, for good."""
    intent = call.payment_intent()
    if intent.status not in CANCELABLE:
        raise refusals.unexpected_state(
            f"You cannot cancel this PaymentIntent because it has a status of {intent.status}. Only a PaymentIntent "
            f"with one of the following statuses may be canceled: {', '.join(CANCELABLE)}.",
            intent,
        )
    if intent.amount_received:
        message = "You cannot cancel this PaymentIntent because part of it has been captured already."
        raise refusals.unexpected_state(message, intent)
    if call.declined:
        raise refusals.declined(payment_intent=intent)
    return _release(call, intent, call.parameters.get("cancellation_reason"), "payment_intent.canceled")


def expire(call: Call) -> PaymentIntent:
    """Let an authorization lapse, as the network does at `capture_before`; partly captured, it succeeds with that."""
    intent = call.payment_intent()
    if intent.status != "requires_capture":
        raise refusals.unexpected_state(f"Only an authorization expires; this has a status of {intent.status}.", intent)
    charge = call.latest_charge(intent)
    call.announce("charge.expired", charge)
    if not intent.amount_received:
        return _release(call, intent, "expired", "payment_intent.expired")
    call.record("payment_intent.expired", intent, intent.amount_capturable)
    return _finish(call, intent, charge)


def shorten(call: Call, seconds: int) -> Charge:
    """Let an authorization lapse so many seconds from now, as some networks' do sooner than others'."""
    charge = call.latest_charge(call.payment_intent())
    charge.card.capture_before = int(time.time()) + seconds
    call.store.save(charge)
    call.announce("charge.updated", charge)
    return charge


def _release(call: Call, intent: PaymentIntent, reason: str | None, operation: str) -> PaymentIntent:
    released = intent.amount_capturable
    intent.status, intent.amount_capturable = "canceled", 0
    intent.canceled_at, intent.cancellation_reason = int(time.time()), reason
    intent.next_action = None
    call.store.save(intent)
    call.record(operation, intent, released)
    call.announce("payment_intent.canceled", intent)
    return intent


def increment(call: Call) -> PaymentIntent:
    """Raise an authorization to a new total; a decline leaves the old one as it is, and counts as an attempt."""
    intent = call.payment_intent()
    total = call.parameters["amount"]
    if intent.status != "requires_capture":
        raise refusals.unexpected_state(
            "This PaymentIntent's authorization could not be incremented because it has a status of "
            f"{intent.status}. Only a PaymentIntent with the status requires_capture may be incremented.",
            intent,
        )
    charge = call.latest_charge(intent)
    _refuse_increment(call, intent, charge, total)
    if call.declined:
        call.record("payment_intent.increment_declined", intent, 0)
        raise refusals.declined(charge=charge.id, payment_intent=intent)
    intent.amount = intent.amount_capturable = total
    charge.amount = charge.card.amount_authorized = total
    charge.card.overcapture.maximum_amount_capturable = total
    intent.description = call.parameters.get("description", intent.description)
    intent.amend(call.parameters.get("metadata", {}))
    call.store.save(intent)
    call.store.save(charge)
    call.record("payment_intent.incremented", intent, total)
    call.announce("charge.updated", charge)
    call.announce("payment_intent.amount_capturable_updated", intent)
    return intent


def _refuse_increment(call: Call, intent: PaymentIntent, charge: Charge, total: int) -> None:
    """Raise when the authorization may not be raised to this total."""
    if charge.card.incremental_authorization.status != "available" or intent.amount_received:
        message = "This PaymentIntent does not support incremental authorization."
        raise refusals.unexpected_state(message, intent)
    if call.store.count(intent.id, *INCREMENT_ATTEMPTS) >= MOST_INCREMENTS:
        message = f"This PaymentIntent's authorization has been incremented {MOST_INCREMENTS} times already."
        raise refusals.unexpected_state(message, intent)
    if total <= intent.amount:
        message = f"The amount must be greater than the currently authorized amount of {intent.amount}."
        raise Refusal(400, message, code="amount_too_small", param="amount", executed=True)
    refuse_amount(total, intent.currency, "amount")
