"""The photo finish: cancel and capture started together, and always exactly one of them wins."""

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.races import Racecourse, assert_one_winner
from tests.shop import Purchase, Shop, eventually, in_turn

RACES = 200
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


def buy(shop: Shop, sku: str, **changes: str) -> Purchase:
    return shop.buy(lines=[{"sku": sku, "quantity": 2, "unit_price": 1500, "tax_rate": "0.10"}], **changes)
