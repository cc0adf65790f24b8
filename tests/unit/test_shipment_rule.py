"""What a courier's words mean: every pair that is known, and every sound that is not to be followed."""

import re
import time
from datetime import UTC, datetime
from itertools import product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.domain import shipments
from shared.domain.shipments import (
    AT_REST,
    CANCEL_TRANSITIONS,
    PICKED_UP,
    TAKEN_BACK,
    CancelEvent,
    CancelState,
    ShipmentStatus,
    Tracked,
    hints_at_cancellation,
)
from shared.domain.transitions import IllegalTransition, advance
from shared.providers.delhivery_statuses import MEANING, meaning

#: Every pair of Delhivery's, by what it means.
PAIRS = """
    UD Manifested = announced
    UD Not Picked = announced
    UD In Transit = in_transit
    UD Pending = in_transit
    UD Dispatched = in_transit
    DL Delivered = delivered
    RT In Transit = returning
    RT Pending = returning
    RT Dispatched = returning
    DL RTO = returned
    PP Open = reverse
    PP Scheduled = reverse
    PP Dispatched = reverse
    PU In Transit = reverse
    PU Pending = reverse
    PU Dispatched = reverse
    DL DTO = reverse
    CN Canceled = reverse
    CN Closed = reverse
"""
KNOWN = {
    (pair[:2], pair[3:]): status for pair, status in (line.strip().split(" = ") for line in PAIRS.strip().splitlines())
}
TYPES = sorted({status_type for status_type, _ in KNOWN})
STATUSES = sorted({status for _, status in KNOWN} | {"Lost", "Damaged", "Collected", "Cancelled", "Undelivered"})


@pytest.mark.parametrize(("status_type", "status"), list(product(TYPES, STATUSES)))
def test_every_pair_means_what_its_courier_says_or_nothing_at_all(status_type: str, status: str) -> None:
    assert meaning(status_type, status, None) == KNOWN.get((status_type, status), "unexplained")
    assert meaning(f" {status_type}\n", f"\t{status} ", "X-PPOM") == meaning(status_type, status, None)


def test_the_table_holds_these_pairs_and_no_other() -> None:
    assert dict(MEANING) == KNOWN


@pytest.mark.parametrize(
    ("status_type", "status"),
    [
        ("", ""),
        ("UD", ""),
        ("", "Delivered"),
        ("dl", "Delivered"),
        ("DL", "delivered"),
        ("DL", "Undelivered"),
        ("DL", "Delivered to neighbor"),
        ("UD", "Delivered"),
        ("UD", "Canceled"),
        ("UD", "Not  Picked"),
        ("UD", "Not_Picked"),
        ("RT", "Returned"),
        ("RT", "Delivered"),
        ("DL", "Lost"),
        ("UDX", "In Transit"),
    ],
)
def test_a_pair_that_is_not_known_to_the_letter_is_a_persons(status_type: str, status: str) -> None:
    assert meaning(status_type, status, None) is ShipmentStatus.UNEXPLAINED
    assert meaning(status_type, status, "DTUP-210") is ShipmentStatus.UNEXPLAINED


@pytest.mark.parametrize("pair", KNOWN)
@pytest.mark.parametrize("code", ["DTUP-210", " DTUP-210 "])
def test_the_code_of_a_seller_who_canceled_counts_only_for_a_parcel_that_has_not_left(
    pair: tuple[str, str], code: str
) -> None:
    has_not_left = pair in (("UD", "Manifested"), ("UD", "Not Picked"))
    assert meaning(*pair, code) == ("canceled" if has_not_left else KNOWN[pair])


@pytest.mark.parametrize("code", [None, "", "X-PNP", "DTUP-21", "DTUP-2100", "dtup-210", "XDTUP-210"])
def test_another_code_cancels_nothing(code: str | None) -> None:
    assert meaning("UD", "Not Picked", code) is ShipmentStatus.ANNOUNCED


# What follows from where a shipment is.


def test_an_order_is_canceled_by_what_never_left_and_by_what_comes_back() -> None:
    assert {*TAKEN_BACK} == {"canceled", "returning", "returned"}
    assert {pair for pair, status in MEANING.items() if status in TAKEN_BACK} == {
        ("RT", "In Transit"),
        ("RT", "Pending"),
        ("RT", "Dispatched"),
        ("DL", "RTO"),
    }


def test_what_is_on_its_way_or_unexplained_is_tracked_until_it_rests() -> None:
    assert {*AT_REST} == {"delivered", "canceled", "returned", "abandoned"}


@pytest.mark.parametrize(
    ("pair", "code", "picked_up", "before"),
    [
        (("UD", "Manifested"), None, False, True),
        (("UD", "Not Picked"), "DTUP-210", False, True),
        (("UD", "Not Picked"), "DTUP-210", True, False),
        (("UD", "Manifested"), None, True, False),
        (("UD", "In Transit"), None, False, False),
        (("DL", "Delivered"), None, False, False),
        (("RT", "In Transit"), None, False, False),
        (("DL", "RTO"), None, False, False),
        (("DL", "Lost"), None, False, True),
        (("DL", "Lost"), None, True, False),
    ],
)
def test_a_parcel_has_left_when_its_courier_says_so_in_either_way(
    pair: tuple[str, str], code: str | None, picked_up: bool, before: bool
) -> None:
    at, means = datetime(2026, 8, 1, tzinfo=UTC), meaning(*pair, code)
    assert Tracked("1234567890123", *pair, code, at, picked_up, means).before_pickup is before


def test_a_parcel_that_was_picked_up_is_with_its_courier_or_was() -> None:
    assert {*PICKED_UP} == {"in_transit", "delivered", "returning", "returned"}


# The cancellation of a shipment.

LEGAL = {
    ("requested", "shipment_cancel_accepted"): "accepted",
    ("requested", "shipment_cancel_confirmed"): "confirmed",
    ("requested", "shipment_cancel_refused"): "refused",
    ("accepted", "shipment_cancel_confirmed"): "confirmed",
    ("accepted", "shipment_cancel_refused"): "refused",
    ("refused", "shipment_cancel_confirmed"): "confirmed",
}


@pytest.mark.parametrize(("state", "event"), list(product(CancelState, CancelEvent)))
def test_a_cancellation_goes_where_the_rules_say_or_nowhere(state: CancelState, event: CancelEvent) -> None:
    if (state, event) in LEGAL:
        assert advance(CANCEL_TRANSITIONS, state, event) == LEGAL[state, event]
    else:
        with pytest.raises(IllegalTransition):
            advance(CANCEL_TRANSITIONS, state, event)


def test_what_tracking_has_confirmed_stays_confirmed() -> None:
    assert not any(state is CancelState.CONFIRMED for state, _ in CANCEL_TRANSITIONS)


# What a courier's free words sound like.

#: Whole words that tell of a parcel that was canceled or is coming back.
TELLING = {
    *("cancel", "cancels", "canceled", "cancelled", "canceling", "cancelling", "cancelation", "cancellation"),
    *("return", "returns", "returned", "returning", "reject", "rejects", "rejected", "rejecting", "rejection"),
    *("rto", "rts"),
}


@pytest.mark.parametrize("word", sorted(TELLING))
@pytest.mark.parametrize(
    "text", ["{}", "{}.", "Shipment {} today", "Status:{}", "X-{}-1", "shipment_{}_done", "({})", "one,{}"]
)
def test_a_whole_word_hints_wherever_it_stands_and_however_it_is_written(word: str, text: str) -> None:
    for written in (word, word.upper(), word.title()):
        assert hints_at_cancellation(text.format(written))


@pytest.mark.parametrize(
    "text",
    [
        "Cancelled - Customer Request",
        "Seller cancelled the order",
        "Cancelled - rejected by customer",
        "RTO - Consignee refused",
        "RTO Rejected by consignee",
        "Delivery failed RTO initiated",
        "Customer not available, RTO initiated",
        "Could not be delivered. Returned",
        "Not picked: cancelled",
        "Undelivered - rejected by consignee",
        "Consignee refused to accept, return initiated",
        "Earlier: not cancelled. Now: cancelled",
        "Cancellation request rejected, later cancelled",
        "Cancellation request accepted",
    ],
)
def test_a_sentence_that_tells_of_a_cancellation_hints(text: str) -> None:
    assert hints_at_cancellation(text)


@pytest.mark.parametrize(
    "text",
    [
        "Carton received at hub",
        "CARTON",
        "Spare parts",
        "ports",
        "Shipment exports",
        "Undelivered",
        "Delivered",
        "Scanceled",
        "cancelledX",
        "rto2",
        "Unreturned",
    ],
)
def test_a_word_within_another_word_does_not_hint(text: str) -> None:
    assert not hints_at_cancellation(text)


@pytest.mark.parametrize(
    "text",
    [
        "not cancelled",
        "Not Canceled",
        "NOT_CANCELLED",
        "not-cancelled",
        "un-cancelled",
        "Shipment has not been cancelled",
        "Order was never cancelled",
        "cannot be cancelled",
        "can't be cancelled",
        "wasn\u2019t returned",
        "not yet returned",
        "no longer cancelled",
        "No RTO",
        "Non-RTO",
        "unable to cancel",
        "failed to cancel",
        "Seller refused to cancel",
        "Cancellation request rejected",
        "cancellation rejected",
        "Cancellation Request was refused",
        "Cancellation request has been declined",
        "cancellation_request_rejected",
        "cancel request denied",
        "RTO request declined",
        "return request withdrawn",
        "Cancellation not accepted",
        "Cancellation request is not approved",
        "Rejected cancellation request",
        "rejected the cancellation",
    ],
)
def test_what_is_denied_or_refused_does_not_hint(text: str) -> None:
    assert not hints_at_cancellation(text)


def test_any_of_several_texts_is_enough_and_none_of_them_may_be_missing() -> None:
    assert hints_at_cancellation(None, "In Transit", "Cancelled")
    assert not hints_at_cancellation(None, "", "In Transit")
    assert not hints_at_cancellation()
    assert hints_at_cancellation("Cancellation request rejected", "Cancelled")
    assert hints_at_cancellation("Not", "cancelled"), "each text stands for itself"


def test_what_is_left_out_does_not_join_what_stood_around_it() -> None:
    assert hints_at_cancellation("Cancellation not returned rejected")


FRAGMENTS = ["cancel", "led", "ed", "lation", "rto", "rts", "return", "reject", "ing", "s", "ca", "n", "po", "un"]
SEPARATORS = [" ", "-", "_", ".", "\n", "1", "\u00e9", "\u017f", "\u0130", "not", "request"]
TEXT = st.one_of(st.text(), st.lists(st.sampled_from(FRAGMENTS + SEPARATORS), max_size=12).map("".join))


@given(text=TEXT)
def test_no_text_hints_that_holds_none_of_these_words_as_a_whole(text: str) -> None:
    assume(TELLING.isdisjoint(re.split(r"[\W_]+", text.casefold())))
    assert not hints_at_cancellation(text)


@given(text=st.text(alphabet="abdeghklmopqu .,-_", max_size=30), word=st.sampled_from(sorted(TELLING)))
def test_a_text_that_ends_in_one_of_these_words_hints(text: str, word: str) -> None:
    assert hints_at_cancellation(f"{text}; {word}")


@pytest.mark.parametrize(
    "unit", ["not ", "not_", "a_", "cancellation ", "cancellation request ", "not be ", " ", "n't "]
)
def test_no_text_takes_long_to_hear(unit: str) -> None:
    started = time.process_time()
    hints_at_cancellation(unit * (60_000 // len(unit)) + "x")
    hints_at_cancellation("not" + unit * (60_000 // len(unit)) + "x")
    assert time.process_time() - started < 2


def test_the_words_of_the_timeline_are_those_of_shipments_alone() -> None:
    assert all(event.startswith("shipment_") for event in (*shipments.ShipmentEvent, *CancelEvent))
    assert {*shipments.ShipmentEvent}.isdisjoint({*CancelEvent})
