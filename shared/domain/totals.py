"""What an order costs: its own lines, quantities and tax rates, in minor units."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Protocol

from shared.money import taxed

#: What an order may cost, in minor units: far inside a bigint, and above any provider's limit.
LIMIT = 999_999_999_999


class Priced(Protocol):
    """A line of an order: `unit_price` in minor units, `tax_rate` 0.10 for ten percent."""

    @property
    def quantity(self) -> int: ...
    @property
    def unit_price(self) -> int: ...
    @property
    def tax_rate(self) -> Decimal: ...


def total(lines: Iterable[Priced], shipping: int) -> int:
    """Return the order's total; tax is rounded half up a line, as invoices show it."""
    return shipping + sum(taxed(line.unit_price * line.quantity, line.tax_rate) for line in lines)
