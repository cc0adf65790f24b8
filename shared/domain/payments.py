"""Payments, and the capture jobs and voids that move them."""

from collections.abc import Mapping
from enum import StrEnum


class Provider(StrEnum):
    """Who holds the shopper's money."""

    STRIPE = "stripe"
    RAZORPAY = "razorpay"
    COD = "cod"  # cash on delivery: nobody holds any
    NONE = "none"  # a free order


#: Providers that capture all of a hold, or nothing.
CAPTURED_WHOLE = (Provider.RAZORPAY,)


class PaymentStatus(StrEnum):
    """What has become of the shopper's money."""

    UNPAID = "unpaid"  # nobody holds any: cash on delivery, free, or a booking that is not paid yet
    AUTHORIZED = "authorized"  # held on the card
    CAPTURING = "capturing"  # a capture is under way; its outcome may be unknown
    CAPTURED = "captured"
    PARTIALLY_CAPTURED = "partially_captured"
    PARTIALLY_REFUNDED = "partially_refunded"  # some of what was captured is back
    REFUNDED = "refunded"  # all of it is
    VOIDING = "voiding"  # a void is under way; its outcome may be unknown
    VOIDED = "voided"  # released, or lapsed at the provider


class PaymentEvent(StrEnum):
    """What happens to a payment."""

    AUTHORIZED = "payment_authorized"  # after its order was registered: of a booking, or for an order that costs more
    CAPTURE_STARTED = "capture_started"
    CAPTURED = "payment_captured"
    CAPTURED_ELSEWHERE = "payment_captured_elsewhere"  # somebody captured it at the provider
    PARTLY_CAPTURED_ELSEWHERE = "payment_partly_captured_elsewhere"  # the same, of less than the order costs
    AUTHORIZATION_CHANGED = "authorization_changed"  # somebody had more held at the provider
    CAPTURE_UNANSWERED = "capture_unanswered"  # changes nothing: the capture goes on
    CAPTURE_DECLINED = "capture_declined"  # by the card's issuer; the hold stands, and a person must look
    CAPTURE_REFUSED = "capture_refused"  # the hold stands, and a person must look
    AUTHORIZATION_LAPSED = "authorization_lapsed"  # expired at the provider
    AUTHORIZATION_CANCELED = "authorization_canceled"  # somebody canceled it at the provider
    VOID_STARTED = "void_started"
    VOIDED = "payment_voided"
    VOID_UNANSWERED = "void_unanswered"  # changes nothing: the void goes on
    VOID_LAPSING = "void_lapsing"  # changes nothing: the provider has no void, and the hold is watched until it is gone
    VOID_OVERTAKEN_BY_CAPTURE = "void_overtaken_by_capture"  # somebody captured it at the provider
    VOID_REFUSED = "void_refused"  # the hold stands, and a person must look
    CLOSING_REFUSED = "closing_refused"  # the same of a payment that nobody has made: it can still be
    PARTIALLY_REFUNDED = "payment_partially_refunded"
    REFUNDED = "payment_refunded"
    CAPTURE_STANDS = "capture_stands"  # every refund failed after all
    PARTIAL_CAPTURE_STANDS = "partial_capture_stands"  # the same, of a payment that was captured in part


#: Payments of which something may be given back, or was.
REFUNDABLE = (
    PaymentStatus.CAPTURED,
    PaymentStatus.PARTIALLY_CAPTURED,
    PaymentStatus.PARTIALLY_REFUNDED,
    PaymentStatus.REFUNDED,
)


TRANSITIONS: Mapping[tuple[PaymentStatus, PaymentEvent], PaymentStatus] = {
    (PaymentStatus.AUTHORIZED, PaymentEvent.CAPTURE_STARTED): PaymentStatus.CAPTURING,
    (PaymentStatus.CAPTURING, PaymentEvent.CAPTURE_STARTED): PaymentStatus.CAPTURING,
    (PaymentStatus.CAPTURING, PaymentEvent.CAPTURE_UNANSWERED): PaymentStatus.CAPTURING,
    (PaymentStatus.CAPTURING, PaymentEvent.CAPTURED): PaymentStatus.CAPTURED,
    (PaymentStatus.CAPTURING, PaymentEvent.CAPTURED_ELSEWHERE): PaymentStatus.CAPTURED,
    (PaymentStatus.CAPTURING, PaymentEvent.CAPTURE_DECLINED): PaymentStatus.AUTHORIZED,
    (PaymentStatus.CAPTURING, PaymentEvent.CAPTURE_REFUSED): PaymentStatus.AUTHORIZED,
    (PaymentStatus.CAPTURING, PaymentEvent.AUTHORIZATION_LAPSED): PaymentStatus.VOIDED,
    (PaymentStatus.CAPTURING, PaymentEvent.AUTHORIZATION_CANCELED): PaymentStatus.VOIDED,
    (PaymentStatus.AUTHORIZED, PaymentEvent.CAPTURED_ELSEWHERE): PaymentStatus.CAPTURED,
    (PaymentStatus.AUTHORIZED, PaymentEvent.PARTLY_CAPTURED_ELSEWHERE): PaymentStatus.PARTIALLY_CAPTURED,
    (PaymentStatus.AUTHORIZED, PaymentEvent.AUTHORIZATION_CHANGED): PaymentStatus.AUTHORIZED,
    (PaymentStatus.PARTIALLY_CAPTURED, PaymentEvent.PARTLY_CAPTURED_ELSEWHERE): PaymentStatus.PARTIALLY_CAPTURED,
    (PaymentStatus.PARTIALLY_CAPTURED, PaymentEvent.CAPTURED_ELSEWHERE): PaymentStatus.CAPTURED,
    (PaymentStatus.AUTHORIZED, PaymentEvent.AUTHORIZATION_LAPSED): PaymentStatus.VOIDED,
    (PaymentStatus.AUTHORIZED, PaymentEvent.AUTHORIZATION_CANCELED): PaymentStatus.VOIDED,
    (PaymentStatus.AUTHORIZED, PaymentEvent.VOID_STARTED): PaymentStatus.VOIDING,
    (PaymentStatus.VOIDING, PaymentEvent.VOID_UNANSWERED): PaymentStatus.VOIDING,
    (PaymentStatus.VOIDING, PaymentEvent.VOID_LAPSING): PaymentStatus.VOIDING,
    (PaymentStatus.VOIDING, PaymentEvent.VOIDED): PaymentStatus.VOIDED,
    (PaymentStatus.VOIDING, PaymentEvent.VOID_OVERTAKEN_BY_CAPTURE): PaymentStatus.CAPTURED,
    (PaymentStatus.VOIDING, PaymentEvent.VOID_REFUSED): PaymentStatus.AUTHORIZED,
    (PaymentStatus.VOIDING, PaymentEvent.CLOSING_REFUSED): PaymentStatus.UNPAID,
    # A booking can be registered before it is paid.
    (PaymentStatus.UNPAID, PaymentEvent.AUTHORIZED): PaymentStatus.AUTHORIZED,
    (PaymentStatus.UNPAID, PaymentEvent.CAPTURED): PaymentStatus.CAPTURED,
    (PaymentStatus.UNPAID, PaymentEvent.PARTLY_CAPTURED_ELSEWHERE): PaymentStatus.PARTIALLY_CAPTURED,
    (PaymentStatus.UNPAID, PaymentEvent.AUTHORIZATION_LAPSED): PaymentStatus.VOIDED,
    (PaymentStatus.UNPAID, PaymentEvent.AUTHORIZATION_CANCELED): PaymentStatus.VOIDED,
    (PaymentStatus.UNPAID, PaymentEvent.VOID_STARTED): PaymentStatus.VOIDING,
    (PaymentStatus.CAPTURED, PaymentEvent.PARTIALLY_REFUNDED): PaymentStatus.PARTIALLY_REFUNDED,
    (PaymentStatus.CAPTURED, PaymentEvent.REFUNDED): PaymentStatus.REFUNDED,
    (PaymentStatus.PARTIALLY_CAPTURED, PaymentEvent.PARTIALLY_REFUNDED): PaymentStatus.PARTIALLY_REFUNDED,
    (PaymentStatus.PARTIALLY_CAPTURED, PaymentEvent.REFUNDED): PaymentStatus.REFUNDED,
    (PaymentStatus.PARTIALLY_REFUNDED, PaymentEvent.PARTIALLY_REFUNDED): PaymentStatus.PARTIALLY_REFUNDED,
    (PaymentStatus.PARTIALLY_REFUNDED, PaymentEvent.REFUNDED): PaymentStatus.REFUNDED,
    # A refund that was completed can still fail.
    (PaymentStatus.PARTIALLY_REFUNDED, PaymentEvent.CAPTURE_STANDS): PaymentStatus.CAPTURED,
    (PaymentStatus.PARTIALLY_REFUNDED, PaymentEvent.PARTIAL_CAPTURE_STANDS): PaymentStatus.PARTIALLY_CAPTURED,
    (PaymentStatus.REFUNDED, PaymentEvent.PARTIALLY_REFUNDED): PaymentStatus.PARTIALLY_REFUNDED,
    (PaymentStatus.REFUNDED, PaymentEvent.CAPTURE_STANDS): PaymentStatus.CAPTURED,
    (PaymentStatus.REFUNDED, PaymentEvent.PARTIAL_CAPTURE_STANDS): PaymentStatus.PARTIALLY_CAPTURED,
}

#: Payments of which the shopper has everything back: nobody needs to look at what ailed them.
BACK = (PaymentStatus.VOIDED, PaymentStatus.REFUNDED)

#: What takes a payment there.
BRINGS_BACK = frozenset(event for (_, event), after in TRANSITIONS.items() if after in BACK)


class CaptureState(StrEnum):
    """Where a capture job stands."""

    WAITING = "waiting"  # until the grace period is over; of a booking, for its worker
    ACTIVE = "active"  # claimed by a worker; may have reached the provider
    DONE = "done"  # captured
    REMOVED = "removed"  # the order was canceled first
    FAILED = "failed"  # refused by the provider; an alert says why


class CaptureEvent(StrEnum):
    """What happens to a capture job."""

    STARTED = "started"
    CAPTURED = "captured"
    REFUSED = "refused"
    CANCELED = "canceled"


CAPTURE_TRANSITIONS: Mapping[tuple[CaptureState, CaptureEvent], CaptureState] = {
    (CaptureState.WAITING, CaptureEvent.STARTED): CaptureState.ACTIVE,
    (CaptureState.ACTIVE, CaptureEvent.STARTED): CaptureState.ACTIVE,
    (CaptureState.ACTIVE, CaptureEvent.CAPTURED): CaptureState.DONE,
    (CaptureState.ACTIVE, CaptureEvent.REFUSED): CaptureState.FAILED,
    (CaptureState.WAITING, CaptureEvent.CANCELED): CaptureState.REMOVED,
    # Found out at the provider, before we asked for anything.
    (CaptureState.WAITING, CaptureEvent.CAPTURED): CaptureState.DONE,
    (CaptureState.WAITING, CaptureEvent.REFUSED): CaptureState.FAILED,
}


class VoidState(StrEnum):
    """Where a void stands."""

    REQUESTED = "requested"  # may have reached the provider; retried under one key until it is known
    LAPSING = "lapsing"  # the provider has no void: nothing is captured, and the hold is watched until it is gone
    RELEASED = "released"  # the shopper's money is free
    OVERTAKEN = "overtaken"  # the provider had captured it: it must be refunded instead
    REFUSED = "refused"  # the provider said no; a person must look


class VoidEvent(StrEnum):
    """What happens to a void."""

    LAPSING = "lapsing"
    RELEASED = "released"
    OVERTAKEN = "overtaken"
    REFUSED = "refused"


#: Voids whose end is to come.
UNSETTLED = (VoidState.REQUESTED, VoidState.LAPSING)

VOID_TRANSITIONS: Mapping[tuple[VoidState, VoidEvent], VoidState] = {
    (state, event): after
    for state in UNSETTLED
    for event, after in (
        (VoidEvent.LAPSING, VoidState.LAPSING),
        (VoidEvent.RELEASED, VoidState.RELEASED),
        (VoidEvent.OVERTAKEN, VoidState.OVERTAKEN),
        (VoidEvent.REFUSED, VoidState.REFUSED),
    )
}

#: What an answer to a void means to the void itself.
VOID_OUTCOME: Mapping[PaymentEvent, VoidEvent] = {
    PaymentEvent.VOID_LAPSING: VoidEvent.LAPSING,
    PaymentEvent.VOIDED: VoidEvent.RELEASED,
    PaymentEvent.VOID_OVERTAKEN_BY_CAPTURE: VoidEvent.OVERTAKEN,
    PaymentEvent.VOID_REFUSED: VoidEvent.REFUSED,
    PaymentEvent.CLOSING_REFUSED: VoidEvent.REFUSED,
}
