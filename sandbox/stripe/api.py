"""The way of a request: find its endpoint, check its key, meet its fault, wait its latency, execute once, answer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial

import msgspec

from sandbox.faults import Fault, Faults
from sandbox.http import Drop, Request, Response, Router
from sandbox.stripe.call import Call
from sandbox.stripe.control import Control
from sandbox.stripe.endpoints import ENDPOINTS, Endpoint
from sandbox.stripe.objects import API_VERSION, new_id
from sandbox.stripe.parameters import Form, parse_form, read
from sandbox.stripe.reading import expand, refuse_expansion
from sandbox.stripe.refusals import BadGateway, Refusal
from sandbox.stripe.store import KeptAnswer, Store
from sandbox.stripe.webhooks import Webhooks

unknown_error = partial(Refusal, 500, "An unknown error occurred.", type="api_error", executed=True)
key_in_use = partial(
    Refusal,
    409,
    "There is currently another in-progress request using this Idempotent Key (that probably means you submitted "
    "twice, and the other request is still going through). Please try again later.",
    type="idempotency_error",
    code="idempotency_key_in_use",
)

#: Faults that are met before anything is executed, and answer like this; nothing is kept under the key.
REFUSED_BEFORE: Mapping[str, Callable[[], Refusal]] = {
    "error_500_before": unknown_error,
    "rate_limit": partial(Refusal, 429, "Request rate limit exceeded.", code="rate_limit"),
    "conflict": key_in_use,
    "html_502": BadGateway,
}
#: Faults that withhold the answer, before or after the effect.
WITHHELD_BEFORE = ("timeout_before", "drop_before")
WITHHELD_AFTER = ("timeout_after", "drop_after")
#: Faults of a request that began to execute: the 500 is kept under the key, as Stripe does.  `during` fails before
#: the effect, `after` fails after it.
KEPT_500 = ("error_500_during", "error_500_after")

READ_FAULTS = (*REFUSED_BEFORE, *WITHHELD_BEFORE, *WITHHELD_AFTER, *KEPT_500)
WRITE_FAULTS = (*READ_FAULTS, "decline")
FAULTS: Mapping[str, Collection[str]] = {
    "create": WRITE_FAULTS,
    "confirm": WRITE_FAULTS,
    "capture": WRITE_FAULTS,
    "cancel": WRITE_FAULTS,
    "increment": WRITE_FAULTS,
    "refund": (*WRITE_FAULTS, "pending"),
    "retrieve": READ_FAULTS,
    "webhook": ("twice", "late", "out_of_order", "lost"),
}

FORM = "application/x-www-form-urlencoded"
#: Characters of an idempotency key.
LONGEST_KEY = 255


@dataclass(slots=True)
class Arrival:
    """A request as it was understood when it arrived, and the fault it meets."""

    request: Request
    id: str
    endpoint: Endpoint | None
    object: str | None
    form: Form
    key: str | None
    fault: Fault | None
    #: Its place in the list of requests.
    seq: int = 0

    def meets(self, *faults: str) -> bool:
        """Whether it meets one of these faults."""
        return self.fault is not None and self.fault.fault in faults


class Api:
    """Stripe's API, with what a test may tell it."""

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
            response = await self._carry_out(arrival, _admitted(arrival))
        except Refusal as refusal:
            response = refusal.response(arrival.id)
            self._store.answered(arrival.seq, response.status, arrival.object)
        response.headers |= {"Request-Id": arrival.id, "Stripe-Version": API_VERSION}
        return response

    def _arrive(self, request: Request) -> Arrival:
        """Understand a request as far as it can be, and note it; judging it comes later."""
        found = self._router.find(request.method, request.path)
        endpoint, captured = found if found else (None, [])
        is_write = request.method == "POST"
        form = parse_form(request.body.decode("utf-8", "replace") if is_write else request.query)
        subjects = [*captured, form.get("payment_intent"), form.get("charge")]
        object = next((subject for subject in subjects if isinstance(subject, str)), None)
        fault = self._faults.take(endpoint.operation, (object or "",)) if endpoint else None
        key = request.headers.get("idempotency-key") if is_write else None
        arrival = Arrival(request, new_id("req", 14), endpoint, object, form, key, fault)
        arrival.seq = self._store.arrived(
            request.method,
            request.path,
            operation=endpoint.operation if endpoint else "unknown",
            object=object,
            idempotency_key=key,
            request_id=arrival.id,
            fault=fault.fault if fault else None,
        )
        return arrival

    async def _carry_out(self, arrival: Arrival, endpoint: Endpoint) -> Response:
        """Execute a request that was let in, at most once at a time for each key, as well as its fault allows."""
        if arrival.fault is not None:
            await self._meet_before(arrival.fault)
        if arrival.key in self._keys_in_use:
            raise key_in_use()
        self._keys_in_use |= {arrival.key} if arrival.key else set()
        try:
            await self._faults.delay(endpoint.operation)
            response = self._execute(arrival, endpoint)
        finally:
            self._keys_in_use.discard(arrival.key or "")
        if arrival.fault is not None:
            await self._meet_after(arrival.fault)
        return response

    async def _meet_before(self, fault: Fault) -> None:
        if fault.fault in REFUSED_BEFORE:
            raise REFUSED_BEFORE[fault.fault]()
        if fault.fault == "timeout_before":
            await self._faults.hang(fault.seconds)
        if fault.fault == "drop_before":
            raise Drop

    async def _meet_after(self, fault: Fault) -> None:
        if fault.fault == "timeout_after":
            await self._faults.hang(fault.seconds)
        if fault.fault == "drop_after":
            raise Drop

    def _execute(self, arrival: Arrival, endpoint: Endpoint) -> Response:
        """Answer from what was kept under the key, or execute and keep the answer, in one transaction."""
        call = Call(
            self._store,
            arrival.object,
            idempotency_key=arrival.key,
            request_id=arrival.id,
            declined=arrival.meets("decline"),
            undecided=arrival.meets("pending"),
            webhooks=self._webhooks,
        )
        parameters = msgspec.json.encode(arrival.form, order="sorted").decode()
        with self._store.transaction():
            kept = self._store.kept_answer(arrival.key) if arrival.key else None
            if kept is not None:
                response = _replay(arrival, kept, parameters)
            else:
                response = self._first_answer(arrival, endpoint, call)
                answer = KeptAnswer(arrival.request.path, parameters, response.status, response.body, arrival.id)
                self._store.keep_answer(arrival.key, answer)
            status = None if arrival.meets(*WITHHELD_AFTER) else response.status
            self._store.answered(arrival.seq, status, arrival.object, replayed=kept is not None)
        if self._webhooks is not None:
            self._webhooks.deliver(call.events)
        return response

    def _first_answer(self, arrival: Arrival, endpoint: Endpoint, call: Call) -> Response:
        """Execute; raises the Refusal of a request that did not begin to, and answers with any other."""
        call.parameters = read(arrival.form, endpoint.checks, endpoint.required)
        paths = call.parameters.get("expand", [])
        refuse_expansion(endpoint.answers, paths, in_list=endpoint.lists)
        try:
            if arrival.meets("error_500_during"):
                raise unknown_error()
            answer = endpoint.carry_out(call)
            if arrival.meets("error_500_after"):
                raise unknown_error()
        except Refusal as refusal:
            if not refusal.executed:
                raise
            arrival.object = arrival.object or getattr(refusal.error.get("payment_intent"), "id", None)
            return refusal.response(arrival.id)
        for path in paths:
            expand(self._store, answer, path.split("."))
        arrival.object = arrival.object or getattr(answer, "id", None)
        return Response.json(answer)


def _admitted(arrival: Arrival) -> Endpoint:
    """The endpoint of a request that may go on; raises the Refusal of one that may not."""
    request = arrival.request
    if arrival.endpoint is None:
        message = f"Unrecognized request URL ({request.method}: {request.path}). Please see https://stripe.com/docs"
        raise Refusal(404, message)
    _authenticate(request.headers.get("authorization", ""))
    media_type = request.headers.get("content-type", FORM)
    if request.body and not media_type.startswith(FORM):
        raise Refusal(400, f"Invalid request (check that your POST content type is {FORM}).")
    if arrival.key is not None and len(arrival.key) > LONGEST_KEY:
        raise Refusal(400, f"Idempotency keys must be at most {LONGEST_KEY} characters.", type="idempotency_error")
    return arrival.endpoint


def _authenticate(authorization: str) -> None:
    """Raise unless it holds a secret or restricted key of test mode; any such key will do."""
    scheme, _, key = authorization.partition(" ")
    if scheme != "Bearer" or not key:
        message = "You did not provide an API key. You need to provide your API key in the Authorization header, using "
        raise Refusal(401, message + "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').")
    if not key.startswith(("sk_test_", "rk_test_")):
        raise Refusal(401, f"Invalid API Key provided: {key[:8]}***")


def _replay(arrival: Arrival, kept: KeptAnswer, parameters: str) -> Response:
    """The first answer again; raises when the key was used for another request."""
    if kept.path != arrival.request.path:
        raise Refusal(
            400,
            "Keys for idempotent requests can only be used for the same endpoint they were first used for "
            f"('{kept.path}' vs '{arrival.request.path}'). Try using a key other than '{arrival.key}' if you meant to "
            "execute a different request.",
            type="idempotency_error",
        )
    if kept.parameters != parameters:
        raise Refusal(
            400,
            "Keys for idempotent requests can only be used with the same parameters they were first used with. Try "
            f"using a key other than '{arrival.key}' if you meant to execute a different request.",
            type="idempotency_error",
        )
    arrival.object = arrival.object or msgspec.json.decode(kept.body).get("id")
    replayed = {"Idempotent-Replayed": "true", "Original-Request": kept.request_id}
    return Response(kept.status, kept.body, {"Content-Type": "application/json", **replayed})
