"""The push of scans to a webhook: with the merchant's own header, unsigned, and with one retry.

A push that was not answered with 200 in time is sent once more, at once, and is then lost for good.  Nothing is owed:
a push that waits when the process ends is lost, too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from sandbox.delhivery.shipments import Scan, Shipment
from sandbox.delhivery.store import Store
from sandbox.delhivery.tracking import LOCATION, SORT_CODE
from sandbox.faults import Fault, Faults
from sandbox.http import refuse_beyond_loopback

#: Pushes under way at once; Delhivery promises no order either.
AT_ONCE = 8
#: Delhivery's limit; a later answer counts as none.
ANSWER_WITHIN_SECONDS = 0.5
ATTEMPTS = 2
#: How often a push is sent under a fault.
TIMES = {"lost": 0, "twice": 2}

FAULTS = ("twice", "late", "lost", "out_of_order")


class Words(NamedTuple):
    """What a push says of the status; the merchant's own shapes may say anything."""

    status: str
    current_status: str


class Push(NamedTuple):
    """One push to be sent."""

    awb: str
    shape: str
    body: bytes


class Answer(NamedTuple):
    """What the receiver answered; the status is None when it did not, or not in time."""

    status: int | None
    answer: str | None


def about(
    shipment: Shipment, scan: Scan, shape: str = "default", status: str | None = None, current: str | None = None
) -> Push:
    """A push of a scan, in this shape; `status` and `current` are said in place of the scan's status."""
    words = Words(status or scan.status, current or status or scan.status)
    return Push(shipment.awb, shape, msgspec.json.encode(SHAPES[shape](shipment, scan, words)))


def _default(shipment: Shipment, scan: Scan, words: Words) -> dict[str, Any]:
    return {
        "Shipment": {
            "Status": {
                "Status": words.status,
                "StatusDateTime": scan.at,
                "StatusType": scan.status_type,
                "StatusLocation": LOCATION,
                "Instructions": scan.instructions,
            },
            "PickUpDate": shipment.picked_up_at,
            "NSLCode": scan.code,
            "Sortcode": SORT_CODE,
            "ReferenceNo": shipment.reference_no,
            "AWB": shipment.awb,
        }
    }


def _mapped(shipment: Shipment, scan: Scan, words: Words) -> dict[str, Any]:
    return {"awb": shipment.awb, "status": words.status, "current_status": words.current_status}


def _waybill(shipment: Shipment, scan: Scan, words: Words) -> dict[str, Any]:
    return {"waybill": shipment.awb, "status": words.status}


#: Delhivery's own body, and two that merchants have agreed on with it.
SHAPES: Mapping[str, Callable[[Shipment, Scan, Words], dict[str, Any]]] = {
    "default": _default,
    "mapped": _mapped,
    "waybill": _waybill,
}


class Pushes:
    """Sends pushes to one URL, each in the background."""

    def __init__(self, store: Store, faults: Faults, url: str, secret: str) -> None:
        self._store = store
        self._faults = faults
        self._secret = secret
        target = urlsplit(url)
        self._host, self._port, self._path = target.hostname or "", target.port or 80, target.path or "/"
        refuse_beyond_loopback(self._host)
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._sending: set[asyncio.Task[list[dict[str, Any]]]] = set()
        self._sent = asyncio.Condition()

    def stop(self) -> None:
        """Stop sending; what waits is lost."""
        for sending in self._sending:
            sending.cancel()

    def send(self, push: Push) -> asyncio.Task[list[dict[str, Any]]]:
        """Send a push in the background; the task ends with its attempts."""
        fault = self._faults.take("push", (push.awb,))
        sending = asyncio.get_running_loop().create_task(self._send(push, fault))
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)
        return sending

    async def _send(self, push: Push, fault: Fault | None) -> list[dict[str, Any]]:
        disturbed = fault.fault if fault is not None else None
        await self._faults.delay("push")
        if fault is not None and disturbed == "late":
            await asyncio.sleep(fault.seconds)
        if fault is not None and disturbed == "out_of_order":
            await self._be_overtaken(fault.seconds)
        attempts = [
            made for _ in range(TIMES.get(disturbed or "", 1)) for made in await self._send_until_taken(push, disturbed)
        ]
        async with self._sent:
            self._sent.notify_all()
        return attempts or [self._keep(push, 0, Answer(None, None), None, disturbed)]

    async def _be_overtaken(self, seconds: float) -> None:
        """Wait until another push has been sent, or for this long."""
        try:
            async with self._sent:
                await asyncio.wait_for(self._sent.wait(), seconds)
        except TimeoutError:
            return

    async def _send_until_taken(self, push: Push, fault: str | None) -> list[dict[str, Any]]:
        """Send a push, and once more when it was not taken; its attempts."""
        attempts: list[dict[str, Any]] = []
        while len(attempts) < ATTEMPTS and not (attempts and attempts[-1]["taken"]):
            async with self._slots:
                began = time.monotonic()
                answer = await self._answer_to(push)
                milliseconds = (time.monotonic() - began) * 1000
            attempts.append(self._keep(push, len(attempts) + 1, answer, milliseconds, fault))
        return attempts

    def _keep(
        self, push: Push, attempt: int, answer: Answer, milliseconds: float | None, fault: str | None
    ) -> dict[str, Any]:
        """Note an attempt; attempt 0 is a push that was never sent."""
        return self._store.pushed(
            awb=push.awb,
            shape=push.shape,
            body=push.body,
            attempt=attempt,
            **answer._asdict(),
            milliseconds=milliseconds,
            taken=answer.status == 200,
            fault=fault,
        )

    async def _answer_to(self, push: Push) -> Answer:
        """What the receiver answers in time."""
        try:
            return await asyncio.wait_for(self._exchange(push.body), ANSWER_WITHIN_SECONDS)
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return Answer(None, None)

    async def _exchange(self, body: bytes) -> Answer:
        head = (
            f"POST {self._path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
            "Content-Type: application/json\r\nConnection: close\r\n"
            f"X-Delhivery-Secret: {self._secret}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            writer.write(head.encode("latin-1") + body)
            answered = await reader.readuntil(b"\r\n\r\n")
            return Answer(int(answered[9:12]), (await reader.read()).decode("utf-8", "replace"))
        finally:
            writer.close()
