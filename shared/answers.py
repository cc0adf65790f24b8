"""Bodies of answers that the gateway and the workers both give."""

from typing import Any

from shared import money
from shared.domain.settling import Cancellation


def cancellation(of: Cancellation, currency: str) -> dict[str, Any]:
    """Return a cancel for people to see: amounts in major units of `currency`, as strings."""
    return {
        "cancelled_at": of.settled_at,
        "cancellation_fee": money.plain(of.fee, currency),
        "refund_amount": money.plain(of.refund, currency),
        "currency": currency,
        "description": of.description,
        "applied_rule": of.rule,
        "refund_reference": of.refund_reference,
        "refund_processed_at": of.refund_processed_at,
        "reason": of.reason,
    }
