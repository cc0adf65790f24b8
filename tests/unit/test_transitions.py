"""Every table of transitions: every pair of state and event, and what the tables promise as a whole."""

from collections.abc import Mapping
from enum import StrEnum
from itertools import product
from typing import Any

import pytest

from shared.domain import emails, intents, orders, payments
from shared.domain.transitions import IllegalTransition, advance, moves

#: Each table as sentences "state + event = state"; whatever is not said here is illegal.
TABLES: list[tuple[Mapping[Any, Any], type[StrEnum], type[StrEnum], str]] = [
    (
        orders.TRANSITIONS,
        orders.OrderStatus,
        orders.OrderEvent,
        """
        pending + order_canceled = canceled
        pending + order_captured = captured
        """,
    ),
    (
        payments.TRANSITIONS,
        payments.PaymentStatus,
        payments.PaymentEvent,
        """
        authorized + capture_started = capturing
        capturing + capture_started = capturing
        capturing + capture_unanswered = capturing
        capturing + payment_captured = captured
        capturing + capture_refused = authorized
        capturing + authorization_lapsed = voided
        authorized + void_started = voiding
        voiding + void_unanswered = voiding
        voiding + payment_voided = voided
        voiding + void_overtaken_by_capture = captured
        voiding + void_refused = authorized
        """,
    ),
    (
        payments.CAPTURE_TRANSITIONS,
        payments.CaptureState,
        payments.CaptureEvent,
        """
        waiting + started = active
        active + started = active
        active + captured = done
        active + refused = failed
        waiting + canceled = removed
        """,
    ),
    (
        payments.VOID_TRANSITIONS,
        payments.VoidState,
        payments.VoidEvent,
        """
        requested + released = released
        requested + overtaken = overtaken
        requested + refused = refused
        """,
    ),
    (
        emails.TRANSITIONS,
        emails.EmailState,
        emails.EmailEvent,
        """
        pending + claimed = sending
        sending + claimed = sending
        sending + sent = sent
        sending + refused = refused
        sending + deferred = pending
        """,
    ),
    (
        intents.TRANSITIONS,
        intents.IntentState,
        intents.IntentEvent,
        """
        accepted + claimed = working
        accepted + settled = done
        accepted + refused = refused
        accepted + parked = parked
        working + claimed = working
        working + settled = done
        working + refused = refused
        working + parked = parked
        """,
    ),
]

PAIRS = [
    pytest.param(table, state, event, legal, id=f"{states.__name__}-{state}-{event}")
    for table, states, events, sentences in TABLES
    for legal in [dict(sentence.strip().split(" = ") for sentence in sentences.strip().splitlines())]
    for state, event in product(states, events)
]


@pytest.mark.parametrize(("table", "state", "event", "legal"), PAIRS)
def test_every_pair_of_state_and_event_leads_where_the_rules_say_or_nowhere(
    table: Mapping[Any, Any], state: StrEnum, event: StrEnum, legal: dict[str, str]
) -> None:
    expected = legal.get(f"{state} + {event}")
    if expected is None:
        with pytest.raises(IllegalTransition, match=f"{state}: no {event}"):
            advance(table, state, event)
    else:
        assert advance(table, state, event) == expected


@pytest.mark.parametrize(("table", "states", "events", "sentences"), TABLES, ids=[t[1].__name__ for t in TABLES])
def test_a_table_holds_nothing_but_its_own_states_and_events(
    table: Mapping[Any, Any], states: type[StrEnum], events: type[StrEnum], sentences: str
) -> None:
    assert len(table) == len(sentences.strip().splitlines())
    assert all(type(state) is states and type(after) is states for (state, _), after in table.items())
    assert all(type(event) is events for _, event in table)


@pytest.mark.parametrize(
    ("table", "finals"),
    [
        (orders.TRANSITIONS, {"captured", "canceled"}),
        (payments.TRANSITIONS, {"captured", "voided"}),
        (payments.CAPTURE_TRANSITIONS, {"done", "removed", "failed"}),
        (payments.VOID_TRANSITIONS, {"released", "overtaken", "refused"}),
        (emails.TRANSITIONS, {"sent", "refused"}),
        (intents.TRANSITIONS, {"done", "refused", "parked"}),
    ],
)
def test_what_has_ended_stays_ended(table: Mapping[Any, Any], finals: set[str]) -> None:
    reached = {str(after) for after in table.values()}
    left = {str(state) for state, _ in table}
    assert reached - left == finals


def test_money_that_was_voided_is_never_captured_and_the_other_way_round() -> None:
    after = {
        status: {end for start, end in moves(payments.TRANSITIONS) if start == status}
        for status in payments.PaymentStatus
    }
    assert after[payments.PaymentStatus.VOIDED] == after[payments.PaymentStatus.CAPTURED] == set()


def test_moves_are_the_changes_of_state_and_leave_out_what_stays() -> None:
    assert moves(payments.CAPTURE_TRANSITIONS) == {
        ("waiting", "active"),
        ("active", "done"),
        ("active", "failed"),
        ("waiting", "removed"),
    }
