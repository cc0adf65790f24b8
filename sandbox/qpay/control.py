"""What a test may ask and tell the stand-in, under /_sandbox/."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import parse_qs

import msgspec

from sandbox.faults import Faults
from sandbox.http import Request, Response, Router
from sandbox.qpay import callbacks, objects, payments
from sandbox.qpay.call import Call
from sandbox.qpay.callbacks import Callbacks
from sandbox.qpay.objects import Payment
from sandbox.qpay.payments import Purse
from sandbox.qpay.refusals import Refusal
from sandbox.qpay.store import Store
from sandbox.qpay.tokens import Kind, Tokens


class Calls(msgspec.Struct, forbid_unknown_fields=True):
    """How the merchant is called back: how often, when, and by which method."""

    times: Annotated[int, msgspec.Meta(ge=0, le=100)] = 1
    after_seconds: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.0
    method: Literal["GET", "POST"] = "GET"


#: What stands for the usual ways of calling back.
USUAL = {"get": Calls(), "post": Calls(method="POST"), "none": Calls(times=0)}


class Payer(Purse, forbid_unknown_fields=True):
    """A shopper who pays, and how the merchant is told."""

    callback: Literal["get", "post", "none"] | Calls = "get"


class Expiry(msgspec.Struct, forbid_unknown_fields=True):
    """The kind of tokens that are to end; refresh tokens live on unless it is they."""

    kind: Kind = "access"


class Told(NamedTuple):
    """One request to a route: its query, the id in its address, its body."""

    query: dict[str, list[str]]
    id: str
    body: bytes

    def filters(self) -> tuple[str | None, int]:
        """The `object` and `since` of the query."""
        return self.query.get("object", [None])[0], int(self.query.get("since", ["0"])[0])


class Control:
    """The routes under /_sandbox/."""

    def __init__(self, store: Store, faults: Faults, tokens: Tokens, callbacks: Callbacks) -> None:
        self._store = store
        self._faults = faults
        self._tokens = tokens
        self._callbacks = callbacks
        self._router: Router[Callable[[Told], Awaitable[object]]] = Router(
            {
                "GET /_sandbox/health": self._health,
                "GET /_sandbox/ledger": self._ledger,
                "GET /_sandbox/requests": self._requests,
                "GET /_sandbox/callbacks": self._list_callbacks,
                "GET /_sandbox/tokens": self._count_tokens,
                "POST /_sandbox/expire_tokens": self._expire_tokens,
                "POST /_sandbox/pay/{invoice}": self._pay,
                "POST /_sandbox/callback/{payment}": self._call_back,
                "POST /_sandbox/settle/{payment}": self._settle,
            }
        )

    async def answer(self, request: Request) -> Response:
        """Answer one request; 404 for what is not known, 400 for what makes no sense, QPay's refusals as they are."""
        answer = self._faults.control(request)
        if answer is not None:
            return answer
        found = self._router.find(request.method, request.path)
        if found is None:
            return Response.json({"error": f"no {request.method} {request.path} here"}, 404)
        carry_out, ids = found
        try:
            return Response.json(await carry_out(Told(parse_qs(request.query), "".join(ids), request.body)))
        except ValueError as problem:  # msgspec's are such, too
            return Response.json({"error": str(problem)}, 400)
        except Refusal as refusal:
            return refusal.response()

    async def _health(self, told: Told) -> object:
        return {"status": "ok"}

    async def _ledger(self, told: Told) -> object:
        return self._store.ledger(*told.filters())

    async def _requests(self, told: Told) -> object:
        return self._store.requests(*told.filters())

    async def _list_callbacks(self, told: Told) -> object:
        return self._store.callbacks(*told.filters())

    async def _count_tokens(self, told: Told) -> object:
        """How often tokens were asked for, by each way, also in vain."""
        return {way: self._store.times_asked(f"/v2/auth/{way}") for way in ("token", "refresh")}

    async def _expire_tokens(self, told: Told) -> object:
        """End every token of a kind now."""
        kind = msgspec.json.decode(told.body or b"{}", type=Expiry).kind
        return {"expired": self._store.expire_tokens(kind)}

    async def _pay(self, told: Told) -> object:
        """Let a shopper pay, and tell the merchant in the background."""
        payer = msgspec.json.decode(told.body, type=Payer)
        calls = USUAL[payer.callback] if isinstance(payer.callback, str) else payer.callback
        call = self._call(told)
        with self._store.transaction():
            payment = payments.pay(call, payer)
        _send(call, payment, calls)
        return objects.detail(payment)

    async def _call_back(self, told: Told) -> object:
        """Tell the merchant (again), and answer with every attempt."""
        calls, call = msgspec.json.decode(told.body or b"{}", type=Calls), self._call(told)
        sent = await asyncio.gather(*_send(call, call.payment(), calls))
        return [attempt for attempts in sent for attempt in attempts]

    async def _settle(self, told: Told) -> object:
        """Let the bank settle a payment."""
        with self._store.transaction():
            return objects.detail(payments.settle(self._call(told)))

    def _call(self, told: Told) -> Call:
        return Call(self._store, self._tokens, self._callbacks, told.id)


def _send(call: Call, payment: Payment, calls: Calls) -> list[asyncio.Task[list[dict[str, Any]]]]:
    """Call the merchant back about a payment, in the background, as it is wished."""
    callback = callbacks.about(payment, call.invoice_with(payment.invoice).callback_url, calls.method)
    return [call.callbacks.send(callback, calls.after_seconds) for _ in range(calls.times)]
