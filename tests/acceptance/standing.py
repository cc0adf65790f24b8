"""How an order stands: its payment, capture, refunds and alerts, and that both sides agree."""

from typing import Any

from tests.shop import Purchase, Shop, eventually

MULTICAPTURE = {"payment_method_options": {"card": {"request_multicapture": "if_available"}}}


def payment(shop: Shop, purchase: Purchase) -> dict[str, Any]:
    found: dict[str, Any] = shop.view(purchase.order_id)["payment"]
    return found


def job(shop: Shop, purchase: Purchase) -> str:
    ((state,),) = shop.sql("SELECT state FROM capture_jobs WHERE order_id = %s", purchase.order_id)
    return str(state)


def refunds(shop: Shop, purchase: Purchase) -> list[tuple[Any, ...]]:
    """Amount, state, source and the provider's id of an order's refunds, oldest first."""
    statement = "SELECT amount, state, source, provider_id FROM refunds WHERE order_id = %s ORDER BY id"
    return shop.sql(statement, purchase.order_id)


def open_alerts(shop: Shop, purchase: Purchase) -> list[tuple[str, str]]:
    return [(alert["severity"], alert["title"]) for alert in shop.alerts(purchase.order_id) if alert["open"]]


def nothing_is_wrong(shop: Shop, purchase: Purchase) -> None:
    """Both sides agree, whoever looks."""
    before = shop.view(purchase.order_id)
    shop.compare(purchase.reference)
    assert shop.view(purchase.order_id) == before
    assert shop.drift(purchase.reference) == []


def bought_and_captured(shop: Shop) -> Purchase:
    purchase: Purchase = shop.buy_overdue()
    eventually(lambda: shop.view(purchase.order_id)["status"] == "captured")
    return purchase
