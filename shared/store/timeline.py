"""The timeline: append-only history of everything that happened to an order."""

from collections.abc import Sequence
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


_TELLS = text("""
    SELECT EXISTS (
        SELECT FROM timeline
        WHERE order_id = :order_id AND event = ANY(CAST(:events AS text[])) AND data ->> :member = :value
    )
""")


def tells(connection: Connection, order_id: str, events: Sequence[StrEnum], member: str, value: str) -> bool:
    """Whether an order's history holds one of these events with this member of its data."""
    values = {"order_id": order_id, "events": [str(event) for event in events], "member": member, "value": value}
    return bool(connection.execute(_TELLS, values).scalar())


def of_order(connection: Connection, order_id: str) -> list[dict[str, Any]]:
    """Return an order's history, oldest first."""
    return [dict(row._mapping) for row in connection.execute(_OF_ORDER, {"order_id": order_id})]
