"""May this order be changed, what will it cost, and what does that do to the money that is held for it?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from shared.domain import totals
from shared.domain.orders import OrderKind, OrderStatus
from shared.domain.payments import CAPTURED_WHOLE, CaptureState, PaymentStatus, Provider
from shared.errors import (
    CapturedWhole,
    IncrementUnavailable,
    Invalid,
    IsBooking,
    LastItem,
    LateEdit,
    NoPrice,
    NotFound,
    NothingToPay,
    OwnershipViolation,
)

#: Units of one line, and lines of one order, as at its registration.
MOST_UNITS, MOST_LINES = 100_000, 200


class EditState(StrEnum):
    """Where an edit stands."""

    AUTHORIZING = "authorizing"  # the provider is asked to hold more; the order waits
    DONE = "done"  # the order is changed
    DECLINED = "declined"  # by the card's issuer: nothing changed
    REFUSED = "refused"  # the hold cannot be raised: nothing changed
    ABANDONED = "abandoned"  # no answer in time, and nothing more was held: nothing changed


class EditEvent(StrEnum):
    """What happens to an edit."""

    STARTED = "edit_started"
    UNANSWERED = "edit_unanswered"  # changes nothing: the edit goes on under its key
    APPLIED = "order_edited"
    DECLINED = "edit_declined"
    REFUSED = "edit_refused"
    ABANDONED = "edit_abandoned"


TRANSITIONS: Mapping[tuple[EditState, EditEvent], EditState] = {
    (EditState.AUTHORIZING, EditEvent.STARTED): EditState.AUTHORIZING,
    (EditState.AUTHORIZING, EditEvent.UNANSWERED): EditState.AUTHORIZING,
    (EditState.AUTHORIZING, EditEvent.APPLIED): EditState.DONE,
    (EditState.AUTHORIZING, EditEvent.DECLINED): EditState.DECLINED,
    (EditState.AUTHORIZING, EditEvent.REFUSED): EditState.REFUSED,
    (EditState.AUTHORIZING, EditEvent.ABANDONED): EditState.ABANDONED,
}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an order: `unit_price` in minor units, `tax_rate` 0.10 for ten percent; of 0 units it was removed."""

    line: int
    sku: str
    quantity: int
    unit_price: int
    tax_rate: Decimal


@dataclass(frozen=True, slots=True)
class Price:
    """What one unit of a SKU costs today, in minor units of `currency`."""

    unit_price: int
    currency: str
    tax_rate: Decimal


@dataclass(frozen=True, slots=True)
class Hold:
    """A payment whose money is held; minor units."""

    payment_id: str
    authorized: int
    #: Whether more may be asked for.
    incremental: bool
    #: Where its capture stands.
    capture_state: CaptureState | None


@dataclass(frozen=True, slots=True)
class Editable:
    """What the rules need to know of an order; amounts in minor units."""

    kind: OrderKind
    status: OrderStatus
    customer_id: str | None
    grace_until: datetime
    currency: str
    shipping: int
    total: int
    provider: Provider
    payment_status: PaymentStatus
    #: The oldest payment first.
    holds: tuple[Hold, ...]
    lines: tuple[Line, ...]

    @property
    def authorized(self) -> int:
        """What is held in all."""
        return sum(hold.authorized for hold in self.holds)


class MoneyAction(StrEnum):
    """What an edit does to the money."""

    NONE = "none"  # nobody holds any, or it costs the same
    INCREMENT = "increment"  # the hold is raised
    SECOND_PAYMENT = "second_payment"  # the rest is held beside it, on the same card
    PARTIAL_CAPTURE = "partial_capture"  # less is captured than is held; the rest is released by that


@dataclass(frozen=True, slots=True)
class Plan:
    """What an edit would come to: the line it changes, the new total, and what is to be held for it."""

    before: Line | None
    after: Line
    total: int
    money: MoneyAction
    #: The payment that is raised, or beside which another one is made.
    payment_id: str | None = None
    #: What is to be held: the payment's new sum, or what is held beside it.
    authorize: int | None = None

    @property
    def units(self) -> int:
        """Units that it takes from stock; below zero, that it returns."""
        return self.after.quantity - (self.before.quantity if self.before else 0)


class Unavailable(StrEnum):
    """What is done when no more can be held on a card by raising its hold."""

    REFUSE = "refuse"
    SECOND_PAYMENT = "second_payment"  # the rest is held by a payment of its own, on the card that its customer saved


#: Where a payment stands when its order may be edited; of one that nobody holds there is nothing to raise.
EDITABLE = (PaymentStatus.AUTHORIZED, PaymentStatus.UNPAID)


def judge(order: Editable, now: datetime, customer: str | None) -> None:
    """Refuse a shopper's edit of what is not theirs, or not open any more.

    `customer` is who asks, when that is a signed-in customer.  Raises `OwnershipViolation`, `IsBooking` or `LateEdit`.
    """
    if customer is not None and customer != order.customer_id:
        raise OwnershipViolation
    if order.kind is OrderKind.BOOKING:
        raise IsBooking
    if order.status is not OrderStatus.PENDING or now >= order.grace_until:
        raise LateEdit
    is_due = any(hold.capture_state is not CaptureState.WAITING for hold in order.holds)
    if order.payment_status not in EDITABLE or is_due:
        raise LateEdit


def add(order: Editable, sku: str, quantity: int, price: Price | None, unavailable: Unavailable) -> Plan:
    """Plan to add units of a SKU: at the price of its line, else at today's.

    `unavailable` says what is done when the holds cannot be raised.

    Raises `NoPrice`, `Invalid`, `CapturedWhole` or `IncrementUnavailable`.
    """
    before = next((line for line in order.lines if line.sku == sku and line.quantity), None)
    if before:
        return _plan(order, before, replace(before, quantity=before.quantity + quantity), unavailable)
    if price is None or price.currency != order.currency:
        raise NoPrice(sku=sku)
    if sum(line.quantity > 0 for line in order.lines) >= MOST_LINES:
        raise Invalid(f"An order has at most {MOST_LINES} lines")
    number = max((line.line for line in order.lines), default=0) + 1
    return _plan(order, None, Line(number, sku, quantity, price.unit_price, price.tax_rate), unavailable)


def set_quantity(order: Editable, number: int, quantity: int, unavailable: Unavailable) -> Plan:
    """Plan to change a line's units; 0 removes it.

    Raises `NotFound`, `LastItem`, `NothingToPay`, `Invalid`, `CapturedWhole` or `IncrementUnavailable`.
    """
    before = next((line for line in order.lines if line.line == number and line.quantity), None)
    if before is None:
        raise NotFound("The order has no such item")
    if quantity == 0 and not any(line.quantity for line in order.lines if line.line != number):
        raise LastItem
    return _plan(order, before, replace(before, quantity=quantity), unavailable)


def _plan(order: Editable, before: Line | None, after: Line, unavailable: Unavailable) -> Plan:
    if after.quantity > MOST_UNITS:
        raise Invalid(f"A line has at most {MOST_UNITS} units")
    others: Sequence[Line] = [line for line in order.lines if line.line != after.line]
    total = totals.total([*others, after], order.shipping)
    if total > totals.LIMIT:
        raise Invalid(f"The order costs more than {totals.LIMIT} minor units")
    if order.provider is Provider.NONE and total:
        raise IncrementUnavailable("Nobody collects money for this order")
    if order.payment_status is PaymentStatus.UNPAID or total == order.authorized:
        return Plan(before, after, total, MoneyAction.NONE)
    if total == 0:
        raise NothingToPay
    if order.provider in CAPTURED_WHOLE:
        raise CapturedWhole
    if total < order.authorized:
        return Plan(before, after, total, MoneyAction.PARTIAL_CAPTURE)
    missing = total - order.authorized
    for hold in order.holds:
        if hold.incremental:
            return Plan(before, after, total, MoneyAction.INCREMENT, hold.payment_id, hold.authorized + missing)
    if unavailable is Unavailable.REFUSE:
        raise IncrementUnavailable
    return Plan(before, after, total, MoneyAction.SECOND_PAYMENT, order.holds[0].payment_id, missing)
