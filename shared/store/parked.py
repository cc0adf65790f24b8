"""What is parked: tasks that were given up, each with an open alert, and no message that would carry it on."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from shared.domain import alerts
from shared.domain.intents import TASK_OF, WAIT_FOR_CAPTURE, IntentState, Operation
from shared.domain.transitions import advance
from shared.domain.webhooks import TRANSITIONS, WebhookEvent, WebhookState
from shared.queues import Task
from shared.store import operators
from shared.store.outbox import Message

#: Intents whose answer is to come, or was only that of their parking.
UNANSWERED = (IntentState.WORKING, IntentState.PARKED)


@dataclass(frozen=True, slots=True)
class Parked:
    """What a person wants to go on, and all that is parked of it."""

    order_id: str | None
    messages: list[Message]
    #: The state of the intent that was named; None when it was anything else.
    state: IntentState | None
    #: The refund or void that the intent awaits, when it has ended and the intent has not.
    ended: str | None


@dataclass(frozen=True, slots=True)
class Retry:
    """The request of an operator: the id of what is to go on, and why."""

    subject: str
    actor: str
    running: bool
    payload: Any


_RETRY = text("""
    SELECT subject, actor, state IN ('accepted', 'working') AS running, payload FROM intents WHERE id = :id
""")

_NAMED = text("""
    SELECT i.operation, i.state, i.awaits, o.id AS order_id
    FROM intents i LEFT JOIN orders o ON o.id = i.subject
    WHERE i.id = :id
""")

_MONEY_NAMED = text("""
    SELECT 'void.payment' AS task, order_id FROM voids WHERE id = :id
    UNION ALL SELECT 'refund.payment', order_id FROM refunds WHERE id = :id
    UNION ALL SELECT 'capture.payment', order_id FROM capture_jobs WHERE id = :id
    UNION ALL SELECT 'edit.authorize', order_id FROM order_edits WHERE id = :id
    UNION ALL SELECT CASE WHEN cancel_state = 'requested' THEN 'courier.cancel' ELSE 'courier.track' END, order_id
        FROM shipments WHERE id = :id
    UNION ALL SELECT 'webhook.process', p.order_id
        FROM webhook_events w LEFT JOIN payments p ON p.provider = w.provider AND p.reference = w.reference
        WHERE w.id = :id
""")

_OPEN = text("""
    SELECT p.task, p.subject
    FROM unnest(CAST(:tasks AS text[]), CAST(:subjects AS text[]), CAST(:causes AS text[])) AS p (task, subject, cause)
    WHERE EXISTS (SELECT FROM alerts a WHERE a.cause = p.cause AND a.resolved_at IS NULL)
      AND NOT EXISTS (SELECT FROM outbox b WHERE b.subject = p.subject AND b.task = p.task)
""")

_AGAIN = text("""
    UPDATE intents
    SET state = :state, answer_status = NULL, answer_body = NULL, ended_at = NULL
    WHERE id = :id AND state = 'parked'
""")

_CAPTURING = text("SELECT id FROM capture_jobs WHERE order_id = :order_id AND state = 'active'")

# Of parked requests that are one another's repetition at most one may run: the one that is named, else the latest.
_BEHIND_CAPTURE = text("""
    SELECT DISTINCT ON (i.operation, i.actor, i.idempotency_key, i.fingerprint) i.id, i.operation
    FROM intents i
    WHERE i.subject = (SELECT order_id FROM capture_jobs WHERE id = :job_id) AND i.state = 'parked' AND i.awaits IS NULL
      AND i.operation IN ('cancel_order_by_operator', 'cancel_order_by_courier', 'refund_order', 'cancel_booking')
      AND NOT EXISTS (
        SELECT FROM intents t
        WHERE (t.subject, t.operation, t.actor, t.fingerprint) = (i.subject, i.operation, i.actor, i.fingerprint)
          AND t.idempotency_key IS NULL AND i.idempotency_key IS NULL AND t.state IN ('accepted', 'working')
      )
    ORDER BY i.operation, i.actor, i.idempotency_key, i.fingerprint, i.id = :named DESC, i.id DESC
""")

_TWIN = text("""
    SELECT EXISTS (
        SELECT FROM intents i JOIN intents t USING (subject, operation, actor, fingerprint)
        WHERE i.id = :id AND i.state = 'parked' AND i.idempotency_key IS NULL
          AND t.idempotency_key IS NULL AND t.state IN ('accepted', 'working')
    )
""")

_EVENT_AGAIN = text("""
    UPDATE webhook_events SET state = :state, ended_at = NULL WHERE id = :id AND state = 'parked'
""")

# One attempt is left on record: it may have reached the provider, and is read back before the next.
_COUNT_ANEW = text("""
    WITH v AS (UPDATE voids SET attempts = 1 WHERE id = :id AND attempts > 1),
    r AS (UPDATE refunds SET attempts = 1 WHERE id = :id AND attempts > 1),
    s AS (UPDATE shipments SET cancel_attempts = 1 WHERE id = :id AND cancel_attempts > 1),
    e AS (UPDATE order_edits SET attempts = 1 WHERE id = :id AND attempts > 1)
    UPDATE capture_jobs SET attempts = 1 WHERE id = :id AND attempts > 1
""")


def cause(message: Message) -> str:
    """The cause of the alert about a task that was given up."""
    return alerts.parked(message.task, message.subject)


def retry(connection: Connection, intent_id: str) -> Retry:
    """Return what a retry asks for."""
    row = connection.execute(_RETRY, {"id": intent_id}).one()
    return Retry(row.subject, row.actor, row.running, row.payload)


def find(connection: Connection, named: str) -> Parked | None:
    """Return what is parked of an intent, or of what is behind one; None: there is nothing of that id."""
    intent = connection.execute(_NAMED, {"id": named}).one_or_none()
    if intent:
        state = IntentState(intent.state)
        own = Message(TASK_OF[Operation(intent.operation)], named)
        if intent.awaits is None:
            return Parked(intent.order_id, _unjudged(connection, intent.order_id, own, state), state, None)
        has_ended = operators.ended(connection, intent.awaits) is not None
        found = _judged(connection, intent.awaits, state, has_ended=has_ended)
        if intent.operation == Operation.CANCEL_BOOKING:  # what has ended is gone on with, and answers
            settling = Message(Task.SETTLE_BOOKING, intent.order_id)
            is_stuck = found or state is IntentState.PARKED or _given_up(connection, [settling])
            return Parked(intent.order_id, [*found, settling] if is_stuck else [], state, None)
        return Parked(intent.order_id, found, state, intent.awaits if has_ended and state in UNANSWERED else None)
    money = connection.execute(_MONEY_NAMED, {"id": named}).one_or_none()
    if money is None:
        return None
    found = _given_up(connection, [Message(Task(money.task), named)])
    return Parked(money.order_id, found + _behind(connection, found, named), None, None)


def _judged(connection: Connection, awaited: str, state: IntentState, *, has_ended: bool) -> list[Message]:
    """What carries on an intent that was judged: the task of the row that it awaits, never its own.

    Judged again it would promise another refund.  A row that is going on by itself is woken, so that it answers.
    """
    message = Message(Task(connection.execute(_MONEY_NAMED, {"id": awaited}).one().task), awaited)
    found = _given_up(connection, [message])
    return [message] if state is IntentState.PARKED and not found and not has_ended else found


def _unjudged(connection: Connection, order_id: str | None, own: Message, state: IntentState) -> list[Message]:
    """What carries on an intent that has promised nothing of its own: its task, and what that has to wait for.

    A shopper's cancel waits for the order's void, an operator's request and a guest's for its capture.
    """
    found = _given_up(connection, [own, *_in_the_way(connection, order_id, own.task)])
    found += [message for message in _behind(connection, found, own.subject) if message not in found]
    if state is IntentState.PARKED and own not in found and not any(task is Task.VOID_PAYMENT for task, _ in found):
        found.append(own)
    return found


def _in_the_way(connection: Connection, order_id: str | None, task: Task) -> list[Message]:
    if order_id and task is Task.CANCEL_ORDER:
        return [Message(Task.VOID_PAYMENT, void_id) for void_id in operators.requested_voids(connection, order_id)]
    if order_id and task in WAIT_FOR_CAPTURE.values():
        jobs = connection.execute(_CAPTURING, {"order_id": order_id}).scalars()
        return [Message(Task.CAPTURE_PAYMENT, job_id) for job_id in jobs]
    return []


def _behind(connection: Connection, found: list[Message], named: str) -> list[Message]:
    """The requests that were parked because the capture which they wait for was."""
    captures = [message.subject for message in found if message.task is Task.CAPTURE_PAYMENT]
    rows = [row for job in captures for row in connection.execute(_BEHIND_CAPTURE, {"job_id": job, "named": named})]
    return [Message(TASK_OF[Operation(row.operation)], row.id) for row in rows]


def are_given_up(connection: Connection, messages: list[Message]) -> bool:
    """Whether nobody carries one of these on before a person says so."""
    return bool(_given_up(connection, messages))


def is_repeated(connection: Connection, intent_id: str) -> bool:
    """Whether a repetition of this parked intent is under way, which no key tells from it."""
    return bool(connection.execute(_TWIN, {"id": intent_id}).scalar())


def put_event_back(connection: Connection, event_id: str) -> None:
    """Let a parked webhook event be followed again."""
    state = advance(TRANSITIONS, WebhookState.PARKED, WebhookEvent.RETRIED)
    connection.execute(_EVENT_AGAIN, {"id": event_id, "state": state})


def put_back(connection: Connection, intent_id: str, state: IntentState) -> None:
    """Let a parked intent run again; the answer that told of its parking is withdrawn."""
    connection.execute(_AGAIN, {"id": intent_id, "state": state})


def count_anew(connection: Connection, subject: str) -> None:
    """Give a void, a refund, a capture or the cancel of a shipment its attempts back."""
    connection.execute(_COUNT_ANEW, {"id": subject})


def _given_up(connection: Connection, messages: list[Message]) -> list[Message]:
    tasks, subjects = [str(message.task) for message in messages], [message.subject for message in messages]
    causes = [cause(message) for message in messages]
    rows = connection.execute(_OPEN, {"tasks": tasks, "subjects": subjects, "causes": causes})
    return [Message(Task(row.task), row.subject) for row in rows]
