"""Policies, whatever they are: money adds up, waiting never pays, and a reckoning by other means comes to the same."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from math import floor
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.domain.policies import CancellationCalculator, Fee, Policy, Rule, Step, Terms

#: A time as a clock on a wall shows it.
wall = datetime.fromisoformat

#: Zones, and days in whose nights their clocks were put forward or back; the last has kept its clocks for decades.
NIGHTS = {
    "Europe/Dublin": (wall("2024-03-31T00:00"), wall("2024-10-27T00:00")),
    "America/New_York": (wall("2024-03-10T00:00"), wall("2024-11-03T00:00")),
    "Australia/Lord_Howe": (wall("2024-10-06T00:00"), wall("2024-04-07T00:00")),
    "America/Santiago": (wall("2024-09-08T00:00"), wall("2024-04-06T22:00")),
    "Asia/Kathmandu": (wall("2024-06-01T00:00"), wall("2024-12-01T00:00")),
}

#: One currency of each number of decimal places: two, none, three.
CURRENCIES = ("EUR", "JPY", "KWD")

SUM = st.integers(0, 200_000) | st.integers(0, 999_999_999_999)
FEE = st.one_of(
    st.decimals(0, 100, places=2).map(lambda percent: Fee(percent=percent)),
    SUM.map(lambda amount: Fee(amount=amount)),
    st.integers(0, 10).map(lambda nights: Fee(nights=nights)),
)
RULE = st.one_of(
    st.builds(lambda fee, days: Rule(fee, days=days), FEE, st.integers(0, 40)),
    st.builds(lambda fee, hours: Rule(fee, hours=hours), FEE, st.integers(0, 1000)),
)


@st.composite
def policies(draw: st.DrawFn, currency: str) -> Policy:
    minimum, maximum = draw(
        st.sampled_from([(None, None), (0, 0)])
        | st.tuples(SUM, st.none())
        | st.tuples(st.none(), SUM)
        | st.tuples(SUM, SUM).map(sorted)
    )
    return Policy(
        rules=tuple(draw(st.lists(RULE, max_size=5))),
        no_show=draw(FEE),
        refundable=draw(st.sampled_from([True, True, True, False])),
        free_hours=draw(st.sampled_from([0, 1, 24, 1000])),
        minimum=minimum,
        maximum=maximum,
        currency=currency,
    )


@st.composite
def bookings(draw: st.DrawFn) -> Terms:
    """Bookings whose check-in, or an edge before it, often falls into a night in which clocks are changed."""
    zone, currency = draw(st.sampled_from(sorted(NIGHTS))), draw(st.sampled_from(CURRENCIES))
    check_in = draw(st.sampled_from(NIGHTS[zone])) + timedelta(
        days=draw(st.integers(0, 40)), minutes=15 * draw(st.integers(0, 24)) + draw(st.integers(0, 1))
    )
    check_out = check_in + timedelta(days=draw(st.integers(1, 20)), hours=draw(st.integers(-4, 4)))
    lead = timedelta(minutes=draw(st.integers(-1000, 80_000)))
    return Terms(
        policy=draw(policies(currency)),
        currency=currency,
        total=draw(SUM),
        placed_at=check_in.replace(tzinfo=UTC) - lead,
        check_in=check_in,
        check_out=check_out,
        time_zone=zone,
    )


@st.composite
def bookings_with_a_moment(draw: st.DrawFn) -> tuple[Terms, datetime]:
    """A booking, and a moment: often an edge, or next to one."""
    terms = draw(bookings())
    near = st.sampled_from([edge(terms, rule) for rule in terms.policy.rules] + [free_until(terms), terms.begins_at])
    away = st.sampled_from([timedelta(), timedelta.resolution, -timedelta.resolution]) | st.timedeltas(
        timedelta(days=-60), timedelta(days=60)
    )
    return terms, draw(near) + draw(away)


# The reckoning by other means: fractions, and offsets from UTC instead of folds


def instant(shown: datetime, zone: str) -> datetime:
    """The later of the instants at which a clock shows this or, if it never does, would have but for the change."""
    offsets = {(shown + timedelta(days=days)).replace(tzinfo=ZoneInfo(zone)).utcoffset() for days in (-1, 1)}
    meant = [shown.replace(tzinfo=UTC) - offset for offset in offsets if offset is not None]
    real = [at for at in meant if at.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == shown]
    return max(real or meant)


def edge(terms: Terms, rule: Rule) -> datetime:
    if rule.hours is not None:
        return instant(terms.check_in, terms.time_zone) - timedelta(hours=rule.hours)
    return instant(terms.check_in - timedelta(days=rule.days or 0), terms.time_zone)


def free_until(terms: Terms) -> datetime:
    return terms.placed_at + timedelta(hours=terms.policy.free_hours)


def bounded(terms: Terms, fee: Fee) -> int:
    if fee.percent is not None:
        exact = Fraction(fee.percent) * terms.total / 100
    elif fee.nights is not None:
        exact = Fraction(terms.total, (terms.check_out.date() - terms.check_in.date()).days or 1) * fee.nights
    else:
        exact = Fraction(fee.amount or 0)
    rounded = floor(exact + Fraction(1, 2))
    if rounded and terms.policy.minimum is not None:
        rounded = max(rounded, terms.policy.minimum)
    return rounded if terms.policy.maximum is None else min(rounded, terms.policy.maximum)


def expected(terms: Terms, at: datetime, paid: int) -> int:
    policy = terms.policy
    if policy.free_hours and at < free_until(terms):
        return 0
    if not policy.refundable:
        return min(paid, terms.total)
    fees = [bounded(terms, rule.fee) for rule in policy.rules if at >= edge(terms, rule)]
    if at >= instant(terms.check_in, terms.time_zone):
        fees.append(bounded(terms, policy.no_show))
    return min(max(fees, default=0), paid, terms.total)


# What holds


@given(bookings_with_a_moment(), SUM)
def test_what_is_kept_and_what_is_given_back_is_all_that_was_paid(example: tuple[Terms, datetime], paid: int) -> None:
    terms, at = example
    charge = CancellationCalculator(terms).calculate(at, paid)
    assert charge.fee + charge.refund == paid
    assert charge.fee >= 0
    assert charge.refund >= 0


@given(bookings_with_a_moment(), SUM)
def test_the_fee_is_what_a_reckoning_by_other_means_comes_to(example: tuple[Terms, datetime], paid: int) -> None:
    terms, at = example
    assert CancellationCalculator(terms).calculate(at, paid).fee == expected(terms, at, paid)


@given(bookings_with_a_moment(), st.timedeltas(timedelta(0), timedelta(days=60)), SUM)
def test_nobody_pays_less_for_having_waited(example: tuple[Terms, datetime], wait: timedelta, paid: int) -> None:
    terms, at = example
    calculator = CancellationCalculator(terms)
    assert calculator.calculate(at, paid).fee <= calculator.calculate(at + wait, paid).fee


@given(bookings_with_a_moment(), SUM)
def test_inside_its_window_every_booking_is_canceled_free(example: tuple[Terms, datetime], paid: int) -> None:
    terms, at = example
    assume(at < free_until(terms) and terms.policy.free_hours)
    charge = CancellationCalculator(terms).calculate(at, paid)
    assert (charge.fee, charge.rule) == (0, "free_window")


@given(bookings_with_a_moment(), SUM, st.randoms(use_true_random=False))
def test_the_order_in_which_rules_are_written_changes_no_fee(
    example: tuple[Terms, datetime], paid: int, random: Random
) -> None:
    terms, at = example
    rules = list(terms.policy.rules)
    random.shuffle(rules)
    shuffled = replace(terms, policy=replace(terms.policy, rules=tuple(rules)))
    fees = [CancellationCalculator(each).calculate(at, paid).fee for each in (terms, shuffled)]
    assert fees[0] == fees[1]


@given(bookings(), SUM)
def test_the_steps_cover_all_time_and_no_two_neighbors_are_alike(terms: Terms, paid: int) -> None:
    steps = CancellationCalculator(terms).steps(paid)
    assert steps[0].begins is None
    assert steps[-1].ends is None
    for before, after in pairwise(steps):
        assert before.ends == after.begins
        assert before.charge != after.charge
        assert before.charge.fee <= after.charge.fee


@given(bookings(), SUM)
def test_the_steps_tell_what_a_cancel_costs_at_before_and_after_every_edge(terms: Terms, paid: int) -> None:
    calculator = CancellationCalculator(terms)
    steps = calculator.steps(paid)
    edges = [terms.begins_at, free_until(terms), *(edge(terms, rule) for rule in terms.policy.rules)]
    for at in edges:
        for moment in (at - timedelta.resolution, at, at + timedelta.resolution):
            assert told(steps, moment).charge == calculator.calculate(moment, paid)


def told(steps: list[Step], at: datetime) -> Step:
    (step,) = [
        step for step in steps if (step.begins is None or step.begins <= at) and (step.ends is None or at < step.ends)
    ]
    return step


@given(
    st.integers(0, 1000) | SUM,
    st.sampled_from([Decimal("50"), Decimal("12.5"), Decimal("0.05")]) | st.decimals(0, 100, places=2),
    st.sampled_from(CURRENCIES),
)
def test_half_a_minor_unit_is_rounded_up_in_every_currency(total: int, percent: Decimal, currency: str) -> None:
    terms = Terms(
        Policy(no_show=Fee(percent=percent)),
        currency,
        total,
        datetime(2024, 1, 1, tzinfo=UTC),
        wall("2024-02-01T15:00"),
        wall("2024-02-02T11:00"),
        "Asia/Kathmandu",
    )
    fee = CancellationCalculator(terms).calculate(terms.begins_at, total).fee
    assert Fraction(-1, 2) < fee - Fraction(percent) * total / 100 <= Fraction(1, 2)


@pytest.mark.parametrize("zone", NIGHTS)
@given(st.integers(0, 24 * 60), st.integers(0, 1))
def test_every_minute_of_a_night_that_changes_the_clocks_is_the_later_instant(
    zone: str, minutes: int, which: int
) -> None:
    check_in = NIGHTS[zone][which] + timedelta(minutes=minutes)
    stay = check_in, check_in + timedelta(days=2)
    terms = Terms(Policy(), "EUR", 1, datetime(2024, 1, 1, tzinfo=UTC), *stay, zone)
    assert terms.begins_at == instant(check_in, zone)
