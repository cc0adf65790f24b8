"""Policies: from when on a cancel costs how much, and what a guest is told about it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from shared.domain.policies import (
    MOST_DAYS,
    MOST_HOURS,
    MOST_NIGHTS,
    MOST_RULES,
    CancellationCalculator,
    Charge,
    Fee,
    Policy,
    Rule,
    Step,
    Terms,
)
from shared.domain.totals import LIMIT

#: A time as a clock on a wall shows it.
wall = datetime.fromisoformat

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

#: Booked long before; three nights of 200.00 from Christmas Eve on, at three in the afternoon in Berlin.
PLACED = datetime(2024, 6, 1, 12, tzinfo=UTC)
CHECK_IN = datetime(2024, 12, 24, 14, tzinfo=UTC)
WEEK = Rule(Fee(percent=Decimal(50)), days=7)
LATE = Rule(Fee(nights=2), hours=48)


def terms(policy: Policy, **changes: Any) -> Terms:
    booking = Terms(
        policy=Policy(),
        currency="EUR",
        total=60000,
        placed_at=PLACED,
        check_in=wall("2024-12-24T15:00"),
        check_out=wall("2024-12-27T11:00"),
        time_zone="Europe/Berlin",
    )
    return replace(booking, policy=policy, **changes)


def charge(policy: Policy, at: datetime, paid: int = 60000, **changes: Any) -> Charge:
    return CancellationCalculator(terms(policy, **changes)).calculate(at, paid)


def asked(fee: Fee, **changes: Any) -> int:
    """What a fee comes to, in a policy that asks for nothing else."""
    policy = Policy(rules=(Rule(fee, days=7),), no_show=Fee(amount=0), currency=changes.get("currency", "EUR"))
    return charge(policy, CHECK_IN - HOUR, LIMIT, **changes).fee


def test_before_the_first_edge_a_cancel_is_free_and_from_the_edge_on_it_is_not() -> None:
    edge = CHECK_IN - 7 * DAY
    before = charge(Policy(rules=(WEEK,)), edge - timedelta.resolution)
    assert before == Charge(0, 60000, "free", "Cancellation is free of charge")
    after = charge(Policy(rules=(WEEK,)), edge)
    assert after == Charge(30000, 30000, "rule_1", "Cancellation less than 7 days before check-in: 50% of the price")


def test_from_check_in_on_the_fee_is_that_of_a_guest_who_did_not_come() -> None:
    assert charge(Policy(), CHECK_IN - timedelta.resolution).rule == "free"
    assert charge(Policy(), CHECK_IN) == Charge(
        60000, 0, "no_show", "No-show, or cancellation after check-in: 100% of the price"
    )
    assert charge(Policy(no_show=Fee(nights=1)), CHECK_IN + 30 * DAY).fee == 20000


def test_a_no_show_that_costs_less_than_a_cancel_did_makes_nothing_cheaper() -> None:
    policy = Policy(rules=(WEEK,), no_show=Fee(nights=1))
    assert charge(policy, CHECK_IN) == charge(policy, CHECK_IN - MINUTE)


def test_the_dearest_of_the_fees_whose_edge_has_passed_is_due_whatever_they_are_measured_in() -> None:
    policy = Policy(rules=(Rule(Fee(amount=8000), days=1), LATE, WEEK), currency="EUR")
    for total, fees in ((60000, [30000, 40000, 40000]), (9000, [4500, 6000, 8000]), (30000, [15000, 20000, 20000])):
        at = [CHECK_IN - 3 * DAY, CHECK_IN - 2 * DAY, CHECK_IN - 1 * DAY]
        assert [charge(policy, moment, total, total=total).fee for moment in at] == fees


def test_rules_are_numbered_from_the_earliest_edge_and_of_equal_fees_the_first_is_the_reason() -> None:
    cheap = Rule(Fee(percent=Decimal(10)), hours=6)
    policy = Policy(rules=(cheap, LATE, WEEK), no_show=Fee(percent=Decimal(0)))
    assert charge(policy, CHECK_IN - 3 * DAY).rule == "rule_1"
    assert [charge(policy, CHECK_IN - at).rule for at in (2 * DAY, HOUR, -HOUR)] == ["rule_2"] * 3
    twins = Policy(rules=(WEEK, replace(WEEK, days=3)))
    assert charge(twins, CHECK_IN - HOUR).rule == "rule_1"


def test_what_is_not_refundable_is_kept_whole_at_any_time() -> None:
    policy = Policy(rules=(WEEK,), refundable=False, no_show=Fee(nights=1), maximum=100, currency="EUR")
    for at in (PLACED, CHECK_IN - 100 * DAY, CHECK_IN, CHECK_IN + DAY):
        assert charge(policy, at, 12345) == Charge(
            12345, 0, "non_refundable", "This booking is not refundable: its price is kept"
        )


@pytest.mark.parametrize("policy", [Policy(refundable=False), Policy(rules=(Rule(Fee(nights=365), days=700),))])
def test_of_more_than_the_price_what_is_beyond_it_is_always_given_back(policy: Policy) -> None:
    found = charge(policy, CHECK_IN - DAY, 120_000)
    assert (found.fee, found.refund) == (60_000, 60_000)


@pytest.mark.parametrize("refundable", [True, False])
@pytest.mark.parametrize("placed", [PLACED, CHECK_IN - HOUR])
def test_inside_the_window_after_booking_a_cancel_is_free_whatever_else(placed: datetime, refundable: bool) -> None:
    policy = Policy(rules=(WEEK,), refundable=refundable, free_hours=24)
    last = charge(policy, placed + DAY - timedelta.resolution, placed_at=placed)
    words = "Cancellation less than 24 hours after booking: free of charge"
    assert last == Charge(0, 60000, "free_window", words)
    assert charge(policy, placed + DAY, placed_at=placed).rule != "free_window"


def test_without_a_window_nothing_is_free_because_it_was_just_booked() -> None:
    assert charge(Policy(rules=(WEEK,)), CHECK_IN - HOUR, placed_at=CHECK_IN - HOUR).fee == 30000


@pytest.mark.parametrize(
    ("bounds", "percent", "fee", "words"),
    [
        ({"minimum": 1000}, "1", 1000, "1% of the price, but at least 10.00 EUR"),
        ({"minimum": 1000}, "0", 0, None),
        ({"minimum": 30000, "maximum": 30000}, "50", 30000, "50% of the price"),
        ({"maximum": 25000}, "50", 25000, "50% of the price, but at most 250.00 EUR"),
        ({"maximum": 0}, "50", 0, None),
    ],
)
def test_any_fee_but_zero_is_kept_within_its_bounds(
    bounds: dict[str, int], percent: str, fee: int, words: str | None
) -> None:
    policy = Policy(rules=(Rule(Fee(percent=Decimal(percent)), days=7),), currency="EUR", **bounds)
    found = charge(policy, CHECK_IN - HOUR)
    assert found.fee == fee
    expected = f"Cancellation less than 7 days before check-in: {words}" if words else "Cancellation is free of charge"
    assert found.description == expected


def test_no_more_is_kept_than_was_paid() -> None:
    found = charge(Policy(rules=(WEEK,)), CHECK_IN - HOUR, 100)
    assert (found.fee, found.refund, found.rule) == (100, 0, "rule_1")
    assert found.description.endswith(": 50% of the price, but no more than was paid")
    assert charge(Policy(rules=(WEEK,)), CHECK_IN - HOUR, 0).fee == 0


@pytest.mark.parametrize(
    ("currency", "total", "fee", "minor"),
    [
        ("EUR", 101, Fee(percent=Decimal(50)), 51),  # 50.5 cents, which half-even would make 50
        ("EUR", 99, Fee(percent=Decimal(50)), 50),
        ("JPY", 12345, Fee(percent=Decimal("12.5")), 1543),  # 1543.125 yen
        ("JPY", 5, Fee(percent=Decimal(10)), 1),  # 0.5 yen
        ("KWD", 12345, Fee(percent=Decimal("33.33")), 4115),  # 4114.5885 fils
        ("EUR", 10000, Fee(nights=1), 3333),  # 3333.33 cents
        ("EUR", 20000, Fee(nights=1), 6667),
        ("JPY", 10, Fee(nights=1), 3),
        ("KWD", 5, Fee(nights=1), 2),
        ("KWD", 5, Fee(nights=3), 5),
        ("EUR", LIMIT, Fee(percent=Decimal("99.99")), 999_899_999_999),
    ],
)
def test_a_fee_is_rounded_half_up_to_the_minor_units_of_its_currency(
    currency: str, total: int, fee: Fee, minor: int
) -> None:
    assert asked(fee, currency=currency, total=total) == minor


def test_the_price_of_a_night_is_what_a_night_of_the_stay_costs_on_average() -> None:
    assert asked(Fee(nights=1)) == 20000
    assert asked(Fee(nights=2)) == 40000
    assert asked(Fee(nights=1), check_out=wall("2024-12-24T23:00")) == 60000, "a stay within a day is one night"
    assert asked(Fee(nights=1), check_out=wall("2024-12-26T23:00")) == 30000, "nights are counted by dates"


@pytest.mark.parametrize(
    ("zone", "check_in", "edge"),
    [
        ("Europe/Dublin", "2024-04-01T01:30", "2024-03-31T01:30Z"),  # never shown: 01:30 in winter time is meant
        ("Europe/Dublin", "2024-10-28T01:30", "2024-10-27T01:30Z"),  # shown twice: the second time
        ("America/New_York", "2024-03-11T02:30", "2024-03-10T07:30Z"),
        ("America/New_York", "2024-11-04T01:30", "2024-11-03T06:30Z"),
        ("Australia/Lord_Howe", "2024-10-07T02:15", "2024-10-05T15:45Z"),  # put forward by half an hour
        ("Australia/Lord_Howe", "2024-04-08T01:45", "2024-04-06T15:15Z"),
        ("America/Santiago", "2024-09-09T00:30", "2024-09-08T04:30Z"),  # put forward at midnight
        ("America/Santiago", "2024-04-07T23:30", "2024-04-07T03:30Z"),
        ("Asia/Kathmandu", "2024-05-08T14:00", "2024-05-07T08:15Z"),  # never changed; not a whole hour from UTC
        ("Pacific/Apia", "2011-12-31T14:00", "2011-12-31T00:00Z"),  # had no 30 December
    ],
)
def test_a_day_before_is_the_same_time_on_the_hotels_clock_and_in_doubt_the_later_instant(
    zone: str, check_in: str, edge: str
) -> None:
    begins = wall(check_in)
    booking = terms(Policy(), time_zone=zone, check_in=begins, check_out=begins + 3 * DAY, placed_at=PLACED)
    assert booking.edge(Rule(Fee(nights=1), days=1)) == datetime.fromisoformat(edge)


def test_check_in_and_check_out_are_instants_on_the_same_clock() -> None:
    booking = terms(Policy(), check_in=wall("2024-10-26T15:00"), check_out=wall("2024-10-27T02:30"))
    assert (booking.begins_at, booking.ends_at) == (
        datetime(2024, 10, 26, 13, tzinfo=UTC),
        datetime(2024, 10, 27, 1, 30, tzinfo=UTC),  # half past two comes twice in that night
    )
    assert (booking.begins_at.tzinfo, booking.ends_at.tzinfo, booking.nights) == (UTC, UTC, 1)


def test_two_days_are_of_the_calendar_and_48_hours_of_a_stop_watch() -> None:
    stay = {"check_in": wall("2024-03-11T15:00"), "check_out": wall("2024-03-12T11:00")}
    booking = terms(Policy(), time_zone="America/New_York", **stay)
    assert booking.edge(Rule(Fee(nights=1), days=2)) == datetime(2024, 3, 9, 20, tzinfo=UTC)
    assert booking.edge(Rule(Fee(nights=1), hours=48)) == datetime(2024, 3, 9, 19, tzinfo=UTC)


def test_a_moment_in_any_zone_is_that_moment() -> None:
    edge = (CHECK_IN - 7 * DAY).astimezone(ZoneInfo("Asia/Kathmandu"))
    assert charge(Policy(rules=(WEEK,)), edge).rule == "rule_1"
    assert charge(Policy(rules=(WEEK,)), edge - timedelta.resolution).rule == "free"


@pytest.mark.parametrize(
    ("rule", "currency", "words"),
    [
        (Rule(Fee(amount=8000), days=1), "EUR", "Cancellation less than 1 day before check-in: 80.00 EUR"),
        (Rule(Fee(amount=8000), days=2), "JPY", "Cancellation less than 2 days before check-in: 8,000 JPY"),
        (Rule(Fee(nights=1), hours=1), "EUR", "Cancellation less than 1 hour before check-in: the price of 1 night"),
        (
            Rule(Fee(nights=2), hours=24),
            "EUR",
            "Cancellation less than 24 hours before check-in: the price of 2 nights",
        ),
        (Rule(Fee(percent=Decimal("12.50")), days=0), "EUR", "Cancellation after check-in: 12.5% of the price"),
        (Rule(Fee(percent=Decimal("100.00")), hours=0), "KWD", "Cancellation after check-in: 100% of the price"),
    ],
)
def test_a_guest_reads_one_plain_sentence(rule: Rule, currency: str, words: str) -> None:
    policy = Policy(rules=(rule,), no_show=Fee(nights=0), currency=currency)
    assert charge(policy, CHECK_IN, currency=currency).description == words


def test_the_steps_tell_every_charge_with_its_time() -> None:
    policy = Policy(rules=(LATE, WEEK), free_hours=24)
    steps = CancellationCalculator(terms(policy)).steps(60000)
    edges = [PLACED + DAY, CHECK_IN - 7 * DAY, CHECK_IN - 2 * DAY, CHECK_IN]
    assert [step.begins for step in steps] == [None, *edges]
    assert [step.ends for step in steps] == [*edges, None]
    assert [step.charge.fee for step in steps] == [0, 0, 30000, 40000, 60000]
    assert [step.charge.rule for step in steps] == ["free_window", "free", "rule_1", "rule_2", "no_show"]


def test_steps_of_the_same_charge_are_one() -> None:
    kept = CancellationCalculator(terms(Policy(rules=(WEEK, LATE), refundable=False))).steps(60000)
    assert [(step.begins, step.ends, step.charge.fee) for step in kept] == [(None, None, 60000)]
    idle = Rule(Fee(percent=Decimal(20)), days=3)
    steps = CancellationCalculator(terms(Policy(rules=(WEEK, idle)))).steps(60000)
    assert [step.charge.rule for step in steps] == ["free", "rule_1", "no_show"]


def test_a_step_can_be_shown_on_the_clock_of_a_place_without_becoming_another() -> None:
    step = CancellationCalculator(terms(Policy(rules=(WEEK,)))).steps(60000)[1]
    local = step.local("Europe/Berlin")
    assert local == step
    assert f"{local.begins:%d %b %H:%M %Z}, {local.ends:%d %b %H:%M %Z}" == "17 Dec 15:00 CET, 24 Dec 15:00 CET"
    assert Step(None, None, step.charge).local("Asia/Kathmandu") == Step(None, None, step.charge)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"percent": Decimal(1), "amount": 1},
        {"amount": 0, "nights": 0},
        {"percent": Decimal("-0.01")},
        {"percent": Decimal("100.01")},
        {"percent": Decimal("NaN")},
        {"percent": Decimal("Infinity")},
        {"amount": -1},
        {"amount": LIMIT + 1},
        {"nights": -1},
        {"nights": MOST_NIGHTS + 1},
    ],
)
def test_a_fee_is_exactly_one_thing_within_reason(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Fee(**given)


@pytest.mark.parametrize(
    "edge",
    [{}, {"days": 1, "hours": 1}, {"days": -1}, {"hours": -1}, {"days": MOST_DAYS + 1}, {"hours": MOST_HOURS + 1}],
)
def test_a_rule_has_exactly_one_edge_within_reason(edge: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Rule(Fee(nights=1), **edge)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"rules": (WEEK,) * (MOST_RULES + 1)}, "at most 20 rules"),
        ({"free_hours": -1}, "free_hours"),
        ({"free_hours": MOST_HOURS + 1}, "free_hours"),
        ({"minimum": -1, "currency": "EUR"}, "minimum"),
        ({"maximum": LIMIT + 1, "currency": "EUR"}, "maximum"),
        ({"minimum": 2, "maximum": 1, "currency": "EUR"}, "minimum is above maximum"),
        ({"minimum": 0}, "currency is required"),
        ({"maximum": 0}, "currency is required"),
        ({"no_show": Fee(amount=0)}, "currency is required"),
        ({"rules": (WEEK, Rule(Fee(amount=0), days=1))}, "currency is required"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Policy(**given)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        *(
            ({"time_zone": zone}, "no such time zone")
            for zone in (
                "",
                "Europe/Atlantis",
                "Europe",
                "europe/berlin",
                "../etc/passwd",
                "/etc/localtime",
                "A\0",
                "A" * 300,
            )
        ),
        *(
            ({"time_zone": zone}, "no such time zone")
            for zone in ("right/Europe/Berlin", "localtime", "\ud800", "É", "Etc/../Etc/UTC")
        ),
        ({"check_out": wall("2024-12-24T15:00")}, "after check_in"),
        ({"check_out": wall("2024-12-23T11:00")}, "after check_in"),
        ({"check_in": CHECK_IN}, "wall clock"),
        ({"check_out": CHECK_IN + DAY}, "wall clock"),
        ({"placed_at": wall("2024-06-01T00:00")}, "placed_at"),
        ({"total": -1}, "total"),
        ({"total": LIMIT + 1}, "total"),
        ({"placed_at": datetime.min.replace(tzinfo=UTC)}, "years"),
        ({"check_in": wall("1999-12-31T23:00")}, "years"),
        ({"check_out": wall("2200-01-01T00:00")}, "years"),
    ],
)
def test_terms_that_cannot_be_reckoned_with_are_refused(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        terms(Policy(), **given)


def test_a_stay_that_ends_before_it_begins_because_the_clock_is_put_forward_is_refused() -> None:
    night = {"check_in": wall("2024-03-10T02:30"), "check_out": wall("2024-03-10T03:00")}
    with pytest.raises(ValueError, match="after check_in"):
        terms(Policy(), time_zone="America/New_York", **night)


def test_amounts_of_another_currency_are_refused_and_a_policy_without_any_fits_all() -> None:
    with pytest.raises(ValueError, match="EUR"):
        terms(Policy(maximum=1, currency="EUR"), currency="USD")
    assert terms(Policy(rules=(WEEK,), currency="EUR"), currency="USD").total == 60000


@pytest.mark.parametrize("paid", [-1, LIMIT + 1])
def test_nobody_paid_less_than_nothing_or_more_than_can_be_counted(paid: int) -> None:
    calculator = CancellationCalculator(terms(Policy()))
    with pytest.raises(ValueError, match="paid"):
        calculator.calculate(PLACED, paid)
    with pytest.raises(ValueError, match="paid"):
        calculator.steps(paid)
