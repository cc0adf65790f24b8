"""Refunds, as an operator asks for them, as they stand here, and as the provider was asked for them."""

import uuid

from tests.shop import Purchase, Shop

#: One line of a hundred dollars.
HUNDRED = {"lines": [{"sku": "HAT", "quantity": 1, "unit_price": 10_000}], "shipping": 0}


def buy_for_a_hundred(shop: Shop) -> Purchase:
    return shop.buy_captured(10_000, **HUNDRED)


def key() -> str:
    return uuid.uuid4().hex


def refund_of(answer) -> dict:
    assert answer.status_code == 200, answer.text
    assert answer.json()["success"] is True
    return answer.json()["data"]["refund"]


def money(shop: Shop, purchase: Purchase) -> tuple:
    """How the payment stands: its status, what was captured, what is promised of it, and what is back."""
    query = "SELECT status, captured, refunding, refunded FROM payments WHERE order_id = %s"
    ((*stands,),) = shop.sql(query, purchase.order_id)
    payment = shop.view(purchase.order_id)["payment"]
    if shop.sql(query, purchase.order_id) != [tuple(stands)]:  # it moved between the two looks
        return money(shop, purchase)
    assert (payment["status"], payment["captured"], payment["refunded"]) == (stands[0], stands[1], stands[3])
    return tuple(stands)


def given_back(shop: Shop, purchase: Purchase) -> list[int]:
    """The refunds that the provider's ledger knows, in minor units."""
    effects = shop.effects(purchase.reference)
    return [effect["amount"] for effect in effects if effect["operation"] == "refund.created"]


def refund_requests(shop: Shop, purchase: Purchase) -> list[dict]:
    return [r for r in shop.requests_to_provider(purchase.reference) if r["operation"] == "refund"]


def keys(shop: Shop, purchase: Purchase) -> set[str]:
    """The idempotency keys under which the provider was asked for a refund."""
    return {request["idempotency_key"] for request in refund_requests(shop, purchase)}
