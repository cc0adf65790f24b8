"""Alerts: what a person must look at; opened once per cause, resolved when the cause goes away."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, TextClause, text

from shared.domain.alerts import ABOUT_MONEY, AlertState, Kind, parked
from shared.domain.payments import BRINGS_BACK, PaymentEvent
from shared.ids import new_id
from shared.queues import Task


class Severity(StrEnum):
    """How soon a person must look."""

    WARNING = "warning"
    CRITICAL = "critical"  # somebody's money is not where it should be


_OPEN = text("""
    INSERT INTO alerts (id, cause, severity, title, order_id) VALUES (:id, :cause, :severity, :title, :order_id)
    ON CONFLICT (cause) WHERE resolved_at IS NULL DO NOTHING
    RETURNING id
""")

# Newest first, from an id on that sorts below.
_PAGE = """
    SELECT id, cause, severity, title, order_id, opened_at, acknowledged_at, acknowledged_by, resolved_at
    FROM alerts WHERE id < :before
"""

_ALL = text(_PAGE + "ORDER BY id DESC LIMIT :limit")

_OPEN_ONES = text(_PAGE + "AND resolved_at IS NULL AND acknowledged_at IS NULL ORDER BY id DESC LIMIT :limit")

_ACKNOWLEDGED = text(_PAGE + "AND resolved_at IS NULL AND acknowledged_at IS NOT NULL ORDER BY id DESC LIMIT :limit")

_RESOLVED = text(_PAGE + "AND resolved_at IS NOT NULL ORDER BY id DESC LIMIT :limit")

_ACKNOWLEDGE = text("""
    UPDATE alerts
    SET acknowledged_at = coalesce(acknowledged_at, now()), acknowledged_by = coalesce(acknowledged_by, :actor)
    WHERE id = :id
    RETURNING id, cause, severity, title, order_id, opened_at, acknowledged_at, acknowledged_by, resolved_at
""")

_COUNT = text("""
    SELECT severity, count(*) AS count FROM alerts
    WHERE resolved_at IS NULL AND severity = ANY(CAST(:severities AS text[])) GROUP BY severity
""")

_RESOLVE = text("""
    UPDATE alerts SET resolved_at = now() WHERE cause = ANY(CAST(:causes AS text[])) AND resolved_at IS NULL
""")

_RESOLVE_MONEY = text("""
    UPDATE alerts SET resolved_at = now()
    WHERE order_id = :order_id AND resolved_at IS NULL AND split_part(cause, ':', 1) = ANY(CAST(:kinds AS text[]))
        AND NOT EXISTS (
            SELECT FROM payments p WHERE p.order_id = :order_id AND p.status NOT IN ('voided', 'refunded')
        )
""")


#: What ails an attempt to bring a guest's money back, and is over when another one has.
_ATTEMPTS = (Kind.VOID_FAILED, Kind.REFUND_FAILED, Kind.REFUND_UNANSWERED, Kind.CAPTURE_FAILED, Kind.CAPTURE_UNANSWERED)

_RESOLVE_ATTEMPTS = text("""
    UPDATE alerts SET resolved_at = now()
    WHERE resolved_at IS NULL AND (
        cause = :parked OR order_id = :order_id AND split_part(cause, ':', 1) = ANY(CAST(:kinds AS text[])))
""")


def open_once(connection: Connection, cause: str, severity: Severity, title: str, order_id: str | None) -> bool:
    """Open an alert; False when one is open for this cause."""
    values = {"id": new_id("alr"), "cause": cause, "severity": severity, "title": title, "order_id": order_id}
    return connection.execute(_OPEN, values).scalar() is not None


def resolve(connection: Connection, *causes: str) -> None:
    """These causes went away."""
    connection.execute(_RESOLVE, {"causes": list(causes)})


def resolve_money(connection: Connection, order_id: str, event: PaymentEvent) -> None:
    """When that event brought all of the money back, what ailed it is over.

    A void's settle does the same in its own statement.
    """
    if event in BRINGS_BACK:
        connection.execute(_RESOLVE_MONEY, {"order_id": order_id, "kinds": list(ABOUT_MONEY)})


def resolve_attempts(connection: Connection, order_id: str) -> None:
    """The money of a booking is where its cancel wants it: what ailed the attempts is over."""
    values = {"order_id": order_id, "kinds": list(_ATTEMPTS), "parked": parked(Task.SETTLE_BOOKING, order_id)}
    connection.execute(_RESOLVE_ATTEMPTS, values)


PAGES: Mapping[AlertState | None, TextClause] = {
    None: _ALL,
    AlertState.OPEN: _OPEN_ONES,
    AlertState.ACKNOWLEDGED: _ACKNOWLEDGED,
    AlertState.RESOLVED: _RESOLVED,
}


#: Sorts after every id, in any collation.
END = "z"


def page(connection: Connection, state: AlertState | None, before: str | None, limit: int) -> list[dict[str, Any]]:
    """Return alerts, the newest first: those in this state, or all, that are older than `before`, an id."""
    rows = connection.execute(PAGES[state], {"before": before or END, "limit": limit})
    return [_shown(row) for row in rows]


def acknowledge(connection: Connection, alert_id: str, actor: str) -> dict[str, Any] | None:
    """Note that `actor` looks at an alert; the first one to do so stays.  None when there is no such alert."""
    row = connection.execute(_ACKNOWLEDGE, {"id": alert_id, "actor": actor}).one_or_none()
    return _shown(row) if row else None


def count_open(connection: Connection) -> dict[Severity, int]:
    """Return how many alerts are not resolved, by severity."""
    rows = connection.execute(_COUNT, {"severities": [str(severity) for severity in Severity]})
    return dict.fromkeys(Severity, 0) | {Severity(severity): int(count) for severity, count in rows}


def _shown(row: Row[Any]) -> dict[str, Any]:
    alert = dict(row._mapping)
    if alert["resolved_at"]:
        state = AlertState.RESOLVED
    else:
        state = AlertState.ACKNOWLEDGED if alert["acknowledged_at"] else AlertState.OPEN
    return alert | {"state": state}
