"""The outbox: messages that must arrive, as rows in the commit that caused them.

A row stands from the commit that stages it to the commit that has acted upon it.  It is published right after the
first; the sweep publishes again whatever is overdue.  So a message that the broker loses, doubles, delays or reorders
changes when things happen, never what happens.  Retries and the capture's hour are nothing but a later `due_at`.
"""

import random
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, text

from shared.queues import Task


class Message(NamedTuple):
    """One task for one id."""

    task: Task
    subject: str


class Staged(NamedTuple):
    """A message and how many seconds from now it is due: at once when `None`."""

    message: Message
    delay: float | None = None


_FLUSH = text("""
    WITH gone AS (
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

_BREAK = text("""
    UPDATE outbox
    SET breakages = breakages + 1, due_at = now() + make_interval(secs => least(:base * power(2, breakages), :ceiling))
    WHERE subject = :subject AND task = :task
    RETURNING breakages
""")

_SWEEP = text("""
    UPDATE outbox o
    SET sweeps = o.sweeps + 1, due_at = now() + make_interval(secs => :patience * least(power(2, o.sweeps), 64))
    FROM (
        SELECT subject, task FROM outbox WHERE due_at <= now() ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED
    ) due
    WHERE o.subject = due.subject AND o.task = due.task
    RETURNING o.task, o.subject
""")


def flush(connection: Connection, done: Sequence[Message], staged: Sequence[Staged], patience: float) -> None:
    """Strike out the messages that were acted upon and write those that must follow, in one statement.

    A message due at once is published right after the commit; the sweep looks after it when `patience` is over.
    """
    connection.execute(
        _FLUSH,
        {
            "gone_subjects": [message.subject for message in done],
            "gone_tasks": [str(message.task) for message in done],
            "subjects": [stage.message.subject for stage in staged],
            "tasks": [str(stage.message.task) for stage in staged],
            "delays": [patience if stage.delay is None else stage.delay for stage in staged],
        },
    )


def break_off(connection: Connection, message: Message, base: float, ceiling: float) -> int:
    """Postpone a message whose task broke, ever longer; returns how often it has by now, 0 when the row is gone."""
    values = {"subject": message.subject, "task": message.task, "base": base, "ceiling": ceiling}
    return connection.execute(_BREAK, values).scalar() or 0


def sweep(connection: Connection, patience: float, limit: int) -> list[Message]:
    """Take up to `limit` overdue messages to publish; two sweeps at once take different ones."""
    rows = connection.execute(_SWEEP, {"patience": patience, "limit": limit})
    return [Message(Task(task), subject) for task, subject in rows]


def backoff(attempts: int, base: float, ceiling: float) -> float:
    """Return the seconds to pause after so many attempts: doubled each time, with jitter, never above `ceiling`."""
    pause: float = min(base * 2 ** min(attempts, 30), ceiling)
    return pause * random.uniform(0.5, 1)  # noqa: S311  # jitter is no secret
