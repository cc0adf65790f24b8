"""Money: totals with tax, and amounts for people to read."""

from decimal import Decimal
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import money
from shared.domain import totals
from shared.requests import OrderLine

AMOUNT = st.integers(0, 999_999_999_999)
RATE = st.decimals(0, 1, places=5)


def line(unit_price: int, quantity: int = 1, tax_rate: str = "0") -> OrderLine:
    return OrderLine(sku="TEE", quantity=quantity, unit_price=unit_price, tax_rate=Decimal(tax_rate))


@pytest.mark.parametrize(
    ("amount", "rate", "total"),
    [
        (3000, "0.10", 3300),
        (1000, "0", 1000),
        (1000, "1", 2000),
        (5, "0.10", 6),  # 5.5: half a minor unit goes up
        (4, "0.10", 4),  # 4.4
        (15, "0.10", 17),  # 16.5, which half-even would make 16
        (999, "0.08875", 1088),  # 1087.66125
    ],
)
def test_tax_is_rounded_half_up(amount: int, rate: str, total: int) -> None:
    assert money.taxed(amount, Decimal(rate)) == total


@given(AMOUNT, RATE)
def test_tax_is_exact_up_to_its_rounding(amount: int, rate: Decimal) -> None:
    exact = amount * (1 + Fraction(rate))
    assert money.taxed(amount, rate) == floor(exact + Fraction(1, 2))


@given(st.integers(1, 100_000), AMOUNT, RATE)
def test_the_largest_line_is_exact_too(quantity: int, unit_price: int, rate: Decimal) -> None:
    exact = quantity * unit_price * (1 + Fraction(rate))
    assert totals.total([line(unit_price, quantity, str(rate))], 0) == floor(exact + Fraction(1, 2))


def test_a_total_is_every_line_with_its_own_rate_and_the_shipping_untaxed() -> None:
    lines = [line(1500, 2, "0.10"), line(999, 1, "0.08875"), line(250, 4)]
    assert totals.total(lines, shipping=500) == 3300 + 1088 + 1000 + 500


def test_tax_is_rounded_for_each_line_and_not_for_their_sum() -> None:
    assert totals.total([line(5, tax_rate="0.10"), line(5, tax_rate="0.10")], 0) == 12


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (3300, "USD", "33.00 USD"),
        (123450, "USD", "1,234.50 USD"),
        (5, "EUR", "0.05 EUR"),
        (0, "USD", "0.00 USD"),
        (1500, "JPY", "1,500 JPY"),
        (1500, "KWD", "1.500 KWD"),
        (999_999_999_999, "USD", "9,999,999,999.99 USD"),
    ],
)
def test_amounts_are_shown_with_as_many_places_as_their_currency_has(amount: int, currency: str, shown: str) -> None:
    assert money.text(amount, currency) == shown
