"""Problem documents, as RFC 9457 and the client contracts want them; and what a refusal leaves as it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.shop import Purchase, Shop


def assert_problem(answer: httpx.Response, *statuses: int, **members: Any) -> dict[str, Any]:
    """The answer is a problem document with one of these statuses and with these members; returns the document."""
    assert answer.status_code in statuses, (answer.status_code, answer.text)
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["status"] == answer.status_code
    for member in ("type", "title", "code", "message"):
        assert isinstance(document[member], str)
        assert document[member]
    assert {name: document[name] for name in members} == members
    return document


@contextmanager
def nothing_recorded(shop: Shop) -> Iterator[None]:
    """What happens inside leaves no intent and no order behind."""
    before = _counts(shop)
    yield
    assert _counts(shop) == before


def assert_untouched(shop: Shop, purchase: Purchase) -> None:
    """The order stands, and nobody asked the provider for anything but to look."""
    view = shop.view(purchase.order_id)
    assert view["status"] == "pending"
    assert view["payment"]["status"] == "authorized"
    assert "payment_intent.canceled" not in shop.ledger(purchase.reference)
    assert shop.mails(purchase.order_id) == []


def _counts(shop: Shop) -> tuple[Any, ...]:
    (row,) = shop.sql("SELECT (SELECT count(*) FROM intents), (SELECT count(*) FROM orders)")
    return row
