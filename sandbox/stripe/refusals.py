"""Stripe's errors: https://docs.stripe.com/api/errors."""

from __future__ import annotations

from typing import Any

from sandbox.http import Response

DOCUMENTATION = "https://stripe.com/docs/error-codes/"


class Refusal(Exception):
    """An answer that is an error, in Stripe's shape.

    `executed` says whether the request began to execute: only then is the answer kept under its idempotency key.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        type: str = "invalid_request_error",
        executed: bool = False,
        **members: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.executed = executed
        self.error: dict[str, Any] = {"message": message, "type": type, **members}
        if code:
            self.error |= {"code": code, "doc_url": DOCUMENTATION + code.replace("_", "-")}
        if param:
            self.error["param"] = param

    def response(self, request_id: str) -> Response:
        """The answer as Stripe sends it."""
        log = f"https://dashboard.stripe.com/test/logs/{request_id}?t=0"
        return Response.json({"error": {**self.error, "request_log_url": log}}, self.status)


class BadGateway(Refusal):
    """A proxy's answer in Stripe's place: a page, where the caller expects JSON."""

    def __init__(self) -> None:
        super().__init__(502, "Bad Gateway")

    def response(self, request_id: str) -> Response:
        """The page."""
        page = b"<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>"
        return Response(self.status, page, {"Content-Type": "text/html"})


def missing(kind: str, id: str, param: str) -> Refusal:
    """404: an id that names nothing."""
    return Refusal(404, f"No such {kind}: '{id}'", code="resource_missing", param=param)


def unexpected_state(message: str, payment_intent: object) -> Refusal:
    """400: the PaymentIntent is in a state that does not allow this; it stands in the error, whole."""
    code = "payment_intent_unexpected_state"
    return Refusal(400, message, code=code, executed=True, payment_intent=payment_intent)


def declined(decline_code: str = "generic_decline", **members: Any) -> Refusal:
    """402: the card's issuer said no."""
    return Refusal(
        402,
        "Your card has insufficient funds." if decline_code == "insufficient_funds" else "Your card was declined.",
        type="card_error",
        code="card_declined",
        executed=True,
        decline_code=decline_code,
        **members,
    )
