"""Recording: which statements Postgres executed, and with which values, read from its own log.

pg_stat_statements does not come with the embedded Postgres; its log is as exact, and tells the values too.
"""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import psycopg
from psycopg import sql

from benchmarks.peers import Mesh

#: Seconds until the log must show what was executed.
LATE = 10.0

#: A line of the log with Postgres' default prefix; the lines of a longer text start with a tab.
LINE = re.compile(r"^\S+ \S+ \S+ \[(?P<pid>\d+)\] (?P<kind>[A-Z]+):  (?P<text>.*)$")
EXECUTED = re.compile(r"^(?:statement|execute [^:]+): (?P<sql>.*)$", re.DOTALL)
VALUES = re.compile(r"\$(\d+) = (?:'((?:[^']|'')*)'|NULL)", re.DOTALL)

#: They begin and end transactions, and do nothing by themselves.
FRAME = re.compile(r"^\s*(BEGIN|COMMIT|ROLLBACK)\b", re.IGNORECASE)


class Statement(NamedTuple):
    """One statement as it was executed; `$1` stands for the first value, None for NULL."""

    backend: int
    sql: str
    values: Mapping[int, str | None]

    @property
    def is_frame(self) -> bool:
        """Whether it only begins or ends a transaction."""
        return FRAME.match(self.sql) is not None

    @property
    def is_begin(self) -> bool:
        """Whether it begins a transaction."""
        return self.sql.lstrip().upper().startswith("BEGIN")


Transaction = list[Statement]


class Recorder:
    """Executes marks, so that what happened between two of them can be told apart."""

    def __init__(self, mesh: Mesh, connection: "psycopg.Connection[tuple[object, ...]]") -> None:
        self._log = mesh.stack.root / "log" / "postgres.log"
        self._connection = connection
        self._marks = 0

    def mark(self) -> str:
        """Write a mark into the log; returns it."""
        self._marks += 1
        mark = f"mark {self._marks} of {self._connection.info.backend_pid}"
        self._connection.execute(sql.SQL("SELECT {}").format(mark))
        return mark

    def between(self, first: str, second: str) -> list[Transaction]:
        """The transactions of all others between two marks, in the order of their beginnings."""
        deadline = time.monotonic() + LATE
        while second not in (text := self._text()):
            if time.monotonic() > deadline:
                raise RuntimeError("Postgres' log does not show what was executed")
            time.sleep(0.05)
        page = text.partition(first)[2].partition("\n")[2].partition(second)[0]
        own = self._connection.info.backend_pid
        return [group for group in transactions(page) if group[0].backend != own]

    def _text(self) -> str:
        older = self._log.with_name(f"{self._log.name}.1")  # supervisord begins a new file now and then
        return (older.read_text() if older.exists() else "") + self._log.read_text()


@contextmanager
def recording(mesh: Mesh) -> Iterator[Recorder]:
    """Let Postgres log every statement meanwhile."""
    with psycopg.connect(mesh.settings.database_url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET log_statement = 'all'")
        connection.execute("SELECT pg_reload_conf()")
        time.sleep(0.5)  # every backend reads its settings before its next statement
        try:
            yield Recorder(mesh, connection)
        finally:
            connection.execute("ALTER SYSTEM RESET log_statement")
            connection.execute("SELECT pg_reload_conf()")


def transactions(page: str) -> list[Transaction]:
    """What one backend executed from BEGIN to COMMIT, together; a statement outside is its own transaction."""
    found: list[Transaction] = []
    running: dict[int, Transaction] = {}
    for statement in _statements(page):
        if statement.backend in running:
            running[statement.backend].append(statement)
            if statement.is_frame:
                del running[statement.backend]
        else:
            found.append([statement])
            if statement.is_begin:
                running[statement.backend] = found[-1]
    return found


def _statements(page: str) -> list[Statement]:
    found: list[Statement] = []
    for pid, kind, text in _entries(page):
        executed = EXECUTED.match(text) if kind == "LOG" else None
        if executed and executed["sql"].strip():  # an empty one only asks whether the connection lives
            found.append(Statement(pid, executed["sql"], {}))
        elif kind == "DETAIL" and found and found[-1].backend == pid:
            found[-1] = found[-1]._replace(values=_values(text))
    return found


def _entries(page: str) -> Iterator[tuple[int, str, str]]:
    """Each entry of the log, its lines joined: the backend, the kind, the text."""
    entry: tuple[int, str, str] | None = None
    for line in page.splitlines():
        match = LINE.match(line)
        if match:
            if entry:
                yield entry
            entry = int(match["pid"]), match["kind"], match["text"]
        elif entry:
            entry = (*entry[:2], f"{entry[2]}\n{line.removeprefix(chr(9))}")
    if entry:
        yield entry


def _values(detail: str) -> dict[int, str | None]:
    return {
        int(number): None if value is None else value.replace("''", "'")
        for number, value in ((found[1], found[2]) for found in VALUES.finditer(detail))
    }


def one_line(statement: str) -> str:
    """A statement without its line breaks."""
    return re.sub(r"\s+", " ", statement).strip()
