"""What a test may ask and tell the stand-in, under /_sandbox/."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs

import msgspec

from sandbox.faults import Faults
from sandbox.http import Request, Response, Router
from sandbox.razorpay import payments, refunds
from sandbox.razorpay.call import Call
from sandbox.razorpay.payments import Checkout
from sandbox.razorpay.refusals import Refusal
from sandbox.razorpay.store import Store
from sandbox.razorpay.webhooks import Webhooks

Answer = Callable[[Request, list[str]], Response]


class Control:
    """The routes under /_sandbox/; `webhooks` are told of the events that they cause."""

    def __init__(self, store: Store, faults: Faults, webhooks: Webhooks | None) -> None:
        self._store = store
        self._faults = faults
        self._webhooks = webhooks
        self._router: Router[Answer] = Router(
            {
                "GET /_sandbox/health": lambda request, ids: Response.json({"status": "ok"}),
                "GET /_sandbox/ledger": lambda request, ids: Response.json(store.ledger(*_filters(request))),
                "GET /_sandbox/requests": lambda request, ids: Response.json(store.requests(*_filters(request))),
                "GET /_sandbox/webhooks": lambda request, ids: Response.json({"owed": [e.id for e in store.owed()]}),
                "DELETE /_sandbox/idempotency_keys": lambda request, ids: Response.json({"keys": store.forget_keys()}),
                "POST /_sandbox/payments": self._check_out,
                "POST /_sandbox/authorize/{payment}": lambda request, ids: self._happen(payments.authorize, ids),
                "POST /_sandbox/lapse/{payment}": lambda request, ids: self._happen(refunds.lapse, ids),
                "POST /_sandbox/process/{refund}": lambda request, ids: self._happen(refunds.process, ids),
                "POST /_sandbox/fail/{refund}": lambda request, ids: self._happen(refunds.fail, ids),
            }
        )

    def answer(self, request: Request) -> Response:
        """Answer one request; 404 for what is not known, 400 for what makes no sense."""
        answer = self._faults.control(request)
        if answer is not None:
            return answer
        found = self._router.find(request.method, request.path)
        if found is None:
            return Response.json({"error": f"no {request.method} {request.path} here"}, 404)
        carry_out, ids = found
        try:
            return carry_out(request, ids)
        except (ValueError, Refusal) as problem:
            return Response.json({"error": str(problem)}, 400)

    def _check_out(self, request: Request, ids: list[str]) -> Response:
        """Let a shopper pay, which no call of Razorpay's API does."""
        wish = msgspec.json.decode(request.body, type=Checkout)
        return self._happen(lambda call: payments.check_out(call, wish), ids)

    def _happen(self, effect: Callable[[Call], object], ids: list[str]) -> Response:
        """Let something happen that no request to the API asked for."""
        call = Call(self._store, ids, webhooks=self._webhooks)
        with self._store.transaction():
            thing = effect(call)
        if self._webhooks is not None:
            self._webhooks.deliver(call.events)
        return Response.json(thing)


def _filters(request: Request) -> tuple[str | None, int]:
    """The `object` and `since` of a query."""
    query = parse_qs(request.query)
    return query.get("object", [None])[0], int(query.get("since", ["0"])[0])
