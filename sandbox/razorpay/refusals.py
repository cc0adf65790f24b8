"""Razorpay's errors: https://razorpay.com/docs/errors/."""

from __future__ import annotations

from functools import partial
from typing import Any

from sandbox.http import Response
from sandbox.razorpay.objects import Payment


class Refusal(Exception):
    """An answer that is an error, in Razorpay's shape; `field` names the parameter at fault."""

    def __init__(
        self,
        status: int,
        description: str,
        *,
        code: str = "BAD_REQUEST_ERROR",
        field: str | None = None,
        about: Payment | None = None,
    ) -> None:
        super().__init__(description)
        self.status = status
        self.error: dict[str, Any] = {
            "code": code,
            "description": description,
            "source": "business" if field else "NA",
            "step": "payment_initiation" if field else "NA",
            "reason": "input_validation_failed" if field else "NA",
            "metadata": {"payment_id": about.id, "order_id": about.order_id} if about else {},
        }
        if field:
            self.error["field"] = field

    def response(self) -> Response:
        """The answer as Razorpay sends it."""
        return Response.json({"error": self.error}, self.status)


unauthenticated = partial(Refusal, 401, "Authentication failed")
unknown_url = partial(Refusal, 400, "The requested URL was not found on the server.")
unknown_id = partial(Refusal, 400, "The id provided does not exist")
no_json = partial(Refusal, 400, "The request body is not a JSON object")

malformed_key = partial(
    Refusal, 400, "The idempotency key must be at least 10 characters long, of letters, digits, - and _ only."
)
key_reused = partial(Refusal, 409, "Different request with the same idempotency key has already been processed.")
key_in_use = partial(Refusal, 409, "Another request with the same idempotency key is still in progress.")

rate_limited = partial(Refusal, 429, "Too many requests")
server_error = partial(Refusal, 500, "The server encountered an error.", code="SERVER_ERROR")
gateway_error = partial(Refusal, 502, "The bank did not answer, or with an error.", code="GATEWAY_ERROR")

not_authorized = partial(Refusal, 400, "Only payments which have been authorized and not yet captured can be captured")
captured_already = partial(Refusal, 400, "This payment has already been captured")
other_amount = partial(Refusal, 400, "Capture amount must be equal to the amount authorized", field="amount")
other_currency = partial(Refusal, 400, "Capture currency must be the currency authorized", field="currency")
capture_failed = partial(Refusal, 400, "The payment could not be captured")

not_captured = partial(Refusal, 400, "The payment status should be captured for action to be taken")
refunded_already = partial(Refusal, 400, "The payment has been fully refunded already")
beyond_captured = partial(Refusal, 400, "The refund amount provided is greater than amount captured", field="amount")
too_old = partial(Refusal, 400, "Payments over 6 months old cannot be refunded")
low_balance = partial(Refusal, 400, "Your account does not have enough balance to carry out the refund operation.")
