"""Bookings: orders that have terms.  How one stands, whether its guest may take it back, and for what.

A guest's cancel is money first: what is held is released, what is beyond the fee is refunded (settling.py), and only
then is the booking canceled.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.orders import OrderStatus
from shared.domain.payments import PaymentStatus, Provider
from shared.domain.policies import CancellationCalculator, Charge, Terms
from shared.errors import (
    BookingCanceled,
    BookingCanceling,
    BookingCompleted,
    BookingDeclined,
    NotAuthorized,
    PartialCapture,
    QuoteExpired,
)


class BookingStatus(StrEnum):
    """How a booking stands, in the words of the client contract; derived from its order and its payment."""

    PENDING_PAYMENT = "PENDING_PAYMENT"  # nobody has paid, or holds anything
    PENDING_APPROVAL = "PENDING_APPROVAL"  # money is held until the hotel approves
    CONFIRMED = "CONFIRMED"  # paid for
    CANCELING = "CANCELING"  # its guest takes it back, and its money is being settled
    CANCELED = "CANCELLED"  # by its guest
    DECLINED = "DECLINED"  # taken back by the hotel
    COMPLETED = "COMPLETED"  # the stay is over


class GuestAction(StrEnum):
    """What a link to a booking may be good for."""

    VIEW = "view"
    CANCEL = "cancel"


class BookingEvent(StrEnum):
    """What only happens to a booking."""

    GUEST_INVITED = "guest_invited"  # by one more link
    APPROVED = "booking_approved"  # its hotel wants the money taken


#: Who canceled a booking that its guest took back.
GUEST = "guest"

#: How a booking stands that nobody has taken back.
STANDING: Mapping[PaymentStatus, BookingStatus] = {
    PaymentStatus.UNPAID: BookingStatus.PENDING_PAYMENT,
    PaymentStatus.VOIDING: BookingStatus.PENDING_PAYMENT,
    PaymentStatus.VOIDED: BookingStatus.PENDING_PAYMENT,
    PaymentStatus.AUTHORIZED: BookingStatus.PENDING_APPROVAL,
    PaymentStatus.CAPTURING: BookingStatus.PENDING_APPROVAL,
    PaymentStatus.CAPTURED: BookingStatus.CONFIRMED,
    PaymentStatus.PARTIALLY_CAPTURED: BookingStatus.CONFIRMED,
    PaymentStatus.PARTIALLY_REFUNDED: BookingStatus.CONFIRMED,
    PaymentStatus.REFUNDED: BookingStatus.CONFIRMED,
}

#: What its guest may take back.
CANCELABLE = (BookingStatus.PENDING_PAYMENT, BookingStatus.PENDING_APPROVAL, BookingStatus.CONFIRMED)


def status(order: OrderStatus, payment: PaymentStatus, canceled_by: str | None, *, is_over: bool) -> BookingStatus:
    """Return how a booking stands; `is_over`: whether its check-out has passed."""
    if order is OrderStatus.CANCELED:
        return BookingStatus.CANCELED if canceled_by == GUEST else BookingStatus.DECLINED
    if order is OrderStatus.CANCELING:
        return BookingStatus.CANCELING
    standing = STANDING[payment]
    return BookingStatus.COMPLETED if is_over and standing is not BookingStatus.PENDING_APPROVAL else standing


class Basis(StrEnum):
    """Where the money of a booking is when a fee is reckoned."""

    NOTHING = "nothing"
    HELD = "held"
    TAKEN = "taken"


#: Payments of which something is held and nothing was taken.
HELD = (PaymentStatus.AUTHORIZED, PaymentStatus.VOIDING, PaymentStatus.CAPTURING)


@dataclass(frozen=True, slots=True)
class Paid:
    """The payment of a booking; amounts in minor units of the booking's currency."""

    payment_id: str
    provider: Provider
    #: None: nobody knows of a payment there.
    reference: str | None
    status: PaymentStatus
    authorized: int
    captured: int
    released: int
    refunded: int
    refunding: int

    @property
    def is_held_in_part(self) -> bool:
        """Whether some of it was taken, and the rest is still held."""
        return 0 < self.captured < self.authorized - self.released

    @property
    def kept(self) -> int:
        """What was taken, and is neither given back nor promised."""
        return self.captured - self.refunded - self.refunding

    @property
    def basis(self) -> Basis:
        """Where the money is."""
        if self.status in HELD:
            return Basis.HELD
        return Basis.TAKEN if self.captured else Basis.NOTHING

    @property
    def amount(self) -> int:
        """What the guest has paid: what is kept of it, else what is held."""
        return self.authorized if self.basis is Basis.HELD else self.kept


def charge(terms: Terms, paid: Paid, at: datetime, shown: Basis | None = None) -> Charge:
    """Return what a cancel at a moment costs the guest; fee and refund are what the guest has paid.

    Money that is only held is let go without a fee, unless the policy has the fee captured.  `shown` is where the money
    was when its guest was shown the fee: what was free then is free, although the hotel has taken the money meanwhile.
    """
    found = CancellationCalculator(terms).calculate(at, paid.amount)
    basis = shown or paid.basis
    if not found.fee or basis is Basis.TAKEN or (basis is Basis.HELD and terms.policy.capture_fee):
        return found
    return replace(found, fee=0, refund=paid.amount, description=told(found.description, found.fee, 0))


#: Why a fee is not charged.
WAIVED = "waived, since nothing was charged to the card"


def told(description: str, reckoned: int, kept: int) -> str:
    """Return the sentence for the guest, who has paid less than was reckoned when nothing was there to be charged."""
    return f"{description}; {WAIVED}" if kept < reckoned else description


class Verdict(StrEnum):
    """What a guest's cancel may do."""

    CANCEL = "cancel"
    JOIN = "join"  # it is being canceled: the outcome answers this one too
    REPLAY = "replay"  # it is canceled
    WAIT = "wait"  # its money is being taken: the outcome of that decides


@dataclass(frozen=True, slots=True)
class Asked:
    """A guest's request: when it came, why, and the moment for which its guest was shown a fee, if any."""

    at: datetime
    reason: str
    quoted_at: datetime | None = None
    shown: Basis | None = None

    @property
    def priced_at(self) -> datetime:
        """The moment by which the fee is reckoned."""
        return self.quoted_at or self.at


def judge(status: BookingStatus, paid: Paid, asked: Asked, validity: timedelta) -> Verdict:
    """Decide a guest's cancel; a quote is good for `validity`, and not for money that was paid after it.

    Raises `BookingDeclined`, `BookingCompleted`, `QuoteExpired` or `PartialCapture`: of a hold of which some was taken,
    what is left can only be let go at the provider.
    """
    if status is BookingStatus.CANCELED:
        return Verdict.REPLAY
    if status is BookingStatus.CANCELING:
        return Verdict.JOIN
    if status is BookingStatus.DECLINED:
        raise BookingDeclined
    if status is BookingStatus.COMPLETED:
        raise BookingCompleted
    if asked.quoted_at is not None and asked.at > asked.quoted_at + validity:
        raise QuoteExpired
    if asked.shown is Basis.NOTHING and paid.basis is not Basis.NOTHING:
        raise QuoteExpired("The booking was paid since: look at it again")
    if paid.is_held_in_part:
        raise PartialCapture("Some of the payment was captured, and the rest is still held: the hotel must settle that")
    return Verdict.WAIT if paid.status is PaymentStatus.CAPTURING else Verdict.CANCEL


def approve(status: BookingStatus, payment: PaymentStatus) -> bool:
    """Return whether the money of a booking is to be captured since its hotel approves it; False when it is, or was.

    Raises `BookingCanceling`, `BookingCanceled` or `NotAuthorized`.
    """
    if status is BookingStatus.CANCELING:
        raise BookingCanceling
    if status in (BookingStatus.CANCELED, BookingStatus.DECLINED):
        raise BookingCanceled
    if STANDING[payment] is BookingStatus.CONFIRMED or payment is PaymentStatus.CAPTURING:
        return False
    if payment is not PaymentStatus.AUTHORIZED:
        raise NotAuthorized
    return True
