"""Who follows whom: every pair of what we say and what the provider says, and what their amounts change in it."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.payments import PaymentStatus
from shared.domain.reconcile import (
    FOLLOWED,
    HOLD,
    REFUND,
    Amounts,
    Finding,
    Hold,
    Match,
    OurRefund,
    RefundFinding,
    Return,
    TheirRefund,
    judge,
    judge_refunds,
)
from shared.domain.refunds import RefundState

TOTAL = 1000

#: One line a status of ours, one word for each way in which the provider sees it, in the order of `Hold`.
PAIRS = """
                    unconfirmed held    partly_captured         captured           released           missing
unpaid              agreed      paid    paid                    paid               released_elsewhere drift
authorized          drift       agreed  partly_captured_elsewhere captured_elsewhere released_elsewhere drift
capturing           drift       busy    ended                   ended              ended              drift
captured            drift       drift   drift                   agreed             drift              drift
partially_captured  drift       drift   agreed                  agreed             drift              drift
partially_refunded  drift       drift   agreed                  agreed             drift              drift
refunded            drift       drift   agreed                  agreed             drift              drift
voiding             busy        busy    ended                   ended              ended              drift
voided              drift       drift   drift                   drift              agreed             drift
"""

#: The same for a refund; "-" is one of which we know nothing, which the provider then cannot lack.
REFUND_PAIRS = """
            absent  pending             completed          failed
-           -       refunded_elsewhere  refunded_elsewhere agreed
initiated   busy    busy                busy               busy
processing  busy    busy                ended              ended
completed   drift   drift               agreed             failed_later
failed      agreed  drift               drift              agreed
"""


def table(text: str) -> dict[tuple[str, str], str]:
    columns, *lines = (line.split() for line in text.strip().splitlines())
    return {(row, column): word for row, *words in lines for column, word in zip(columns, words, strict=True)}


def amounts(hold: Hold, captured: int = TOTAL) -> Amounts:
    """What such a hold of 1000 looks like; nothing is held before it is confirmed."""
    return {
        Hold.UNCONFIRMED: Amounts(0, 0, 0),
        Hold.PARTLY_CAPTURED: Amounts(TOTAL, min(captured, 400), 0),
        Hold.CAPTURED: Amounts(TOTAL, captured, TOTAL - captured),
        Hold.RELEASED: Amounts(TOTAL, 0, TOTAL),
    }.get(hold, Amounts(TOTAL, 0, 0))


@pytest.mark.parametrize(("status", "hold"), list(product(PaymentStatus, Hold)))
def test_every_pair_of_our_status_and_the_hold_at_the_provider(status: PaymentStatus, hold: Hold) -> None:
    theirs = amounts(hold)
    before = {PaymentStatus.UNPAID: Amounts(0, 0, 0), PaymentStatus.AUTHORIZED: Amounts(TOTAL, 0, 0)}
    ours = before.get(status, theirs)
    seen = None if hold is Hold.MISSING else theirs
    assert judge(status, ours, hold, seen, TOTAL, canceled=False) == table(PAIRS)[status, hold]


def test_the_tables_here_name_every_state() -> None:
    assert set(table(PAIRS)) == {(str(status), str(hold)) for status, hold in product(PaymentStatus, Hold)}
    states = ["-", *(str(state) for state in RefundState)]
    assert set(table(REFUND_PAIRS)) == {(state, str(seen)) for state, seen in product(states, Return)}


#: Of a payment whose status agrees with the hold.
@pytest.mark.parametrize(
    ("status", "ours", "hold", "theirs", "finding"),
    [
        # Whatever is paid of a booking that was registered before is written down, more or less than it costs.
        (PaymentStatus.UNPAID, (0, 0, 0), Hold.HELD, (1500, 0, 0), Finding.PAID),
        (PaymentStatus.UNPAID, (0, 0, 0), Hold.HELD, (800, 0, 0), Finding.PAID),
        (PaymentStatus.UNPAID, (0, 0, 0), Hold.CAPTURED, (1000, 400, 600), Finding.PAID),
        # What is not confirmed holds nothing, and nothing was ever taken or given back of it.
        (PaymentStatus.UNPAID, (0, 0, 0), Hold.UNCONFIRMED, (1000, 0, 0), Finding.DRIFT),
        # Somebody had more held.
        (PaymentStatus.AUTHORIZED, (1000, 0, 0), Hold.HELD, (1500, 0, 0), Finding.AUTHORIZATION_CHANGED),
        # What was captured pays for the order, or does not.
        (PaymentStatus.AUTHORIZED, (1500, 0, 0), Hold.CAPTURED, (1500, 1000, 500), Finding.CAPTURED_ELSEWHERE),
        (PaymentStatus.AUTHORIZED, (1500, 0, 0), Hold.CAPTURED, (1500, 999, 501), Finding.PARTLY_CAPTURED_ELSEWHERE),
        # Captured bit by bit.
        (
            PaymentStatus.PARTIALLY_CAPTURED,
            (1000, 400, 0),
            Hold.PARTLY_CAPTURED,
            (1000, 600, 0),
            Finding.PARTLY_CAPTURED_ELSEWHERE,
        ),
        (PaymentStatus.PARTIALLY_CAPTURED, (1000, 400, 0), Hold.CAPTURED, (1000, 1000, 0), Finding.CAPTURED_ELSEWHERE),
        (
            PaymentStatus.PARTIALLY_CAPTURED,
            (1000, 400, 0),
            Hold.CAPTURED,
            (1000, 400, 600),
            Finding.PARTLY_CAPTURED_ELSEWHERE,
        ),
        # What was captured is never less afterwards.
        (PaymentStatus.PARTIALLY_CAPTURED, (1000, 400, 0), Hold.CAPTURED, (1000, 300, 700), Finding.DRIFT),
        # At rest, amounts do not change.
        (PaymentStatus.CAPTURED, (1000, 1000, 0), Hold.CAPTURED, (1000, 900, 100), Finding.DRIFT),
        (PaymentStatus.REFUNDED, (1000, 1000, 0), Hold.CAPTURED, (1000, 900, 100), Finding.DRIFT),
        (PaymentStatus.VOIDED, (1000, 0, 1000), Hold.RELEASED, (1200, 0, 1200), Finding.DRIFT),
        # More than was held: our rows could not even say so.
        (PaymentStatus.AUTHORIZED, (1000, 0, 0), Hold.CAPTURED, (1000, 1100, -100), Finding.DRIFT),
        (PaymentStatus.AUTHORIZED, (1000, 0, 0), Hold.CAPTURED, (1000, 1100, 0), Finding.DRIFT),
        (PaymentStatus.UNPAID, (0, 0, 0), Hold.CAPTURED, (1000, 1100, 0), Finding.DRIFT),
    ],
)
def test_what_other_amounts_mean(
    status: PaymentStatus,
    ours: tuple[int, int, int],
    hold: Hold,
    theirs: tuple[int, int, int],
    finding: Finding,
) -> None:
    assert judge(status, Amounts(*ours), hold, Amounts(*theirs), TOTAL, canceled=False) is finding


@pytest.mark.parametrize("hold", [Hold.PARTLY_CAPTURED, Hold.CAPTURED])
@pytest.mark.parametrize(
    "status", [PaymentStatus.PARTIALLY_CAPTURED, PaymentStatus.PARTIALLY_REFUNDED, PaymentStatus.REFUNDED]
)
def test_of_a_canceled_order_nothing_may_be_held_any_more(status: PaymentStatus, hold: Hold) -> None:
    same = amounts(hold)
    finding = judge(status, same, hold, same, TOTAL, canceled=True)
    assert finding is (Finding.DRIFT if hold is Hold.PARTLY_CAPTURED else Finding.AGREED)


@pytest.mark.parametrize("hold", [Hold.HELD, Hold.PARTLY_CAPTURED, Hold.CAPTURED])
def test_what_is_paid_is_written_down_also_when_the_booking_is_canceled_by_now(hold: Hold) -> None:
    finding = judge(PaymentStatus.UNPAID, Amounts(0, 0, 0), hold, amounts(hold), TOTAL, canceled=True)
    assert finding is Finding.PAID


AMOUNT = st.integers(-10, 2000)
AMOUNTS = st.builds(Amounts, AMOUNT, AMOUNT, AMOUNT)


@given(st.sampled_from(PaymentStatus), AMOUNTS, st.sampled_from(Hold), AMOUNTS)
def test_nothing_is_followed_that_takes_captured_money_away_or_that_nobody_held(
    status: PaymentStatus, ours: Amounts, hold: Hold, theirs: Amounts
) -> None:
    finding = judge(status, ours, hold, theirs, TOTAL, canceled=False)
    if finding in FOLLOWED:
        assert theirs.captured >= ours.captured
        assert 0 <= theirs.captured + theirs.released <= theirs.authorized
    if finding is Finding.AGREED:
        assert ours == theirs


@given(st.sampled_from((PaymentStatus.CAPTURING, PaymentStatus.VOIDING)), AMOUNTS, st.sampled_from(Hold), AMOUNTS)
def test_what_our_own_task_is_at_is_never_settled_by_anybody_else(
    status: PaymentStatus, ours: Amounts, hold: Hold, theirs: Amounts
) -> None:
    assert judge(status, ours, hold, theirs, TOTAL, canceled=False) in (Finding.BUSY, Finding.ENDED, Finding.DRIFT)


def test_the_table_holds_nothing_but_what_is_no_drift() -> None:
    assert Finding.DRIFT not in HOLD.values()
    assert len(HOLD) == sum(word != "drift" for word in table(PAIRS).values())


# Refunds.


def ours(state: RefundState, **changes: object) -> OurRefund:
    members = {"id": "ref_1", "amount": 300, "state": state, "generation": 1, "provider_id": "re_1", "stuck": False}
    return OurRefund(**members | changes)  # type: ignore[arg-type]


def theirs(seen: Return, **changes: object) -> TheirRefund:
    members = {"provider_id": "re_1", "amount": 300, "seen": seen, "tag": None, "error": None}
    return TheirRefund(**members | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("state", "seen"), list(product([None, *RefundState], Return)))
def test_every_pair_of_our_refund_and_the_providers(state: RefundState | None, seen: Return) -> None:
    expected = table(REFUND_PAIRS)[str(state or "-"), seen]
    if expected == "-":
        assert (state, seen) not in REFUND
        return
    known = [ours(state)] if state else []
    shown = [] if seen is Return.ABSENT else [theirs(seen)]
    (match,) = judge_refunds(known, shown)
    assert match == Match(RefundFinding(expected), known[0] if known else None, shown[0] if shown else None)


def test_a_refund_that_the_provider_has_not_named_yet_is_known_by_its_tag() -> None:
    sent = ours(RefundState.PROCESSING, provider_id=None, generation=2)
    done = theirs(Return.COMPLETED, provider_id="re_9", tag=("ref_1", 2))
    assert judge_refunds([sent], [done]) == [Match(RefundFinding.ENDED, sent, done)]


def test_what_failed_under_an_earlier_key_is_over() -> None:
    again = ours(RefundState.PROCESSING, provider_id=None, generation=2)
    failed = theirs(Return.FAILED, tag=("ref_1", 1))
    assert judge_refunds([again], [failed]) == [
        Match(RefundFinding.AGREED, None, failed),
        Match(RefundFinding.BUSY, again, None),
    ]


@pytest.mark.parametrize("seen", [Return.PENDING, Return.COMPLETED])
def test_a_refund_that_took_effect_under_an_earlier_key_is_the_one_we_asked_for(seen: Return) -> None:
    again = ours(RefundState.PROCESSING, provider_id=None, generation=2)
    done = theirs(seen, tag=("ref_1", 1))
    (match,) = judge_refunds([again], [done])
    assert match == Match(REFUND[RefundState.PROCESSING, seen], again, done)


def test_a_second_one_that_took_effect_for_the_same_refund_is_not_the_one_we_know() -> None:
    known = ours(RefundState.COMPLETED, generation=2)
    twin = theirs(Return.COMPLETED, provider_id="re_2", tag=("ref_1", 1))
    assert judge_refunds([known], [theirs(Return.COMPLETED, tag=("ref_1", 2)), twin])[1] == Match(
        RefundFinding.REFUNDED_ELSEWHERE, None, twin
    )


def test_a_refund_of_another_amount_is_not_the_one_we_know() -> None:
    for state in RefundState:
        (match,) = judge_refunds([ours(state)], [theirs(Return.COMPLETED, amount=301)])
        assert match.finding is RefundFinding.DRIFT


def test_refunds_are_matched_one_by_one() -> None:
    known = [ours(RefundState.COMPLETED), ours(RefundState.COMPLETED, id="ref_2", provider_id="re_2")]
    shown = [
        theirs(Return.FAILED, provider_id="re_2"),
        theirs(Return.COMPLETED, provider_id="re_3"),
        theirs(Return.COMPLETED),
    ]
    assert [match.finding for match in judge_refunds(known, shown)] == [
        RefundFinding.FAILED_LATER,
        RefundFinding.REFUNDED_ELSEWHERE,
        RefundFinding.AGREED,
    ]
