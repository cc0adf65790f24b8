"""May this order be taken back?"""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.domain.cancel import Cancelable, Verdict, judge
from shared.domain.orders import OrderKind, OrderStatus
from shared.domain.payments import CaptureState, PaymentStatus
from shared.errors import IsBooking, LateCancel, OwnershipViolation, PartialCapture, Problem

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
GRACE_UNTIL = NOON + timedelta(hours=1)


def order(
    status: OrderStatus = OrderStatus.PENDING,
    payment: PaymentStatus = PaymentStatus.AUTHORIZED,
    capture: CaptureState | None = CaptureState.WAITING,
    customer_id: str | None = "cus_1",
    kind: OrderKind = OrderKind.RETAIL,
) -> Cancelable:
    return Cancelable(kind, status, customer_id, GRACE_UNTIL, payment, (capture,))


def test_a_held_order_is_canceled_and_its_hold_voided() -> None:
    assert judge(order(), NOON, None) is Verdict.CANCEL_AND_VOID


@pytest.mark.parametrize("payment", [PaymentStatus.UNPAID, PaymentStatus.VOIDING, PaymentStatus.VOIDED])
def test_an_order_for_which_nobody_holds_money_or_no_more_for_long_is_only_canceled(payment: PaymentStatus) -> None:
    assert judge(order(payment=payment, capture=None), NOON, None) is Verdict.CANCEL_ONLY


def test_the_grace_period_ends_on_its_last_instant() -> None:
    assert judge(order(), GRACE_UNTIL - timedelta(microseconds=1), None) is Verdict.CANCEL_AND_VOID
    with pytest.raises(LateCancel):
        judge(order(), GRACE_UNTIL, None)


@pytest.mark.parametrize("capture", [None, *(state for state in CaptureState if state is not CaptureState.WAITING)])
def test_only_a_capture_that_waits_can_be_stopped(capture: CaptureState | None) -> None:
    with pytest.raises(LateCancel):
        judge(order(capture=capture), NOON, None)


@pytest.mark.parametrize("payment", [PaymentStatus.CAPTURING, PaymentStatus.CAPTURED])
def test_money_that_is_moving_or_taken_is_too_late(payment: PaymentStatus) -> None:
    with pytest.raises(LateCancel):
        judge(order(payment=payment), NOON, None)


def test_a_captured_order_is_too_late() -> None:
    with pytest.raises(LateCancel):
        judge(order(OrderStatus.CAPTURED, PaymentStatus.CAPTURED, CaptureState.DONE), NOON, None)


@pytest.mark.parametrize("now", [NOON, GRACE_UNTIL + timedelta(days=1)])
@pytest.mark.parametrize("status", [OrderStatus.PENDING, OrderStatus.CAPTURED])
def test_a_partly_captured_order_needs_a_refund_by_hand_whenever_it_is_asked_for(
    now: datetime, status: OrderStatus
) -> None:
    with pytest.raises(PartialCapture):
        judge(order(status, PaymentStatus.PARTIALLY_CAPTURED), now, None)


def test_a_canceled_order_is_answered_again_also_after_its_grace_period() -> None:
    canceled = order(OrderStatus.CANCELED, PaymentStatus.VOIDED, CaptureState.REMOVED)
    assert judge(canceled, GRACE_UNTIL + timedelta(days=1), None) is Verdict.ALREADY_CANCELED


@pytest.mark.parametrize("customer_id", ["cus_2", None])
@pytest.mark.parametrize("status", list(OrderStatus))
def test_a_customer_learns_nothing_of_an_order_of_somebody_else(status: OrderStatus, customer_id: str | None) -> None:
    with pytest.raises(OwnershipViolation):
        judge(order(status, customer_id=customer_id), NOON, "cus_1")


def test_a_customer_takes_back_an_order_of_their_own() -> None:
    assert judge(order(), NOON, "cus_1") is Verdict.CANCEL_AND_VOID


@pytest.mark.parametrize("status", list(OrderStatus))
def test_a_booking_is_not_taken_back_as_an_order_is_however_it_stands(status: OrderStatus) -> None:
    with pytest.raises(IsBooking):
        judge(order(status, kind=OrderKind.BOOKING), NOON, None)


def test_a_customer_does_not_even_learn_that_it_is_somebody_elses_booking() -> None:
    with pytest.raises(OwnershipViolation):
        judge(order(customer_id="cus_2", kind=OrderKind.BOOKING), NOON, "cus_1")


@given(
    kind=st.sampled_from(OrderKind),
    status=st.sampled_from(OrderStatus),
    payment=st.sampled_from(PaymentStatus),
    capture=st.none() | st.sampled_from(CaptureState),
    owner=st.sampled_from(["cus_1", "cus_2", None]),
    customer=st.sampled_from(["cus_1", None]),
    minutes=st.integers(-120, 120),
)
def test_whatever_is_canceled_was_free_to_be_canceled(
    kind: OrderKind,
    status: OrderStatus,
    payment: PaymentStatus,
    capture: CaptureState | None,
    owner: str | None,
    customer: str | None,
    minutes: int,
) -> None:
    assume(kind is OrderKind.BOOKING or status is not OrderStatus.CANCELING)  # which Postgres does not let it be
    now = GRACE_UNTIL + timedelta(minutes=minutes)
    try:
        verdict = judge(order(status, payment, capture, owner, kind), now, customer)
    except Problem as refusal:
        assert refusal.http_status in (403, 409, 422)  # noqa: PT017  # which refusal it is, others tell
        return
    assert kind is OrderKind.RETAIL
    assert customer in (None, owner)
    assert (verdict is Verdict.ALREADY_CANCELED) == (status is OrderStatus.CANCELED)
    if verdict is not Verdict.ALREADY_CANCELED:
        assert status is OrderStatus.PENDING
        assert now < GRACE_UNTIL
    if verdict is Verdict.CANCEL_AND_VOID:
        assert (payment, capture) == (PaymentStatus.AUTHORIZED, CaptureState.WAITING)
    if verdict is Verdict.CANCEL_ONLY:
        assert payment in (PaymentStatus.UNPAID, PaymentStatus.VOIDED)
