"""How does a booking stand, may its guest take it back, and what does that cost?"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain import bookings
from shared.domain.bookings import (
    CANCELABLE,
    GUEST,
    WAIVED,
    Asked,
    Basis,
    BookingStatus,
    Paid,
    Verdict,
    approve,
    charge,
    judge,
)
from shared.domain.orders import OrderStatus
from shared.domain.payments import PaymentStatus
from shared.domain.policies import Fee, Policy, Rule, Terms
from shared.errors import (
    BookingCanceled,
    BookingCanceling,
    BookingCompleted,
    BookingDeclined,
    NotAuthorized,
    Problem,
    QuoteExpired,
)
from tests.paid import HELD, NOTHING, TAKEN, paid, payments

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CHECK_IN = datetime(2026, 7, 1, 15)  # noqa: DTZ001  # on the hotel's wall clock
TEN_MINUTES = timedelta(minutes=10)
INSTANT = timedelta(microseconds=1)
WHY = "Guest cancellation via management link"

#: Moments before and after the fee's edge, two days before a check-in at 14:00 UTC.
EARLY, LATE = datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 6, 30, tzinfo=UTC)


def terms(**policy: Any) -> Terms:
    """Two nights of 1000 in all; less than two days before check-in a cancel costs 40%."""
    rules = (Rule(Fee(percent=Decimal(40)), days=2),)
    return Terms(
        policy=Policy(**{"rules": rules} | policy),
        currency="EUR",
        total=1000,
        placed_at=NOON,
        check_in=CHECK_IN,
        check_out=CHECK_IN + timedelta(days=2),
        time_zone="Europe/Lisbon",
    )


# How it stands.

#: One line a payment status: how a booking stands that nobody has taken back, during its stay and after it.
STANDING = """
unpaid              PENDING_PAYMENT   COMPLETED
authorized          PENDING_APPROVAL  PENDING_APPROVAL
capturing           PENDING_APPROVAL  PENDING_APPROVAL
captured            CONFIRMED         COMPLETED
partially_captured  CONFIRMED         COMPLETED
partially_refunded  CONFIRMED         COMPLETED
refunded            CONFIRMED         COMPLETED
voiding             PENDING_PAYMENT   COMPLETED
voided              PENDING_PAYMENT   COMPLETED
"""

SOURCES = (None, GUEST, "admin", "shopper")


def expected(order: str, payment: str, source: str | None, is_over: bool) -> str:
    """How a booking stands, as the contract has it."""
    if order == "canceled":
        return "CANCELLED" if source == "guest" else "DECLINED"
    if order == "canceling":
        return "CANCELING"
    standing = {status: words for status, *words in (line.split() for line in STANDING.strip().splitlines())}
    return standing[payment][is_over]


@pytest.mark.parametrize(
    ("order", "payment", "source", "is_over"), list(product(OrderStatus, PaymentStatus, SOURCES, (False, True)))
)
def test_a_booking_stands_as_its_order_and_its_payment_do(
    order: OrderStatus, payment: PaymentStatus, source: str | None, is_over: bool
) -> None:
    assert bookings.status(order, payment, source, is_over=is_over) == expected(order, payment, source, is_over)


def test_what_its_guest_may_take_back_is_what_nobody_has_and_what_is_not_over() -> None:
    assert set(CANCELABLE) == {"PENDING_PAYMENT", "PENDING_APPROVAL", "CONFIRMED"}


# May its guest take it back?


@pytest.mark.parametrize(("status", "payment"), list(product(CANCELABLE, PaymentStatus)))
def test_a_booking_that_stands_is_taken_back_unless_its_money_is_being_taken(
    status: BookingStatus, payment: PaymentStatus
) -> None:
    wait = payment is PaymentStatus.CAPTURING
    assert judge(status, paid(payment), Asked(NOON, WHY), TEN_MINUTES) is (Verdict.WAIT if wait else Verdict.CANCEL)


@pytest.mark.parametrize("payment", list(PaymentStatus))
@pytest.mark.parametrize("quoted_at", [None, NOON, NOON - timedelta(days=1)])
def test_who_asks_again_is_answered_as_the_first_one_whatever_was_quoted(
    payment: PaymentStatus, quoted_at: datetime | None
) -> None:
    asked = Asked(NOON, WHY, quoted_at, None)
    assert judge(BookingStatus.CANCELING, paid(payment), asked, TEN_MINUTES) is Verdict.JOIN
    assert judge(BookingStatus.CANCELED, paid(payment), asked, TEN_MINUTES) is Verdict.REPLAY


@pytest.mark.parametrize("quoted_at", [None, NOON, NOON - timedelta(days=1)])
@pytest.mark.parametrize(
    ("status", "problem"), [(BookingStatus.DECLINED, BookingDeclined), (BookingStatus.COMPLETED, BookingCompleted)]
)
def test_what_its_hotel_has_declined_and_what_is_over_is_not_taken_back(
    status: BookingStatus, problem: type[Problem], quoted_at: datetime | None
) -> None:
    with pytest.raises(problem):
        judge(status, TAKEN, Asked(NOON, WHY, quoted_at, Basis.TAKEN), TEN_MINUTES)


@pytest.mark.parametrize("status", CANCELABLE)
@pytest.mark.parametrize("payment", [PaymentStatus.CAPTURED, PaymentStatus.CAPTURING])
def test_a_quote_is_good_until_the_end_of_its_last_instant(status: BookingStatus, payment: PaymentStatus) -> None:
    judge(status, paid(payment), Asked(NOON + TEN_MINUTES, WHY, NOON, Basis.TAKEN), TEN_MINUTES)
    with pytest.raises(QuoteExpired):
        judge(status, paid(payment), Asked(NOON + TEN_MINUTES + INSTANT, WHY, NOON, Basis.TAKEN), TEN_MINUTES)


@pytest.mark.parametrize(("payment", "is_good"), [(NOTHING, True), (HELD, False), (TAKEN, False)])
def test_what_was_shown_before_anything_was_paid_says_nothing_of_what_was_paid_since(
    payment: Paid, is_good: bool
) -> None:
    asked = Asked(NOON, WHY, NOON, Basis.NOTHING)
    if is_good:
        assert judge(BookingStatus.PENDING_PAYMENT, payment, asked, TEN_MINUTES) is Verdict.CANCEL
    else:
        with pytest.raises(QuoteExpired):
            judge(BookingStatus.CONFIRMED, payment, asked, TEN_MINUTES)


def test_the_fee_is_reckoned_by_the_moment_that_was_quoted_else_by_that_of_the_request() -> None:
    assert Asked(NOON, WHY).priced_at == NOON
    assert Asked(NOON, WHY, NOON - TEN_MINUTES, Basis.TAKEN).priced_at == NOON - TEN_MINUTES


# What does it cost?


@pytest.mark.parametrize(
    ("status", "basis", "amount"),
    [
        (PaymentStatus.UNPAID, Basis.NOTHING, 0),
        (PaymentStatus.AUTHORIZED, Basis.HELD, 1000),
        (PaymentStatus.CAPTURING, Basis.HELD, 1000),
        (PaymentStatus.CAPTURED, Basis.TAKEN, 1000),
        (PaymentStatus.PARTIALLY_CAPTURED, Basis.TAKEN, 700),
        (PaymentStatus.PARTIALLY_REFUNDED, Basis.TAKEN, 500),
        (PaymentStatus.REFUNDED, Basis.TAKEN, 0),
        (PaymentStatus.VOIDING, Basis.HELD, 1000),
        (PaymentStatus.VOIDED, Basis.NOTHING, 0),
    ],
)
def test_a_guest_has_paid_what_is_held_or_what_was_taken_and_is_not_given_back(
    status: PaymentStatus, basis: Basis, amount: int
) -> None:
    assert (paid(status).basis, paid(status).amount) == (basis, amount)


@pytest.mark.parametrize(
    ("payment", "shown", "capture_fee", "fee"),
    [
        # Nobody was shown anything.
        (TAKEN, None, False, 400),
        (TAKEN, None, True, 400),
        (HELD, None, False, 0),
        (HELD, None, True, 400),
        (NOTHING, None, False, 0),
        (NOTHING, None, True, 0),
        # What was shown with a fee is charged.
        (TAKEN, Basis.TAKEN, False, 400),
        (HELD, Basis.HELD, True, 400),
        (TAKEN, Basis.HELD, True, 400),
        # What was shown free stays free, although money was held or taken meanwhile.
        (HELD, Basis.HELD, False, 0),
        (TAKEN, Basis.HELD, False, 0),
        (TAKEN, Basis.NOTHING, False, 0),
        (TAKEN, Basis.NOTHING, True, 0),
        (HELD, Basis.NOTHING, True, 0),
        # What was shown with a fee, and was given back meanwhile, costs no more than there is.
        (paid(PaymentStatus.PARTIALLY_REFUNDED, refunded=700, refunding=0), Basis.TAKEN, False, 300),
        (paid(PaymentStatus.REFUNDED), Basis.TAKEN, False, 0),
        (paid(PaymentStatus.VOIDED), Basis.HELD, True, 0),
    ],
)
def test_a_cancel_costs_what_was_shown(payment: Paid, shown: Basis | None, capture_fee: bool, fee: int) -> None:
    found = charge(terms(capture_fee=capture_fee), payment, LATE, shown)
    assert (found.fee, found.refund) == (fee, payment.amount - fee)


def test_who_is_spared_a_fee_is_told_so_with_the_rule_that_would_have_held() -> None:
    due = charge(terms(), TAKEN, LATE)
    spared = charge(terms(), HELD, LATE)
    assert (spared.rule, spared.description) == (due.rule, f"{due.description}; {WAIVED}")
    assert WAIVED not in due.description


@pytest.mark.parametrize("payment", [TAKEN, HELD, NOTHING])
def test_what_is_free_by_the_policy_is_not_called_waived(payment: Paid) -> None:
    found = charge(terms(), payment, EARLY)
    assert (found.fee, found.refund, found.rule) == (0, payment.amount, "free")
    assert WAIVED not in found.description


def test_a_fee_begins_at_its_edge_for_the_moment_that_was_quoted() -> None:
    edge = datetime(2026, 6, 29, 14, tzinfo=UTC)
    assert [charge(terms(), TAKEN, at).fee for at in (edge - INSTANT, edge)] == [0, 400]


def test_what_is_not_refundable_is_kept_once_it_was_taken_and_let_go_while_it_is_only_held() -> None:
    strict = terms(refundable=False)
    assert (charge(strict, TAKEN, EARLY).fee, charge(strict, HELD, EARLY).fee) == (1000, 0)
    assert charge(replace(strict, policy=replace(strict.policy, capture_fee=True)), HELD, EARLY).fee == 1000


#: Payments as Postgres lets them be: no more was taken than held, and no more given back than taken.
FEES = st.builds(Fee, percent=st.integers(0, 100).map(Decimal)) | st.builds(Fee, nights=st.integers(0, 5))
POLICIES = st.builds(
    Policy,
    rules=st.lists(st.builds(Rule, FEES, days=st.integers(0, 60)), max_size=3).map(tuple),
    no_show=FEES,
    refundable=st.booleans(),
    free_hours=st.integers(0, 48),
    capture_fee=st.booleans(),
)
MOMENTS = st.datetimes(datetime(2025, 12, 1), datetime(2026, 8, 1), timezones=st.just(UTC))  # noqa: DTZ001
SHOWN = st.none() | st.sampled_from(Basis)


@given(POLICIES, payments(), MOMENTS, SHOWN)
def test_fee_and_refund_are_always_what_the_guest_has_paid(
    policy: Policy, payment: Paid, at: datetime, shown: Basis | None
) -> None:
    found = charge(replace(terms(), policy=policy), payment, at, shown)
    assert found.fee + found.refund == payment.amount
    assert min(found.fee, found.refund) >= 0


@given(POLICIES, st.integers(0, 2000), MOMENTS)
def test_what_was_shown_does_not_change_when_the_hotel_takes_the_money_meanwhile(
    policy: Policy, amount: int, at: datetime
) -> None:
    agreed = replace(terms(), policy=policy)
    before, after = replace(HELD, authorized=amount), replace(TAKEN, authorized=amount, captured=amount)
    assert charge(agreed, after, at, before.basis) == charge(agreed, before, at)


@given(POLICIES, payments(), MOMENTS)
def test_whoever_was_shown_a_booking_that_nobody_had_paid_for_takes_it_back_free(
    policy: Policy, payment: Paid, at: datetime
) -> None:
    assert charge(replace(terms(), policy=policy), payment, at, Basis.NOTHING).fee == 0


# May its hotel approve it?


def test_what_is_held_is_captured_when_the_hotel_approves_it() -> None:
    assert approve(BookingStatus.PENDING_APPROVAL, PaymentStatus.AUTHORIZED) is True


@pytest.mark.parametrize(
    ("status", "payment"),
    [
        (BookingStatus.PENDING_APPROVAL, PaymentStatus.CAPTURING),
        (BookingStatus.CONFIRMED, PaymentStatus.CAPTURED),
        (BookingStatus.CONFIRMED, PaymentStatus.PARTIALLY_CAPTURED),
        (BookingStatus.CONFIRMED, PaymentStatus.REFUNDED),
        (BookingStatus.COMPLETED, PaymentStatus.CAPTURED),
    ],
)
def test_what_is_being_captured_or_was_is_approved_once_more_without_effect(
    status: BookingStatus, payment: PaymentStatus
) -> None:
    assert approve(status, payment) is False


@pytest.mark.parametrize("payment", list(PaymentStatus))
@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (BookingStatus.CANCELING, BookingCanceling),
        (BookingStatus.CANCELED, BookingCanceled),
        (BookingStatus.DECLINED, BookingCanceled),
    ],
)
def test_what_is_taken_back_is_not_approved_wherever_its_money_is(
    status: BookingStatus, payment: PaymentStatus, problem: type[Problem]
) -> None:
    with pytest.raises(problem):
        approve(status, payment)


@pytest.mark.parametrize("status", [BookingStatus.PENDING_PAYMENT, BookingStatus.COMPLETED])
@pytest.mark.parametrize("payment", [PaymentStatus.UNPAID, PaymentStatus.VOIDING, PaymentStatus.VOIDED])
def test_a_booking_for_which_nothing_is_held_cannot_be_approved(payment: PaymentStatus, status: BookingStatus) -> None:
    with pytest.raises(NotAuthorized):
        approve(status, payment)
