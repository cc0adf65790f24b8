"""The rules of a payment: authorized by the shopper at Checkout, captured by the merchant, whole or not at all.

Each change leaves three traces in the same transaction: the payment, the ledger, the events.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

from sandbox.razorpay import refusals
from sandbox.razorpay.call import Call
from sandbox.razorpay.objects import Method, Payment, PaymentStatus, collection, new_id
from sandbox.razorpay.refusals import Refusal

#: What becomes of a payment, from its status and what happens to it; a refund follows the amounts instead.
TRANSITIONS: Mapping[tuple[str, str], PaymentStatus] = {
    ("created", "authorized"): "authorized",
    ("failed", "authorized"): "authorized",  # the bank answered late
    ("created", "failed"): "failed",
    ("authorized", "captured"): "captured",
    ("authorized", "lapsed"): "refunded",
}
#: What has happened to a payment when the shopper leaves Checkout, by the status it is wanted in.
CHECKED_OUT: Mapping[str, tuple[str, ...]] = {
    "created": (),
    "failed": ("failed",),
    "authorized": ("authorized",),
    "captured": ("authorized", "captured"),
}
#: What a payment shows of its means, by its method.
MEANS: Mapping[str, Mapping[str, str]] = {
    "card": {"card_id": "card_SandboxCard001"},
    "emi": {"card_id": "card_SandboxCard001"},
    "netbanking": {"bank": "HDFC"},
    "wallet": {"wallet": "payzapp"},
    "upi": {"vpa": "ann@upi"},
}
#: What a payment shows of its failure; nothing when the bank authorizes it after all.
FAILURE: Mapping[str, str] = {
    "error_code": "BAD_REQUEST_ERROR",
    "error_description": "Payment failed",
    "error_source": "bank",
    "error_step": "payment_authorization",
    "error_reason": "payment_failed",
}


class Checkout(msgspec.Struct, forbid_unknown_fields=True):
    """What a shopper does at Razorpay's Checkout; the amount is in sub-units, `created_at` a unix time."""

    amount: Annotated[int, Meta(ge=100, le=10**12)]
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] = "INR"
    method: Method = "card"
    status: Literal["created", "authorized", "captured", "failed"] = "authorized"
    notes: dict[str, str] = field(default_factory=dict)
    created_at: Annotated[int, Meta(ge=0, le=10**12)] | None = None


def check_out(call: Call, wish: Checkout) -> Payment:
    """Let a shopper pay, and the bank answer, as far as is wished."""
    payment = Payment(
        id=new_id("pay"),
        amount=wish.amount,
        currency=wish.currency,
        order_id=new_id("order"),
        method=wish.method,
        notes=wish.notes or [],
        created_at=int(time.time()) if wish.created_at is None else wish.created_at,
        **MEANS[wish.method],  # type: ignore[arg-type]  # its members are all texts
    )
    call.store.save(payment)
    call.record("payment.created", payment)
    for event in CHECKED_OUT[wish.status]:
        advance(call, payment, event)
    return payment


def advance(call: Call, payment: Payment, event: str) -> None:
    """Let one thing happen to a payment; raises the Refusal of what its status does not allow."""
    status = TRANSITIONS.get((payment.status, event))
    if status is None:
        raise Refusal(400, f"A payment that is {payment.status} cannot be {event}.", about=payment)
    payment.status = status
    payment.captured = status == "captured"
    for name, text in FAILURE.items():
        setattr(payment, name, text if status == "failed" else None)
    call.store.save(payment)
    call.record(f"payment.{event}", payment)
    if event != "lapsed":  # Razorpay tells of that by the events of its refund only
        call.announce(f"payment.{event}", payment)


def capture(call: Call) -> Payment:
    """Take what was authorized: all of it, once."""
    payment = call.payment()
    _refuse_capture(payment, call.parameters["amount"], call.parameters["currency"])
    if call.declined:
        raise refusals.capture_failed(about=payment)
    advance(call, payment, "captured")
    return payment


def _refuse_capture(payment: Payment, amount: int, currency: str) -> None:
    """Raise when this may not be taken."""
    if payment.captured:
        raise refusals.captured_already(about=payment)
    if payment.status != "authorized":
        raise refusals.not_authorized(about=payment)
    if currency != payment.currency:
        raise refusals.other_currency(about=payment)
    if amount != payment.amount:
        raise refusals.other_amount(about=payment)


def authorize(call: Call) -> Payment:
    """Let the bank say yes late, also to a payment that had failed."""
    payment = call.payment()
    advance(call, payment, "authorized")
    return payment


def retrieve(call: Call) -> Payment | dict[str, Any]:
    """A payment, with its refunds when that was asked for."""
    payment = call.payment()
    if "expand[]" not in call.parameters:
        return payment
    refunds = call.store.refunds(payment.id, count=100, skip=0, since=0, until=2**62)
    return {**msgspec.to_builtins(payment), "refunds": collection(refunds)}
