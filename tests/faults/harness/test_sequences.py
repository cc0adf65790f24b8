"""Any sequence of edits: captured is what the order's lines cost, reckoned here a second time, and stock adds up."""

import random
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.faults.harness.checks import violations
from tests.faults.harness.faults import FAULTS
from tests.faults.harness.rig import MUG, SKU, Request, Rig, Sale
from tests.faults.harness.sales import elsewhere, registered

#: What one unit costs and its tax; at some a line's tax is not a whole cent, or half a one.
PRICES = {SKU: (1500, Decimal("0.10")), MUG: (800, Decimal("0.05"))}
ODD = {SKU: (1505, Decimal("0.07")), MUG: (333, Decimal("0.075"))}

#: Units that there are of each.
STOCKED = 10

#: What befalls the request for more, if anything.
TROUBLE = st.none() | st.sampled_from(("declined", "timeout before", "timeout after effect", "5xx after effect"))

EDITS = st.one_of(
    st.tuples(st.just("add"), st.sampled_from((SKU, MUG)), st.integers(1, 4), TROUBLE),
    st.tuples(st.just("set"), st.integers(1, 3), st.integers(0, 6), TROUBLE),
    st.tuples(st.just("address"), st.none(), st.none(), st.none()),
)


@dataclass
class Expected:
    """What the order must come to, by what its shopper was told: lines by number, each a SKU and units."""

    prices: dict[str, tuple[int, Decimal]]
    lines: dict[int, tuple[str, int]] = field(default_factory=lambda: {1: (SKU, 2)})

    def total(self) -> int:
        """Shipping, and each line with its tax, half a cent rounded up."""
        return 500 + sum(self._cost(sku, units) for sku, units in self.lines.values())

    def sold(self, sku: str) -> int:
        """Units of a SKU."""
        return sum(units for each, units in self.lines.values() if each == sku)

    def add(self, sku: str, units: int) -> None:
        """Units more, on the line that the SKU has, else on a new one."""
        line = next((line for line, (each, held) in self.lines.items() if each == sku and held), len(self.lines) + 1)
        self.lines[line] = sku, self.lines.get(line, (sku, 0))[1] + units

    def set(self, line: int, units: int) -> None:
        """Other units on a line."""
        self.lines[line] = self.lines[line][0], units

    def _cost(self, sku: str, units: int) -> int:
        price, rate = self.prices[sku]
        return int((price * units * (1 + rate)).quantize(Decimal(1), ROUND_HALF_UP))


def offer(rig: Rig, prices: dict[str, tuple[int, Decimal]]) -> Sale:
    """An order of two units at these prices."""
    sale = rig.offer(Expected(prices).total())
    price, rate = prices[SKU]
    sale.body["lines"] = [{"sku": SKU, "quantity": 2, "unit_price": price, "tax_rate": str(rate)}]
    price, rate = prices[MUG]
    rig.monitor.execute("UPDATE stock SET unit_price = %s, tax_rate = %s WHERE sku = %s", [price, rate, MUG])
    registered(rig, sale)
    return sale


def asked(rig: Rig, sale: Sale, what: str, where: object, units: int | None) -> Request:
    """The request of an edit."""
    path, headers = f"/store/orders/{sale.order_id}/items", rig.modification(sale)
    if what == "add":
        return Request("POST", path, headers, {"sku": where, "quantity": units})
    return Request("POST", f"{path}/{where}", headers, {"quantity": units}) if what == "set" else elsewhere(rig, sale)


def answered(rig: Rig, request: Request) -> int:
    """Send an edit, and let time pass until it has its answer; the hour goes on."""
    rig.ask(request)
    for _ in range(20):
        rig.deliver_all()
        status: int | None = rig.value("SELECT answer_status FROM intents WHERE idempotency_key = %s", request.key)
        if status is not None:
            return status
        rig.pass_time(31.0)
        rig.wake()
    raise AssertionError("no answer")


@pytest.mark.timeout(600)
def test_after_any_sequence_of_edits_the_capture_takes_what_the_lines_cost(
    rig: Rig, pytestconfig: pytest.Config
) -> None:
    number = int(pytestconfig.getoption("--hypothesis-seed") or random.SystemRandom().getrandbits(32))
    applied = 0

    @seed(number)
    @settings(
        max_examples=100,
        deadline=None,
        database=None,
        derandomize=False,
        print_blob=True,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(edits=st.lists(EDITS, min_size=1, max_size=9), prices=st.sampled_from((PRICES, ODD)))
    def play(edits: list[tuple[str, object, int | None, str | None]], prices: dict[str, tuple[int, Decimal]]) -> None:
        nonlocal applied
        rig.reset()
        sale, expected = offer(rig, prices), Expected(prices)
        for what, where, units, trouble in edits:
            if trouble:
                FAULTS[trouble](rig, "increment")
            if answered(rig, asked(rig, sale, what, where, units)) == 200:
                applied += 1
                if what == "add":
                    expected.add(str(where), units or 0)
                elif what == "set":
                    expected.set(int(str(where)), units or 0)
            rig.behave()
            assert rig.value("SELECT amount FROM payment_collections") == expected.total()
        rig.hurry(sale)
        rig.settle()
        taken = rig.sql("SELECT captured, authorized - released FROM payments WHERE status = 'captured'")
        assert taken == [(expected.total(), expected.total())]
        for sku in (SKU, MUG):
            assert rig.value("SELECT quantity FROM stock WHERE sku = %s", sku) == STOCKED - expected.sold(sku)
        assert violations(rig) == []

    try:
        play()
    except BaseException as failure:
        failure.add_note(f"run it again with --hypothesis-seed={number}")
        raise
    assert applied > 100
