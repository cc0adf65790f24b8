"""Every route of Razorpay's API that is spoken here, with its parameters and their checks."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.razorpay import payments, refunds
from sandbox.razorpay.call import Call
from sandbox.razorpay.objects import Notes
from sandbox.razorpay.refusals import Refusal

#: Judges one parameter by its name and what was sent, and returns it as it is meant.
Check = Callable[[str, Any], Any]

#: One rupee, or as many sub-units of another currency; less is neither captured nor refunded.
LEAST = 100
MOST_NOTES, LONGEST_NOTE = 15, 256


def text(name: str, sent: Any) -> str:
    """Text that is not empty."""
    if not isinstance(sent, str) or not sent:
        raise Refusal(400, f"The {name} must be a string.", field=name)
    return sent


def amount(name: str, sent: Any) -> int:
    """Sub-units as a JSON integer, never a text or a fraction."""
    if type(sent) is not int:  # a truth value would be an int, too
        raise Refusal(400, f"The {name} must be an integer", field=name)
    if sent < LEAST:
        raise Refusal(400, f"The {name} must be at least INR 1.00", field=name)
    return sent


def number(name: str, sent: Any) -> int:
    """A whole number in a query, such as a unix time."""
    if not re.fullmatch(r"[0-9]{1,12}", sent, re.ASCII):
        raise Refusal(400, f"The {name} must be an integer", field=name)
    return int(sent)


def page_size(name: str, sent: Any) -> int:
    """How many a list answers with: 1 to 100."""
    size = number(name, sent)
    if not 1 <= size <= 100:
        raise Refusal(400, f"The {name} must be between 1 and 100.", field=name)
    return size


def notes(name: str, sent: Any) -> Notes:
    """At most 15 texts of at most 256 characters, by name; an empty list means none."""
    if sent in ({}, []):
        return []
    if not isinstance(sent, dict):
        raise Refusal(400, f"The {name} must be an object.", field=name)
    if len(sent) > MOST_NOTES:
        raise Refusal(400, f"Number of fields in {name} should be less than or equal to {MOST_NOTES}", field=name)
    if not all(isinstance(word, str) and len(word) <= LONGEST_NOTE for note in sent.items() for word in note):
        raise Refusal(400, f"Each of the {name} must be a string of at most {LONGEST_NOTE} characters.", field=name)
    return sent


def choice(*values: str) -> Check:
    """One of these words."""

    def check(name: str, sent: Any) -> str:
        if sent not in values:
            raise Refusal(400, f"The {name} must be one of {', '.join(values)}.", field=name)
        return str(sent)

    return check


@dataclass(frozen=True)
class Endpoint:
    """What a route does, under which name faults befall it, and what may be sent to it."""

    operation: str
    carry_out: Callable[[Call], object]
    checks: Mapping[str, Check]
    required: Collection[str] = ()
    #: Whether it knows idempotency keys.
    keyed: bool = False

    def read(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters as they are meant; raises the Refusal of a wrong, an unknown or a missing one."""
        unknown = [name for name in sent if name not in self.checks]
        if unknown:
            raise Refusal(400, f"{', '.join(unknown)} is/are not required and should not be sent")
        for name in self.required:
            if name not in sent:
                raise Refusal(400, f"The {name} field is required.", field=name)
        return {name: self.checks[name](name, value) for name, value in sent.items()}


CAPTURE: Mapping[str, Check] = {"amount": amount, "currency": text}
REFUND: Mapping[str, Check] = {
    "amount": amount,
    "speed": choice("normal", "optimum"),
    "notes": notes,
    "receipt": text,
}
PAGE: Mapping[str, Check] = {"count": page_size, "skip": number, "from": number, "to": number}

ENDPOINTS: Mapping[str, Endpoint] = {
    "GET /v1/payments/{id}": Endpoint("retrieve", payments.retrieve, {"expand[]": choice("refunds")}),
    "POST /v1/payments/{id}/capture": Endpoint("capture", payments.capture, CAPTURE, ("amount", "currency")),
    "POST /v1/payments/{id}/refund": Endpoint("refund", refunds.create, REFUND, keyed=True),
    "POST /v1/refunds": Endpoint("refund", refunds.create, {"payment_id": text, **REFUND}, ("payment_id",), keyed=True),
    "GET /v1/payments/{id}/refunds": Endpoint("retrieve", refunds.page, PAGE),
    "GET /v1/payments/{id}/refunds/{refund}": Endpoint("retrieve", refunds.retrieve, {}),
    "GET /v1/refunds/{id}": Endpoint("retrieve", refunds.retrieve, {}),
}
