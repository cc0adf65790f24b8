"""Razorpay's stand-in, driven by Razorpay's own SDK."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import razorpay
import requests
from razorpay.errors import BadRequestError

from tests.integration.sandbox_process import Running, running

CREDENTIALS = ("rzp_test_1", "secret")

Json = dict[str, Any]


class Sandbox:
    """One running stand-in, as a test talks to it: through the SDK, and through /_sandbox/."""

    def __init__(self, url: str, credentials: tuple[str, str] = CREDENTIALS) -> None:
        self.url = url
        self.http = requests.Session()
        self.session = requests.Session()
        self.session.hooks["response"].append(self._hear)
        self.client = razorpay.Client(auth=credentials, base_url=url, session=self.session)
        #: The last answer to the SDK, whose exceptions tell little of it.
        self.answer = requests.Response()

    def _hear(self, answer: requests.Response, **_: object) -> None:
        self.answer = answer

    def close(self) -> None:
        self.http.close()
        self.session.close()

    # What a merchant's server does.

    def fetch(self, payment: str, query: Json | None = None) -> Any:
        return self.client.payment.fetch(payment, query or {}, timeout=5)

    def capture(self, payment: str, amount: Any = 10000, **more: Any) -> Any:
        return self.client.payment.capture(payment, amount, {"currency": "INR", **more}, timeout=5)

    def refund(self, payment: str, key: str | None = None, **body: Any) -> Any:
        headers = {} if key is None else {"X-Refund-Idempotency": key}
        return self.client.payment.refund(payment, body, headers=headers, timeout=5)

    def refunds(self, payment: str, **query: Any) -> Any:
        return self.client.payment.fetch_multiple_refund(payment, query, timeout=5)

    # What a shopper does, and time, and the bank.

    def pay(self, **wish: Any) -> Any:
        """A payment of 100 rupees, authorized when nothing else is said."""
        return self.tell("POST", "payments", json={"amount": 10000, **wish})

    def paid(self, **wish: Any) -> str:
        """The id of a payment of 100 rupees that was captured."""
        return str(self.pay(status="captured", **wish)["id"])

    def arm(self, operation: str, fault: str, **more: Any) -> None:
        self.tell("POST", "faults", json={"operation": operation, "fault": fault, **more})

    def tell(self, method: str, path: str, **more: Any) -> Any:
        answer = self.http.request(method, f"{self.url}/_sandbox/{path}", **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def effects(self, object: str) -> list[tuple[str, int]]:
        return [(row["operation"], row["amount"]) for row in self.tell("GET", f"ledger?object={object}")]

    def effect_names(self, object: str) -> list[str]:
        return [operation for operation, _ in self.effects(object)]

    def refused(self, call: Callable[[], object], status: int = 400, kind: type[Exception] = BadRequestError) -> Json:
        """The error that a call ends in, whole."""
        with pytest.raises(kind) as caught:
            call()
        error: Json = self.answer.json()["error"]
        assert (self.answer.status_code, error["description"]) == (status, str(caught.value))
        return error


@contextmanager
def sandbox(data: Path, *arguments: str) -> Iterator[tuple[Sandbox, Running]]:
    with running("sandbox.razorpay", "--port", "0", "--data", str(data), *arguments) as process:
        driven = Sandbox(process.addresses[0])
        try:
            yield driven, process
        finally:
            driven.close()


def new_key() -> str:
    """An idempotency key that nobody has used."""
    return f"key-{uuid.uuid4()}"
