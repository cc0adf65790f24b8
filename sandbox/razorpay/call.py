"""One request being carried out: what it asks for, and where its effects are written."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Any

import msgspec

from sandbox.razorpay import refusals
from sandbox.razorpay.objects import ACCOUNT_ID, ID_LENGTH, Event, Payment, Refund, new_id
from sandbox.razorpay.refusals import Refusal
from sandbox.razorpay.store import Store, Thing
from sandbox.razorpay.webhooks import Webhooks

PREFIXES = {Payment: "pay", Refund: "rfnd"}


@dataclass(slots=True)
class Call:
    """One request to an endpoint, or the stand-in's own doing, such as a lapse."""

    store: Store
    #: The ids in its address.
    ids: list[str] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    idempotency_key: str | None = None
    declined: bool = False
    #: The provider takes it in and decides later.
    undecided: bool = False
    webhooks: Webhooks | None = None
    #: The events it caused, in order.
    events: list[Event] = field(default_factory=list)

    def payment(self) -> Payment:
        """The payment it is about, named in its body or first in its address; raises the Refusal of an unknown one."""
        return self._find(Payment, self.parameters.get("payment_id") or self.ids[0])

    def refund(self) -> Refund:
        """The refund that stands last in its address; raises the Refusal of an unknown one."""
        return self._find(Refund, self.ids[-1])

    def payment_of(self, refund: Refund) -> Payment:
        """The payment that a refund gives back."""
        return self._find(Payment, refund.payment_id)

    def _find(self, shape: type[Thing], id: str) -> Thing:
        if not re.fullmatch(rf"{PREFIXES[shape]}_[A-Za-z0-9]{{{ID_LENGTH}}}", id):
            raise Refusal(400, f"{id} is not a valid id")
        found = self.store.find(shape, id)
        if found is None:
            raise refusals.unknown_id()
        return found

    def record(self, operation: str, thing: Payment | Refund) -> None:
        """Append an effect to the ledger."""
        self.store.record(operation, thing, self.idempotency_key)

    def announce(self, name: str, payment: Payment, refund: Refund | None = None) -> None:
        """Owe the endpoint, when it enabled it, an event about these objects as they are now."""
        if self.webhooks is None or not self.webhooks.wants(name):
            return
        told = {"payment": payment} if refund is None else {"payment": payment, "refund": refund}
        body = {
            "entity": "event",
            "account_id": ACCOUNT_ID,
            "event": name,
            "contains": list(told),
            "payload": {kind: {"entity": thing} for kind, thing in told.items()},
            "created_at": int(time.time()),
        }
        event = Event(new_id("evt"), name, payment.id, refund.id if refund else None, msgspec.json.encode(body))
        self.store.owe(event)
        self.events.append(event)
