"""Making a PaymentIntent: https://docs.stripe.com/api/payment_intents/create."""

from __future__ import annotations

import time
from typing import Any

from sandbox.stripe.amounts import refuse_amount
from sandbox.stripe.authorizing import card_named, confirm_intent
from sandbox.stripe.call import Call
from sandbox.stripe.objects import PaymentIntent, new_id
from sandbox.stripe.refusals import Refusal

#: Parameters that are shown as they were sent and mean nothing here.
KEPT_AS_SENT = (
    "customer", "description", "receipt_email", "setup_future_usage", "shipping", "statement_descriptor",
    "statement_descriptor_suffix", "transfer_group",
)  # fmt: skip


def create(call: Call) -> PaymentIntent:
    """Make a PaymentIntent, and confirm it when asked to."""
    sent = call.parameters
    refuse_amount(sent["amount"], sent["currency"], "amount")
    _refuse_both_ways_of_choosing(sent)
    id = new_id("pi")
    card = card_named(sent["payment_method"]) if sent.get("payment_method") else None
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
    return confirm_intent(call, intent) if sent.get("confirm") else intent


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
