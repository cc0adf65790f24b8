"""How is the money of a booking brought to where its guest's cancel wants it?"""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.bookings import Paid
from shared.domain.payments import CaptureState, PaymentStatus, Provider, VoidState
from shared.domain.refunds import RefundState
from shared.domain.settling import OF_CAPTURE, OF_REFUND, OF_VOID, Cancellation, Means, Progress, means, settled
from tests.paid import HELD, NOTHING, TAKEN, paid, payments

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
        (
            OF_VOID,
            VoidState,
            {
                "requested": "waiting",
                "lapsing": "waiting",
                "released": "ended",
                "overtaken": "ended",
                "refused": "refused",
            },
        ),
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
