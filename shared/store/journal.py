"""The journal: what a worker's transaction writes last, in one statement.

The history that explains what it changed, the messages it acted upon, and the messages that must follow.
"""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, text

from shared.store.outbox import Message, Staged
from shared.store.timeline import Entry

_CLOSE = text("""
    WITH history AS (
        INSERT INTO timeline (order_id, event, source, actor, data)
        SELECT order_id, event, source, actor, CAST(data AS jsonb)
        FROM unnest(
            CAST(:orders AS text[]), CAST(:events AS text[]), CAST(:sources AS text[]), CAST(:actors AS text[]),
            CAST(:data AS text[])
        ) WITH ORDINALITY AS e (order_id, event, source, actor, data, position)
        ORDER BY position
    ), gone AS (
        DELETE FROM outbox o
        USING unnest(CAST(:gone_subjects AS text[]), CAST(:gone_tasks AS text[])) AS g (subject, task)
        WHERE o.subject = g.subject AND o.task = g.task
    )
    INSERT INTO outbox (subject, task, due_at)
    SELECT subject, task, now() + make_interval(secs => delay)
    FROM unnest(CAST(:subjects AS text[]), CAST(:tasks AS text[]), CAST(:delays AS float8[]))
        AS s (subject, task, delay)
    ON CONFLICT (subject, task) DO UPDATE SET due_at = excluded.due_at, sweeps = 0
""")


def close(
    connection: Connection,
    *,
    history: Sequence[Entry],
    struck: Sequence[Message],
    staged: Sequence[Staged],
    patience: float,
) -> None:
    """Write the entries in their order, strike out the messages that were acted upon, and stage those that follow.

    A message without a delay is published right after the commit; the sweep looks after it when `patience` (seconds)
    is over.  A message is never struck out and staged in one transaction.
    """
    connection.execute(
        _CLOSE,
        {
            "orders": [entry.order_id for entry in history],
            "events": [str(entry.event) for entry in history],
            "sources": [entry.source for entry in history],
            "actors": [entry.actor for entry in history],
            "data": [msgspec.json.encode(entry.data).decode() for entry in history],
            "gone_subjects": [message.subject for message in struck],
            "gone_tasks": [str(message.task) for message in struck],
            "subjects": [stage.message.subject for stage in staged],
            "tasks": [str(stage.message.task) for stage in staged],
            "delays": [patience if stage.delay is None else stage.delay for stage in staged],
        },
    )
