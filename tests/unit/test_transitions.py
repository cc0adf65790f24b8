"""Every table of transitions: every pair of state and event, and what the tables promise as a whole."""

from collections.abc import Mapping
from enum import StrEnum
from itertools import product
from typing import Any

import pytest

from shared.domain import emails, intents, orders, payments, refunds, settling, shipments, webhooks
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
        captured + order_canceled = canceled
        pending + order_canceling = canceling
        captured + order_canceling = canceling
        canceling + order_canceled = canceled
        canceling + order_stands = pending
        canceling + order_stands_captured = captured
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
        capturing + payment_captured_elsewhere = captured
        capturing + capture_declined = authorized
        capturing + capture_refused = authorized
        capturing + authorization_lapsed = voided
        capturing + authorization_canceled = voided
        authorized + payment_captured_elsewhere = captured
        authorized + authorization_lapsed = voided
        authorized + authorization_canceled = voided
        authorized + payment_partly_captured_elsewhere = partially_captured
        authorized + authorization_changed = authorized
        partially_captured + payment_partly_captured_elsewhere = partially_captured
        partially_captured + payment_captured_elsewhere = captured
        authorized + void_started = voiding
        voiding + void_unanswered = voiding
        voiding + void_lapsing = voiding
        voiding + payment_voided = voided
        voiding + void_overtaken_by_capture = captured
        voiding + void_refused = authorized
        voiding + closing_refused = unpaid
        unpaid + payment_authorized = authorized
        unpaid + payment_captured = captured
        unpaid + payment_partly_captured_elsewhere = partially_captured
        unpaid + authorization_lapsed = voided
        unpaid + authorization_canceled = voided
        unpaid + void_started = voiding
        captured + payment_partially_refunded = partially_refunded
        captured + payment_refunded = refunded
        partially_captured + payment_partially_refunded = partially_refunded
        partially_captured + payment_refunded = refunded
        partially_refunded + payment_partially_refunded = partially_refunded
        partially_refunded + payment_refunded = refunded
        partially_refunded + capture_stands = captured
        partially_refunded + partial_capture_stands = partially_captured
        refunded + payment_partially_refunded = partially_refunded
        refunded + capture_stands = captured
        refunded + partial_capture_stands = partially_captured
        """,
    ),
    (
        settling.TRANSITIONS,
        settling.CancellationState,
        settling.CancellationEvent,
        """
        settling + settled = done
        settling + refused = refused
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
        waiting + captured = done
        waiting + refused = failed
        """,
    ),
    (
        refunds.TRANSITIONS,
        refunds.RefundState,
        refunds.RefundEvent,
        """
        initiated + refund_started = processing
        processing + refund_started = processing
        processing + refund_unanswered = processing
        processing + refund_pending = processing
        processing + refund_completed = completed
        processing + refund_failed = failed
        completed + refund_failed = failed
        failed + refund_retried = initiated
        """,
    ),
    (
        payments.VOID_TRANSITIONS,
        payments.VoidState,
        payments.VoidEvent,
        """
        requested + lapsing = lapsing
        requested + released = released
        requested + overtaken = overtaken
        requested + refused = refused
        lapsing + lapsing = lapsing
        lapsing + released = released
        lapsing + overtaken = overtaken
        lapsing + refused = refused
        """,
    ),
    (
        shipments.CANCEL_TRANSITIONS,
        shipments.CancelState,
        shipments.CancelEvent,
        """
        requested + shipment_cancel_accepted = accepted
        requested + shipment_cancel_confirmed = confirmed
        requested + shipment_cancel_refused = refused
        accepted + shipment_cancel_confirmed = confirmed
        accepted + shipment_cancel_refused = refused
        refused + shipment_cancel_confirmed = confirmed
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
        webhooks.TRANSITIONS,
        webhooks.WebhookState,
        webhooks.WebhookEvent,
        """
        received + followed = done
        received + ignored = ignored
        received + parked = parked
        parked + retried = received
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
        parked + retried = accepted
        parked + resumed = working
        """,
    ),
]


def said(sentences: str) -> dict[str, str]:
    """The state after each "state + event" that a table's sentences speak of."""
    return dict(sentence.strip().split(" = ") for sentence in sentences.strip().splitlines())


PAIRS = [
    pytest.param(table, state, event, said(sentences), id=f"{states.__name__}-{state}-{event}")
    for table, states, events, sentences in TABLES
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
    assert len(table) == len(said(sentences))
    assert all(type(state) is states and type(after) is states for (state, _), after in table.items())
    assert all(type(event) is events for _, event in table)


@pytest.mark.parametrize(
    ("table", "finals"),
    [
        (orders.TRANSITIONS, {"canceled"}),
        (payments.TRANSITIONS, {"voided"}),
        (settling.TRANSITIONS, {"done", "refused"}),
        (payments.CAPTURE_TRANSITIONS, {"done", "removed", "failed"}),
        (payments.VOID_TRANSITIONS, {"released", "overtaken", "refused"}),
        (emails.TRANSITIONS, {"sent", "refused"}),
        (webhooks.TRANSITIONS, {"done", "ignored"}),
        (refunds.TRANSITIONS, set()),
        (intents.TRANSITIONS, {"done", "refused"}),
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
    assert after[payments.PaymentStatus.VOIDED] == set()
    for status in payments.REFUNDABLE:
        assert after[status] <= set(payments.REFUNDABLE)


def test_a_booking_whose_money_is_being_settled_is_canceled_or_is_what_it_was() -> None:
    before = {start for start, end in moves(orders.TRANSITIONS) if end == orders.OrderStatus.CANCELING}
    after = {end for start, end in moves(orders.TRANSITIONS) if start == orders.OrderStatus.CANCELING}
    assert after == before | {orders.OrderStatus.CANCELED}


def test_moves_are_the_changes_of_state_and_leave_out_what_stays() -> None:
    assert moves(payments.CAPTURE_TRANSITIONS) == {
        ("waiting", "active"),
        ("active", "done"),
        ("active", "failed"),
        ("waiting", "removed"),
        ("waiting", "done"),
        ("waiting", "failed"),
    }


@pytest.mark.parametrize(
    ("captured", "refunded", "after"),
    [
        (1000, 0, "capture_stands"),
        (400, 0, "partial_capture_stands"),
        (1000, 1, "payment_partially_refunded"),
        (400, 399, "payment_partially_refunded"),
        (1000, 1000, "payment_refunded"),
        (400, 400, "payment_refunded"),
    ],
)
def test_a_payment_stands_as_the_sum_of_its_refunds_says(captured: int, refunded: int, after: str) -> None:
    assert refunds.payment_event(1000, captured, refunded) == after
