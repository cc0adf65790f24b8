"""How does a booking stand, may its guest take it back, what does that cost, and how is its money brought there?"""

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
    OF_CAPTURE,
    OF_REFUND,
    OF_VOID,
    WAIVED,
    Asked,
    Basis,
    BookingStatus,
    Means,
    Paid,
    Progress,
    Verdict,
    approve,
    charge,
    judge,
    means,
    settled,
)
from shared.domain.orders import OrderStatus
from shared.domain.payments import CaptureState, PaymentStatus, Provider, VoidState
from shared.domain.policies import Fee, Policy, Rule, Terms
from shared.domain.refunds import RefundState
from shared.errors import (
    BookingCanceled,
    BookingCanceling,
    BookingCompleted,
    BookingDeclined,
    NotAuthorized,
    Problem,
    QuoteExpired,
)
from shared.store.bookings import Cancellation

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CHECK_IN = datetime(2026, 7, 1, 15)  # noqa: DTZ001  # on the hotel's wall clock
TEN_MINUTES = timedelta(minutes=10)
INSTANT = timedelta(microseconds=1)

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


#: What was authorized, captured, refunded and promised of a payment of 1000 in each status.
AMOUNTS = {
    PaymentStatus.UNPAID: (0, 0, 0, 0),
    PaymentStatus.AUTHORIZED: (1000, 0, 0, 0),
    PaymentStatus.CAPTURING: (1000, 0, 0, 0),
    PaymentStatus.CAPTURED: (1000, 1000, 0, 0),
    PaymentStatus.PARTIALLY_CAPTURED: (1000, 700, 0, 0),
    PaymentStatus.PARTIALLY_REFUNDED: (1000, 1000, 300, 200),
    PaymentStatus.REFUNDED: (1000, 1000, 1000, 0),
    PaymentStatus.VOIDING: (1000, 0, 0, 0),
    PaymentStatus.VOIDED: (1000, 0, 0, 0),
}


def paid(status: PaymentStatus, **changes: Any) -> Paid:
    authorized, captured, refunded, refunding = AMOUNTS[status]
    payment = Paid("pay_1", Provider.STRIPE, "pi_1", status, authorized, captured, refunded, refunding)
    return replace(payment, **changes)


HELD, TAKEN, NOTHING = (paid(PaymentStatus(name)) for name in ("authorized", "captured", "unpaid"))


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
    assert judge(status, paid(payment), Asked(NOON), TEN_MINUTES) is (Verdict.WAIT if wait else Verdict.CANCEL)


@pytest.mark.parametrize("payment", list(PaymentStatus))
@pytest.mark.parametrize("quoted_at", [None, NOON, NOON - timedelta(days=1)])
def test_who_asks_again_is_answered_as_the_first_one_whatever_was_quoted(
    payment: PaymentStatus, quoted_at: datetime | None
) -> None:
    asked = Asked(NOON, quoted_at, None)
    assert judge(BookingStatus.CANCELING, paid(payment), asked, TEN_MINUTES) is Verdict.JOIN
    assert judge(BookingStatus.CANCELLED, paid(payment), asked, TEN_MINUTES) is Verdict.REPLAY


@pytest.mark.parametrize("quoted_at", [None, NOON, NOON - timedelta(days=1)])
@pytest.mark.parametrize(
    ("status", "problem"), [(BookingStatus.DECLINED, BookingDeclined), (BookingStatus.COMPLETED, BookingCompleted)]
)
def test_what_its_hotel_has_declined_and_what_is_over_is_not_taken_back(
    status: BookingStatus, problem: type[Problem], quoted_at: datetime | None
) -> None:
    with pytest.raises(problem):
        judge(status, TAKEN, Asked(NOON, quoted_at, Basis.TAKEN), TEN_MINUTES)


@pytest.mark.parametrize("status", CANCELABLE)
@pytest.mark.parametrize("payment", [PaymentStatus.CAPTURED, PaymentStatus.CAPTURING])
def test_a_quote_is_good_until_the_end_of_its_last_instant(status: BookingStatus, payment: PaymentStatus) -> None:
    judge(status, paid(payment), Asked(NOON + TEN_MINUTES, NOON, Basis.TAKEN), TEN_MINUTES)
    with pytest.raises(QuoteExpired):
        judge(status, paid(payment), Asked(NOON + TEN_MINUTES + INSTANT, NOON, Basis.TAKEN), TEN_MINUTES)


@pytest.mark.parametrize(("payment", "is_good"), [(NOTHING, True), (HELD, False), (TAKEN, False)])
def test_what_was_shown_before_anything_was_paid_says_nothing_of_what_was_paid_since(
    payment: Paid, is_good: bool
) -> None:
    asked = Asked(NOON, NOON, Basis.NOTHING)
    if is_good:
        assert judge(BookingStatus.PENDING_PAYMENT, payment, asked, TEN_MINUTES) is Verdict.CANCEL
    else:
        with pytest.raises(QuoteExpired):
            judge(BookingStatus.CONFIRMED, payment, asked, TEN_MINUTES)


def test_the_fee_is_reckoned_by_the_moment_that_was_quoted_else_by_that_of_the_request() -> None:
    assert Asked(NOON).priced_at == NOON
    assert Asked(NOON, NOON - TEN_MINUTES, Basis.TAKEN).priced_at == NOON - TEN_MINUTES


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
@st.composite
def payments(draw: st.DrawFn) -> Paid:
    status = draw(st.sampled_from(PaymentStatus))
    authorized = draw(st.integers(0, 2000))
    captured = draw(st.integers(0, authorized))
    refunded = draw(st.integers(0, captured))
    refunding = draw(st.integers(0, captured - refunded))
    return Paid("pay_1", Provider.STRIPE, "pi_1", status, authorized, captured, refunded, refunding)


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


# How is the money brought there?

#: What to do next by the payment's status, for no fee, and for one of 400; of 1000 in all, as `AMOUNTS` has it.
MEANS = """
unpaid              void          void
authorized          void          capture
capturing           join_capture  join_capture
captured            refund        refund
partially_captured  refund        refund
partially_refunded  refund        refund
refunded            nothing       nothing
voiding             join_void     join_void
voided              nothing       nothing
"""


def next_steps() -> dict[str, list[str]]:
    return {status: words for status, *words in (line.split() for line in MEANS.strip().splitlines())}


@pytest.mark.parametrize("fee", [0, 400])
@pytest.mark.parametrize("status", next_steps())
def test_the_next_step_follows_from_where_the_money_is(status: str, fee: int) -> None:
    assert means(paid(PaymentStatus(status)), fee) == next_steps()[status][bool(fee)]


def test_the_steps_name_every_status() -> None:
    assert set(next_steps()) == {str(status) for status in PaymentStatus}


def test_a_payment_that_no_provider_knows_cannot_be_made_and_needs_no_closing() -> None:
    assert means(paid(PaymentStatus.UNPAID, provider=Provider.NONE, reference=None), 0) is Means.NOTHING


@pytest.mark.parametrize(
    ("refunded", "refunding", "step"),
    [
        (0, 0, Means.REFUND),
        (599, 0, Means.REFUND),
        (0, 599, Means.REFUND),
        (300, 300, Means.NOTHING),
        (0, 600, Means.NOTHING),
        (700, 0, Means.NOTHING),
    ],
)
def test_what_is_beyond_the_fee_is_refunded_until_it_is_promised_or_back(
    refunded: int, refunding: int, step: Means
) -> None:
    assert means(replace(TAKEN, refunded=refunded, refunding=refunding), 400) is step


@given(payments(), st.integers(0, 2000))
def test_where_nothing_is_left_to_be_done_nothing_is_held_and_no_more_than_the_fee_is_kept(
    payment: Paid, fee: int
) -> None:
    if means(payment, fee) is Means.NOTHING:
        assert payment.status not in (PaymentStatus.AUTHORIZED, PaymentStatus.VOIDING, PaymentStatus.CAPTURING)
        assert payment.kept <= fee


# How it comes on.


@pytest.mark.parametrize(
    ("table", "states", "words"),
    [
        (OF_VOID, VoidState, {"requested": "waiting", "released": "ended", "overtaken": "ended", "refused": "refused"}),
        (
            OF_CAPTURE,
            CaptureState,
            {"waiting": "waiting", "active": "waiting", "done": "ended", "removed": "ended", "failed": "refused"},
        ),
        (
            OF_REFUND,
            RefundState,
            {"initiated": "waiting", "processing": "waiting", "completed": "ended", "failed": "refused"},
        ),
    ],
    ids=["void", "capture", "refund"],
)
def test_a_cancel_waits_until_it_is_known_what_has_become_of_the_money(
    table: dict[Any, Progress], states: Any, words: dict[str, str]
) -> None:
    assert {str(state): str(progress) for state, progress in table.items()} == words
    assert set(table) == set(states)


def awaiting(**what: Any) -> Cancellation:
    """A cancel that waits for one thing."""
    row = dict.fromkeys(Cancellation.__slots__)
    return Cancellation(**row | {"awaits": "any_1"} | what)


@pytest.mark.parametrize(
    ("what", "progress"),
    [
        ({"void": VoidState.REQUESTED}, Progress.WAITING),
        ({"void": VoidState.OVERTAKEN}, Progress.ENDED),
        ({"capture": CaptureState.ACTIVE}, Progress.WAITING),
        ({"capture": CaptureState.FAILED}, Progress.REFUSED),
        ({"refunding": RefundState.INITIATED}, Progress.WAITING),
        ({"refunding": RefundState.PROCESSING}, Progress.WAITING),
        ({"refunding": RefundState.FAILED, "refund_reference": "re_1"}, Progress.REFUSED),
        # The provider has taken it in: from here on the refund is followed by itself.
        ({"refunding": RefundState.PROCESSING, "refund_reference": "re_1"}, Progress.ENDED),
        ({"refunding": RefundState.COMPLETED, "refund_reference": "re_1"}, Progress.ENDED),
        ({"awaits": None}, Progress.ENDED),
    ],
)
def test_a_cancel_has_come_on_as_what_it_waits_for_has(what: dict[str, Any], progress: Progress) -> None:
    assert awaiting(**what).progress is progress


@pytest.mark.parametrize(
    ("what", "task"),
    [
        ({"void": VoidState.REQUESTED}, "void.payment"),
        ({"capture": CaptureState.WAITING}, "capture.payment"),
        ({"refunding": RefundState.INITIATED}, "refund.payment"),
    ],
)
def test_what_a_cancel_waits_for_is_carried_on_by_its_own_task(what: dict[str, Any], task: str) -> None:
    assert awaiting(**what).awaited == (task, "any_1")
    assert awaiting(**what | {"awaits": None}).awaited is None


@pytest.mark.parametrize(
    ("progress", "payment", "fee", "after"),
    [
        # The provider said no, and the money is where it was.
        (Progress.REFUSED, HELD, 0, Progress.REFUSED),
        (Progress.REFUSED, HELD, 400, Progress.REFUSED),
        (Progress.REFUSED, TAKEN, 400, Progress.REFUSED),
        (Progress.REFUSED, NOTHING, 0, Progress.REFUSED),
        # It said no since somebody else had done it.
        (Progress.REFUSED, paid(PaymentStatus.VOIDED), 0, Progress.ENDED),
        (Progress.REFUSED, paid(PaymentStatus.VOIDED), 400, Progress.ENDED),
        (Progress.REFUSED, paid(PaymentStatus.REFUNDED), 400, Progress.ENDED),
        (Progress.REFUSED, replace(TAKEN, refunded=600), 400, Progress.ENDED),
        (Progress.REFUSED, TAKEN, 1000, Progress.ENDED),
        # Nobody knows yet, or it has ended: that stays so, wherever the money is.
        (Progress.WAITING, paid(PaymentStatus.REFUNDED), 400, Progress.WAITING),
        (Progress.ENDED, TAKEN, 400, Progress.ENDED),
    ],
)
def test_a_refusal_does_not_matter_when_nothing_is_left_to_be_done(
    progress: Progress, payment: Paid, fee: int, after: Progress
) -> None:
    assert settled(progress, payment, fee) is after


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
        (BookingStatus.CANCELLED, BookingCanceled),
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
