"""How the payments of one collection stand together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.collection import GONE, shares, status, void_state
from shared.domain.payments import PaymentStatus as Status
from shared.domain.payments import VoidState


@pytest.mark.parametrize(
    ("payments", "capturable", "together"),
    [([(one, 100)], False, one) for one in Status]
    + [
        ([(Status.AUTHORIZED, 100), (Status.AUTHORIZED, 50)], True, Status.AUTHORIZED),
        # Released since it was to bring nothing: it does not count, not even while its void is under way.
        ([(Status.AUTHORIZED, 100), (Status.VOIDING, 0)], True, Status.AUTHORIZED),
        ([(Status.CAPTURED, 100), (Status.VOIDED, 0)], False, Status.CAPTURED),
        # Released though it was to bring something.
        ([(Status.AUTHORIZED, 100), (Status.VOIDED, 50)], True, Status.AUTHORIZED),
        ([(Status.CAPTURED, 100), (Status.VOIDED, 50)], False, Status.PARTIALLY_CAPTURED),
        ([(Status.VOIDED, 100), (Status.VOIDING, 50)], False, Status.VOIDING),
        # One is captured, and the other still to be; or its capture has failed.
        ([(Status.CAPTURED, 100), (Status.CAPTURING, 50)], False, Status.CAPTURING),
        ([(Status.CAPTURED, 100), (Status.AUTHORIZED, 50)], True, Status.CAPTURING),
        ([(Status.CAPTURED, 100), (Status.AUTHORIZED, 50)], False, Status.PARTIALLY_CAPTURED),
        ([(Status.PARTIALLY_CAPTURED, 100), (Status.CAPTURED, 50)], False, Status.PARTIALLY_CAPTURED),
        ([(Status.REFUNDED, 100), (Status.CAPTURED, 50)], False, Status.PARTIALLY_REFUNDED),
        ([(Status.REFUNDED, 100), (Status.REFUNDED, 50)], False, Status.REFUNDED),
        ([(Status.REFUNDED, 100), (Status.VOIDED, 50)], False, Status.REFUNDED),
    ],
)
def test_payments_stand_together_as_their_money_does(
    payments: list[tuple[Status, int]], capturable: bool, together: Status
) -> None:
    assert status(payments, capturable=capturable) is together
    assert status(reversed(payments), capturable=capturable) is together


@given(st.lists(st.tuples(st.sampled_from(Status), st.integers(0, 3)), min_size=1), st.booleans())
def test_what_is_gone_says_nothing_while_anything_else_is_there(
    payments: list[tuple[Status, int]], capturable: bool
) -> None:
    together = status(payments, capturable=capturable)
    assert (together in GONE) == all(one in GONE for one, _ in payments)


@given(st.lists(st.integers(0, 1000), min_size=1), st.data())
def test_shares_bring_the_total_and_no_more_than_is_held_the_oldest_first(held: list[int], data: st.DataObject) -> None:
    total = data.draw(st.integers(0, sum(held)))
    found = shares(total, held)
    assert sum(found) == total
    assert all(share <= most for share, most in zip(found, held, strict=True))
    short = next((place for place, share in enumerate(found) if share < held[place]), len(held))
    assert not any(found[short + 1 :])


@pytest.mark.parametrize(
    ("voids", "together"),
    [
        ([], None),
        ([VoidState.RELEASED, VoidState.RELEASED], VoidState.RELEASED),
        ([VoidState.RELEASED, VoidState.REFUSED], VoidState.REFUSED),
        ([VoidState.REFUSED, VoidState.REQUESTED], VoidState.REQUESTED),
    ],
)
def test_voids_stand_together_as_the_one_that_is_least_known_or_worst(
    voids: list[VoidState], together: VoidState | None
) -> None:
    assert void_state(voids) is together
