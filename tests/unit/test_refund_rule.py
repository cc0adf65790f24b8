"""How much may be given back, and which way?"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import money
from shared.domain.payments import REFUNDABLE, PaymentStatus, Provider
from shared.domain.refunds import WAY, Balance, RefundState, Way, Wish, portion, refuse_part_of_hold
from shared.errors import KeyRequired, NotCaptured, RefundTooLarge
from shared.requests import Refund
from shared.store.refunds import Shown
from workers.refunding import cools_until

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def balance(captured: int = 10_000, refunded: int = 0, refunding: int = 0, shipping: int = 500) -> Balance:
    lefts = {"pay_1": captured - refunded - refunding}
    sums = captured, captured, refunded, refunding
    return Balance(Provider.STRIPE, PaymentStatus.CAPTURED, "USD", captured, shipping, *sums, lefts)


def wish(amount: int | None = None, deduct_shipping: bool = False, keyed: bool = True) -> Wish:
    return Wish(amount, deduct_shipping, keyed)


@pytest.mark.parametrize(
    ("stands", "wished", "amount"),
    [
        (balance(), wish(), 10_000),
        (balance(refunded=4_000), wish(), 6_000),
        (balance(refunding=4_000), wish(), 6_000),
        (balance(refunded=6_000, refunding=4_000), wish(), 0),
        (balance(), wish(deduct_shipping=True), 9_500),
        (balance(refunded=9_500), wish(deduct_shipping=True), 0),
        (balance(refunded=9_800), wish(deduct_shipping=True), 0),
        (balance(), wish(6_000), 6_000),
        (balance(refunded=4_000), wish(6_000), 6_000),
        (balance(refunded=4_000), wish(6_000, keyed=False), 6_000),
        (balance(), wish(keyed=False), 10_000),
        (balance(), wish(deduct_shipping=True, keyed=False), 9_500),
    ],
)
def test_a_refund_is_of_what_was_captured_and_is_not_promised_yet(stands: Balance, wished: Wish, amount: int) -> None:
    assert portion(stands, wished) == amount


@pytest.mark.parametrize(
    ("stands", "wished"),
    [
        (balance(), wish(10_001)),
        (balance(refunded=4_000), wish(6_001)),
        (balance(refunding=6_000), wish(6_000)),
        (balance(captured=500), wish(deduct_shipping=True)),
    ],
)
def test_more_than_is_left_is_refused(stands: Balance, wished: Wish) -> None:
    with pytest.raises(RefundTooLarge):
        portion(stands, wished)


def test_a_part_without_a_key_is_refused() -> None:
    with pytest.raises(KeyRequired):
        portion(balance(), wish(9_999, keyed=False))


@given(
    st.integers(1, 10**12),
    st.data(),
    st.integers(0, 10**6),
    st.one_of(st.none(), st.integers(1, 10**12)),
    st.booleans(),
)
def test_nothing_whatsoever_gives_back_more_than_is_left(
    captured: int, data: Any, shipping: int, amount: int | None, deduct: bool
) -> None:
    refunded = data.draw(st.integers(0, captured))
    stands = balance(captured, refunded, data.draw(st.integers(0, captured - refunded)), shipping)
    try:
        assert 0 <= portion(stands, wish(amount, deduct and amount is None)) <= stands.left
    except RefundTooLarge:
        assert (amount or captured) > stands.left or captured <= shipping


@pytest.mark.parametrize(
    ("wished", "refusal"),
    [(wish(10_001), RefundTooLarge), (wish(9_999), NotCaptured), (wish(deduct_shipping=True), NotCaptured)],
)
def test_a_hold_is_released_whole_or_not_at_all(wished: Wish, refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        refuse_part_of_hold(balance(), wished)


@pytest.mark.parametrize("wished", [wish(), wish(10_000), wish(12_000)])
def test_a_whole_hold_may_be_released_also_by_the_name_of_what_the_order_costs(wished: Wish) -> None:
    refuse_part_of_hold(replace(balance(), authorized=12_000), wished)


def test_every_payment_has_a_way_and_only_captured_money_is_refunded() -> None:
    assert set(WAY) == set(PaymentStatus)
    assert {status for status, way in WAY.items() if way in (Way.REFUND, Way.ALREADY_REFUNDED)} == set(REFUNDABLE)


# The cooldown.


def attempt(status: RefundState, minutes_ago: float) -> Shown:
    at = NOON - timedelta(minutes=minutes_ago)
    return Shown("rfd_1", "pay_1", 1, status, None, "refund", 1, at, None, None, at, None)


@pytest.mark.parametrize(
    ("before", "until"),
    [
        ([], None),
        ([attempt(RefundState.FAILED, 59)], NOON + timedelta(minutes=1)),
        ([attempt(RefundState.FAILED, 60)], None),
        ([attempt(RefundState.COMPLETED, 1)], None),
        ([attempt(RefundState.FAILED, 10), attempt(RefundState.COMPLETED, 5)], None),
        ([attempt(RefundState.FAILED, 5), attempt(RefundState.COMPLETED, 10)], NOON + timedelta(minutes=55)),
    ],
)
def test_after_an_attempt_that_failed_the_next_waits_an_hour(before: list[Shown], until: datetime | None) -> None:
    assert cools_until(before, HOUR, NOON) == until


# Amounts as clients write them.


@pytest.mark.parametrize(
    ("raw", "currency", "minor"),
    [
        ("1500.00", "USD", 150_000),
        ('"1500.00"', "USD", 150_000),
        ("1500", "USD", 150_000),
        ("0.1", "USD", 10),
        ("1.5e3", "USD", 150_000),
        ("90071992547409.93", None, None),
        ("9007199254.93", "USD", 900_719_925_493),
        ("1500", "JPY", 1_500),
        ("1.234", "KWD", 1_234),
    ],
)
def test_an_amount_is_read_as_it_is_written_and_never_as_a_float(
    raw: str, currency: str | None, minor: int | None
) -> None:
    body = f'{{"amount": {raw}}}'.encode()
    if currency is None:
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(body, type=Refund)
        return
    amount = msgspec.json.decode(body, type=Refund).amount
    assert amount == Decimal(raw.strip('"'))
    assert amount is not None
    assert money.minor(amount, currency) == minor


@pytest.mark.parametrize(
    "raw", ["0", "-1", "-0.01", '"NaN"', '"Infinity"', '"-Infinity"', '"sNaN"', "1e12", "1e999999", "0.0001", "true"]
)
def test_amounts_that_are_none_are_refused(raw: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(f'{{"amount": {raw}}}'.encode(), type=Refund)


@pytest.mark.parametrize(("amount", "currency"), [("1.005", "USD"), ("1.0", "JPY"), ("1.500", "EUR")])
def test_more_places_than_the_currency_has_are_refused(amount: str, currency: str) -> None:
    with pytest.raises(ValueError, match="decimal places"):
        money.minor(Decimal(amount), currency)


@given(st.integers(0, 10**12), st.sampled_from(["USD", "JPY", "KWD"]))
def test_amounts_survive_the_way_to_the_client_and_back(amount: int, currency: str) -> None:
    assert money.minor(money.major(amount, currency), currency) == amount
    assert money.minor(Decimal(money.plain(amount, currency)), currency) == amount


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [(150_000, "USD", "1500.00"), (0, "USD", "0.00"), (1_500, "JPY", "1500"), (5, "KWD", "0.005")],
)
def test_amounts_for_machines_have_all_the_places_of_their_currency(amount: int, currency: str, shown: str) -> None:
    assert money.plain(amount, currency) == shown
