"""The delivery of events to a webhook endpoint: signed, at least once, in no order, and disturbed when told to.

An event is owed until its receiver answered with 2xx, or until it is given up, as Razorpay does after 24 hours; what
is owed survives a restart.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

import httpx

from sandbox.faults import Fault, Faults
from sandbox.http import refuse_beyond_loopback
from sandbox.razorpay.objects import Event
from sandbox.razorpay.store import Store

#: Deliveries under way at once.
AT_ONCE = 8
#: Razorpay waits no longer for an answer.
ANSWER_WITHIN_SECONDS = 5.0
#: The wait before the second attempt; it doubles up to the longest.
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.2, 10.0
#: How often an event is sent under a fault; `lost` is one that nobody took for 24 hours.
TIMES = {"lost": 0, "twice": 2}


def signature(secret: str, body: bytes) -> str:
    """The `X-Razorpay-Signature` header: https://razorpay.com/docs/webhooks/validate-test/."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class Webhooks:
    """Delivers what happened to one URL."""

    def __init__(self, store: Store, faults: Faults, url: str, secret: str, enabled: Collection[str] = ()) -> None:
        """Send the `enabled` events, by default all."""
        refuse_beyond_loopback(urlsplit(url).hostname or "")
        self._store = store
        self._faults = faults
        self._url = url
        self._secret = secret
        self._enabled = frozenset(enabled)
        self._client = httpx.AsyncClient(timeout=ANSWER_WITHIN_SECONDS, trust_env=False)
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._delivering: set[asyncio.Task[None]] = set()
        self._delivered = asyncio.Condition()

    def start(self) -> None:
        """Take up what was owed when the process last ended."""
        self.deliver(self._store.owed())

    async def stop(self) -> None:
        """Stop delivering; what is owed stays owed."""
        for delivery in self._delivering:
            delivery.cancel()
        await asyncio.gather(*self._delivering, return_exceptions=True)
        await self._client.aclose()

    def wants(self, name: str) -> bool:
        """Whether the endpoint enabled this event."""
        return not self._enabled or name in self._enabled

    def deliver(self, events: Iterable[Event]) -> None:
        """Deliver these events, in the background."""
        for event in events:
            fault = self._faults.take("webhook", {event.id, event.name, event.payment, event.refund or ""})
            delivery = asyncio.get_running_loop().create_task(self._deliver(event, fault))
            self._delivering.add(delivery)
            delivery.add_done_callback(self._delivering.discard)

    async def _deliver(self, event: Event, fault: Fault | None) -> None:
        if fault is not None and fault.fault == "late":
            await asyncio.sleep(fault.seconds)
        if fault is not None and fault.fault == "out_of_order":
            await self._be_overtaken(fault.seconds)
        for _ in range(TIMES.get(fault.fault, 1) if fault is not None else 1):
            await self._send_until_taken(event)
        self._store.delivered(event.id)
        async with self._delivered:
            self._delivered.notify_all()

    async def _be_overtaken(self, seconds: float) -> None:
        """Wait until another event has been delivered, or for this long."""
        try:
            async with self._delivered:
                await asyncio.wait_for(self._delivered.wait(), seconds)
        except TimeoutError:
            return

    async def _send_until_taken(self, event: Event) -> None:
        wait = FIRST_WAIT_SECONDS
        while not await self._send(event):
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT_SECONDS)

    async def _send(self, event: Event) -> bool:
        """Send one event; whether the answer was 2xx."""
        headers = {
            "Content-Type": "application/json",
            "X-Razorpay-Event-Id": event.id,
            "X-Razorpay-Signature": signature(self._secret, event.body),
        }
        async with self._slots:
            try:
                answer = await self._client.post(self._url, content=event.body, headers=headers)
            except httpx.HTTPError:
                return False
        return answer.is_success
