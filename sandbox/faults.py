"""How a stand-in is told to misbehave: faults armed for an operation, and latency added to it.

A fault is armed by `POST /_sandbox/faults` and meets the next requests it fits, as often as it was told to.
One request meets at most one fault, so what a test sees is always due to one cause.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from sandbox.http import Drop, Request, Response

#: Other names that may be used for a fault.
ALIASES = {"drop": "drop_before"}


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """One armed fault; `times` is -1 until it is removed, `seconds` is the length of a hang or a delay."""

    operation: str
    fault: str
    times: int = 1
    object: str | None = None
    seconds: float = 30.0


class Latency(msgspec.Struct, forbid_unknown_fields=True):
    """Milliseconds added before an operation is carried out; without an operation, before every one."""

    milliseconds: float
    operation: str = "any"


class Faults:
    """The faults and delays one stand-in is under, and the requests it keeps hanging."""

    def __init__(self, known: Mapping[str, Collection[str]]) -> None:
        """Know these faults, named by the operation they may befall."""
        self._known = {**known, "any": {fault for faults in known.values() for fault in faults}}
        self._armed: list[Fault] = []
        self._latency: dict[str, float] = {}
        self._hanging: set[asyncio.Event] = set()

    def arm(self, fault: Fault) -> None:
        """Arm a fault; raises ValueError when this stand-in does not know it."""
        fault.fault = ALIASES.get(fault.fault, fault.fault)
        if fault.operation not in self._known:
            raise ValueError(f"operation must be one of {', '.join(self._known)}")
        if fault.fault not in self._known[fault.operation]:
            raise ValueError(f"fault must be one of {', '.join(sorted(self._known[fault.operation]))}")
        if fault.times == 0 or fault.times < -1 or fault.seconds < 0:
            raise ValueError("times must be -1 or at least 1, and seconds must not be negative")
        self._armed.append(fault)

    def take(self, operation: str, subjects: Collection[str] = ()) -> Fault | None:
        """The first armed fault that fits, counted down; None when there is none."""
        for fault in self._armed:
            if self._fits(fault, operation, subjects):
                fault.times -= 1 if fault.times > 0 else 0
                if fault.times == 0:
                    self._armed.remove(fault)
                return fault
        return None

    def _fits(self, fault: Fault, operation: str, subjects: Collection[str]) -> bool:
        befalls = fault.operation in (operation, "any") and fault.fault in self._known[operation]
        return befalls and (fault.object is None or fault.object in subjects)

    def clear(self) -> None:
        """Disarm every fault and drop every request that hangs."""
        self._armed.clear()
        for released in self._hanging:
            released.set()

    async def hang(self, seconds: float) -> None:
        """Hold the caller's connection open without an answer, then drop it; always ends by raising Drop."""
        released = asyncio.Event()
        self._hanging.add(released)
        try:
            await asyncio.wait_for(released.wait(), seconds)
        except TimeoutError:
            pass
        finally:
            self._hanging.discard(released)
        raise Drop

    async def delay(self, operation: str) -> None:
        """Wait as long as this operation was told to take."""
        milliseconds = self._latency.get(operation, self._latency.get("any", 0.0))
        if milliseconds:
            await asyncio.sleep(milliseconds / 1000)

    def control(self, request: Request) -> Response | None:
        """Answer a request to `/_sandbox/faults` or `/_sandbox/latency`; None when it is for something else."""
        match request.method, request.path:
            case "GET", "/_sandbox/faults":
                return Response.json(self._armed)
            case "POST", "/_sandbox/faults":
                return _applied(request, Fault, self.arm)
            case "DELETE", "/_sandbox/faults":
                self.clear()
                return Response.json([])
            case "POST", "/_sandbox/latency":
                return _applied(request, Latency, self._slow_down)
        return None

    def _slow_down(self, latency: Latency) -> None:
        if latency.operation not in self._known or latency.milliseconds < 0:
            raise ValueError("latency needs a known operation and milliseconds of at least 0")
        if latency.operation == "any":
            self._latency.clear()
        self._latency[latency.operation] = latency.milliseconds


def _applied(request: Request, shape: Any, apply: Any) -> Response:
    """Decode the body as `shape`, apply it and echo it; 400 with the reason when it makes no sense."""
    try:
        wish = msgspec.json.decode(request.body, type=shape)
        apply(wish)
    except (msgspec.MsgspecError, ValueError) as problem:
        return Response.json({"error": str(problem)}, 400)
    return Response.json(wish)
