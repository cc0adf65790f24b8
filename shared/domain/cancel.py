"""May this order be taken back, and what happens to its money?"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.domain.orders import OrderKind, OrderStatus
from shared.domain.payments import CaptureState, PaymentStatus
from shared.errors import IsBooking, LateCancel, OwnershipViolation, PartialCapture


@dataclass(frozen=True, slots=True)
class Cancelable:
    """What the rule needs to know of an order, read under its lock."""

    kind: OrderKind
    status: OrderStatus
    customer_id: str | None
    grace_until: datetime
    payment_status: PaymentStatus
    #: Where the captures of its payments that are held stand; only those that wait can be stopped.
    captures: tuple[CaptureState | None, ...]


class PaymentAction(StrEnum):
    """What a cancel did to the money, in the client contract's words."""

    VOIDED = "voided"
    VOID_FAILED = "void_failed"
    LAPSING = "lapsing"  # the provider cannot release it: nothing is captured, and the hold ends by itself
    NONE = "none"  # nobody held any


class Verdict(StrEnum):
    """What a cancel may do."""

    CANCEL_AND_VOID = "cancel_and_void"
    CANCEL_ONLY = "cancel_only"  # no money is held, or it is being released already
    ALREADY_CANCELED = "already_canceled"  # answered from the present state


def judge(order: Cancelable, now: datetime, customer: str | None) -> Verdict:
    """Decide a shopper's cancel; `customer` is who asks, when that is a signed-in customer.

    Raises `OwnershipViolation`, `IsBooking`, `PartialCapture` or `LateCancel`.
    """
    if customer is not None and customer != order.customer_id:
        raise OwnershipViolation
    if order.kind is OrderKind.BOOKING:
        raise IsBooking
    if order.status is OrderStatus.CANCELED:
        return Verdict.ALREADY_CANCELED
    if order.payment_status is PaymentStatus.PARTIALLY_CAPTURED:
        raise PartialCapture
    if order.status is not OrderStatus.PENDING or now >= order.grace_until:
        raise LateCancel
    if order.payment_status is PaymentStatus.AUTHORIZED and set(order.captures) == {CaptureState.WAITING}:
        return Verdict.CANCEL_AND_VOID
    if order.payment_status in (PaymentStatus.UNPAID, PaymentStatus.VOIDING, PaymentStatus.VOIDED):
        return Verdict.CANCEL_ONLY
    raise LateCancel
