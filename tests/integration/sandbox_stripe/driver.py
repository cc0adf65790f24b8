"""Stripe's stand-in, driven by Stripe's own SDK."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import stripe

from tests.integration.sandbox_process import Running, running

stripe.enable_telemetry = False

HELD: dict[str, Any] = {
    "amount": 1000,
    "currency": "usd",
    "capture_method": "manual",
    "payment_method": "pm_card_visa",
    "confirm": True,
}


class Sandbox:
    """One running stand-in, as a test talks to it: through the SDK, and through /_sandbox/."""

    def __init__(self, url: str, api_key: str = "sk_test_1") -> None:
        self.url = url
        self.http = requests.Session()
        self.session = requests.Session()
        self.client = stripe.StripeClient(
            api_key,
            base_addresses={"api": url},
            max_network_retries=0,
            http_client=stripe.RequestsClient(timeout=5, session=self.session),
        )
        self.intents = self.client.v1.payment_intents
        self.refunds = self.client.v1.refunds
        self.charges = self.client.v1.charges
        self.events = self.client.v1.events

    def close(self) -> None:
        self.http.close()
        self.session.close()

    def hold(self, **more: Any) -> stripe.PaymentIntent:
        """A new authorization of 10 dollars."""
        return self.intents.create({**HELD, **more})  # type: ignore[typeddict-item]

    def charge_of(self, id: str) -> stripe.Charge:
        charge = self.intents.retrieve(id, {"expand": ["latest_charge"]}).latest_charge
        assert isinstance(charge, stripe.Charge)
        return charge

    def arm(self, operation: str, fault: str, **more: Any) -> None:
        armed = self.http.post(f"{self.url}/_sandbox/faults", json={"operation": operation, "fault": fault, **more})
        assert armed.status_code == 200, armed.text

    def tell(self, method: str, path: str, **more: Any) -> Any:
        answer = self.http.request(method, f"{self.url}/_sandbox/{path}", **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def effects(self, object: str) -> list[tuple[str, int]]:
        return [(row["operation"], row["amount"]) for row in self.tell("GET", f"ledger?object={object}")]

    def effect_names(self, object: str) -> list[str]:
        return [operation for operation, _ in self.effects(object)]

    def event_types(self, id: str) -> list[str]:
        """The types of the newest events about a PaymentIntent and what belongs to it, in order."""
        events = self.events.list({"limit": 100}).data
        return [event.type for event in reversed(events) if id in json.dumps(event.to_dict())]


@contextmanager
def sandbox(data: Path, *arguments: str) -> Iterator[tuple[Sandbox, Running]]:
    with running("sandbox.stripe", "--port", "0", "--data", str(data), *arguments) as process:
        driven = Sandbox(process.addresses[0])
        try:
            yield driven, process
        finally:
            driven.close()


def refused(call: Callable[[], object], kind: type[stripe.StripeError] = stripe.InvalidRequestError) -> Any:
    """The error that a call ends in, whole."""
    with pytest.raises(kind) as caught:
        call()
    return caught.value
