"""What every task shares: its wiring, its transaction, and what happens when it breaks."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from celery import Task as CeleryTask
from sqlalchemy import Connection

from shared.broker import Publisher
from shared.db import Locked
from shared.domain.alerts import parked
from shared.domain.intents import WAIT_FOR_CAPTURE, IntentState
from shared.errors import Parked, Problem, Unavailable
from shared.logging import blame
from shared.providers.ports import InProgress, Unknown
from shared.queues import Task
from shared.store import alerts, intents, journal, outbox
from shared.store.alerts import Severity
from shared.store.intents import Bell
from shared.store.outbox import Message, Staged
from shared.store.timeline import Entry
from workers.mesh import Mesh, mesh

log = structlog.get_logger()


class Work:
    """One transaction of a task: rows, the history that explains them, and the messages that follow."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.struck: list[Message] = []
        self.staged: list[Staged] = []
        self.history: list[Entry] = []
        self.bells: list[Bell] = []
        self.opened: list[tuple[Severity, str, str | None]] = []

    def strike(self, task: Task, subject: str) -> None:
        """This message was acted upon: nobody needs to send it again."""
        self.struck.append(Message(task, subject))

    def stage(self, task: Task, subject: str, delay: float | None = None) -> None:
        """Send this message when the transaction is committed, or `delay` seconds later."""
        self.staged.append(Staged(Message(task, subject), delay))

    def record(self, entry: Entry) -> None:
        """Write this event to the order's timeline."""
        self.history.append(entry)

    def finish(self, intent_id: str, body: str) -> None:
        """Store the answer 200."""
        self.ring(intents.end(self.connection, intent_id, IntentState.DONE, 200, body))

    def refuse(self, intent_id: str, refusal: Problem) -> None:
        """Store a no."""
        self.ring(intents.end(self.connection, intent_id, IntentState.REFUSED, refusal.http_status, refusal.body()))

    def ring(self, *bells: Bell | None) -> None:
        """Wake those who wait for these intents, once their answers are committed."""
        self.bells.extend(bell for bell in bells if bell and bell.waiters)

    def close(self, patience: float) -> None:
        """Write the journal, when there is anything to write."""
        if self.history or self.struck or self.staged:
            self.staged = list({staged.message: staged for staged in self.staged}.values())  # the last word counts
            journal.close(
                self.connection, history=self.history, struck=self.struck, staged=self.staged, patience=patience
            )

    def alert(self, cause: str, severity: Severity, title: str, order_id: str | None) -> None:
        """Open an alert, and log it once: when it is committed and was not open before."""
        if alerts.open_once(self.connection, cause, severity, title, order_id):
            self.opened.append((severity, title, order_id))


class Worker(CeleryTask[[str], None]):
    """The base of every task.  A task takes one id and may be run any number of times, by any number of workers."""

    _publisher: Publisher | None = None

    @property
    def mesh(self) -> Mesh:
        """This process's wiring."""
        return mesh()

    @property
    def publisher(self) -> Publisher:
        """Publishes through the application's pool."""
        if self._publisher is None:
            type(self)._publisher = Publisher(self.app)
        return self._publisher  # type: ignore[return-value]

    def __call__(self, *args: str) -> None:
        """Run the task; whatever breaks it is logged and tried again later, or parked."""
        subject = args[0] if args else ""
        with structlog.contextvars.bound_contextvars(task=self.name, subject=subject):
            try:
                self.run(*args)
            except (Unavailable, Locked) as error:  # the row stands in the outbox; the sweep comes back to it
                log.warning("database_hindered", **blame(error))
            except InProgress:
                log.info("twin_is_calling")  # the row stands in the outbox, should the twin not come back
            except Unknown as unknown:
                log.warning("provider_unanswered", reason=unknown.reason)
                self._broke(subject, self.mesh.settings.retry_limit)
            except Exception as error:
                log.error("task_broke", **blame(error))  # noqa: TRY400  # a traceback's message may quote a row
                self._broke(subject, self.mesh.settings.breakage_limit)

    @contextmanager
    def work(self) -> Iterator[Work]:
        """One short transaction: commit, then publish, ring and log what was staged in it."""
        with self.mesh.database.transaction() as connection:
            work = Work(connection)
            yield work
            work.close(self.mesh.settings.patience)
        for severity, title, order_id in work.opened:
            report = log.critical if severity is Severity.CRITICAL else log.warning
            report("alert_opened", alert=title, order_id=order_id)
        messages = [staged.message for staged in work.staged if staged.delay is None]
        if messages:
            self.publisher.publish(messages)
        if work.bells:
            self.publisher.ring(work.bells)

    def try_again(self, work: Work, subject: str, attempts: int) -> None:
        """Stage this task once more, after a pause that grows; when there were enough attempts a person goes on."""
        limits = self.mesh.settings
        message = Message(Task(self.name), subject)
        if attempts < limits.retry_limit:
            work.stage(*message, delay=outbox.backoff(attempts, limits.retry_base, limits.retry_ceiling))
        else:
            self._park(work, message, f"was tried {attempts} times")

    def _broke(self, subject: str, limit: int) -> None:
        """Count a breakage; at the limit park what the message is about and tell a person."""
        message = Message(Task(self.name), subject)
        try:
            with self.work() as work:
                limits = self.mesh.settings
                count = outbox.break_off(work.connection, message, limits.retry_base, limits.retry_ceiling)
                if count >= limit:
                    self._park(work, message, f"broke {count} times")
        except (Unavailable, Locked) as error:
            log.warning("database_hindered", **blame(error))

    def _park(self, work: Work, message: Message, reason: str) -> None:
        work.strike(*message)
        title = f"{message.task} {message.subject} {reason} and is parked"
        work.alert(parked(message.task, message.subject), Severity.CRITICAL, title, None)
        problem = Parked()
        for bell in intents.park(work.connection, message.subject, problem.http_status, problem.body()):
            work.ring(bell)
            for task in WAIT_FOR_CAPTURE.values():  # it may have waited for this one
                work.strike(task, bell.intent_id)
