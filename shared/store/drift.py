"""Drift: where our rows and a provider disagree, on record until they agree again."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from shared.domain.alerts import DriftState
from shared.ids import new_id
from shared.store.alerts import END
from shared.store.reconciliations import Known

_OPEN = text("""
    INSERT INTO drift (id, payment_id, order_id, kind, ours, theirs)
    VALUES (:id, :payment_id, :order_id, :kind, CAST(:ours AS jsonb), CAST(:theirs AS jsonb))
    ON CONFLICT (payment_id, kind) WHERE resolved_at IS NULL
    DO UPDATE SET ours = excluded.ours, theirs = excluded.theirs
    RETURNING xmax = 0
""")

_PAGE = """
    SELECT d.id, d.payment_id, d.order_id, d.kind, d.ours, d.theirs, d.opened_at, d.resolved_at,
           (SELECT p.provider FROM payments p WHERE p.id = d.payment_id) AS provider,
           (SELECT p.reference FROM payments p WHERE p.id = d.payment_id) AS reference
    FROM drift d WHERE d.id < :before AND {condition} ORDER BY d.id DESC LIMIT :limit
"""

_OPEN_PAGE = text(_PAGE.format(condition="d.resolved_at IS NULL"))

_RESOLVED_PAGE = text(_PAGE.format(condition="d.resolved_at IS NOT NULL"))

_RESOLVE = text("""
    UPDATE drift SET resolved_at = now()
    WHERE payment_id = :payment_id AND resolved_at IS NULL AND kind <> ALL(CAST(:kinds AS text[]))
    RETURNING kind
""")


def open_once(connection: Connection, known: Known, kind: str, ours: object, theirs: object) -> bool:
    """Put on record what we say and what the provider says; False when that stood there already."""
    values = {
        "id": new_id("drift"),
        "payment_id": known.payment_id,
        "order_id": known.order_id,
        "kind": kind,
        "ours": msgspec.json.encode(ours).decode(),
        "theirs": msgspec.json.encode(theirs).decode(),
    }
    return bool(connection.execute(_OPEN, values).scalar_one())


def resolve(connection: Connection, payment_id: str, still: Sequence[str]) -> list[str]:
    """Close the drift of every kind that is not found any more; returns these kinds."""
    return list(connection.execute(_RESOLVE, {"payment_id": payment_id, "kinds": list(still)}).scalars())


def page(connection: Connection, state: DriftState, before: str | None, limit: int) -> list[dict[str, Any]]:
    """Return drift in this state, the newest first, that is older than `before`, an id."""
    statement = _OPEN_PAGE if state is DriftState.OPEN else _RESOLVED_PAGE
    rows = connection.execute(statement, {"before": before or END, "limit": limit})
    return [dict(row._mapping) for row in rows]
