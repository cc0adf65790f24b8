"""The photo finish: cancel and capture, or an edit and one of the two, started together: one of them wins, always."""

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.races import Racecourse, assert_all_went_back, assert_captured_as_it_costs, assert_one_winner, together
from tests.shop import Purchase, Shop, eventually, in_turn

RACES = 200
#: Of an edit.
EDITS = 100
#: Seconds from the registration of an order to the end of its hour: enough to register it.
LAST_SECONDS = 1.5


@pytest.fixture
def course(shop: Shop) -> Iterator[Racecourse]:
    course = Racecourse(shop)
    yield course
    course.close()


@pytest.fixture
def sku(shop: Shop) -> str:
    sku = f"SKU-{uuid.uuid4().hex}"
    shop.put_stock(sku, 1000)
    return sku


@pytest.mark.timeout(300)
def test_of_200_cancels_and_captures_started_together_exactly_one_wins_each_time(shop, course, sku):
    def run(_: int) -> bool:
        purchase = buy(shop, sku)
        answer = course.race(purchase, shop.hurry(purchase))
        assert_one_winner(shop, purchase, answer)
        return answer.status_code == 200

    canceled = in_turn(RACES, run)
    assert 0 < sum(canceled) < RACES, "one side won every race: this was no photo finish"
    assert shop.stock(sku) == 1000 - 2 * (RACES - sum(canceled))


@pytest.mark.timeout(300)
def test_at_the_very_end_of_the_hour_exactly_one_wins_each_time(shop, course, sku):
    """Nothing is set up behind the mesh's back here: the two meet when the grace period of an order ends."""

    def run(number: int) -> bool:
        ends = datetime.now(UTC) + timedelta(seconds=LAST_SECONDS)
        purchase = buy(shop, sku, placed_at=(ends - timedelta(seconds=shop.settings.grace_period)).isoformat())
        ((job_id,),) = shop.sql("SELECT id FROM capture_jobs WHERE order_id = %s", purchase.order_id)
        offset = (number % 8 - 4) * 0.01  # some a little early, some a little late
        time.sleep(max((ends - datetime.now(UTC)).total_seconds() + offset, 0.0))  # until the moment of interest
        answer = course.race(purchase, job_id)
        eventually(lambda: shop.view(purchase.order_id)["status"] != "pending")
        assert_one_winner(shop, purchase, answer)
        return answer.status_code == 200

    canceled = in_turn(40, run)
    assert shop.stock(sku) == 1000 - 2 * (40 - sum(canceled))


@pytest.mark.timeout(300)
def test_of_100_edits_and_cancels_started_together_each_order_is_canceled_and_all_its_money_released(shop, sku):
    def run(number: int) -> bool:
        purchase = buy_raisable(shop, sku)
        edit, cancel = together(
            number, lambda: shop.set_quantity(purchase, 1, 3, Prefer="wait=30"), lambda: shop.cancel(purchase)
        )
        assert_all_went_back(shop, purchase, edit, cancel)
        return edit.status_code == 200

    edited = in_turn(EDITS, run)
    assert 0 < sum(edited) < EDITS, "one side won every race: this was no photo finish"
    assert shop.stock(sku) == 1000


@pytest.mark.timeout(300)
def test_of_100_edits_and_captures_started_together_each_capture_takes_what_the_order_costs(shop, course, sku):
    def run(number: int) -> bool:
        purchase = buy_raisable(shop, sku)
        job_id = shop.hurry(purchase)
        edit, _ = together(
            number, lambda: shop.set_quantity(purchase, 1, 3, Prefer="wait=30"), lambda: course.capture(job_id)
        )
        assert_captured_as_it_costs(shop, purchase, edit, units=1)
        return edit.status_code == 200

    edited = in_turn(EDITS, run)
    assert 0 < sum(edited) < EDITS, "one side won every race: this was no photo finish"
    assert shop.stock(sku) == 1000 - 2 * EDITS - sum(edited)


def buy(shop: Shop, sku: str, **changes: str) -> Purchase:
    return shop.buy(lines=lines(sku), **changes)


def buy_raisable(shop: Shop, sku: str) -> Purchase:
    return shop.buy_raisable(lines=lines(sku))


def lines(sku: str) -> list[dict[str, object]]:
    return [{"sku": sku, "quantity": 2, "unit_price": 1500, "tax_rate": "0.10"}]
