"""The JSON of a policy and of its preview: refused with a reason, and never with an error of our own."""

from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.booking_requests import CancellationPolicy, PolicyPreview
from shared.domain.policies import Fee, Policy, Rule
from tests.bodies import changed

POLICY: dict[str, Any] = {
    "rules": [
        {"days_before": 7, "percent": "50"},
        {"hours_before": 48, "nights": 1},
        {"days_before": 1, "amount": 8000},
    ],
    "no_show": {"percent": "100"},
    "refundable": True,
    "free_hours": 24,
    "minimum": 1000,
    "maximum": 50000,
    "currency": "EUR",
    "capture_fee": False,
}
PREVIEW: dict[str, Any] = {
    "policy": POLICY,
    "booking": {
        "currency": "EUR",
        "total": 60000,
        "placed_at": "2026-11-21T12:00:00Z",
        "check_in": "2026-12-24T15:00",
        "check_out": "2026-12-27T11:00",
        "time_zone": "Europe/Berlin",
    },
    "paid": 30000,
}


def read(body: object) -> PolicyPreview:
    return msgspec.json.decode(msgspec.json.encode(body), type=PolicyPreview)


def test_a_policy_is_read_as_the_rules_know_it() -> None:
    policy = msgspec.json.decode(msgspec.json.encode(POLICY), type=CancellationPolicy).policy()
    assert policy == Policy(
        rules=(
            Rule(Fee(percent=Decimal(50)), days=7),
            Rule(Fee(nights=1), hours=48),
            Rule(Fee(amount=8000), days=1),
        ),
        no_show=Fee(percent=Decimal(100)),
        refundable=True,
        free_hours=24,
        minimum=1000,
        maximum=50000,
        currency="EUR",
        capture_fee=False,
    )


def test_every_member_of_a_policy_may_be_left_out_and_none_is_lost() -> None:
    assert CancellationPolicy().policy() == Policy()
    given = {"refundable": False, "free_hours": 1, "capture_fee": True, "no_show": {"nights": 2}, "currency": "JPY"}
    policy = msgspec.convert(given, CancellationPolicy).policy()
    assert policy == Policy(refundable=False, free_hours=1, capture_fee=True, no_show=Fee(nights=2), currency="JPY")


def test_a_preview_is_read_with_the_terms_of_its_booking() -> None:
    preview = read(PREVIEW)
    terms = preview.terms()
    assert (terms.currency, terms.total, terms.time_zone, preview.paid) == ("EUR", 60000, "Europe/Berlin", 30000)
    assert (terms.placed_at, terms.nights) == (datetime(2026, 11, 21, 12, tzinfo=UTC), 3)
    assert terms.begins_at == datetime(2026, 12, 24, 14, tzinfo=UTC)
    assert terms.policy == preview.policy.policy()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("policy.rules.0.percent", "12.25"),
        ("policy.rules.0.percent", "100.00"),
        ("policy.rules.0.percent", "0"),
        ("policy.rules.0.days_before", 730),
        ("policy.rules.1.hours_before", 17520),
        ("policy.rules.1.nights", 365),
        ("policy.rules", []),
        ("policy.minimum", None),
        ("booking.check_in", "2026-12-24T15:00:59"),
        ("booking.placed_at", "2026-11-21T12:00:00+05:45"),
        ("booking.time_zone", "America/Argentina/ComodRivadavia"),
        ("paid", None),
        ("paid", 0),
    ],
)
def test_a_preview_at_the_edge_of_what_is_taken_is_taken(path: str, value: Any) -> None:
    read(changed(PREVIEW, path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *(("policy.rules.0.percent", percent) for percent in ("101", "100.01", "-1", "1.234", "1e1", "NaN", "", " 5")),
        *(("policy.rules.0.percent", percent) for percent in ("5%", "5\n", ".5", "5.", "\u0661", 50, 0.5, True, None)),
        *(("policy.rules.0.days_before", days) for days in (-1, 731, 1.5, "7", None)),
        *(("policy.rules.1.hours_before", hours) for hours in (-1, 17521, "48", None)),
        *(("policy.rules.1.nights", nights) for nights in (-1, 366, 0.5, "1", None)),
        *(("policy.rules.2.amount", amount) for amount in (-1, 10**12, 1.5, "8000", None)),
        ("policy.rules.0.amount", 1),
        ("policy.rules.0.hours_before", 1),
        ("policy.rules.0.rules", []),
        ("policy.rules", [{"days_before": 1, "percent": "1"}] * 21),
        ("policy.rules", None),
        ("policy.rules.0", {}),
        ("policy.rules.0", {"days_before": 1}),
        ("policy.rules.0", {"percent": "1"}),
        ("policy.no_show", {}),
        ("policy.no_show", None),
        ("policy.no_show", {"percent": "1", "nights": 1}),
        ("policy.no_show", {"percent": "1", "days_before": 1}),
        ("policy.refundable", None),
        ("policy.refundable", "no"),
        ("policy.free_hours", -1),
        ("policy.free_hours", 17521),
        ("policy.minimum", -1),
        ("policy.minimum", 50001),
        ("policy.maximum", 10**12),
        ("policy.currency", None),
        ("policy.currency", "USD"),
        ("policy.currency", "eur"),
        ("policy.fee", 1),
        *(("booking.currency", currency) for currency in ("USD", "eur", "EURO", None)),
        *(("booking.total", total) for total in (-1, 10**12, "1", 0.5, None)),
        *(("booking.placed_at", at) for at in ("2026-11-21T12:00:00", "today", "1999-12-31T00:00:00Z", None)),
        *(("booking.placed_at", at) for at in ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", 0)),
        *(("booking.check_in", at) for at in ("2026-12-24T15:00Z", "2026-12-24T15:00+01:00", "2026-12-24", None)),
        *(("booking.check_in", at) for at in ("2026-12-24 15:00", "2026-12-24T24:00", "2026-13-24T15:00", 1)),
        *(("booking.check_in", at) for at in ("2026-02-30T15:00", "1999-12-31T15:00", "2026-12-27T11:00", "")),
        *(("booking.check_in", at) for at in ("0000-01-01T00:00", "2026-12-24T15:00\n", "2026-12-24T15:60")),
        *(("booking.check_out", at) for at in ("2026-12-24T15:00", "2026-12-27T11:00Z", "9999-12-31T23:59", None)),
        *(("booking.time_zone", zone) for zone in ("", "Europe/Atlantis", "europe/berlin", "../x", "CET\0", None)),
        *(("booking.time_zone", zone) for zone in ("localtime", "right/UTC", "A" * 65, "+01:00", 1)),
        ("booking.guest", "Ann"),
        *(("paid", paid) for paid in (-1, 10**12, "1", 0.5)),
        ("booking", None),
        ("policy", None),
        ("nobody", "knows"),
    ],
)
def test_a_preview_that_is_wrong_in_one_place_is_refused(path: str, value: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        read(changed(PREVIEW, path, value))


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("policy.no_show", {}, "exactly one of percent, amount, nights must be given - at `$.policy.no_show`"),
        (
            "policy.rules.1.days_before",
            2,
            "exactly one of days_before, hours_before must be given - at `$.policy.rules[1]`",
        ),
        ("policy.currency", None, "currency is required where there are amounts - at `$.policy`"),
        ("policy.minimum", 50001, "minimum is above maximum - at `$.policy`"),
        ("booking.time_zone", "Europe/Atlantis", "there is no such time zone"),
        ("booking.check_out", "2026-12-24T15:00", "check_out must be after check_in"),
    ],
)
def test_a_refusal_says_what_is_wrong_and_where(path: str, value: Any, reason: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        read(changed(PREVIEW, path, value))
    assert str(caught.value) == reason


@given(st.datetimes().map(lambda moment: moment.isoformat(timespec="minutes")) | st.text(max_size=20))
def test_no_time_whatsoever_breaks_anything(moment: str) -> None:
    with suppress(msgspec.ValidationError):
        assert read(changed(PREVIEW, "booking.check_in", moment)).terms().begins_at
    with suppress(msgspec.ValidationError):
        assert read(changed(PREVIEW, "booking.check_out", moment)).terms().ends_at


@given(st.text(max_size=20))
def test_no_word_whatsoever_breaks_anything_where_a_time_zone_stands(zone: str) -> None:
    with suppress(msgspec.ValidationError):
        assert read(changed(PREVIEW, "booking.time_zone", zone)).terms().begins_at
