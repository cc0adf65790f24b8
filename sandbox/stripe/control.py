"""What a test may ask and tell the stand-in, under /_sandbox/."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from urllib.parse import parse_qs

from sandbox.faults import Faults
from sandbox.http import Request, Response, Router
from sandbox.stripe import disputes, holding, refunds
from sandbox.stripe.call import Call
from sandbox.stripe.objects import Wire
from sandbox.stripe.refusals import Refusal
from sandbox.stripe.store import Store
from sandbox.stripe.webhooks import Webhooks

Answer = Callable[[dict[str, list[str]], list[str]], Response]


class Control:
    """The routes under /_sandbox/; `webhooks` are told of the events that they cause."""

    def __init__(self, store: Store, faults: Faults, webhooks: Webhooks | None) -> None:
        self._store = store
        self._faults = faults
        self._webhooks = webhooks
        self._router: Router[Answer] = Router(
            {
                "GET /_sandbox/health": lambda query, ids: Response.json({"status": "ok"}),
                "GET /_sandbox/ledger": lambda query, ids: Response.json(store.ledger(*_filters(query))),
                "GET /_sandbox/requests": lambda query, ids: Response.json(store.requests(*_filters(query))),
                "GET /_sandbox/webhooks": lambda query, ids: Response.json({"owed": store.owed()}),
                "DELETE /_sandbox/idempotency_keys": lambda query, ids: Response.json({"keys": store.forget_keys()}),
                "POST /_sandbox/idempotency_keys/age/{seconds}": lambda query, ids: self._age_keys(ids[0]),
                "POST /_sandbox/expire/{id}": lambda query, ids: self._happen(holding.expire, ids[0]),
                "POST /_sandbox/shorten/{id}": lambda query, ids: self._happen(
                    partial(holding.shorten, seconds=int(query["seconds"][0])), ids[0]
                ),
                "POST /_sandbox/succeed/{id}": lambda query, ids: self._happen(refunds.succeed, ids[0]),
                "POST /_sandbox/fail/{id}": lambda query, ids: self._happen(refunds.fail, ids[0]),
                "POST /_sandbox/dispute/{id}": lambda query, ids: self._happen(disputes.open, ids[0]),
                "POST /_sandbox/won/{id}": lambda query, ids: self._happen(disputes.win, ids[0]),
                "POST /_sandbox/lost/{id}": lambda query, ids: self._happen(disputes.lose, ids[0]),
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
            return carry_out(parse_qs(request.query), ids)
        except ValueError as problem:
            return Response.json({"error": str(problem)}, 400)
        except Refusal as refusal:
            return Response.json({"error": str(refusal)}, refusal.status)

    def _age_keys(self, seconds: str) -> Response:
        """Let time pass for the idempotency keys; raises ValueError for what is no number of seconds."""
        return Response.json({"keys": self._store.age_keys(float(seconds))})

    def _happen(self, effect: Callable[[Call], Wire], id: str) -> Response:
        """Let something happen that no request asked for."""
        call = Call(self._store, id, webhooks=self._webhooks)
        with self._store.transaction():
            thing = effect(call)
        if self._webhooks is not None:
            self._webhooks.deliver(call.events)
        return Response.json(thing)


def _filters(query: dict[str, list[str]]) -> tuple[str | None, int]:
    """The `object` and `since` of a query."""
    return query.get("object", [None])[0], int(query.get("since", ["0"])[0])
