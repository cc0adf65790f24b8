"""Problems: what we answer when we say no (RFC 9457).

Each class carries its `code` and `http_status`; its docstring is the default message, and the title of the problem.
"""

from typing import Any, ClassVar

import msgspec


class Problem(Exception):
    """Something went wrong on our side."""

    code: ClassVar[str] = "internal_error"
    http_status: ClassVar[int] = 500
    #: Seconds after which the caller may try again.
    retry_after: ClassVar[int | None] = None

    def __init__(self, message: str | None = None, **members: Any) -> None:
        super().__init__(message)
        self.message = message or type(self).title()
        self.members = members

    def __reduce__(self) -> tuple[Any, ...]:
        return _revive, (type(self), self.message, self.members)

    @classmethod
    def title(cls) -> str:
        """The docstring's first line, without its full stop."""
        return (cls.__doc__ or "").strip().splitlines()[0].rstrip(".")

    def document(self) -> dict[str, Any]:
        """The problem document, with the `code` and `message` members that the client contracts name."""
        return {
            "type": "about:blank",
            "title": type(self).title(),
            "status": self.http_status,
            "code": self.code,
            "message": self.message,
            **self.members,
        }

    def body(self) -> str:
        """The problem document as JSON, as it is stored and sent."""
        return msgspec.json.encode(self.document()).decode()


def _revive(cls: type[Problem], message: str, members: dict[str, Any]) -> Problem:
    return cls(message, **members)


class Malformed(Problem):
    """The request could not be read."""

    code, http_status = "malformed", 400


class Invalid(Problem):
    """The request is not what this route takes."""

    code, http_status = "invalid", 422


class TooLarge(Problem):
    """The body is too large."""

    code, http_status = "body_too_large", 413


class UnsupportedMediaType(Problem):
    """The body must be application/json."""

    code, http_status = "unsupported_media_type", 415


class Unauthorized(Problem):
    """A valid token is required."""

    code, http_status = "unauthorized", 401


class Forbidden(Problem):
    """This token does not allow that."""

    code, http_status = "forbidden", 403


class OwnershipViolation(Forbidden):
    """This belongs to somebody else."""

    code = "not_yours"


class NotFound(Problem):
    """There is no such thing here."""

    code, http_status = "not_found", 404


class MethodNotAllowed(Problem):
    """This route does not answer that method."""

    code, http_status = "method_not_allowed", 405


class LateCancel(Problem):
    """Order already processed."""

    code, http_status = "late_cancel", 409


class LateEdit(Problem):
    """The order cannot be changed any more."""

    code, http_status = "late_edit", 409


class LastItem(Problem):
    """The last item cannot be removed: cancel the order instead."""

    code, http_status = "last_item", 409


class NothingToPay(Problem):
    """Nothing would be left to pay: cancel the order instead."""

    code, http_status = "nothing_to_pay", 409


class NoPrice(Problem):
    """This item cannot be added: it has no price in the order's currency."""

    code, http_status = "no_price", 422


class OutOfStock(Problem):
    """So many units are not in stock."""

    code, http_status = "out_of_stock", 409


class AuthorizationDeclined(Problem):
    """The card's issuer declined to hold more; the order is as it was."""

    code, http_status = "authorization_declined", 402


class IncrementUnavailable(Problem):
    """No more can be held on this card; the order is as it was."""

    code, http_status = "increment_unavailable", 409


class CapturedWhole(Problem):
    """This payment is captured whole or not at all: the order must go on costing what is held."""

    code, http_status = "captured_whole", 409


class EditUnanswered(Problem):
    """The payment provider did not answer in time; the order is as it was."""

    code, http_status = "edit_unanswered", 502


class LegacyOrder(Problem):
    """This order was brought over from a former system, and cannot be changed before it is migrated."""

    code, http_status = "legacy_order", 409


class IsBooking(Problem):
    """This is a booking: its guest takes it back by the link to it, and its hotel as an operator."""

    code, http_status = "is_booking", 409


class BookingDeclined(Problem):
    """The hotel has declined this booking."""

    code, http_status = "booking_declined", 409


class BookingCompleted(Problem):
    """The stay is over: the booking cannot be canceled any more."""

    code, http_status = "booking_completed", 409


class BookingCanceled(Problem):
    """This booking is canceled."""

    code, http_status = "booking_canceled", 409


class BookingCanceling(Problem):
    """The guest is taking this booking back; its money is on its way."""

    code, http_status = "booking_canceling", 409


class NotAuthorized(Problem):
    """Nothing is held that could be captured."""

    code, http_status = "not_authorized", 409


class QuoteExpired(Problem):
    """What the cancellation was to cost is not valid any more: look at the booking again."""

    code, http_status = "quote_expired", 409


class QuoteUnknown(Problem):
    """This quote is not one of ours, or for another booking."""

    code, http_status = "quote_unknown", 422


class PolicyUnknown(Problem):
    """There is no such policy."""

    code, http_status = "policy_unknown", 422


class CancellationFailed(Problem):
    """The payment provider did not accept it: the booking stands, and can be canceled again later."""

    code, http_status = "cancellation_failed", 502


class TokenRefused(Forbidden):
    """This link does not open this booking."""

    code = "token_refused"


class TokenExpired(TokenRefused):
    """This link has expired."""

    code = "token_expired"


class TokenUsedUp(TokenRefused):
    """This link was used: the booking is canceled."""

    code = "token_used_up"


class PartialCapture(Problem):
    """Cannot cancel partially captured order."""

    code, http_status = "partial_capture", 422


class NotCaptured(Problem):
    """Nothing is captured yet: only the whole hold can be released."""

    code, http_status = "not_captured", 409


class RefundTooLarge(Problem):
    """The refund is above what is left of the captured amount."""

    code, http_status = "refund_too_large", 422


class RefundCooldown(Problem):
    """A refund of this order has just failed; try again later."""

    code, http_status = "refund_cooldown", 429


class RefundFailed(Problem):
    """The payment provider did not accept the refund."""

    code, http_status = "refund_failed", 502


class VoidFailed(Problem):
    """The payment provider did not release the hold."""

    code, http_status = "void_failed", 502


class NotParked(Problem):
    """Nothing of this request is parked."""

    code, http_status = "not_parked", 409


class AlreadyRunning(Problem):
    """The same request came again and is under way; it answers for this one too."""

    code, http_status = "already_running", 409


class KeyRequired(Problem):
    """This needs an Idempotency-Key: repeated without one, it would be another request."""

    code, http_status = "idempotency_key_required", 400


class OrderConflict(Problem):
    """Another order is registered under this id."""

    code, http_status = "order_conflict", 409


class PaymentConflict(Problem):
    """Another order is registered with this payment."""

    code, http_status = "payment_conflict", 409


class ShipmentConflict(Problem):
    """Another order has this waybill."""

    code, http_status = "shipment_conflict", 409


class ShipmentSuperseded(Problem):
    """A later request has set another parcel."""

    code, http_status = "shipment_superseded", 409


class NoShipment(Problem):
    """No courier is followed for this order."""

    code, http_status = "no_shipment", 409


class WaybillUnknown(Problem):
    """The courier does not know this order's waybill."""

    code, http_status = "waybill_unknown", 409


class OrderCanceled(Problem):
    """This order is canceled."""

    code, http_status = "order_canceled", 409


class BadSignature(Problem):
    """The signature is missing, wrong, too old, or of another clock."""

    code, http_status = "bad_signature", 400


class BadSecret(Unauthorized):
    """The secret of this webhook is missing or wrong."""

    code = "bad_secret"


class PaymentUnusable(Problem):
    """The payment cannot carry this order."""

    code, http_status = "payment_unusable", 422


class KeyReused(Problem):
    """This idempotency key came with another request."""

    code, http_status = "idempotency_key_reused", 422


class KeyMalformed(Problem):
    """The idempotency key must be 1 to 255 printable characters."""

    code, http_status = "idempotency_key_malformed", 400


class CaptureUnconfirmed(Problem):
    """The capture could not be confirmed stopped; your request is kept and tried again."""

    code, http_status, retry_after = "capture_unconfirmed", 503, 2


class Unavailable(Problem):
    """The service cannot take requests right now."""

    code, http_status, retry_after = "unavailable", 503, 5


class Parked(Problem):
    """The request could not be carried out; a person looks at it."""

    code, http_status = "parked", 500
