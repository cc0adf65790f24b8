"""Syncs: many shipments looked up in batches, each of which ends by itself, and a report when the last one has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True)
class Batch:
    """Some shipments of a sync, to be looked up by one request."""

    id: str
    shipment_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class Ended:
    """A sync whose last batch has ended; without an intent it was beat's."""

    intent_id: str | None
    #: The report of the client contract, as JSON.
    report: str
    total: int
    #: Shipments of batches that have failed.
    failed: int


_START = text("""
    WITH running AS (
        INSERT INTO syncs (id, intent_id) VALUES (:id, :intent_id)
        ON CONFLICT DO NOTHING RETURNING id
    ), chosen AS (
        SELECT id, row_number() OVER (ORDER BY tracked_at NULLS FIRST, id) - 1 AS place FROM (
            SELECT id, tracked_at FROM shipments
            WHERE followed_by IS NOT NULL AND status NOT IN ('delivered', 'canceled', 'returned', 'abandoned')
            ORDER BY tracked_at NULLS FIRST, id LIMIT :limit
        ) s
    )
    INSERT INTO sync_batches (id, sync_id, shipment_ids)
    SELECT running.id || '.' || lpad((place / :size)::text, 4, '0'), running.id, array_agg(chosen.id ORDER BY place)
    FROM chosen CROSS JOIN running
    GROUP BY running.id, place / :size
    RETURNING id, cardinality(shipment_ids) AS size
""")

_TOTAL = text("UPDATE syncs SET total = :total WHERE id = :id")

_READ = text("""
    SELECT id, shipment_ids FROM sync_batches WHERE id = :id AND state = 'waiting'
""")

_FAILING = text("""
    UPDATE sync_batches SET attempts = attempts + 1, last_error = :error WHERE id = :id AND state = 'waiting'
    RETURNING attempts
""")

_PROGRESS = text("""
    SELECT s.total, coalesce(sum(cardinality(b.shipment_ids)) FILTER (WHERE b.state <> 'waiting'), 0)::int AS done
    FROM syncs s LEFT JOIN sync_batches b ON b.sync_id = s.id
    WHERE s.intent_id = :intent_id
    GROUP BY s.id
""")

_LOCK = text("""
    SELECT s.id FROM syncs s JOIN sync_batches b ON b.sync_id = s.id WHERE b.id = :id FOR NO KEY UPDATE OF s
""")

_END_BATCH = text("""
    UPDATE sync_batches SET state = 'done', results = CAST(:results AS jsonb), last_error = NULL
    WHERE id = :id AND state = 'waiting'
""")

_FAIL_BATCH = text("""
    UPDATE sync_batches b
    SET state = 'failed', last_error = :error, results = (
        SELECT coalesce(jsonb_agg(jsonb_build_object('orderId', s.order_id, 'awb', s.awb, 'success', false,
            'status', s.courier_status, 'cancellationDetected', false,
            'error', CAST(:error AS text)) ORDER BY s.id), '[]')
        FROM shipments s WHERE s.id = ANY(b.shipment_ids)
    )
    WHERE b.id = :id AND b.state = 'waiting'
""")

_END = text("""
    UPDATE syncs s SET state = 'done', ended_at = now()
    WHERE id = :id AND state = 'running'
      AND NOT EXISTS (SELECT FROM sync_batches b WHERE b.sync_id = s.id AND b.state = 'waiting')
    RETURNING intent_id
""")

# The report is put together where its lines are: however many they are, no process holds them one by one.
_REPORT = text("""
    WITH lines AS (
        SELECT r.line, (r.line ->> 'success')::boolean AS success,
               (r.line ->> 'cancellationDetected')::boolean AS canceled, b.state = 'failed' AS failed, b.id, r.place
        FROM sync_batches b CROSS JOIN LATERAL jsonb_array_elements(b.results) WITH ORDINALITY AS r (line, place)
        WHERE b.sync_id = :id
    )
    SELECT count(*) AS total, count(*) FILTER (WHERE failed) AS failed,
           json_build_object('success', true, 'message', CASE WHEN bool_and(success) IS NOT FALSE
                   THEN 'Bulk sync completed successfully' ELSE 'Bulk sync completed with errors' END,
               'data', json_build_object('total', count(*), 'synced', count(*) FILTER (WHERE success AND NOT canceled),
                   'cancelled', count(*) FILTER (WHERE success AND canceled),
                   'errors', count(*) FILTER (WHERE NOT success),
                   'details', coalesce(json_agg(line ORDER BY id, place), '[]'))
           )::text AS report
    FROM lines
""")


def start(connection: Connection, sync_id: str, intent_id: str | None, *, limit: int, size: int) -> list[str]:
    """Begin a sync of the shipments that were not looked up for longest; returns its batches, of `size` at most.

    None of beat's begins while another one is under way.
    """
    values = {"id": sync_id, "intent_id": intent_id, "limit": limit, "size": size}
    rows = connection.execute(_START, values).all()
    connection.execute(_TOTAL, {"id": sync_id, "total": sum(row.size for row in rows)})
    return [row.id for row in rows]


def progress(connection: Connection, intent_id: str) -> dict[str, int] | None:
    """Return of how many shipments a sync is, and how many of them are done; None before it has begun."""
    row = connection.execute(_PROGRESS, {"intent_id": intent_id}).one_or_none()
    return {"total": row.total, "done": row.done} if row else None


def read(connection: Connection, batch_id: str) -> Batch | None:
    """Return a batch that is to be looked up; None when it has ended."""
    row = connection.execute(_READ, {"id": batch_id}).one_or_none()
    return Batch(row.id, row.shipment_ids) if row else None


def count_failure(connection: Connection, batch_id: str, error: str) -> int | None:
    """Count an attempt that has failed; returns the attempts so far, None when the batch has ended."""
    attempts: int | None = connection.execute(_FAILING, {"id": batch_id, "error": error}).scalar()
    return attempts


def end_batch(connection: Connection, batch_id: str, results: Sequence[Mapping[str, Any]]) -> Ended | None:
    """A batch was looked up; returns the sync when that was its last one."""
    sync_id = connection.execute(_LOCK, {"id": batch_id}).scalar_one()
    body = msgspec.json.encode(results).decode()
    connection.execute(_END_BATCH, {"id": batch_id, "results": body})
    return end(connection, sync_id)


def fail_batch(connection: Connection, batch_id: str, error: str) -> Ended | None:
    """A batch was tried often enough: its shipments are reported; returns the sync when it was the last one."""
    sync_id = connection.execute(_LOCK, {"id": batch_id}).scalar_one()
    connection.execute(_FAIL_BATCH, {"id": batch_id, "error": error})
    return end(connection, sync_id)


def end(connection: Connection, sync_id: str) -> Ended | None:
    """End a sync when none of its batches is to come, once; returns it with its report."""
    row = connection.execute(_END, {"id": sync_id}).one_or_none()
    if row is None:
        return None
    report = connection.execute(_REPORT, {"id": sync_id}).one()
    return Ended(row.intent_id, report.report, report.total, report.failed)
