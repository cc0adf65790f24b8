"""Intents: intake by idempotency key, and the answers that are kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from shared.domain.intents import RUNNING, TASK_OF, IntentState, Operation
from shared.errors import Problem


@dataclass(frozen=True, slots=True)
class Intent:
    """An intent as it stands."""

    id: str
    operation: Operation
    subject: str
    actor: str
    state: IntentState
    payload: Any
    fingerprint: bytes
    accepted_at: datetime
    #: Why a running intent cannot go on for now: a problem's code.
    hindrance: str | None
    answer_status: int | None
    answer_body: str | None

    @property
    def running(self) -> bool:
        """Whether its answer is still to come."""
        return self.state in RUNNING


@dataclass(frozen=True, slots=True)
class NewIntent:
    """One request, as the gateway took it in.  Its scope is (actor, operation, subject, idempotency key)."""

    id: str
    operation: Operation
    subject: str
    actor: str
    idempotency_key: str | None
    #: SHA-256 of what was asked; tells a repeated request from another one under the same key.
    fingerprint: bytes
    #: The validated body, as JSON.
    payload: str
    #: The reply queue at which its client waits.
    waiter: str | None
    #: Seconds after which the sweep publishes it, should it still be there.
    patience: float

    def accepted(self) -> Intent:
        """The intent as it stands right after it was recorded."""
        return Intent(
            id=self.id,
            operation=self.operation,
            subject=self.subject,
            actor=self.actor,
            state=IntentState.ACCEPTED,
            payload=None,
            fingerprint=self.fingerprint,
            accepted_at=datetime.now(UTC),
            hindrance=None,
            answer_status=None,
            answer_body=None,
        )


_COLUMNS = """id, operation, subject, actor, state, payload, fingerprint, accepted_at, hindrance,
              answer_status, answer_body"""

# In the order of their scopes, so that two gateways with the same intents never wait for each other in a ring.
_ACCEPT = text("""
    WITH new AS MATERIALIZED (
        SELECT * FROM unnest(
            CAST(:ids AS text[]), CAST(:operations AS text[]), CAST(:subjects AS text[]), CAST(:actors AS text[]),
            CAST(:keys AS text[]), CAST(:fingerprints AS bytea[]), CAST(:payloads AS text[]),
            CAST(:waiters AS text[]), CAST(:tasks AS text[]), CAST(:patiences AS float8[])
        ) AS n (id, operation, subject, actor, key, fingerprint, payload, waiter, task, patience)
    ), fresh AS (
        INSERT INTO intents (id, operation, subject, actor, idempotency_key, fingerprint, payload, waiters)
        SELECT id, operation, subject, actor, key, fingerprint, CAST(payload AS jsonb),
               array_remove(ARRAY[waiter], NULL)
        FROM new ORDER BY subject, operation, actor, key, fingerprint
        ON CONFLICT DO NOTHING
        RETURNING id
    )
    INSERT INTO outbox (subject, task, due_at)
    SELECT id, task, now() + make_interval(secs => patience) FROM fresh JOIN new USING (id)
    RETURNING subject
""")

_JOIN = text(f"""
    UPDATE intents
    SET waiters = CASE WHEN state IN ('accepted', 'working') AND NOT :waiter = ANY(waiters)
                       THEN waiters || CAST(:waiter AS text) ELSE waiters END,
        hindrance = NULL
    WHERE subject = :subject AND operation = :operation AND actor = :actor AND (
        idempotency_key = :key
        OR CAST(:key AS text) IS NULL AND idempotency_key IS NULL
            AND fingerprint = :fingerprint AND state IN ('accepted', 'working')
    )
    RETURNING {_COLUMNS}
""")

_READ = text(f"SELECT {_COLUMNS} FROM intents WHERE id = ANY(CAST(:ids AS text[]))")

_WORKING = text("UPDATE intents SET state = 'working' WHERE id = :id AND state IN ('accepted', 'working')")

_HINDER = text("""
    UPDATE intents SET hindrance = :hindrance WHERE id = :id AND state IN ('accepted', 'working') RETURNING waiters
""")

_END = text("""
    UPDATE intents
    SET state = :state, answer_status = :status, answer_body = :body, ended_at = now(), hindrance = NULL
    WHERE id = :id AND state IN ('accepted', 'working')
    RETURNING id, waiters
""")

_PARK = text("""
    UPDATE intents
    SET state = 'parked', answer_status = :status, answer_body = :body, ended_at = now(), hindrance = NULL
    WHERE state IN ('accepted', 'working') AND (
        id = :subject
        OR state = 'working' AND subject = (SELECT order_id FROM voids WHERE id = :subject)
            AND (awaits IS NULL OR awaits = :subject)
        OR state = 'working' AND subject = (SELECT order_id FROM refunds WHERE id = :subject) AND awaits = :subject
        OR state = 'working' AND id = (SELECT intent_id FROM order_edits WHERE id = :subject)
        OR state = 'working' AND operation = 'cancel_booking' AND subject = :subject
        OR state = 'working' AND subject = (SELECT order_id FROM capture_jobs WHERE id = :subject) AND awaits = :subject
        OR state = 'accepted' AND operation IN
            ('cancel_order_by_operator', 'cancel_order_by_courier', 'refund_order', 'cancel_booking')
            AND subject = (SELECT order_id FROM capture_jobs WHERE id = :subject AND state = 'active')
    )
    RETURNING id, waiters
""")

_END_WORKING = text("""
    UPDATE intents
    SET state = :state, answer_status = :status, answer_body = :body, ended_at = now(), hindrance = NULL
    WHERE subject = :subject AND operation = :operation
        AND (state = 'working' OR id = :intent_id AND state = 'accepted')
    RETURNING id, waiters
""")


@dataclass(frozen=True, slots=True)
class Bell:
    """Somebody waits for this intent at these reply queues."""

    intent_id: str
    waiters: Sequence[str]


def accept_all(connection: Connection, new: Sequence[NewIntent]) -> dict[NewIntent, bool]:
    """Record intents and their messages; one that another of the same scope stands in the way of has no answer."""
    values = {
        "ids": [each.id for each in new],
        "operations": [str(each.operation) for each in new],
        "subjects": [each.subject for each in new],
        "actors": [each.actor for each in new],
        "keys": [each.idempotency_key for each in new],
        "fingerprints": [each.fingerprint for each in new],
        "payloads": [each.payload for each in new],
        "waiters": [each.waiter for each in new],
        "tasks": [str(TASK_OF[each.operation]) for each in new],
        "patiences": [each.patience for each in new],
    }
    accepted = set(connection.execute(_ACCEPT, values).scalars())
    return {each: True for each in new if each.id in accepted}


def join(connection: Connection, new: NewIntent) -> Intent | None:
    """Wait along with the intent of the same scope; None when it has just ended and no key binds the two."""
    values = {
        "operation": new.operation,
        "subject": new.subject,
        "actor": new.actor,
        "key": new.idempotency_key,
        "fingerprint": new.fingerprint,
        "waiter": new.waiter,
    }
    row = connection.execute(_JOIN, values).one_or_none()
    return _intent(row) if row else None


def read(connection: Connection, intent_id: str) -> Intent | None:
    """Return an intent as it stands."""
    return read_all(connection, [intent_id]).get(intent_id)


def read_all(connection: Connection, intent_ids: Sequence[str]) -> dict[str, Intent]:
    """Return intents as they stand, by id."""
    return {row.id: _intent(row) for row in connection.execute(_READ, {"ids": list(intent_ids)})}


def mark_working(connection: Connection, intent_id: str) -> None:
    """The intent's rules were judged; what follows from it will end it."""
    connection.execute(_WORKING, {"id": intent_id})


def hinder(connection: Connection, intent_id: str, problem: type[Problem]) -> Bell | None:
    """Note why the intent cannot go on for now.  It stays accepted: a 503 is never recorded as an answer."""
    row = connection.execute(_HINDER, {"id": intent_id, "hindrance": problem.code}).one_or_none()
    return Bell(intent_id, row.waiters) if row else None


def end(connection: Connection, intent_id: str, state: IntentState, status: int, body: str) -> Bell | None:
    """Store the answer, once; None when the intent has one already."""
    values = {"id": intent_id, "state": state, "status": status, "body": body}
    row = connection.execute(_END, values).one_or_none()
    return Bell(row.id, row.waiters) if row else None


def park(connection: Connection, subject: str, status: int, body: str) -> list[Bell]:
    """A task for this id broke too often: park the intent of this id, or those that wait for its money."""
    values = {"subject": subject, "status": status, "body": body}
    return [Bell(row.id, row.waiters) for row in connection.execute(_PARK, values)]


def end_working(
    connection: Connection,
    operation: Operation,
    subject: str,
    status: int,
    body: str,
    state: IntentState = IntentState.DONE,
    intent_id: str | None = None,
) -> list[Bell]:
    """Store one answer for every intent that waits for the same outcome on the same subject.

    `intent_id` is one of them that was judged just now.
    """
    values = {"operation": operation, "subject": subject, "status": status, "body": body}
    values |= {"state": state, "intent_id": intent_id}
    return [Bell(row.id, row.waiters) for row in connection.execute(_END_WORKING, values)]


def _intent(row: Row[Any]) -> Intent:
    return Intent(
        id=row.id,
        operation=Operation(row.operation),
        subject=row.subject,
        actor=row.actor,
        state=IntentState(row.state),
        payload=row.payload,
        fingerprint=bytes(row.fingerprint),
        accepted_at=row.accepted_at,
        hindrance=row.hindrance,
        answer_status=row.answer_status,
        answer_body=row.answer_body,
    )
