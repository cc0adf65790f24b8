"""The timeline: append-only history of everything that happened to an order."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True)
class Entry:
    """One event: `source` is the queue or route it came by, `actor` who wanted it; `data` holds no personal datum."""

    order_id: str
    event: StrEnum
    source: str
    actor: str = "mesh"
    data: dict[str, Any] = field(default_factory=dict)


_OF_ORDER = text("SELECT at, event, source, actor, data FROM timeline WHERE order_id = :order_id ORDER BY id")


def of_order(connection: Connection, order_id: str) -> list[dict[str, Any]]:
    """Return an order's history, oldest first."""
    return [dict(row._mapping) for row in connection.execute(_OF_ORDER, {"order_id": order_id})]
