"""Confirming a PaymentIntent: its card's issuer holds the money, declines, or asks for its customer."""

from __future__ import annotations

import time

from msgspec import UNSET

from sandbox.stripe import refusals
from sandbox.stripe.call import Call
from sandbox.stripe.holding import take
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

CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")


def confirm(call: Call) -> PaymentIntent:
    """Ask the card's issuer for the money: an authorization, or with automatic capture the money itself."""
    return confirm_intent(call, call.payment_intent())


def confirm_intent(call: Call, intent: PaymentIntent) -> PaymentIntent:
    if intent.status not in CONFIRMABLE:
        raise refusals.unexpected_state(_why_not_confirmable(intent), intent)
    if call.parameters.get("payment_method"):
        intent.payment_method = card_named(call.parameters["payment_method"]).payment_method
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
        if call.parameters.get("off_session"):  # its customer is not there to be asked
            raise _decline(call, intent, card, "authentication_required")
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
    return take(call, intent, charge, intent.amount, last=True, told_as="charge.succeeded")


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


def card_named(name: str) -> Card:
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
