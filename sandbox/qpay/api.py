"""The way of a request: find its endpoint, know its caller, meet its fault, wait its latency, take effect, answer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from sandbox.faults import Fault, Faults
from sandbox.http import Drop, Request, Response, Router
from sandbox.qpay import callbacks
from sandbox.qpay.call import Call
from sandbox.qpay.callbacks import Callbacks
from sandbox.qpay.control import Control
from sandbox.qpay.endpoints import ENDPOINTS, Endpoint
from sandbox.qpay.refusals import Refusal
from sandbox.qpay.store import Store, Subject
from sandbox.qpay.tokens import Tokens

#: A proxy's page, where the caller expects JSON.
PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>"

#: Faults that answer before anything has happened.
ANSWERED_BEFORE: Mapping[str, Response] = {
    "error_500_before": Refusal("SYSTEM_BUSY").response(),
    "rate_limit": Refusal("TOO_MANY_REQUESTS").response(),
    "unauthorized": Refusal("NO_CREDENTIALS").response(),
    "html_502": Response(502, PAGE, {"Content-Type": "text/html"}),
}
#: Faults that answer in place of what happened.
ANSWERED_AFTER: Mapping[str, Response] = {
    "error_500_after": Refusal("SYSTEM_BUSY").response(),
    "not_json": Response(200, b"<p>Success"),
}
#: Faults that withhold the answer, before or after the effect.
WITHHELD = ("timeout_before", "drop_before", "timeout_after", "drop_after")

OPERATIONS = {endpoint.operation for endpoint in ENDPOINTS.values()}
FAULTS: Mapping[str, Collection[str]] = {
    **dict.fromkeys(sorted(OPERATIONS), (*ANSWERED_BEFORE, *ANSWERED_AFTER, *WITHHELD)),
    "callback": callbacks.FAULTS,
}


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request as it was understood when it arrived."""

    request: Request
    endpoint: Endpoint | None
    #: The id in its address, empty when there is none.
    id: str
    #: Its body; None when that is no JSON object.
    sent: dict[str, Any] | None

    @property
    def authorization(self) -> str:
        """What its caller shows."""
        return self.request.headers.get("authorization", "")

    def names(self, field: str) -> str | None:
        """The text in this field of its body, when it holds one."""
        held = (self.sent or {}).get(field)
        return held if isinstance(held, str) else None


class Api:
    """QPay's API, with what a test may tell it."""

    def __init__(self, store: Store, faults: Faults, tokens: Tokens, callbacks: Callbacks) -> None:
        self._store = store
        self._faults = faults
        self._tokens = tokens
        self._callbacks = callbacks
        self._router = Router(ENDPOINTS)
        self._control = Control(store, faults, tokens, callbacks)

    async def handle(self, request: Request) -> Response:
        """Answer one request; raises Drop when it is told to lose it."""
        if request.path.startswith("/_sandbox/"):
            return await self._control.answer(request)
        found = self._router.find(request.method, request.path)
        endpoint, ids = found if found else (None, [])
        return await self._answer(Arrival(request, endpoint, "".join(ids), _decoded(request)))

    async def _answer(self, arrival: Arrival) -> Response:
        """Note a request, and carry it out when it is let in; one that is not meets no fault."""
        subject = self._subject(arrival)
        try:
            endpoint = self._let_in(arrival)
        except Refusal as refusal:
            self._store.answered(self._note(arrival, subject, None), refusal.status)
            return refusal.response()
        fault = self._faults.take(endpoint.operation, {word for word in subject if word})
        seq = self._note(arrival, subject, fault)
        response = await self._carry_out(arrival, endpoint, fault)
        self._store.answered(seq, response.status)
        return response

    def _subject(self, arrival: Arrival) -> Subject:
        """What a request is about, as far as it says so."""
        object = arrival.id or arrival.names("object_id")
        if object:
            return self._store.subject(object)
        return Subject(None, sender_invoice_no=arrival.names("sender_invoice_no"))

    def _let_in(self, arrival: Arrival) -> Endpoint:
        """The endpoint of a request that may go on; raises the Refusal of one that may not."""
        if arrival.endpoint is None:
            raise Refusal("NOT_FOUND")
        arrival.endpoint.let_in(self._tokens, arrival.authorization)
        return arrival.endpoint

    def _note(self, arrival: Arrival, subject: Subject, fault: Fault | None) -> int:
        request = arrival.request
        operation = arrival.endpoint.operation if arrival.endpoint else "unknown"
        return self._store.arrived(request.method, request.path, operation, subject, fault.fault if fault else None)

    async def _carry_out(self, arrival: Arrival, endpoint: Endpoint, fault: Fault | None) -> Response:
        """Let a request take effect, and answer it, as well as its fault allows."""
        if fault is not None and fault.fault in ANSWERED_BEFORE:
            return ANSWERED_BEFORE[fault.fault]
        await self._withhold(fault, "before")
        await self._faults.delay(endpoint.operation)
        response = self._take_effect(arrival, endpoint)
        await self._withhold(fault, "after")
        return ANSWERED_AFTER.get(fault.fault, response) if fault is not None else response

    async def _withhold(self, fault: Fault | None, when: str) -> None:
        """Hang, or raise Drop, when that is its fault."""
        if fault is not None and fault.fault == f"timeout_{when}":
            await self._faults.hang(fault.seconds)
        if fault is not None and fault.fault == f"drop_{when}":
            raise Drop

    def _take_effect(self, arrival: Arrival, endpoint: Endpoint) -> Response:
        """Carry a request out in one transaction; one that is refused has no effect."""
        try:
            parameters = _parameters(arrival, endpoint)
            call = Call(self._store, self._tokens, self._callbacks, arrival.id, parameters, arrival.authorization)
            with self._store.transaction():
                return Response.json(endpoint.carry_out(call))
        except Refusal as refusal:
            return refusal.response()


def _parameters(arrival: Arrival, endpoint: Endpoint) -> dict[str, Any]:
    """What a request asks for; raises the Refusal of a body that makes no sense."""
    if arrival.sent is None:
        raise Refusal("INVALID_BODY")
    return endpoint.shape(arrival.sent)


def _decoded(request: Request) -> dict[str, Any] | None:
    """The body of a request, an empty one as an empty object; None when it is no JSON object."""
    if not request.body:
        return {}
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return None
    try:
        return msgspec.json.decode(request.body, type=dict[str, Any])
    except msgspec.MsgspecError:
        return None
