"""Refunds: captured money on its way back to the shopper."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from shared import money
from shared.domain.orders import OrderKind
from shared.domain.payments import PaymentEvent, PaymentStatus, Provider
from shared.errors import KeyRequired, NotCaptured, RefundTooLarge


class RefundState(StrEnum):
    """Where a refund stands."""

    INITIATED = "initiated"  # promised; no attempt has begun
    PROCESSING = "processing"  # may have reached the provider, or is under way there
    COMPLETED = "completed"  # the provider gave it back; may fail later after all
    FAILED = "failed"  # known to have failed; tried again by an operator after the cooldown


#: Refunds whose amount is promised and not known to be back.
PROMISED = (RefundState.INITIATED, RefundState.PROCESSING)


class RefundEvent(StrEnum):
    """What happens to a refund."""

    INITIATED = "refund_initiated"
    STARTED = "refund_started"
    UNANSWERED = "refund_unanswered"  # changes nothing: the refund goes on under its key
    PENDING = "refund_pending"  # the provider has it, and has not decided yet
    COMPLETED = "refund_completed"
    FAILED = "refund_failed"
    FOUND = "refund_found"  # somebody made it at the provider
    RETRIED = "refund_retried"


TRANSITIONS: Mapping[tuple[RefundState, RefundEvent], RefundState] = {
    (RefundState.INITIATED, RefundEvent.STARTED): RefundState.PROCESSING,
    (RefundState.PROCESSING, RefundEvent.STARTED): RefundState.PROCESSING,
    (RefundState.PROCESSING, RefundEvent.UNANSWERED): RefundState.PROCESSING,
    (RefundState.PROCESSING, RefundEvent.PENDING): RefundState.PROCESSING,
    (RefundState.PROCESSING, RefundEvent.COMPLETED): RefundState.COMPLETED,
    (RefundState.PROCESSING, RefundEvent.FAILED): RefundState.FAILED,
    (RefundState.COMPLETED, RefundEvent.FAILED): RefundState.FAILED,
    (RefundState.FAILED, RefundEvent.RETRIED): RefundState.INITIATED,
}


def payment_event(total: int, captured: int, refunded: int) -> PaymentEvent:
    """What the sum of a payment's refunds says of the payment, after one was completed or failed later.

    All in minor units: what the order costs, what was captured, and what was given back of it.
    """
    if refunded:
        return PaymentEvent.REFUNDED if refunded == captured else PaymentEvent.PARTIALLY_REFUNDED
    return PaymentEvent.CAPTURE_STANDS if captured >= total else PaymentEvent.PARTIAL_CAPTURE_STANDS


class Way(StrEnum):
    """How money is given back, by where it is."""

    REFUND = "refund"
    VOID = "void"  # it is only held: the hold is released
    JOIN_VOID = "join_void"  # the hold is being released already
    WAIT = "wait"  # it is being taken: nobody can say yet what there is to give back
    NOT_PAID = "not_paid"
    ALREADY_REFUNDED = "already_refunded"


WAY: Mapping[PaymentStatus, Way] = {
    PaymentStatus.UNPAID: Way.NOT_PAID,
    PaymentStatus.AUTHORIZED: Way.VOID,
    PaymentStatus.CAPTURING: Way.WAIT,
    PaymentStatus.CAPTURED: Way.REFUND,
    PaymentStatus.PARTIALLY_CAPTURED: Way.REFUND,
    PaymentStatus.PARTIALLY_REFUNDED: Way.REFUND,
    PaymentStatus.REFUNDED: Way.ALREADY_REFUNDED,
    PaymentStatus.VOIDING: Way.JOIN_VOID,
    PaymentStatus.VOIDED: Way.NOT_PAID,
}


class Overtaken(StrEnum):
    """What becomes of a void that finds its payment captured."""

    REFUND = "refund"  # the money is given back the other way
    PERSON = "person"  # it stays where it is until somebody decides


#: By the kind of order: its shopper was told that nothing is charged, so what was charged goes back.
VOID_OF_CAPTURED: Mapping[OrderKind, Overtaken] = {
    OrderKind.RETAIL: Overtaken.REFUND,
    OrderKind.BOOKING: Overtaken.REFUND,
}


@dataclass(frozen=True, slots=True)
class Balance:
    """What the rules need to know of a payment collection, read under its order's lock; minor units."""

    provider: Provider
    status: PaymentStatus
    currency: str
    total: int
    shipping: int
    authorized: int
    captured: int
    refunded: int
    refunding: int

    #: What was captured of each payment, and is neither given back nor promised; the oldest first.
    lefts: Mapping[str, int]

    @property
    def left(self) -> int:
        """What was captured, and is neither given back nor promised."""
        return sum(self.lefts.values())


@dataclass(frozen=True, slots=True)
class Wish:
    """How much an operator wants given back: `amount` in minor units, else all, or all but the shipping."""

    amount: int | None
    deduct_shipping: bool
    #: Whether the request has an idempotency key, so that its repetition is known for one.
    keyed: bool


def portion(balance: Balance, wish: Wish) -> int:
    """Return the minor units to refund; 0 when what is wished for is given back or promised already.

    Raises `RefundTooLarge` or `KeyRequired`.
    """
    if wish.amount is None:
        kept = balance.shipping if wish.deduct_shipping else 0
        if balance.captured <= kept:
            raise RefundTooLarge("Nothing is left when the shipping is deducted")
        return max(balance.left - kept, 0)
    if wish.amount > balance.left:
        raise RefundTooLarge(left=money.plain(balance.left, balance.currency), currency=balance.currency)
    if wish.amount < balance.left and not wish.keyed:
        raise KeyRequired
    return wish.amount


def parts(balance: Balance, amount: int) -> dict[str, int]:
    """Return of which payments how much is to be given back, the newest first, to give back `amount` in all."""
    found = {}
    for payment_id, left in reversed(list(balance.lefts.items())):
        part = min(left, amount)
        if part:
            found[payment_id] = part
        amount -= part
    return found


def refuse_part_of_hold(balance: Balance, wish: Wish) -> None:
    """A hold is released whole, which is also what all that the order costs means.

    Raises `RefundTooLarge` or `NotCaptured`.
    """
    if wish.amount is not None and wish.amount > balance.authorized:
        raise RefundTooLarge
    if wish.amount not in (None, balance.total, balance.authorized) or (wish.deduct_shipping and balance.shipping):
        raise NotCaptured
