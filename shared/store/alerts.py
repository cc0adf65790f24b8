"""Alerts: what a person must look at; opened once per cause, resolved when the cause goes away."""

from enum import StrEnum

from sqlalchemy import Connection, text

from shared.ids import new_id


class Severity(StrEnum):
    """How soon a person must look."""

    WARNING = "warning"
    CRITICAL = "critical"  # somebody's money is not where it should be


_OPEN = text("""
    INSERT INTO alerts (id, cause, severity, title, order_id) VALUES (:id, :cause, :severity, :title, :order_id)
    ON CONFLICT (cause) WHERE resolved_at IS NULL DO NOTHING
    RETURNING id
""")

_RESOLVE = text("UPDATE alerts SET resolved_at = now() WHERE cause = :cause AND resolved_at IS NULL RETURNING id")


def open_once(connection: Connection, cause: str, severity: Severity, title: str, order_id: str | None) -> bool:
    """Open an alert; False when one is open for this cause."""
    values = {"id": new_id("alr"), "cause": cause, "severity": severity, "title": title, "order_id": order_id}
    return connection.execute(_OPEN, values).scalar() is not None


def resolve(connection: Connection, cause: str) -> bool:
    """The cause went away; False when no alert was open for it."""
    return connection.execute(_RESOLVE, {"cause": cause}).scalar() is not None
