"""E-mails to send: one row for each (cause, template, recipient), written in the commit that gives the reason."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from shared.domain.emails import TRANSITIONS, EmailEvent, EmailState, Template
from shared.domain.transitions import advance


@dataclass(frozen=True, slots=True)
class NewEmail:
    """A message to one recipient; `context` (JSON) is what the template shows, as it was when the reason arose."""

    id: str
    order_id: str
    #: What it is about, e.g. a void's id: the same cause never mails the same words twice.
    cause: str
    template: Template
    recipient: str
    context: str


@dataclass(frozen=True, slots=True)
class Letter:
    """A claimed e-mail."""

    id: str
    order_id: str
    cause: str
    template: Template
    recipient: str
    context: dict[str, Any]
    attempts: int


_WRITE = text("""
    INSERT INTO emails (id, order_id, cause, template, recipient, context)
    VALUES (:id, :order_id, :cause, :template, :recipient, CAST(:context AS jsonb))
    ON CONFLICT (cause, template, recipient) DO NOTHING
""")

# A row that is being sent is left to its worker until the lease is over: two twins must not both mail.
_CLAIM = text("""
    UPDATE emails SET state = 'sending', claimed_at = now(), attempts = attempts + 1
    WHERE id = :id
      AND (state = 'pending' OR state = 'sending' AND claimed_at < now() - make_interval(secs => :lease))
    RETURNING id, order_id, cause, template, recipient, context, attempts
""")

_SETTLE = text("""
    WITH gone AS (DELETE FROM outbox WHERE :final AND subject = :id AND task = :task)
    UPDATE emails SET state = :state, last_error = :error, sent_at = CASE WHEN :state = 'sent' THEN now() END
    WHERE id = :id AND state = 'sending' AND attempts = :attempts
    RETURNING id
""")


def write(connection: Connection, new: NewEmail) -> None:
    """Write a message down, once for each cause; it is sent when its task is staged."""
    connection.execute(_WRITE, {name: getattr(new, name) for name in NewEmail.__slots__})


def claim(connection: Connection, email_id: str, lease: float) -> Letter | None:
    """Take an e-mail to send it; None when it is sent, refused, or in a twin's hands for less than `lease` seconds."""
    row = connection.execute(_CLAIM, {"id": email_id, "lease": lease}).one_or_none()
    if row is None:
        return None
    return Letter(row.id, row.order_id, row.cause, Template(row.template), row.recipient, row.context, row.attempts)


def settle(connection: Connection, letter: Letter, event: EmailEvent, error: str | None, task: str) -> bool:
    """Write the server's answer down, and strike the message out when it is final; False when a twin took over."""
    after = advance(TRANSITIONS, EmailState.SENDING, event)
    values = {
        "id": letter.id,
        "state": after,
        "final": after is not EmailState.PENDING,
        "error": error,
        "attempts": letter.attempts,
        "task": task,
    }
    return connection.execute(_SETTLE, values).scalar() is not None
