"""Webhook events: one row for each event of a provider, however often it is sent.

A row holds ids and nothing else of what was sent: whoever acts upon it reads the object at the provider.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, text

from shared.domain.payments import Provider
from shared.domain.transitions import advance
from shared.domain.webhooks import TRANSITIONS, Concern, WebhookEvent, WebhookState
from shared.ids import new_id
from shared.providers.ports import Notice
from shared.queues import Task


@dataclass(frozen=True, slots=True)
class Received:
    """An event that nobody has acted upon."""

    id: str
    provider: Provider
    concern: Concern
    object_id: str | None
    #: The authorization that it belongs to, where there is one.
    reference: str | None
    #: Seconds since it came.
    age: float


_RECORD = text("""
    WITH fresh AS (
        INSERT INTO webhook_events
            (id, provider, event_id, type, concern, object_id, reference, created, api_version, livemode, state)
        VALUES (:id, :provider, :event_id, :type, :concern, :object_id, :reference, :created, :api_version, :livemode,
                :state)
        ON CONFLICT (provider, event_id) DO NOTHING
        RETURNING id, state
    ), staged AS (
        INSERT INTO outbox (subject, task, due_at)
        SELECT id, :task, now() + make_interval(secs => :patience) FROM fresh WHERE state = 'received'
    )
    SELECT id FROM fresh
""")

_READ = text("""
    SELECT id, provider, concern, object_id, reference, extract(epoch FROM now() - received_at)::float8 AS age
    FROM webhook_events WHERE id = :id AND state = 'received'
""")

_END = text("UPDATE webhook_events SET state = :state, ended_at = now() WHERE id = :id AND state = 'received'")


def record(connection: Connection, provider: Provider, notice: Notice, patience: float) -> str | None:
    """Write an event and its message down; returns the row's id, None for an event that was recorded before.

    An event of no use to us is written down without a message.
    """
    ignored = notice.concern is Concern.NOTHING
    values = {name: getattr(notice, name) for name in Notice.__slots__}
    values |= {
        "id": new_id("whe"),
        "provider": provider,
        "state": WebhookState.IGNORED if ignored else WebhookState.RECEIVED,
        "task": Task.PROCESS_WEBHOOK,
        "patience": patience,
    }
    event_id: str | None = connection.execute(_RECORD, values).scalar()
    return event_id


def read(connection: Connection, event_id: str) -> Received | None:
    """Return the event to act upon; None when a twin has."""
    row = connection.execute(_READ, {"id": event_id}).one_or_none()
    if row is None:
        return None
    return Received(row.id, Provider(row.provider), Concern(row.concern), row.object_id, row.reference, row.age)


def end(connection: Connection, event_id: str, event: WebhookEvent) -> None:
    """Say what has become of an event; a twin may have said so before."""
    connection.execute(_END, {"id": event_id, "state": advance(TRANSITIONS, WebhookState.RECEIVED, event)})
