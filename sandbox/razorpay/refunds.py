"""The rules of a refund: captured money only, never more than is left, and a hold that nobody captured in time.

The amount leaves the payment when the refund is made, also while it is pending, and comes back when the refund fails.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from sandbox.razorpay import refusals
from sandbox.razorpay.call import Call
from sandbox.razorpay.objects import Payment, Refund, RefundStatus, collection, new_id
from sandbox.razorpay.payments import advance
from sandbox.razorpay.refusals import Refusal

#: Razorpay says 6 months; these are their shortest.
REFUNDABLE_SECONDS = 181 * 24 * 3600
#: The statuses in which a refund can be decided so.
DECIDED_FROM: Mapping[str, tuple[str, ...]] = {"processed": ("pending",), "failed": ("pending", "processed")}
#: What the bank says of a refund, once it is decided.
ACQUIRER_DATA: Mapping[str, dict[str, str]] = {"processed": {"arn": "10000000000000"}, "failed": {}}


def create(call: Call) -> Refund:
    """Give captured money back: the amount asked for, or all that is left."""
    payment = call.payment()
    amount = call.parameters.get("amount", payment.refundable)
    _refuse(payment, amount)
    if call.declined:
        raise refusals.low_balance(about=payment)
    refund = _made(payment, amount, call.parameters)
    _give_back(payment, amount)
    call.store.save(payment)
    call.store.save(refund)
    call.record("refund.created", refund)
    call.announce("refund.created", payment, refund)
    if not call.undecided:
        _decide(call, payment, refund, "processed")
    return refund


def _refuse(payment: Payment, amount: int) -> None:
    """Raise when so much of this payment may not be given back."""
    if payment.refund_status == "full":
        raise refusals.refunded_already(about=payment)
    if not payment.captured:
        raise refusals.not_captured(about=payment)
    if amount > payment.refundable:
        raise refusals.beyond_captured(about=payment)
    if time.time() - payment.created_at > REFUNDABLE_SECONDS:
        raise refusals.too_old(about=payment)


def _made(payment: Payment, amount: int, wish: Mapping[str, Any]) -> Refund:
    """A refund that nobody has decided yet."""
    speed = wish.get("speed", "normal")
    return Refund(
        id=new_id("rfnd"),
        amount=amount,
        currency=payment.currency,
        payment_id=payment.id,
        notes=wish.get("notes", []),
        receipt=wish.get("receipt"),
        created_at=int(time.time()),
        speed_requested=speed,
        speed_processed="instant" if speed == "optimum" else "normal",
    )


def _give_back(payment: Payment, amount: int) -> None:
    """Move an amount from what is left to what is refunded; a negative one moves it back."""
    payment.amount_refunded += amount
    payment.status = "captured" if payment.refundable else "refunded"
    payment.refund_status = "full"
    if payment.refundable:
        payment.refund_status = "partial" if payment.amount_refunded else None


def _decide(call: Call, payment: Payment, refund: Refund, status: RefundStatus) -> None:
    """Let a refund arrive or fail; raises the Refusal of what its status does not allow."""
    if refund.status not in DECIDED_FROM[status]:
        raise Refusal(400, f"A refund that is {refund.status} cannot be {status}.", about=payment)
    if status == "failed":
        _give_back(payment, -refund.amount)
        call.store.save(payment)
    refund.status, refund.acquirer_data = status, ACQUIRER_DATA[status]
    call.store.save(refund)
    call.record(f"refund.{status}", refund)
    call.announce(f"refund.{status}", payment, refund)


def process(call: Call) -> Refund:
    """Let a refund that was pending arrive."""
    refund = call.refund()
    _decide(call, call.payment_of(refund), refund, "processed")
    return refund


def fail(call: Call) -> Refund:
    """Let a refund of captured money fail after all; the money is the merchant's again."""
    refund = call.refund()
    payment = call.payment_of(refund)
    if not payment.captured:
        raise refusals.not_captured(about=payment)
    _decide(call, payment, refund, "failed")
    return refund


def lapse(call: Call) -> Refund:
    """Give a hold back that nobody captured in time, as Razorpay does by itself after some days.

    The ledger has one row of it, `payment.lapsed`: the money was never the merchant's, so nothing of theirs is
    refunded.  To everybody else it looks like a refund.
    """
    payment = call.payment()
    advance(call, payment, "lapsed")
    refund = _made(payment, payment.amount, {})
    _give_back(payment, payment.amount)
    refund.status, refund.acquirer_data = "processed", ACQUIRER_DATA["processed"]
    call.store.save(payment)
    call.store.save(refund)
    call.announce("refund.created", payment, refund)
    call.announce("refund.processed", payment, refund)
    return refund


def retrieve(call: Call) -> Refund:
    """A refund; of the payment in its address, when there is one."""
    refund = call.refund()
    if len(call.ids) > 1 and refund.payment_id != call.payment().id:
        raise refusals.unknown_id()
    return refund


def page(call: Call) -> dict[str, Any]:
    """The refunds of a payment, newest first."""
    wish = call.parameters
    found = call.store.refunds(
        call.payment().id, wish.get("count", 10), wish.get("skip", 0), wish.get("from", 0), wish.get("to", 2**62)
    )
    return collection(found)
