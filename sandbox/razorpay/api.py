"""The way of a request: find its endpoint, check its key, meet its fault, wait its latency, execute once, answer."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from sandbox.faults import Fault, Faults
from sandbox.http import Drop, Request, Response, Router
from sandbox.razorpay import refusals
from sandbox.razorpay.call import Call
from sandbox.razorpay.control import Control
from sandbox.razorpay.endpoints import ENDPOINTS, Endpoint
from sandbox.razorpay.refusals import Refusal
from sandbox.razorpay.store import KeptAnswer, Store
from sandbox.razorpay.webhooks import Webhooks

#: A proxy's page, where the caller expects JSON.
PAGE = b"<html><head><title>Bad Gateway</title></head><body>Bad Gateway</body></html>"
HTML = {"Content-Type": "text/html"}

#: Faults that answer before anything is executed; nothing is kept under the key.
ANSWERED_BEFORE: Mapping[str, Response] = {
    "error_500_before": refusals.server_error().response(),
    "gateway_error_before": refusals.gateway_error().response(),
    "rate_limit": refusals.rate_limited().response(),
    "conflict": refusals.key_in_use().response(),
    "html_502": Response(502, PAGE, HTML),
}
#: Faults that answer in place of what happened; the true answer is kept under the key.
ANSWERED_AFTER: Mapping[str, Response] = {
    "gateway_error_after": refusals.gateway_error().response(),
    "json_error_after": Response(200, PAGE),
}
#: Faults of a request that began to execute: the 500 is kept under the key.  `during` fails before the effect,
#: `after` fails after it.
KEPT_500 = ("error_500_during", "error_500_after")
#: Faults that withhold the answer, before or after the effect.
WITHHELD_BEFORE = ("timeout_before", "drop_before")
WITHHELD_AFTER = ("timeout_after", "drop_after")

READ_FAULTS = (*ANSWERED_BEFORE, *ANSWERED_AFTER, *KEPT_500, *WITHHELD_BEFORE, *WITHHELD_AFTER)
FAULTS: Mapping[str, Collection[str]] = {
    "capture": (*READ_FAULTS, "decline"),
    "refund": (*READ_FAULTS, "decline", "pending"),
    "retrieve": READ_FAULTS,
    "webhook": ("twice", "late", "out_of_order", "lost"),
}

#: Any key of test mode will do.
KEY_ID = re.compile(r"rzp_test_[A-Za-z0-9]+")
IDEMPOTENCY_KEY = re.compile(r"[A-Za-z0-9_-]{10,}")


@dataclass(slots=True)
class Arrival:
    """A request as it was understood when it arrived, and the fault it meets."""

    request: Request
    endpoint: Endpoint | None
    #: The ids in its address.
    ids: list[str]
    #: Its body or its query; None when the body is no JSON object.
    sent: dict[str, Any] | None
    key: str | None
    fault: Fault | None
    #: Its place in the list of requests.
    seq: int

    def meets(self, *faults: str) -> bool:
        """Whether it meets one of these faults."""
        return self.fault is not None and self.fault.fault in faults


class Api:
    """Razorpay's API, with what a test may tell it."""

    def __init__(self, store: Store, faults: Faults, webhooks: Webhooks | None) -> None:
        self._store = store
        self._faults = faults
        self._webhooks = webhooks
        self._router = Router(ENDPOINTS)
        self._control = Control(store, faults, webhooks)
        self._keys_in_use: set[str] = set()

    async def handle(self, request: Request) -> Response:
        """Answer one request; raises Drop when it is told to lose it."""
        if request.path.startswith("/_sandbox/"):
            return self._control.answer(request)
        arrival = self._arrive(request)
        try:
            return await self._carry_out(arrival, _admitted(arrival))
        except Refusal as refusal:
            self._store.answered(arrival.seq, refusal.status)
            return refusal.response()

    def _arrive(self, request: Request) -> Arrival:
        """Understand a request as far as it can be, and note it; judging it comes later."""
        found = self._router.find(request.method, request.path)
        endpoint, ids = found if found else (None, [])
        sent = _decoded(request)
        named = ids[0] if ids else (sent or {}).get("payment_id")
        object = named if isinstance(named, str) else None
        operation = endpoint.operation if endpoint else "unknown"
        key = request.headers.get("x-refund-idempotency") if endpoint and endpoint.keyed else None
        fault = self._faults.take(operation, {object or "", *ids}) if endpoint else None
        seq = self._store.arrived(request.method, request.path, operation, object, key, fault.fault if fault else None)
        return Arrival(request, endpoint, ids, sent, key, fault, seq)

    async def _carry_out(self, arrival: Arrival, endpoint: Endpoint) -> Response:
        """Execute a request that was let in, at most once at a time for each key, as well as its fault allows."""
        if arrival.fault is not None and arrival.fault.fault in ANSWERED_BEFORE:
            response = ANSWERED_BEFORE[arrival.fault.fault]
            self._store.answered(arrival.seq, response.status)
            return response
        await self._withhold(arrival, *WITHHELD_BEFORE)
        if arrival.key in self._keys_in_use:
            raise refusals.key_in_use()
        self._keys_in_use |= {arrival.key} if arrival.key else set()
        try:
            await self._faults.delay(endpoint.operation)
            response = self._execute(arrival, endpoint)
        finally:
            self._keys_in_use.discard(arrival.key or "")
        await self._withhold(arrival, *WITHHELD_AFTER)
        return response

    async def _withhold(self, arrival: Arrival, timeout: str, drop: str) -> None:
        """Hang, or raise Drop, when that is its fault."""
        if arrival.fault is not None and arrival.fault.fault == timeout:
            await self._faults.hang(arrival.fault.seconds)
        if arrival.meets(drop):
            raise Drop

    def _execute(self, arrival: Arrival, endpoint: Endpoint) -> Response:
        """Answer from what was kept under the key, or execute and keep the answer, in one transaction."""
        call = Call(
            self._store,
            arrival.ids,
            idempotency_key=arrival.key,
            declined=arrival.meets("decline"),
            undecided=arrival.meets("pending"),
            webhooks=self._webhooks,
        )
        with self._store.transaction():
            kept = self._store.kept_answer(arrival.key) if arrival.key else None
            response = _replay(arrival, kept) if kept else self._first_answer(arrival, endpoint, call)
            if arrival.fault is not None:
                response = ANSWERED_AFTER.get(arrival.fault.fault, response)
            status = None if arrival.meets(*WITHHELD_AFTER) else response.status
            self._store.answered(arrival.seq, status, replayed=kept is not None)
        if self._webhooks is not None:
            self._webhooks.deliver(call.events)
        return response

    def _first_answer(self, arrival: Arrival, endpoint: Endpoint, call: Call) -> Response:
        """Execute and keep the answer, also a refusal; raises that of wrong parameters, which is not kept."""
        if arrival.sent is None:
            raise refusals.no_json()
        call.parameters = endpoint.read(arrival.sent)
        try:
            if arrival.meets("error_500_during"):
                raise refusals.server_error()
            response = Response.json(endpoint.carry_out(call))
            if arrival.meets("error_500_after"):
                raise refusals.server_error()
        except Refusal as refusal:
            response = refusal.response()
        if arrival.key:
            self._store.keep_answer(arrival.key, KeptAnswer(_fingerprint(arrival), response.status, response.body))
        return response


def _decoded(request: Request) -> dict[str, Any] | None:
    """What a request sends, in its body or its query; None when the body is no JSON object."""
    if request.method == "GET":
        return dict(parse_qsl(request.query, keep_blank_values=True))
    try:
        return msgspec.json.decode(request.body or b"{}", type=dict[str, Any])
    except msgspec.MsgspecError:
        return None


def _admitted(arrival: Arrival) -> Endpoint:
    """The endpoint of a request that may go on; raises the Refusal of one that may not."""
    _authenticate(arrival.request.headers.get("authorization", ""))
    if arrival.endpoint is None:
        raise refusals.unknown_url()
    if arrival.key is not None and not IDEMPOTENCY_KEY.fullmatch(arrival.key):
        raise refusals.malformed_key()
    return arrival.endpoint


def _authenticate(authorization: str) -> None:
    """Raise unless it holds a key of test mode and any secret."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        key_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:  # neither base64 nor text
        raise refusals.unauthenticated() from None
    if scheme != "Basic" or not KEY_ID.fullmatch(key_id) or not secret:
        raise refusals.unauthenticated()


def _fingerprint(arrival: Arrival) -> str:
    """What makes two requests the same: the address and the body, whatever the order of its members."""
    return f"{arrival.request.path} {msgspec.json.encode(arrival.sent, order='sorted').decode()}"


def _replay(arrival: Arrival, kept: KeptAnswer) -> Response:
    """The first answer again; raises when the key was used for another request."""
    if kept.request != _fingerprint(arrival):
        raise refusals.key_reused()
    return Response(kept.status, kept.body)
