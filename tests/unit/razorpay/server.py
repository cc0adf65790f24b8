"""A server that says anything, and what Razorpay says."""

import threading
from types import MappingProxyType
from typing import Any

from tests.unit import answering
from tests.unit.answering import Answer, Asked

#: Seconds after which a hold of these tests lapses.
HOLD_LIFETIME = 3 * 86400.0


class Server(answering.Server):
    """Says also the same to everybody, and to many at once."""

    headers = MappingProxyType({"Location": "/elsewhere", "Set-Cookie": "theirs=1"})

    def __init__(self) -> None:
        super().__init__()
        #: Answers by path, to as many requests as come.
        self.always: dict[str, Answer] = {}
        #: Where requests meet before any of them is answered.
        self.together: threading.Barrier | None = None

    def complain(self, status: int, description: str = "Ann Smith's card, 4242...", **error: Any) -> None:
        """Answer the next request with an error in Razorpay's form."""
        self.say(status, complaint(description, **error))

    def answer(self, asked: Asked) -> Answer:
        """What is said to a request."""
        self.asked.append(asked)
        if self.together:
            self.together.wait()
        return self.always.get(asked["path"]) or self.answers.pop(0)


def complaint(description: str, code: str = "BAD_REQUEST_ERROR", **more: Any) -> dict[str, Any]:
    """An error in Razorpay's form."""
    error = {"code": code, "description": description, "source": "business", "step": "NA", "reason": "NA"}
    return {"error": error | {"metadata": {}} | more}


def payment(status: str, **more: Any) -> dict[str, Any]:
    """A payment as Razorpay shows it."""
    return {
        "id": "pay_1",
        "entity": "payment",
        "amount": 3800,
        "currency": "INR",
        "status": status,
        "captured": status in ("captured", "refunded"),
        "amount_refunded": 3800 if status == "refunded" else 0,
        "refund_status": "full" if status == "refunded" else None,
        "email": "ann@example.com",
        "notes": [],
        "created_at": 86400,
    } | more


def refund(status: str = "processed", **more: Any) -> dict[str, Any]:
    """A refund as Razorpay shows it, with our tag."""
    return {
        "id": "rfnd_1",
        "entity": "refund",
        "amount": 700,
        "currency": "INR",
        "payment_id": "pay_1",
        "notes": {"countermand_refund": "rfd_1:2"},
        "receipt": "rfd_1:2",
        "acquirer_data": {"arn": None},
        "created_at": 86400,
        "status": status,
        "speed_requested": "normal",
        "speed_processed": "normal",
    } | more
