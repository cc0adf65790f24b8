"""What an accepted cancel brings about, later: tracking changes step by step, each when it is due.

A step that is due happens also when the process was down at that moment.  A scan that somebody makes in the meantime
overtakes the cancel: the parcel moves on, whatever the answer to the cancel said.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from sandbox.delhivery import scanning
from sandbox.delhivery.push import Pushes, about
from sandbox.delhivery.shipments import Scan, Step
from sandbox.delhivery.store import OwedStep, Store


class Lag:
    """Takes the steps of accepted cancels when they are due, and pushes each."""

    def __init__(self, store: Store, settle_seconds: float, pushes: Pushes | None) -> None:
        self._store = store
        self._settle_seconds = settle_seconds
        self._pushes = pushes
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Take up the steps that were owed when the process last ended."""
        self._wait()

    def stop(self) -> None:
        """Take no more steps; what is owed stays owed."""
        if self._timer is not None:
            self._timer.cancel()

    def begin(self, awb: str, steps: Sequence[Step]) -> None:
        """Owe a shipment the steps of its cancel, the last of them after the settle time."""
        now = time.time()
        self._store.owe(awb, [(now + step.part * self._settle_seconds, step) for step in steps])
        self._wait()

    def is_owed(self, awb: str) -> bool:
        """Whether a cancel of this shipment was accepted and has yet to take effect."""
        return bool(self._store.owed_to(awb))

    def settle(self, awb: str) -> None:
        """Take every step that a shipment has before it, now."""
        self._take(self._store.owed_to(awb))

    def overtake(self, awb: str) -> None:
        """Take none of the steps that a shipment has before it."""
        self._store.forget_steps(awb)

    def _wait(self) -> None:
        """Wake when the next step is due."""
        self.stop()
        due = self._store.next_due()
        if due is not None:
            wait = max(0.0, due - time.time())
            self._timer = asyncio.get_running_loop().call_later(wait, self._wake)

    def _wake(self) -> None:
        self._take(self._store.due(time.time()))

    def _take(self, steps: Sequence[OwedStep]) -> None:
        scanned = [(step, step.scan(scanning.now())) for step in steps]
        with self._store.transaction():
            for step, scan in scanned:
                self._happen(step, scan)
        for step, scan in scanned:
            self._push(step.awb, scan)
        self._wait()

    def _happen(self, step: OwedStep, scan: Scan) -> None:
        scanning.scan(self._store, step.awb, scan)
        self._store.forget_steps(step.awb, upto=step.seq)
        if step.is_last:
            self._store.cancel(step.awb)
            self._store.record("shipment.canceled", step.awb, scan)

    def _push(self, awb: str, scan: Scan) -> None:
        shipment = self._store.find(awb)
        if self._pushes is not None and shipment is not None:
            self._pushes.send(about(shipment, scan))
