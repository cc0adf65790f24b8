"""The rules of a PaymentIntent: https://docs.stripe.com/payments/paymentintents/lifecycle.

Each operation reads the intent, judges whether its state allows the change, makes it, and leaves three traces in the
same transaction: the objects, the ledger, the events.  Since API version 2025-03-31.basil neither a cancel nor a
partial capture makes a Refund.
"""

from __future__ import annotations

import time
from typing import Any

from msgspec import UNSET

from sandbox.stripe import parameters, refusals
from sandbox.stripe.call import Call
from sandbox.stripe.objects import (
    CARDS,
    Availability,
    Card,
    CardDetails,
    Charge,
    Outcome,
    Overcapture,
    PaymentIntent,
    PaymentMethodDetails,
    new_id,
)
from sandbox.stripe.refusals import Refusal

DAY = 24 * 3600
#: How long a card authorization lasts online, and when an extended one was asked for.
AUTHORIZATION_SECONDS = 7 * DAY
EXTENDED_AUTHORIZATION_SECONDS = 30 * DAY
MOST_INCREMENTS = 10
MOST_CAPTURES = 50

CANCELABLE = ("requires_payment_method", "requires_capture", "requires_confirmation", "requires_action", "processing")
CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")

INCREMENT_ATTEMPTS = ("payment_intent.incremented", "payment_intent.increment_declined")


def create(call: Call) -> PaymentIntent:
    """Make a PaymentIntent, and confirm it when asked to."""
    sent = call.parameters
    _refuse_amount(sent["amount"], sent["currency"], "amount")
    _refuse_both_ways_of_choosing(sent)
    id = new_id("pi")
    card = _card(sent["payment_method"]) if sent.get("payment_method") else None
    intent = PaymentIntent(
        id=id,
        amount=sent["amount"],
        automatic_payment_methods=_automatic_payment_methods(sent),
        capture_method=sent.get("capture_method", "automatic_async"),
        client_secret=f"{id}_{new_id('secret')}",
        confirmation_method=sent.get("confirmation_method", "automatic"),
        created=int(time.time()),
        currency=sent["currency"],
        metadata={},
        payment_method=card.payment_method if card else None,
        payment_method_options={"card": _card_options(sent)},
        payment_method_types=sent.get("payment_method_types", ["card"]),
        status="requires_confirmation" if card else "requires_payment_method",
    )
    for name in KEPT_AS_SENT:
        setattr(intent, name, sent.get(name))
    intent.amend(sent.get("metadata", {}))
    call.store.add(intent, intent.id)
    call.record("payment_intent.created", intent, intent.amount)
    call.announce("payment_intent.created", intent)
    return _confirm(call, intent) if sent.get("confirm") else intent


#: Parameters of a PaymentIntent that are shown as they were sent and mean nothing here.
KEPT_AS_SENT = (
    "customer", "description", "receipt_email", "setup_future_usage", "shipping", "statement_descriptor",
    "statement_descriptor_suffix", "transfer_group",
)  # fmt: skip


def confirm(call: Call) -> PaymentIntent:
    """Ask the card's issuer for the money: an authorization, or with automatic capture the money itself."""
    return _confirm(call, _intent(call))


def _confirm(call: Call, intent: PaymentIntent) -> PaymentIntent:
    if intent.status not in CONFIRMABLE:
        raise refusals.unexpected_state(_why_not_confirmable(intent), intent)
    if call.parameters.get("payment_method"):
        intent.payment_method = _card(call.parameters["payment_method"]).payment_method
    if intent.payment_method is None:
        raise refusals.unexpected_state(
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the "
            "PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a "
            "payment method or ConfirmationToken.",
            intent,
        )
    card = CARDS[intent.payment_method]
    decline_code = "generic_decline" if call.declined else card.decline_code
    if decline_code:
        raise _decline(call, intent, card, decline_code)
    if card.needs_authentication:
        return _ask_for_authentication(call, intent)
    return _authorize(call, intent, card)


def _why_not_confirmable(intent: PaymentIntent) -> str:
    if intent.status == "succeeded":
        return (
            "You cannot confirm this PaymentIntent because it has already succeeded after being previously confirmed."
        )
    return (
        f"You cannot confirm this PaymentIntent because it has a status of {intent.status}. Only a PaymentIntent with "
        f"one of the following statuses may be confirmed: {', '.join(CONFIRMABLE)}."
    )


def _authorize(call: Call, intent: PaymentIntent, card: Card) -> PaymentIntent:
    charge = _charge(intent, card)
    intent.latest_charge = charge.id
    intent.last_payment_error = intent.next_action = None
    intent.status, intent.amount_capturable = "requires_capture", intent.amount
    call.store.add(charge, intent.id)
    call.record("payment_intent.authorized", intent, intent.amount)
    if intent.capture_method == "manual":
        call.store.save(intent)
        call.announce("charge.succeeded", charge)
        call.announce("payment_intent.amount_capturable_updated", intent)
        return intent
    return _take(call, intent, charge, intent.amount, last=True, told_as="charge.succeeded")


def _decline(call: Call, intent: PaymentIntent, card: Card, decline_code: str) -> Refusal:
    charge = _charge(intent, card)
    charge.status, charge.paid, charge.failure_code = "failed", False, "card_declined"
    refusal = refusals.declined(decline_code, charge=charge.id)
    charge.failure_message = str(refusal)
    charge.outcome = Outcome(
        network_status="declined_by_network",
        reason=decline_code,
        seller_message="The bank did not return any further details with this decline.",
        type="issuer_declined",
    )
    intent.latest_charge, intent.payment_method = charge.id, None
    intent.status, intent.last_payment_error = "requires_payment_method", dict(refusal.error)
    refusal.error["payment_intent"] = intent
    call.store.add(charge, intent.id)
    call.store.save(intent)
    call.record("payment_intent.declined", intent, 0)
    call.announce("charge.failed", charge)
    call.announce("payment_intent.payment_failed", intent)
    return refusal


def _ask_for_authentication(call: Call, intent: PaymentIntent) -> PaymentIntent:
    intent.status = "requires_action"
    intent.next_action = {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
    call.store.save(intent)
    call.announce("payment_intent.requires_action", intent)
    return intent


def capture(call: Call) -> PaymentIntent:
    """Take authorized money; what is not taken by the last capture is released."""
    intent = _intent(call)
    if intent.status != "requires_capture":
        raise refusals.unexpected_state(_why_not_capturable(intent), intent)
    charge = _latest_charge(call, intent)
    last = call.parameters.get("final_capture", True)
    amount = call.parameters.get("amount_to_capture", intent.amount_capturable)
    _refuse_capture(call, intent, charge, amount, last)
    if call.declined:
        raise refusals.declined(charge=charge.id, payment_intent=intent)
    intent.amend(call.parameters.get("metadata", {}))
    return _take(call, intent, charge, amount, last=last or amount == intent.amount_capturable)


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
    if last:
        return
    if charge.card.multicapture.status != "available":
        message = "Multicapture is not available for this PaymentIntent: final_capture must not be false."
        raise Refusal(400, message, param="final_capture", executed=True)
    if call.store.count(intent.id, "payment_intent.captured") >= MOST_CAPTURES - 1:
        message = f"A PaymentIntent can be captured at most {MOST_CAPTURES} times."
        raise Refusal(400, message, param="final_capture", executed=True)


def _take(
    call: Call, intent: PaymentIntent, charge: Charge, amount: int, *, last: bool, told_as: str = "charge.captured"
) -> PaymentIntent:
    intent.amount_received += amount
    intent.amount_capturable = 0 if last else intent.amount_capturable - amount
    charge.amount_captured += amount
    charge.balance_transaction = charge.balance_transaction or new_id("txn")
    if last:
        intent.status, charge.captured = "succeeded", True
    call.store.save(intent)
    call.store.save(charge)
    call.record("payment_intent.captured", intent, amount)
    call.announce(told_as, charge)
    call.announce("payment_intent.succeeded" if last else "payment_intent.amount_capturable_updated", intent)
    return intent


def cancel(call: Call) -> PaymentIntent:
    """Release what is still authorized, for good."""
    intent = _intent(call)
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
    intent = _intent(call)
    if intent.status != "requires_capture":
        raise refusals.unexpected_state(f"Only an authorization expires; this has a status of {intent.status}.", intent)
    charge = _latest_charge(call, intent)
    call.announce("charge.expired", charge)
    if intent.amount_received:
        return _take(call, intent, charge, 0, last=True)
    return _release(call, intent, "expired", "payment_intent.expired")


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
    intent = _intent(call)
    total = call.parameters["amount"]
    if intent.status != "requires_capture":
        raise refusals.unexpected_state(
            "This PaymentIntent's authorization could not be incremented because it has a status of "
            f"{intent.status}. Only a PaymentIntent with the status requires_capture may be incremented.",
            intent,
        )
    charge = _latest_charge(call, intent)
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
    _refuse_amount(total, intent.currency, "amount")


def _intent(call: Call) -> PaymentIntent:
    intent = call.store.find(PaymentIntent, call.object or "")
    if intent is None:
        raise refusals.missing("payment_intent", call.object or "", "intent")
    return intent


def _latest_charge(call: Call, intent: PaymentIntent) -> Charge:
    charge = call.store.find(Charge, str(intent.latest_charge))
    if charge is None:
        raise LookupError(f"{intent.id} has lost its charge")
    return charge


def _card(name: str) -> Card:
    if name not in CARDS:
        raise refusals.missing("PaymentMethod", name, "payment_method")
    return CARDS[name]


def _charge(intent: PaymentIntent, card: Card) -> Charge:
    """A new charge of the whole amount, authorized and not captured."""
    now = int(time.time())
    manual = intent.capture_method == "manual"
    extended = manual and intent.asked_for("extended_authorization")
    lifetime = EXTENDED_AUTHORIZATION_SECONDS if extended else AUTHORIZATION_SECONDS
    details = CardDetails(
        amount_authorized=intent.amount,
        brand=card.brand,
        capture_before=now + lifetime if manual else UNSET,
        extended_authorization=Availability("enabled" if extended else "disabled"),
        incremental_authorization=_available(manual and intent.asked_for("incremental_authorization")),
        last4=card.last4,
        multicapture=_available(manual and intent.asked_for("multicapture")),
        network=card.brand,
        overcapture=Overcapture(intent.amount),
    )
    return Charge(
        id=new_id("ch"),
        amount=intent.amount,
        created=now,
        currency=intent.currency,
        customer=intent.customer,
        description=intent.description,
        metadata=dict(intent.metadata),
        outcome=Outcome(),
        payment_intent=intent.id,
        payment_method=card.payment_method,
        payment_method_details=PaymentMethodDetails(card=details),
        receipt_email=intent.receipt_email,
        statement_descriptor_suffix=intent.statement_descriptor_suffix,
        transfer_group=intent.transfer_group,
    )


def _available(is_available: bool) -> Availability:
    return Availability("available" if is_available else "unavailable")


def _automatic_payment_methods(sent: dict[str, Any]) -> dict[str, Any] | None:
    chosen: dict[str, Any] | None = sent.get("automatic_payment_methods")
    if chosen is None or not chosen["enabled"]:
        return None
    return {"allow_redirects": "always"} | chosen


def _card_options(sent: dict[str, Any]) -> dict[str, Any]:
    unasked = {"installments": None, "mandate_options": None, "network": None, "request_three_d_secure": "automatic"}
    asked: dict[str, Any] = sent.get("payment_method_options", {}).get("card", {})
    return unasked | asked


def _refuse_both_ways_of_choosing(sent: dict[str, Any]) -> None:
    if "automatic_payment_methods" in sent and "payment_method_types" in sent:
        message = "You may only specify one of these parameters: automatic_payment_methods, payment_method_types."
        raise Refusal(400, message)


def _refuse_amount(amount: int, currency: str, param: str) -> None:
    """Raise when Stripe does not charge so little, or so much."""
    least = parameters.SMALLEST_CHARGE.get(currency, 1)
    if amount < least:
        message = f"Amount must be at least {parameters.money(least, currency)}"
        raise Refusal(400, message, code="amount_too_small", param=param)
    if amount > parameters.LARGEST_CHARGE:
        message = f"Amount must be no more than {parameters.money(parameters.LARGEST_CHARGE, currency)}"
        raise Refusal(400, message, code="amount_too_large", param=param)
