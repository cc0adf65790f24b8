"""Policies of cancellation: every version that a booking may have been made under."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from shared.booking_requests import CancellationPolicy
from shared.domain.policies import Policy


@dataclass(frozen=True, slots=True)
class Version:
    """A policy as it stood when somebody agreed to it."""

    id: str
    version: int
    policy: Policy


# One row for each change: the same policy set again is the version before, and so is one that was overtaken on its way.
_SET = text("""
    WITH latest AS (
        SELECT id, version, body, set_at FROM policies WHERE id = :id ORDER BY version DESC LIMIT 1
    ), fresh AS (
        INSERT INTO policies (id, version, body, set_at)
        SELECT :id, coalesce((SELECT version FROM latest), 0) + 1, CAST(:body AS jsonb), :asked_at
        WHERE NOT EXISTS (SELECT FROM latest WHERE body = CAST(:body AS jsonb) OR set_at > :asked_at)
        RETURNING id, version, body
    )
    SELECT id, version, body FROM fresh UNION ALL SELECT id, version, body FROM latest ORDER BY version DESC LIMIT 1
""")

_LATEST = text("SELECT id, version, body FROM policies WHERE id = :id ORDER BY version DESC LIMIT 1")

_LOCK = text("""
    SELECT pg_advisory_xact_lock(hashtextextended('policy ' || subject, 0)) FROM intents WHERE id = :intent_id
""")


def lock_for_intent(connection: Connection, intent_id: str) -> None:
    """Let nobody else set the policy that an intent is about; a twin finds the intent ended when its turn comes."""
    connection.execute(_LOCK, {"intent_id": intent_id})


def put_locked(connection: Connection, policy_id: str, body: str, asked_at: datetime) -> tuple[int, Any]:
    """Set a policy, as JSON, unless another one was asked for later; returns the version that is in force, and it."""
    row = connection.execute(_SET, {"id": policy_id, "body": body, "asked_at": asked_at}).one()
    return row.version, row.body


def latest(connection: Connection, policy_id: str) -> Version | None:
    """Return a policy as it stands now; None when there is none."""
    row = connection.execute(_LATEST, {"id": policy_id}).one_or_none()
    return Version(row.id, row.version, msgspec.convert(row.body, CancellationPolicy).policy()) if row else None
