"""One request being carried out: what it asks for, and where its effects are written."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from sandbox.stripe.objects import Charge, Dispute, Event, EventRequest, PaymentIntent, Refund, new_id
from sandbox.stripe.refusals import missing
from sandbox.stripe.store import Store
from sandbox.stripe.webhooks import Webhooks


@dataclass(slots=True)
class Call:
    """One request to an endpoint; without a request id it is the stand-in's own doing, such as an expiry."""

    store: Store
    object: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    idempotency_key: str | None = None
    request_id: str | None = None
    declined: bool = False
    #: The provider takes it in and decides later.
    undecided: bool = False
    webhooks: Webhooks | None = None
    #: The events it caused, in order.
    events: list[Event] = field(default_factory=list)

    def payment_intent(self) -> PaymentIntent:
        """The PaymentIntent it is about; raises the Refusal for one that does not exist."""
        intent = self.store.find(PaymentIntent, self.object or "")
        if intent is None:
            raise missing("payment_intent", self.object or "", "intent")
        return intent

    def latest_charge(self, intent: PaymentIntent) -> Charge:
        """The charge of a PaymentIntent that was confirmed."""
        charge = self.store.find(Charge, str(intent.latest_charge))
        if charge is None:
            raise LookupError(f"{intent.id} has lost its charge")
        return charge

    def record(self, operation: str, thing: PaymentIntent | Refund | Dispute, amount: int) -> None:
        """Append an effect to the ledger; `amount` is in minor units of the object's currency."""
        self.store.record(operation, thing, _payment_intent_of(thing), amount, self.idempotency_key, self.request_id)

    def announce(self, type: str, thing: PaymentIntent | Charge | Refund | Dispute) -> None:
        """Record an event about an object as it is now, to be delivered when somebody listens."""
        is_wanted = self.webhooks is not None and self.webhooks.wants(type)
        event = Event(
            id=new_id("evt"),
            created=int(time.time()),
            data={"object": thing},
            pending_webhooks=int(is_wanted),
            request=EventRequest(self.request_id, self.idempotency_key),
            type=type,
        )
        self.store.add(event, _payment_intent_of(thing))
        if is_wanted:
            self.store.owe(event.id)
            self.events.append(event)


def _payment_intent_of(thing: PaymentIntent | Charge | Refund | Dispute) -> str:
    return thing.id if isinstance(thing, PaymentIntent) else str(thing.payment_intent)
