"""Settling: how the money of a booking is brought to where its guest's cancel wants it, one step at a time.

Everything here is decided anew from what the payment says at the moment, so it does not matter how often it is asked,
nor who has moved the money meanwhile.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.domain.bookings import Paid
from shared.domain.orders import OrderStatus
from shared.domain.payments import CaptureState, PaymentStatus, VoidState
from shared.domain.refunds import RefundState
from shared.queues import Task


class Means(StrEnum):
    """How the money of a booking is brought nearer to what its cancel costs."""

    NOTHING = "nothing"  # it is there
    VOID = "void"
    JOIN_VOID = "join_void"  # the hold is being released already
    JOIN_CAPTURE = "join_capture"  # it is being taken: its outcome says what is to be done
    REFUND = "refund"  # of what is beyond the fee
    CAPTURE = "capture"  # of the fee, out of what is held; the rest is released by that


def means(paid: Paid, fee: int) -> Means:
    """Return what is to be done next so that nothing but `fee` minor units is kept, and nothing is held."""
    if paid.status is PaymentStatus.VOIDING:
        return Means.JOIN_VOID
    if paid.status is PaymentStatus.CAPTURING:
        return Means.JOIN_CAPTURE
    if paid.status is PaymentStatus.AUTHORIZED:
        return Means.CAPTURE if fee else Means.VOID
    if paid.status is PaymentStatus.UNPAID and paid.reference:
        return Means.VOID  # or it could still be paid
    return Means.REFUND if paid.kept > fee else Means.NOTHING


class CancellationState(StrEnum):
    """Where a guest's cancel stands."""

    SETTLING = "settling"  # the money is on its way, or its outcome is unknown
    DONE = "done"  # the booking is canceled
    REFUSED = "refused"  # by the provider: the booking stands


class CancellationEvent(StrEnum):
    """What happens to a guest's cancel."""

    SETTLED = "settled"
    REFUSED = "refused"


TRANSITIONS: Mapping[tuple[CancellationState, CancellationEvent], CancellationState] = {
    (CancellationState.SETTLING, CancellationEvent.SETTLED): CancellationState.DONE,
    (CancellationState.SETTLING, CancellationEvent.REFUSED): CancellationState.REFUSED,
}


class Progress(StrEnum):
    """How what a cancel waits for has come on."""

    WAITING = "waiting"  # nobody knows yet
    ENDED = "ended"  # the money is where that could bring it
    REFUSED = "refused"  # by the provider


#: By how a void stands; one that was overtaken by a capture is followed by a refund.
OF_VOID: Mapping[VoidState, Progress] = {
    VoidState.REQUESTED: Progress.WAITING,
    VoidState.LAPSING: Progress.WAITING,
    VoidState.RELEASED: Progress.ENDED,
    VoidState.OVERTAKEN: Progress.ENDED,
    VoidState.REFUSED: Progress.REFUSED,
}

#: By how the capture of a fee stands; one that lapsed or that somebody else made has failed too.
OF_CAPTURE: Mapping[CaptureState, Progress] = {
    CaptureState.WAITING: Progress.WAITING,
    CaptureState.ACTIVE: Progress.WAITING,
    CaptureState.DONE: Progress.ENDED,
    CaptureState.REMOVED: Progress.ENDED,
    CaptureState.FAILED: Progress.REFUSED,
}

#: By how a refund stands; one that its provider has taken in is as good as made, and is followed by itself.
OF_REFUND: Mapping[RefundState, Progress] = {
    RefundState.INITIATED: Progress.WAITING,
    RefundState.PROCESSING: Progress.WAITING,
    RefundState.COMPLETED: Progress.ENDED,
    RefundState.FAILED: Progress.REFUSED,
}


def settled(progress: Progress, paid: Paid, fee: int) -> Progress:
    """Correct a refusal by where the money is: when nothing is left to be done it does not matter who has done it."""
    if progress is Progress.REFUSED and means(paid, fee) is Means.NOTHING:
        return Progress.ENDED
    return progress


@dataclass(frozen=True, slots=True)
class Cancellation:
    """A cancel of a booking, and what it waits for; amounts in minor units."""

    id: str
    intent_id: str
    token_id: str
    reason: str
    #: The moment by which the fee was reckoned.
    priced_at: datetime
    paid: int
    fee: int
    refund: int
    rule: str
    description: str
    #: How the order stood, and whether its hotel had approved it, so that its capture was to come.
    was: OrderStatus
    approved: bool
    state: CancellationState = CancellationState.SETTLING
    settled_at: datetime | None = None
    awaits: str | None = None
    void: VoidState | None = None
    capture: CaptureState | None = None
    refunding: RefundState | None = None
    #: The refund's name at the provider, once it is known there, and when it was given back.
    refund_reference: str | None = None
    refund_processed_at: datetime | None = None
    #: The provider's code, when what it waits for has failed.
    error: str | None = None

    @property
    def progress(self) -> Progress:
        """How what it waits for has come on."""
        if self.void:
            return OF_VOID[self.void]
        if self.capture:
            return OF_CAPTURE[self.capture]
        if self.refunding is RefundState.PROCESSING and self.refund_reference:
            return Progress.ENDED
        return OF_REFUND[self.refunding] if self.refunding else Progress.ENDED

    @property
    def awaited(self) -> tuple[Task, str] | None:
        """The task that carries on what it waits for, and its subject."""
        tasks = {
            Task.VOID_PAYMENT: self.void,
            Task.CAPTURE_PAYMENT: self.capture,
            Task.REFUND_PAYMENT: self.refunding,
        }
        return next(((task, self.awaits) for task, state in tasks.items() if state and self.awaits), None)
