"""The timeline: append-only history of everything that happened to an order."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True)
class Entry:
    """One event: `source` is the queue or route it came by, `actor` who wanted it; `data` holds no personal datum."""

    order_id: str
    event: StrEnum
    source: str
    actor: str = "mesh"
    data: dict[str, Any] = field(default_factory=dict)


_APPEND = text("""
    INSERT INTO timeline (order_id, event, source, actor, data)
    SELECT order_id, event, source, actor, CAST(data AS jsonb) FROM unnest(
        CAST(:orders AS text[]), CAST(:events AS text[]), CAST(:sources AS text[]), CAST(:actors AS text[]),
        CAST(:data AS text[])
    ) WITH ORDINALITY AS e (order_id, event, source, actor, data, position)
    ORDER BY position
""")

_OF_ORDER = text("SELECT at, event, source, actor, data FROM timeline WHERE order_id = :order_id ORDER BY id")


def append(connection: Connection, entries: Sequence[Entry]) -> None:
    """Write the entries in their order, in the transaction that changes the state they explain."""
    connection.execute(
        _APPEND,
        {
            "orders": [entry.order_id for entry in entries],
            "events": [str(entry.event) for entry in entries],
            "sources": [entry.source for entry in entries],
            "actors": [entry.actor for entry in entries],
            "data": [msgspec.json.encode(entry.data).decode() for entry in entries],
        },
    )


def of_order(connection: Connection, order_id: str) -> list[dict[str, Any]]:
    """Return an order's history, oldest first."""
    return [dict(row._mapping) for row in connection.execute(_OF_ORDER, {"order_id": order_id})]
