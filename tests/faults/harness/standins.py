"""The outside world in this process: the strict Stripe stand-in and the mailbox, served on loopback by a thread.

Mail goes through the real mailbox, not a recording: its ledger is what the check of the invariants already reads, a
conversation over loopback costs a millisecond, and it can refuse and hang up as a server does.
"""

import asyncio
import threading
from pathlib import Path
from typing import Any

import httpx

from sandbox.faults import Faults
from sandbox.http import Server
from sandbox.mailbox import smtp
from sandbox.mailbox.pages import Pages
from sandbox.mailbox.store import Store as Mailbox
from sandbox.stripe import api
from sandbox.stripe.store import Store as Stripe

Row = dict[str, Any]


class StandIns:
    """Both stand-ins, as long as their thread runs."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="stand-ins", daemon=True)
        self._http = httpx.Client(timeout=30)

    def start(self) -> None:
        """Return when they can be reached."""
        self._thread.start()
        if not self._ready.wait(30):
            raise RuntimeError("the stand-ins did not start")

    def stop(self) -> None:
        """End them and their thread."""
        self._http.close()
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        self._loop.close()

    # What they have seen

    def ledger(self, stand_in: str, since: int = 0) -> list[Row]:
        """The effects after a place in a stand-in's ledger."""
        return self._get(stand_in, "ledger", since)

    def requests(self, since: int = 0) -> list[Row]:
        """The requests to the provider after one of them."""
        return self._get("stripe", "requests", since)

    # How they misbehave

    def misbehave(self, stand_in: str, operation: str, fault: str, times: int = 1, seconds: float = 0.0) -> None:
        """Arm a fault; a request that is to hang does so for this long and is then dropped."""
        order = {"operation": operation, "fault": fault, "times": times, "seconds": seconds}
        self._told(self._http.post(f"{self.urls[stand_in]}/_sandbox/faults", json=order))

    def behave(self) -> None:
        """Disarm every fault."""
        for url in self.urls.values():
            self._told(self._http.delete(f"{url}/_sandbox/faults"))

    def forget_keys(self) -> None:
        """Let the provider forget every idempotency key, as it may after a day."""
        self._told(self._http.delete(f"{self.urls['stripe']}/_sandbox/idempotency_keys"))

    def age_keys(self, seconds: float) -> None:
        """Let so much time pass for the provider's idempotency keys."""
        self._told(self._http.post(f"{self.urls['stripe']}/_sandbox/idempotency_keys/age/{seconds}"))

    def expire(self, reference: str) -> bool:
        """Let an authorization lapse; False when there is none any more."""
        return self._http.post(f"{self.urls['stripe']}/_sandbox/expire/{reference}").is_success

    def _get(self, stand_in: str, path: str, since: int) -> list[Row]:
        found: list[Row] = self._http.get(f"{self.urls[stand_in]}/_sandbox/{path}", params={"since": since}).json()
        return found

    def _told(self, answer: httpx.Response) -> None:
        if not answer.is_success:
            raise ValueError(answer.text)

    # Their thread

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        stripe_faults, mailbox_faults = Faults(api.FAULTS), Faults(smtp.FAULTS)
        stripe, mailbox = Stripe(self._root / "stripe"), Mailbox(self._root / "mailbox")
        sink = smtp.Sink(mailbox.keep, mailbox_faults)
        servers = [Server(api.Api(stripe, stripe_faults, None).handle), Server(Pages(mailbox, mailbox_faults).handle)]
        self.smtp_port = await sink.start(0)
        ports = [await server.start(0) for server in servers]
        self.urls = {name: f"http://127.0.0.1:{port}" for name, port in zip(("stripe", "mailbox"), ports, strict=True)}
        self._ready.set()
        await self._end.wait()
        for server in (sink, *servers):
            await server.stop()
        for store in (stripe, mailbox):
            store.close()
