"""The edges of a process: where its commits, its provider calls and its mails leave it.

They are watched in the libraries themselves, so the mesh runs as it is: a connection of psycopg's that knows its
commits, and the one method of requests and of smtplib through which everything is sent.
"""

import re
import smtplib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from requests import PreparedRequest, ReadTimeout
from requests.adapters import HTTPAdapter
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError

from sandbox.http import Router
from shared.db import Database
from tests.faults.harness.boundaries import Cut, Killed, Kind, Process, boundary, running
from tests.faults.harness.standins import ENDPOINTS

#: A turn may take longer than the mesh's patience with a lock, on a machine that is busy with other things; what
#: happens when the patience ends is tried with `hasty` locks.  No test here kills Postgres, so nothing need be synced.
OPTIONS = (
    " -c lock_timeout=60s -c statement_timeout=60s -c idle_in_transaction_session_timeout=60s -c synchronous_commit=off"
)

#: A statement that neither changes nor locks a row.
READS = re.compile(r"\s*SELECT\b(?!.*\bFOR (NO KEY )?UPDATE\b)", re.IGNORECASE | re.DOTALL)

#: A lock is not waited for, as if the mesh's patience had ended.
HASTY = "SET LOCAL lock_timeout = '1ms'"


def called(stand_in: str, operation: str) -> str:
    """The name of an operation over all stand-ins, such as `razorpay.capture`; Stripe's go without its name."""
    return operation if stand_in == "stripe" else f"{stand_in}.{operation}"


def place(called: str) -> tuple[str, str]:
    """The stand-in that has the operation of this name, and what it calls it."""
    stand_in, _, operation = called.rpartition(".")
    return stand_in or "stripe", operation


class Locks:
    """How the connections of a rig take a lock that somebody else has: they wait, or with `hasty` give up at once."""

    hasty = False

    @contextmanager
    def wait(self, waits: bool) -> Iterator[None]:
        """Wait for locks in this block, or give up at once."""
        self.hasty = not waits
        try:
            yield
        finally:
            self.hasty = False


class _Cursor(psycopg.Cursor[Any]):
    """Knows which of its statements are transactions of their own."""

    connection: "_Connection"

    def execute(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        """Execute, as a boundary when nothing else will commit it."""
        process = self.connection.process()
        if process is None or not query:
            return super().execute(query, *args, **kwargs)
        process.uses(self.connection.info.backend_pid)
        kind = Kind.READ if READS.match(query) else Kind.COMMIT
        if self.connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            self.connection.has_changed |= kind is Kind.COMMIT
            return super().execute(query, *args, **kwargs)
        with boundary(kind, "a statement"):
            return super().execute(query, *args, **kwargs)


class _Connection(psycopg.Connection[Any]):
    """Knows its commits, and is cut when its process is killed: Postgres then rolls back what was not committed."""

    locks: Locks

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: Whether it was given to somebody; before, SQLAlchemy gets to know it.
        self.is_in_use = False
        #: Whether its transaction holds locks or changes that others cannot see.
        self.has_changed = False
        self._is_orphan = False
        self.cursor_factory = _Cursor

    def process(self) -> Process | None:
        """Whose boundaries it crosses, if anybody's."""
        return running() if self.is_in_use else None

    @contextmanager
    def transaction(self, *args: Any, **kwargs: Any) -> Iterator[psycopg.Transaction]:
        """One transaction; its end is a boundary."""
        process = self.process()
        if process is None:
            with super().transaction(*args, **kwargs) as transaction:
                yield transaction
            return
        process.uses(self.info.backend_pid)
        with self._ends_with(process):
            with super().transaction(*args, **kwargs) as transaction, self._ends_with(process):
                if self.locks.hasty:
                    self.execute(HASTY)
                self.has_changed, process.is_in_transaction = False, True
                yield transaction
                if self.has_changed:
                    process.end_step()  # with its locks held, and its changes seen by nobody
                reached = process.reach(Kind.COMMIT if self.has_changed else Kind.READ, "a transaction")
            process.leave(reached)

    def rollback(self) -> None:
        """Roll back, which nobody does for a process that was killed."""
        if not self._is_orphan:
            super().rollback()

    @contextmanager
    def _ends_with(self, process: Process) -> Iterator[None]:
        """Close the socket as soon as the process is killed or cut off, before anybody can say good-bye to Postgres."""
        try:
            yield
        except (Killed, Cut):
            self._is_orphan = process.is_dead
            self.close()
            raise
        finally:
            process.is_in_transaction = False


@contextmanager
def watched_database(database: Database, locks: Locks) -> Iterator[None]:
    """Let every connection of this pool know its boundaries; all are closed in the end, also those it has lost."""
    made: list[_Connection] = []

    def connect(_: Any, __: Any, args: Any, parameters: dict[str, Any]) -> _Connection:
        parameters["options"] += OPTIONS
        connection: _Connection = _Connection.connect(*args, **parameters)
        connection.locks = locks
        made.append(connection)
        return connection

    event.listen(database.engine, "do_connect", connect)
    event.listen(database.engine, "checkout", _hand_out)
    yield
    database.close()
    for connection in made:
        connection.close()


def _hand_out(connection: _Connection, *_: Any) -> None:
    """A process that was killed leaves no connection to the next one."""
    if connection.closed:
        raise DisconnectionError
    connection.is_in_use = True


@dataclass(frozen=True)
class Timeout:
    """The next request that the stand-in calls so gets no answer, whether it takes `effect` or not."""

    operation: str
    effect: bool
    then: Callable[[], object]


class Wires:
    """Every HTTP request of an SDK and every mail, each a boundary; some requests get no answer."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        """`urls` is where each stand-in is reached, by which its operations are told apart."""
        self._timeouts: list[Timeout] = []
        self._kept_open: set[HTTPAdapter | smtplib.SMTP] = set()
        self._routes = {urlsplit(url).netloc: (name, Router(ENDPOINTS[name])) for name, url in urls.items()}

    def time_out(self, operation: str, *, effect: bool, then: Callable[[], object] = lambda: None) -> None:
        """Let the next request of this kind run out of its client's patience, without anybody waiting for that."""
        self._timeouts.append(Timeout(operation, effect, then))

    def behave(self) -> None:
        """Answer every request."""
        self._timeouts.clear()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch them in this block; what was kept open is closed after it."""
        send_request, send_mail = HTTPAdapter.send, smtplib.SMTP.sendmail

        def request(adapter: HTTPAdapter, prepared: Any, *args: Any, **kwargs: Any) -> Any:
            self._kept_open.add(adapter)
            operation = self._operation(prepared)
            with boundary(Kind.CALL, operation):
                return self._send(operation, lambda: send_request(adapter, prepared, *args, **kwargs))

        def mail(server: smtplib.SMTP, *args: Any, **kwargs: Any) -> Any:
            self._kept_open.add(server)
            with boundary(Kind.MAIL, "a message"):
                return send_mail(server, *args, **kwargs)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(HTTPAdapter, "send", request)
            patch.setattr(smtplib.SMTP, "sendmail", mail)
            yield
        for connection in self._kept_open:
            connection.close()

    def _send(self, operation: str, send: Callable[[], Any]) -> Any:
        """Send one request, and take its whole answer, so that nobody is killed while it arrives."""
        due = next((timeout for timeout in self._timeouts if running() and timeout.operation == operation), None)
        if due is None:
            answer = send()
            answer.content  # noqa: B018  # reads it
            return answer
        self._timeouts.remove(due)
        if due.effect:
            send().close()
        due.then()
        raise ReadTimeout

    def _operation(self, prepared: PreparedRequest) -> str:
        """What the stand-in calls it."""
        url = urlsplit(str(prepared.url))
        name, router = self._routes[url.netloc]
        found = router.find(str(prepared.method), url.path)
        return called(name, found[0].operation) if found else url.path
