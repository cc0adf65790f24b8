"""The calls to a merchant's callback_url: unsigned, with the id of a payment and nothing that says what became of it.

A callback is sent again when it was answered with 5xx or not at all, a few times, and is then lost for good.  QPay
promises nothing here: one that waits when the process ends is lost, too.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit, urlunsplit

import httpx

from sandbox.faults import Fault, Faults
from sandbox.qpay.objects import Payment
from sandbox.qpay.store import Store

#: Callbacks under way at once.
AT_ONCE = 8
#: A merchant that answers later has not answered.
ANSWER_WITHIN_SECONDS = 5.0
#: The waits before each further attempt; short, for QPay publishes none and tests wait for these.
WAITS_SECONDS = (0.2, 0.5)
#: How often a callback is sent under a fault.
TIMES = {"lost": 0, "twice": 2}

FAULTS = ("twice", "late", "lost", "out_of_order")


class Callback(NamedTuple):
    """One call to be made about a payment."""

    payment: str
    method: str
    url: str


class Answer(NamedTuple):
    """What the merchant answered; the status is None when it did not, or not in time."""

    status: int | None
    answer: str | None

    @property
    def is_final(self) -> bool:
        """Whether nothing is sent after it, also when it is a refusal."""
        return self.status is not None and self.status < 500


def about(payment: Payment, url: str, method: str = "GET") -> Callback:
    """A call about a payment; the query that the address has is kept as it is."""
    target = urlsplit(url)
    told = urlencode({"qpay_payment_id": payment.id})
    query = f"{target.query}&{told}" if target.query else told
    return Callback(payment.id, method, urlunsplit(target._replace(query=query)))


class Callbacks:
    """Makes callbacks, each in the background."""

    def __init__(self, store: Store, faults: Faults) -> None:
        self._store = store
        self._faults = faults
        self._client = httpx.AsyncClient(timeout=ANSWER_WITHIN_SECONDS, trust_env=False)
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._sending: set[asyncio.Task[list[dict[str, Any]]]] = set()
        self._sent = asyncio.Condition()

    async def stop(self) -> None:
        """Stop calling; what waits is lost."""
        for sending in self._sending:
            sending.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        await self._client.aclose()

    def send(self, callback: Callback, after_seconds: float = 0.0) -> asyncio.Task[list[dict[str, Any]]]:
        """Make a callback in the background; the task ends with its attempts."""
        fault = self._faults.take("callback", {word for word in self._store.subject(callback.payment) if word})
        sending = asyncio.get_running_loop().create_task(self._send(callback, after_seconds, fault))
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)
        return sending

    async def _send(self, callback: Callback, after_seconds: float, fault: Fault | None) -> list[dict[str, Any]]:
        disturbed = fault.fault if fault is not None else None
        await asyncio.sleep(after_seconds)
        await self._faults.delay("callback")
        if fault is not None and disturbed == "late":
            await asyncio.sleep(fault.seconds)
        if fault is not None and disturbed == "out_of_order":
            await self._be_overtaken(fault.seconds)
        attempts = [
            made
            for _ in range(TIMES.get(disturbed or "", 1))
            for made in await self._send_until_answered(callback, disturbed)
        ]
        async with self._sent:
            self._sent.notify_all()
        return attempts or [self._keep(callback, 0, Answer(None, None), disturbed)]

    async def _be_overtaken(self, seconds: float) -> None:
        """Wait until another callback has been made, or for this long."""
        try:
            async with self._sent:
                await asyncio.wait_for(self._sent.wait(), seconds)
        except TimeoutError:
            return

    async def _send_until_answered(self, callback: Callback, fault: str | None) -> list[dict[str, Any]]:
        """Make a callback, and again when that is in vain, as often as QPay does; its attempts."""
        attempts: list[dict[str, Any]] = []
        for wait in (0.0, *WAITS_SECONDS):
            await asyncio.sleep(wait)
            answer = await self._answer_to(callback)
            attempts.append(self._keep(callback, len(attempts) + 1, answer, fault))
            if answer.is_final:
                break
        return attempts

    async def _answer_to(self, callback: Callback) -> Answer:
        async with self._slots:
            try:
                answer = await self._client.request(callback.method, callback.url)
            except (httpx.HTTPError, httpx.InvalidURL):
                return Answer(None, None)
        return Answer(answer.status_code, answer.text)

    def _keep(self, callback: Callback, attempt: int, answer: Answer, fault: str | None) -> dict[str, Any]:
        """Note an attempt; attempt 0 is a callback that was never sent."""
        subject = self._store.subject(callback.payment)
        return self._store.called(
            **subject._asdict(),
            method=callback.method,
            url=callback.url,
            attempt=attempt,
            **answer._asdict(),
            fault=fault,
        )
