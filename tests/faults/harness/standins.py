"""The outside world in this process: the strict Stripe stand-in and the mailbox, served on loopback by a thread.

Mail goes through the real mailbox, not a recording: its ledger is what the check of the invariants already reads, a
conversation over loopback costs a millisecond, and it can refuse and hang up as a server does.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sandbox.faults import Fault, Faults
from sandbox.http import Server
from sandbox.mailbox import smtp
from sandbox.mailbox.store import Store as Mailbox
from sandbox.stripe import api, holding
from sandbox.stripe.call import Call
from sandbox.stripe.refusals import Refusal
from sandbox.stripe.store import Store as Stripe

Row = dict[str, Any]
Answer = TypeVar("Answer")


class StandIns:
    """Both stand-ins, as long as their thread runs."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="stand-ins", daemon=True)

    def start(self) -> None:
        """Return when they can be reached."""
        self._thread.start()
        if not self._ready.wait(30):
            raise RuntimeError("the stand-ins did not start")

    def stop(self) -> None:
        """End them and their thread."""
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        self._loop.close()

    # What they have seen

    def effects(self, since: int = 0) -> list[Row]:
        """The effects after a place in the provider's ledger."""
        return self._ask(lambda: self._stripe.ledger(None, since))

    def requests(self, since: int = 0) -> list[Row]:
        """The requests to the provider after one of them."""
        return self._ask(lambda: self._stripe.requests(None, since))

    def deliveries(self, since: int = 0) -> list[Row]:
        """The mails after a place in the mailbox's ledger."""
        return self._ask(lambda: self._mailbox.ledger(since))

    # How they misbehave

    def misbehave(self, stand_in: str, operation: str, fault: str, times: int = 1) -> None:
        """Arm a fault of `stripe` or of the `mailbox`; a request that is to hang is dropped at once."""
        self._ask(lambda: self._faults[stand_in].arm(Fault(operation, fault, times, seconds=0.0)))

    def behave(self) -> None:
        """Disarm every fault."""
        for faults in self._faults.values():
            self._ask(faults.clear)

    def age_keys(self, seconds: float) -> None:
        """Let so much time pass for the provider's idempotency keys."""
        self._ask(lambda: self._stripe.age_keys(seconds))

    def forget_keys(self) -> None:
        """Let the provider forget every idempotency key, as it may after a day."""
        self._ask(self._stripe.forget_keys)

    def expire(self, reference: str) -> None:
        """Let an authorization lapse, if there is one."""

        def lapse() -> None:
            with contextlib.suppress(Refusal), self._stripe.transaction():
                holding.expire(Call(self._stripe, reference))

        self._ask(lapse)

    # Their thread

    def _ask(self, question: Callable[[], Answer]) -> Answer:
        """Ask in their thread, between two requests."""

        async def answer() -> Answer:
            return question()

        return asyncio.run_coroutine_threadsafe(answer(), self._loop).result(30)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._faults = {"stripe": Faults(api.FAULTS), "mailbox": Faults(smtp.FAULTS)}
        self._stripe, self._mailbox = Stripe(self._root / "stripe"), Mailbox(self._root / "mailbox")
        server = Server(api.Api(self._stripe, self._faults["stripe"], None).handle)
        sink = smtp.Sink(self._mailbox.keep, self._faults["mailbox"])
        self.stripe_url = f"http://127.0.0.1:{await server.start(0)}"
        self.smtp_port = await sink.start(0)
        self._ready.set()
        await self._end.wait()
        await sink.stop()
        await server.stop()
        self._stripe.close()
        self._mailbox.close()
