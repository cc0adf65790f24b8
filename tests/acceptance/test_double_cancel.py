"""Fifty cancels of one order at once: one void, one restock, one mail, and the same answer for everybody."""

import uuid
from collections.abc import Callable

import pytest

from tests.races import assert_canceled_once
from tests.shop import Purchase, Shop, at_once

TIMES = 50

#: The headers of the n-th cancel, by who holds the keys.
KEYS: dict[str, Callable[[str, int], dict[str, str]]] = {
    "no key": lambda key, number: {},
    "one key": lambda key, number: {"Idempotency-Key": key},
    "a key each": lambda key, number: {"Idempotency-Key": f"{key}-{number}"},
}


def buy(shop: Shop, **changes: str) -> tuple[Purchase, str]:
    """An order for two units of a SKU of its own, of which there were ten."""
    sku = f"SKU-{uuid.uuid4().hex}"
    shop.put_stock(sku, 10)
    lines = [{"sku": sku, "quantity": 2, "unit_price": 1500, "tax_rate": "0.10"}]
    return shop.buy(lines=lines, **changes), sku


@pytest.mark.parametrize("keys", KEYS)
def test_fifty_cancels_at_once_are_one_cancel(shop, keys):
    purchase, sku = buy(shop)
    key = uuid.uuid4().hex
    answers = at_once(TIMES, lambda number: shop.cancel(purchase, **KEYS[keys](key, number)))
    assert_canceled_once(shop, purchase, sku, answers)


def test_cancels_of_the_shopper_and_of_the_signed_in_customer_at_once_are_one_cancel(shop):
    purchase, sku = buy(shop, customer_id="cus_both")
    path = f"/store/orders/{purchase.order_id}/cancel"
    callers = ({"x-modification-token": purchase.token}, shop.bearer("customer", "cus_both"))
    answers = at_once(TIMES, lambda number: shop.http.post(path, headers=callers[number % 2]))
    assert_canceled_once(shop, purchase, sku, answers)


def test_cancels_while_the_void_is_on_its_way_wait_for_its_outcome(shop):
    """The provider takes its time: whoever asks meanwhile joins the wait and gets the same answer."""
    purchase, sku = buy(shop)
    shop.slow_down("cancel", 1000)
    answers = at_once(10, lambda number: shop.cancel(purchase, **{"Idempotency-Key": uuid.uuid4().hex}))
    assert_canceled_once(shop, purchase, sku, answers)


def test_two_orders_with_the_same_goods_are_canceled_at_once_without_waiting_for_each_other_for_ever(shop):
    first, second = f"SKU-A{uuid.uuid4().hex}", f"SKU-B{uuid.uuid4().hex}"
    for sku in (first, second):
        shop.put_stock(sku, 100)

    def lines(*skus: str) -> list[dict]:
        return [{"sku": sku, "quantity": 1, "unit_price": 1000} for sku in skus]

    purchases = [
        shop.buy(amount=2500, lines=lines(*((first, second) if number % 2 else (second, first))))
        for number in range(20)
    ]
    assert (shop.stock(first), shop.stock(second)) == (80, 80)
    answers = at_once(20, lambda number: shop.cancel(purchases[number]))
    assert [answer.json()["payment_action"] for answer in answers] == ["voided"] * 20
    assert (shop.stock(first), shop.stock(second)) == (100, 100)
