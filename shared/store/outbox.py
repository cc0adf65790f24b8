"""The outbox: messages that must arrive, as rows in the commit that caused them.

A row stands from the commit that stages it to the commit that has acted upon it.  It is published right after the
first; the sweep publishes again whatever is overdue.  So a message that the broker loses, doubles, delays or reorders
changes when things happen, never what happens.  Retries and the capture's hour are nothing but a later `due_at`.
"""

import random
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
        SELECT subject, task FROM outbox
        WHERE due_at <= now() AND task = ANY(CAST(:tasks AS text[]))
        ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED
    ) due
    WHERE o.subject = due.subject AND o.task = due.task
    RETURNING o.task, o.subject
""")


def break_off(connection: Connection, message: Message, base: float, ceiling: float) -> int:
    """Postpone a message whose task broke, ever longer; returns how often it has by now, 0 when the row is gone."""
    values = {"subject": message.subject, "task": message.task, "base": base, "ceiling": ceiling}
    return connection.execute(_BREAK, values).scalar() or 0


def sweep(connection: Connection, patience: float, limit: int) -> list[Message]:
    """Take up to `limit` overdue messages to publish; two sweeps at once take different ones."""
    tasks = [str(task) for task in Task]  # a newer release's messages are for its own sweep
    rows = connection.execute(_SWEEP, {"patience": patience, "limit": limit, "tasks": tasks})
    return [Message(Task(task), subject) for task, subject in rows]


def backoff(attempts: int, base: float, ceiling: float) -> float:
    """Return the seconds to pause after so many attempts: doubled each time, with jitter, never above `ceiling`."""
    pause: float = min(base * 2 ** min(attempts, 30), ceiling)
    return pause * random.uniform(0.5, 1)  # noqa: S311  # jitter is no secret
