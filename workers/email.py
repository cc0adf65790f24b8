"""Email: tell people what happened, one recipient a message.

Claim, send, settle.  SMTP has no idempotency: when the answer after DATA is lost, the message is sent again under the
same Message-ID, since a notice that comes twice is better than one that never comes.
"""

from shared.domain.alerts import Kind, cause
from shared.domain.emails import EmailEvent
from shared.providers.ports import Refused, Unknown
from shared.queues import Task
from shared.store import emails
from shared.store.alerts import Severity
from shared.store.emails import Letter
from workers.app import app
from workers.base import Worker
from workers.templates import compose

#: How long a worker may hold a message before another may send it, in seconds: longer than an SMTP conversation whose
#: every step takes its whole timeout.
LEASE = 120.0


@app.task(base=Worker, bind=True, name=Task.SEND_EMAIL)
def send_email(task: Worker, email_id: str) -> None:
    """Send one e-mail; a repeated message finds it claimed or sent."""
    letter = claim(task, email_id)
    if letter is None:
        return
    try:
        task.mesh.mailer.send(compose(letter))
    except Refused as refusal:
        refuse(task, letter, refusal.code)
    except Unknown as unknown:
        defer(task, letter, unknown.reason)
    else:
        settle(task, letter)


def claim(task: Worker, email_id: str) -> Letter | None:
    """Take the e-mail out of everybody else's hands for a while."""
    with task.mesh.database.statement() as connection:
        return emails.claim(connection, email_id, LEASE)


def settle(task: Worker, letter: Letter) -> None:
    """The server took it."""
    with task.mesh.database.statement() as connection:
        emails.settle(connection, letter, EmailEvent.SENT, None, Task.SEND_EMAIL)


def refuse(task: Worker, letter: Letter, code: str) -> None:
    """The server will never take it: a person must reach the shopper another way."""
    with task.work() as work:
        if emails.settle(work.connection, letter, EmailEvent.REFUSED, code, Task.SEND_EMAIL):
            title = f"Order {letter.order_id}: the mail server refused {letter.template} ({code})"
            work.alert(cause(Kind.EMAIL_REFUSED, letter.id), Severity.WARNING, title, letter.order_id)


def defer(task: Worker, letter: Letter, reason: str) -> None:
    """Busy, away, or silent after the message: later."""
    with task.work() as work:
        if emails.settle(work.connection, letter, EmailEvent.DEFERRED, reason, Task.SEND_EMAIL):
            task.try_again(work, letter.id, letter.attempts)
