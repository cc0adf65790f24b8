"""The delivery of events to a webhook endpoint: signed, at least once, and disturbed when told to.

An endpoint is sent the types of event that it enabled.  An event is owed until its receiver answered with 2xx, or
until it is given up, as Stripe does after three days; what is owed survives a restart.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import Collection, Iterable, Sequence
from urllib.parse import urlsplit

from sandbox.faults import Fault, Faults
from sandbox.http import refuse_beyond_loopback
from sandbox.stripe.objects import Event, PaymentIntent
from sandbox.stripe.store import Store

#: Deliveries under way at once; Stripe promises no order either.
AT_ONCE = 8
ANSWER_WITHIN_SECONDS = 10
#: The wait before the second attempt; it doubles up to the longest.
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.2, 10.0
#: How often an event is sent under a fault; `lost` is one that nobody took for three days.
TIMES = {"lost": 0, "twice": 2}


def signature(secrets: Iterable[str], payload: bytes, timestamp: int) -> str:
    """The `Stripe-Signature` header, with one signature a secret: https://docs.stripe.com/webhooks#verify-manually."""
    signed = f"{timestamp}.".encode() + payload
    return ",".join(
        [
            f"t={timestamp}",
            *(f"v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}" for secret in secrets),
        ]
    )


class Webhooks:
    """Delivers what happened to one URL."""

    def __init__(
        self, store: Store, faults: Faults, url: str, secrets: Sequence[str], enabled: Collection[str] = ()
    ) -> None:
        """Sign with every secret (two while one is rolled); send the `enabled` types, by default all."""
        self._store = store
        self._faults = faults
        self._secrets = secrets
        self._enabled = frozenset(enabled)
        target = urlsplit(url)
        self._host, self._port, self._path = target.hostname or "", target.port or 80, target.path or "/"
        refuse_beyond_loopback(self._host)
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._delivering: set[asyncio.Task[None]] = set()
        self._delivered = asyncio.Condition()

    def start(self) -> None:
        """Take up what was owed when the process last ended."""
        owed = [self._store.find(Event, id) for id in self._store.owed()]
        self.deliver(event for event in owed if event is not None)

    def stop(self) -> None:
        """Stop delivering; what is owed stays owed."""
        for delivery in self._delivering:
            delivery.cancel()

    def wants(self, type: str) -> bool:
        """Whether the endpoint enabled this type of event."""
        return not self._enabled or type in self._enabled

    def deliver(self, events: Iterable[Event]) -> None:
        """Deliver these events, in the background."""
        for event in events:
            thing = next(iter(event.data.values()))
            intent = thing.id if isinstance(thing, PaymentIntent) else str(thing.payment_intent)
            fault = self._faults.take("webhook", {event.id, event.type, thing.id, intent})
            delivery = asyncio.get_running_loop().create_task(self._deliver(event, fault))
            self._delivering.add(delivery)
            delivery.add_done_callback(self._delivering.discard)

    async def _deliver(self, event: Event, fault: Fault | None) -> None:
        if fault is not None and fault.fault == "late":
            await asyncio.sleep(fault.seconds)
        if fault is not None and fault.fault == "out_of_order":
            await self._be_overtaken(fault.seconds)
        for _ in range(TIMES.get(fault.fault, 1) if fault is not None else 1):
            await self._send_until_taken(event.encode())
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

    async def _send_until_taken(self, payload: bytes) -> None:
        wait = FIRST_WAIT_SECONDS
        while True:
            async with self._slots:
                try:
                    taken = await asyncio.wait_for(self._send(payload), ANSWER_WITHIN_SECONDS)
                except (OSError, TimeoutError):
                    taken = False
            if taken:
                return
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT_SECONDS)

    async def _send(self, payload: bytes) -> bool:
        """Send one event; whether the answer was 2xx."""
        head = (
            f"POST {self._path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
            "User-Agent: Stripe/1.0 (+https://stripe.com/docs/webhooks)\r\n"
            "Content-Type: application/json; charset=utf-8\r\nConnection: close\r\n"
            f"Stripe-Signature: {signature(self._secrets, payload, int(time.time()))}\r\n"
            f"Content-Length: {len(payload)}\r\n\r\n"
        )
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            writer.write(head.encode() + payload)
            status_line = await reader.readline()
        finally:
            writer.close()
        return status_line[9:10] == b"2"
