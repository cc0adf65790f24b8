"""The way of a request: past the firewall, through its fault and its latency, to its endpoint, and back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from sandbox.delhivery import answers, canceling, push, tracking
from sandbox.delhivery.call import Call
from sandbox.delhivery.control import Control
from sandbox.delhivery.lag import Lag
from sandbox.delhivery.store import Store
from sandbox.delhivery.throttle import Throttle
from sandbox.faults import Fault, Faults
from sandbox.http import Drop, Request, Response, Router


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation: whom its requests name, how they are carried out, and whether the firewall counts them."""

    operation: str
    named: Callable[[Request], list[str]]
    carry_out: Callable[[Call], Response]
    counted: bool = False


ENDPOINTS: Mapping[str, Endpoint] = {
    "GET /api/v1/packages/json/": Endpoint("track", tracking.named, tracking.track, counted=True),
    "POST /api/p/edit": Endpoint("cancel", canceling.named, canceling.cancel),
}

#: Faults that are met before anything is carried out, and answer like this.
REFUSED_BEFORE: Mapping[str, Callable[[], Response]] = {
    "throttle": answers.firewall,
    "unauthorized": answers.unauthorized,
    "error_500_before": answers.server_error,
    "html_502": answers.bad_gateway,
}
#: Faults that replace the answer after the effect.
REPLACED_AFTER: Mapping[str, Callable[[], Response]] = {
    "error_500_after": answers.server_error,
    "not_json": answers.gibberish,
}
#: Faults that withhold the answer, before or after the effect.
WITHHELD = ("timeout_before", "drop_before", "timeout_after", "drop_after")

EITHER = (*REFUSED_BEFORE, *REPLACED_AFTER, *WITHHELD, "xml")
FAULTS: Mapping[str, Collection[str]] = {
    "track": (*EITHER, "partial"),
    "cancel": (*EITHER, "refuse"),
    "push": push.FAULTS,
}


class Api:
    """Delhivery's API, with what a test may tell it."""

    def __init__(self, store: Store, faults: Faults, lag: Lag, throttle: Throttle, control: Control) -> None:
        self._store = store
        self._faults = faults
        self._lag = lag
        self._throttle = throttle
        self._control = control
        self._router = Router(ENDPOINTS)

    async def handle(self, request: Request) -> Response:
        """Answer one request; raises Drop when it is told to lose it."""
        if request.path.startswith("/_sandbox/"):
            return await self._control.answer(request)
        found = self._router.find(request.method, request.path)
        endpoint = found[0] if found else None
        names = endpoint.named(request) if endpoint else []
        fault = self._faults.take(endpoint.operation, names) if endpoint else None
        operation = endpoint.operation if endpoint else "unknown"
        seq = self._store.arrived(request.method, request.path, operation, names, fault.fault if fault else None)
        response = await self._answer(endpoint, Call(self._store, self._lag, request, names, fault))
        self._store.answered(seq, response.status)
        return response

    async def _answer(self, endpoint: Endpoint | None, call: Call) -> Response:
        if endpoint is None:
            return answers.not_found()
        if endpoint.counted and not self._throttle.lets_in():
            return answers.firewall()
        if not _has_token(call.request):
            return answers.unauthorized()
        if call.fault is not None and call.fault.fault in REFUSED_BEFORE:
            return REFUSED_BEFORE[call.fault.fault]()
        return await self._carry_out(endpoint, call)

    async def _carry_out(self, endpoint: Endpoint, call: Call) -> Response:
        await self._withhold(call.fault, "before")
        await self._faults.delay(endpoint.operation)
        response = endpoint.carry_out(call)
        await self._withhold(call.fault, "after")
        if call.fault is not None and call.fault.fault in REPLACED_AFTER:
            return REPLACED_AFTER[call.fault.fault]()
        return response

    async def _withhold(self, fault: Fault | None, when: str) -> None:
        if fault is not None and fault.fault == f"timeout_{when}":
            await self._faults.hang(fault.seconds)
        if fault is not None and fault.fault == f"drop_{when}":
            raise Drop


def _has_token(request: Request) -> bool:
    """Whether it shows a token; any will do."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return scheme == "Token" and bool(token.strip())
