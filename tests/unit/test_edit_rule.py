"""May this order be changed, what will it cost, and what does that do to its money?"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.edits import (
    MOST_LINES,
    MOST_UNITS,
    Editable,
    Hold,
    Line,
    MoneyAction,
    Price,
    Unavailable,
    add,
    judge,
    set_quantity,
)
from shared.domain.orders import OrderKind, OrderStatus
from shared.domain.payments import CaptureState, PaymentStatus, Provider
from shared.errors import (
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

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TEE = Line(1, "TEE", 2, 1500, Decimal("0.10"))
MUG = Price(800, "USD", Decimal("0.05"))
REFUSE, BESIDE = Unavailable.REFUSE, Unavailable.SECOND_PAYMENT


def hold(authorized: int = 3800, *, incremental: bool = True, name: str = "pay_1") -> Hold:
    return Hold(name, authorized, incremental, CaptureState.WAITING)


def order(**changes: Any) -> Editable:
    """Two tees of 16.50 and 5.00 shipping, held on a card."""
    return replace(
        Editable(
            kind=OrderKind.RETAIL,
            status=OrderStatus.PENDING,
            customer_id="cus_1",
            grace_until=NOON + timedelta(hours=1),
            currency="USD",
            shipping=500,
            total=3800,
            provider=Provider.STRIPE,
            payment_status=PaymentStatus.AUTHORIZED,
            holds=(hold(),),
            lines=(TEE,),
        ),
        **changes,
    )


def test_an_open_order_may_be_changed() -> None:
    judge(order(), NOON, "cus_1")
    judge(order(), NOON, None)


def test_nobody_changes_what_is_not_theirs() -> None:
    with pytest.raises(OwnershipViolation):
        judge(order(), NOON, "cus_2")


@pytest.mark.parametrize("status", list(OrderStatus))
def test_a_booking_is_not_changed_as_an_order_is_however_it_stands(status: OrderStatus) -> None:
    with pytest.raises(IsBooking):
        judge(order(kind=OrderKind.BOOKING, status=status), NOON, None)


@pytest.mark.parametrize(
    "late",
    [
        order(status=OrderStatus.CANCELED),
        order(status=OrderStatus.CAPTURED),
        order(grace_until=NOON),
        order(payment_status=PaymentStatus.CAPTURING),
        order(payment_status=PaymentStatus.VOIDED, holds=()),
        order(holds=(replace(hold(), capture_state=CaptureState.ACTIVE),)),
        order(holds=(replace(hold(), capture_state=None),)),
    ],
)
def test_an_order_whose_hour_is_over_or_whose_money_moves_is_not_changed(late: Editable) -> None:
    with pytest.raises(LateEdit):
        judge(late, NOON, None)


def test_more_than_is_held_has_the_hold_raised_to_the_whole_new_sum() -> None:
    plan = set_quantity(order(), 1, 3, REFUSE)
    assert (plan.total, plan.money, plan.payment_id, plan.authorize) == (5450, MoneyAction.INCREMENT, "pay_1", 5450)
    assert plan.units == 1


def test_of_several_holds_the_first_that_can_be_is_raised_by_what_is_missing() -> None:
    holds = hold(incremental=False), hold(1000, name="pay_2")
    plan = set_quantity(order(holds=holds), 1, 4, REFUSE)
    assert (plan.payment_id, plan.authorize) == ("pay_2", 7100 - 3800)


def test_where_no_hold_can_be_raised_policy_decides() -> None:
    stiff = order(holds=(hold(incremental=False),))
    with pytest.raises(IncrementUnavailable):
        set_quantity(stiff, 1, 3, REFUSE)
    plan = set_quantity(stiff, 1, 3, BESIDE)
    assert (plan.money, plan.payment_id, plan.authorize) == (MoneyAction.SECOND_PAYMENT, "pay_1", 1650)


def test_less_than_is_held_is_captured_in_part() -> None:
    plan = set_quantity(order(), 1, 1, REFUSE)
    assert (plan.total, plan.money, plan.authorize, plan.units) == (2150, MoneyAction.PARTIAL_CAPTURE, None, -1)


def test_an_addition_costs_what_its_line_says_else_todays_price() -> None:
    assert add(order(), "TEE", 1, replace(MUG, unit_price=9999), REFUSE).total == 5450
    plan = add(order(), "MUG", 2, MUG, REFUSE)
    assert (plan.before, plan.after.line, plan.total) == (None, 2, 3800 + 1680)


def test_an_item_that_was_removed_is_another_one_when_it_is_added_again() -> None:
    lines = TEE, Line(2, "MUG", 0, 800, Decimal("0.05"))
    assert add(order(lines=lines), "MUG", 1, MUG, REFUSE).after.line == 3


@pytest.mark.parametrize("price", [None, replace(MUG, currency="EUR")])
def test_what_has_no_price_in_the_orders_currency_is_not_added(price: Price | None) -> None:
    with pytest.raises(NoPrice):
        add(order(), "MUG", 1, price, REFUSE)


def test_the_last_item_is_not_removed_but_another_is() -> None:
    with pytest.raises(LastItem):
        set_quantity(order(), 1, 0, REFUSE)
    with pytest.raises(NothingToPay):
        set_quantity(order(shipping=0, lines=(TEE, Line(2, "GIFT", 1, 0, Decimal(0)))), 1, 0, REFUSE)
    assert set_quantity(order(lines=(TEE, Line(2, "MUG", 1, 800, Decimal(0)))), 2, 0, REFUSE).total == 3800


@pytest.mark.parametrize("number", [0, 2, 10**8])
def test_a_line_that_there_is_not_is_not_found(number: int) -> None:
    with pytest.raises(NotFound):
        set_quantity(order(lines=(TEE, Line(2, "MUG", 0, 800, Decimal(0)))), number, 1, REFUSE)


def test_nobody_can_be_sold_more_than_can_be_counted() -> None:
    with pytest.raises(Invalid):
        add(order(), "TEE", MOST_UNITS, None, REFUSE)
    many = tuple(Line(number, f"SKU{number}", 1, 1, Decimal(0)) for number in range(1, MOST_LINES + 1))
    with pytest.raises(Invalid):
        add(order(lines=many), "MUG", 1, MUG, REFUSE)
    with pytest.raises(Invalid):
        add(order(), "GOLD", MOST_UNITS, Price(999_999_999_999, "USD", Decimal(0)), REFUSE)


def test_what_is_paid_on_delivery_costs_what_it_costs_and_a_free_order_stays_free() -> None:
    unpaid = {"payment_status": PaymentStatus.UNPAID, "holds": ()}
    assert set_quantity(order(provider=Provider.COD, **unpaid), 1, 3, REFUSE).money is MoneyAction.NONE
    with pytest.raises(IncrementUnavailable):
        add(order(provider=Provider.NONE, **unpaid), "MUG", 1, MUG, BESIDE)


@given(st.integers(1, 50), st.integers(0, 10_000))
def test_whatever_is_held_covers_the_new_total(quantity: int, spare: int) -> None:
    plan = set_quantity(order(holds=(hold(3800 + spare),)), 1, quantity, REFUSE)
    assert plan.total == 500 + 1650 * quantity
    assert max(plan.authorize or 0, 3800 + spare) >= plan.total
    assert (plan.authorize is not None) == (plan.total > 3800 + spare)
