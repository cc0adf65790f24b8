"""Orders of a former system: what is known of their money, and what becomes of it when they are migrated.

Their metadata is somebody else's and may hold anything: what cannot be read is passed over, and never believed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.domain import totals
from shared.domain.orders import OrderStatus
from shared.domain.payments import PaymentStatus

#: Said of a payment when nobody says anything that can be understood.
UNKNOWN = "unknown"

#: What former systems (Medusa, Stripe) say of a payment, and how it then stands at its provider; None: nothing is
#: held.  What was given back is told by its refunds.
CLAIMS: Mapping[str, PaymentStatus | None] = {
    "authorized": PaymentStatus.AUTHORIZED,
    "requires_capture": PaymentStatus.AUTHORIZED,
    "captured": PaymentStatus.CAPTURED,
    "partially_captured": PaymentStatus.CAPTURED,
    "succeeded": PaymentStatus.CAPTURED,
    "paid": PaymentStatus.CAPTURED,
    "partially_refunded": PaymentStatus.CAPTURED,
    "refunded": PaymentStatus.CAPTURED,
    "canceled": PaymentStatus.VOIDED,
    "cancelled": PaymentStatus.VOIDED,
    "voided": PaymentStatus.VOIDED,
    "expired": PaymentStatus.VOIDED,
    "not_paid": None,
    "awaiting": None,
    "pending": None,
    "processing": None,
    "failed": None,
    "requires_payment_method": None,
    "requires_confirmation": None,
    "requires_action": None,
}

#: An order's status when its payment is migrated; a pair that is missing is a contradiction.  A former system may have
#: left an order pending when it took its money.
STANDS: Mapping[tuple[OrderStatus, PaymentStatus], OrderStatus] = {
    (OrderStatus.PENDING, PaymentStatus.AUTHORIZED): OrderStatus.PENDING,
    (OrderStatus.PENDING, PaymentStatus.CAPTURED): OrderStatus.CAPTURED,
    (OrderStatus.PENDING, PaymentStatus.VOIDED): OrderStatus.PENDING,
    (OrderStatus.CAPTURED, PaymentStatus.CAPTURED): OrderStatus.CAPTURED,
    (OrderStatus.CANCELED, PaymentStatus.CAPTURED): OrderStatus.CANCELED,
    (OrderStatus.CANCELED, PaymentStatus.VOIDED): OrderStatus.CANCELED,
}

_DIGITS = re.compile(f"[0-9]{{1,{len(str(totals.LIMIT))}}}", re.ASCII)
_REFERENCE = re.compile(r"pi_[A-Za-z0-9_-]{1,125}", re.ASCII)


class Reason(StrEnum):
    """Why an order cannot be migrated without a person."""

    METADATA_UNREADABLE = "metadata_unreadable"  # no object, or its updated_total is no amount
    PAYMENT_STATUS_UNKNOWN = "payment_status_unknown"  # a word that we do not know
    NO_PAYMENT_INTENT_ID = "no_payment_intent_id"  # or one that cannot be one
    PAYMENT_OF_ANOTHER_ORDER = "payment_of_another_order"  # migrated, or not yet
    ITEMS_DIFFER = "items_differ"  # the lines do not come to the amount, and an edit would start from the lines
    PAYMENT_NOT_FOUND = "payment_not_found"  # the provider does not know it
    NOT_AUTHORIZED = "not_authorized"  # the provider holds nothing and has taken nothing
    PAYMENT_STATUS_DIFFERS = "payment_status_differs"  # the metadata says otherwise than the provider
    CURRENCY_DIFFERS = "currency_differs"
    ORDER_STATUS_DIFFERS = "order_status_differs"  # such an order cannot have such a payment
    ABOVE_AUTHORIZATION = "above_authorization"  # less is held than the order costs
    NOTHING_TO_CAPTURE = "nothing_to_capture"  # money is held for an order that costs nothing
    CAPTURED_AMOUNT_DIFFERS = "captured_amount_differs"  # than the order costs, or the rest is still held
    REFUSED_BY_DATABASE = "refused_by_database"  # nobody has foreseen it, and no row may say so
    CAPTURE_NOT_SCHEDULED = "capture_not_scheduled"  # its money is to be taken, and nobody has said that we may


class Undecided(Exception):
    """An order stays as it is, and a person is told."""

    def __init__(self, reason: Reason, code: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        #: The provider's own word.
        self.code = code


@dataclass(frozen=True, slots=True)
class Record:
    """What a former system knew of an order's money: members of its metadata, as text whatever they are."""

    updated_total: str | None = None
    payment_status: str | None = None
    payment_intent_id: str | None = None

    @property
    def total(self) -> int | None:
        """The total after the former system's edits, in minor units; None when it says none."""
        said = self.updated_total
        total = int(said) if said is not None and _DIGITS.fullmatch(said) else None
        return total if total is not None and total <= totals.LIMIT else None

    @property
    def status(self) -> str | None:
        """The payment's status in the former system's word."""
        return self.payment_status if self.payment_status in CLAIMS else None

    @property
    def reference(self) -> str | None:
        """The payment's id at its provider."""
        said = self.payment_intent_id
        return said if said is not None and _REFERENCE.fullmatch(said) else None


@dataclass(frozen=True, slots=True)
class Legacy:
    """An order without a payment collection; amounts in minor units of its currency."""

    id: str
    status: OrderStatus
    currency: str
    #: What it cost when it was placed, and what its lines come to today.
    total: int
    items_total: int
    grace_until: datetime
    #: Whether its metadata is an object.
    readable: bool
    record: Record
    #: Whether another order names its payment too, or has it already.
    shares_payment: bool

    @property
    def amount(self) -> int:
        """What it costs, as far as anybody knows."""
        return amount(None, self.record, self.total)


@dataclass(frozen=True, slots=True)
class Found:
    """A payment as its provider has it; `status` None: nothing was ever held.  Amounts in minor units."""

    status: PaymentStatus | None
    currency: str
    authorized: int
    captured: int
    released: int
    refunded: int

    @property
    def is_over(self) -> bool:
        """Whether nothing is held any more."""
        return self.captured + self.released == self.authorized


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of an order that is migrated; `amount` in minor units."""

    amount: int
    order_status: OrderStatus
    payment_status: PaymentStatus
    #: Whether its money is still to be taken.
    is_to_be_captured: bool


def amount(collected: int | None, record: Record, registered: int) -> int:
    """What an order costs: by its collection, else by its metadata, else by its registration."""
    if collected is not None:
        return collected
    return registered if record.total is None else record.total


def payment_status(payment: str | None, record: Record) -> str:
    """How an order's money stands: by its payment, else by its metadata, else nobody knows."""
    return payment or record.status or UNKNOWN


def examine(order: Legacy, now: datetime) -> str:
    """Return the payment that its provider is to be asked about.  Raises `Undecided`."""
    record = order.record
    if not order.readable or (record.updated_total is not None and record.total is None):
        raise Undecided(Reason.METADATA_UNREADABLE)
    if record.payment_status is not None and record.status is None:
        raise Undecided(Reason.PAYMENT_STATUS_UNKNOWN)
    if record.reference is None:
        raise Undecided(Reason.NO_PAYMENT_INTENT_ID)
    if order.shares_payment:
        raise Undecided(Reason.PAYMENT_OF_ANOTHER_ORDER)
    if order.status is OrderStatus.PENDING and now < order.grace_until and order.items_total != order.amount:
        raise Undecided(Reason.ITEMS_DIFFER)
    return record.reference


def decide(order: Legacy, found: Found, *, schedule_captures: bool) -> Decision:
    """Return what becomes of an order whose payment stands like this.  Raises `Undecided`."""
    if found.status is None:
        raise Undecided(Reason.NOT_AUTHORIZED)
    if order.record.status is not None and CLAIMS[order.record.status] is not found.status:
        raise Undecided(Reason.PAYMENT_STATUS_DIFFERS)
    if found.currency != order.currency:
        raise Undecided(Reason.CURRENCY_DIFFERS)
    after = STANDS.get((order.status, found.status))
    is_kept = found.refunded < found.captured
    if after is None or (after is OrderStatus.CANCELED and is_kept):
        raise Undecided(Reason.ORDER_STATUS_DIFFERS)
    _compare_amounts(order.amount, found)
    is_held = found.status is PaymentStatus.AUTHORIZED
    if is_held and not schedule_captures:
        raise Undecided(Reason.CAPTURE_NOT_SCHEDULED)
    return Decision(order.amount, after, found.status, is_held)


def _compare_amounts(costs: int, found: Found) -> None:
    if found.status is PaymentStatus.AUTHORIZED and costs > found.authorized:
        raise Undecided(Reason.ABOVE_AUTHORIZATION)
    if found.status is PaymentStatus.AUTHORIZED and costs == 0:
        raise Undecided(Reason.NOTHING_TO_CAPTURE)
    if found.status is PaymentStatus.CAPTURED and not (costs == found.captured and found.is_over):
        raise Undecided(Reason.CAPTURED_AMOUNT_DIFFERS)
