"""The rules of a dispute: a cardholder claims captured money back, and the bank decides.

The claimed money is withdrawn when the dispute opens, and comes back when it is won: neither changes the charge's
amounts.  https://docs.stripe.com/disputes/how-disputes-work.
"""

from __future__ import annotations

import time

from sandbox.stripe import refusals
from sandbox.stripe.call import Call
from sandbox.stripe.objects import Dispute, new_id
from sandbox.stripe.refusals import Refusal

#: The ends of a dispute; after either the charge stays marked as disputed, as Stripe leaves it.
ENDS = ("won", "lost")

#: How long the merchant may answer: a week and a day, in seconds.
RESPOND_WITHIN = 8 * 24 * 3600


def open(call: Call) -> Dispute:
    """Let the cardholder of a PaymentIntent claim what was captured and not refunded."""
    intent = call.payment_intent()
    charge = call.latest_charge(intent)
    if not charge.refundable or charge.disputed:
        message = f"{intent.id} has nothing captured that could be claimed."
        raise Refusal(400, message, code="status_transition_invalid")
    dispute = Dispute(
        id=new_id("du"),
        amount=charge.refundable,
        charge=charge.id,
        created=int(time.time()),
        currency=charge.currency,
        evidence_details={"due_by": int(time.time()) + RESPOND_WITHIN, "has_evidence": False, "past_due": False},
        payment_intent=intent.id,
    )
    charge.disputed = True
    call.store.add(dispute, intent.id)
    call.store.save(charge)
    call.record("dispute.created", dispute, dispute.amount)
    call.announce("charge.dispute.created", dispute)
    call.announce("charge.dispute.funds_withdrawn", dispute)
    return dispute


def win(call: Call) -> Dispute:
    """Let the bank decide for the merchant."""
    return _end(call, "won")


def lose(call: Call) -> Dispute:
    """Let the bank decide for the cardholder."""
    return _end(call, "lost")


def _end(call: Call, end: str) -> Dispute:
    dispute = call.store.find(Dispute, call.object or "")
    if dispute is None:
        raise refusals.missing("dispute", call.object or "", "dispute")
    if dispute.status in ENDS:
        raise Refusal(400, f"This dispute has a status of {dispute.status}.", code="status_transition_invalid")
    dispute.status = end
    call.store.save(dispute)
    call.record(f"dispute.{end}", dispute, dispute.amount)
    call.announce("charge.dispute.closed", dispute)
    if end == "won":
        call.announce("charge.dispute.funds_reinstated", dispute)
    return dispute
