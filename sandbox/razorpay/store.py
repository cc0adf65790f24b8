"""The stand-in's own store: one SQLite file that outlives the process.

The objects are kept as the JSON they are sent as.  The ledger is append-only, and SQLite itself refuses to change it:
tests compare it with what the mesh believes.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from sandbox.razorpay.objects import Event, Payment, Refund

SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF; -- a lost machine may lose the last writes; a lost process loses none

CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, payment TEXT NOT NULL, created_at INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS objects_by_payment ON objects (payment, seq);

CREATE TABLE IF NOT EXISTS ledger (
    seq INTEGER PRIMARY KEY, at REAL NOT NULL, operation TEXT NOT NULL, object TEXT NOT NULL, payment TEXT NOT NULL,
    amount INTEGER NOT NULL, currency TEXT NOT NULL, idempotency_key TEXT
);
CREATE INDEX IF NOT EXISTS ledger_by_payment ON ledger (payment);
CREATE INDEX IF NOT EXISTS ledger_by_object ON ledger (object);
CREATE TRIGGER IF NOT EXISTS ledger_is_never_changed BEFORE UPDATE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS ledger_is_never_deleted BEFORE DELETE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;

CREATE TABLE IF NOT EXISTS requests (
    seq INTEGER PRIMARY KEY, at REAL NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL, operation TEXT NOT NULL,
    object TEXT, idempotency_key TEXT, fault TEXT, replayed INTEGER NOT NULL DEFAULT 0,
    status INTEGER -- none while it is carried out, and for ever when the answer was withheld
);
CREATE INDEX IF NOT EXISTS requests_by_object ON requests (object);

CREATE TABLE IF NOT EXISTS idempotency_keys (
    key TEXT PRIMARY KEY, request TEXT NOT NULL, status INTEGER NOT NULL, body BLOB NOT NULL
);

CREATE TABLE IF NOT EXISTS deliveries (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, payment TEXT NOT NULL, refund TEXT,
    body BLOB NOT NULL
);
"""

Thing = TypeVar("Thing", Payment, Refund)


class KeptAnswer(NamedTuple):
    """The first answer under an idempotency key, and the request it was given to."""

    request: str
    status: int
    body: bytes


class Store:
    """Everything the stand-in remembers."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(directory / "razorpay.sqlite3", isolation_level=None)
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it, or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # The objects.

    def find(self, shape: type[Thing], id: str) -> Thing | None:
        """The object with this id, or None."""
        row = self._db.execute("SELECT body FROM objects WHERE id = ?", (id,)).fetchone()
        return msgspec.json.decode(row[0], type=shape) if row else None

    def save(self, thing: Payment | Refund) -> None:
        """Keep an object as it is now."""
        self._db.execute(
            "INSERT INTO objects (id, payment, created_at, body) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            (thing.id, _payment_of(thing), thing.created_at, msgspec.json.encode(thing)),
        )

    def refunds(self, payment: str, count: int, skip: int, since: int, until: int) -> list[Refund]:
        """At most `count` refunds of a payment, newest first, made between two unix times, both included."""
        rows = self._db.execute(
            "SELECT body FROM objects WHERE payment = ? AND id <> payment AND created_at BETWEEN ? AND ?"
            " ORDER BY seq DESC LIMIT ? OFFSET ?",
            (payment, since, until, count, skip),
        )
        return [msgspec.json.decode(body, type=Refund) for (body,) in rows]

    # The ledger.

    def record(self, operation: str, thing: Payment | Refund, idempotency_key: str | None) -> None:
        """Append one effect, of the whole amount of what it happened to."""
        self._db.execute(
            "INSERT INTO ledger (at, operation, object, payment, amount, currency, idempotency_key)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (time.time(), operation, thing.id, _payment_of(thing), thing.amount, thing.currency, idempotency_key),
        )

    def ledger(self, object: str | None, since: int) -> list[dict[str, Any]]:
        """The effects after `since`, in order; of one object, or of a payment with its refunds."""
        return self._rows(
            "SELECT * FROM ledger WHERE seq > ? AND (? IS NULL OR object = ? OR payment = ?) ORDER BY seq",
            (since, object, object, object),
        )

    # The requests, also those that were refused or never answered.

    def arrived(self, *noted: str | None) -> int:
        """Note a request: method, path, operation, object, key and fault; returns its place in the list."""
        cursor = self._db.execute(
            "INSERT INTO requests (at, method, path, operation, object, idempotency_key, fault)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (time.time(), *noted),
        )
        return int(cursor.lastrowid or 0)

    def answered(self, seq: int, status: int | None, replayed: bool = False) -> None:
        """Note what a request was answered with, None when that was withheld."""
        self._db.execute("UPDATE requests SET status = ?, replayed = ? WHERE seq = ?", (status, replayed, seq))

    def requests(self, object: str | None, since: int) -> list[dict[str, Any]]:
        """The requests after `since`, in order of arrival, about one object or all of them."""
        query = "SELECT * FROM requests WHERE seq > ? AND (? IS NULL OR object = ?) ORDER BY seq"
        rows = self._rows(query, (since, object, object))
        return [row | {"replayed": bool(row["replayed"])} for row in rows]

    # The idempotency keys.

    def kept_answer(self, key: str) -> KeptAnswer | None:
        """What was first answered under a key."""
        query = "SELECT request, status, body FROM idempotency_keys WHERE key = ?"
        row = self._db.execute(query, (key,)).fetchone()
        return KeptAnswer(*row) if row else None

    def keep_answer(self, key: str, answer: KeptAnswer) -> None:
        """Remember what was answered under a key."""
        self._db.execute("INSERT INTO idempotency_keys VALUES (?, ?, ?, ?)", (key, *answer))

    def forget_keys(self) -> int:
        """Forget every key, as Razorpay may at any time: it promises no lifetime; returns how many there were."""
        return self._db.execute("DELETE FROM idempotency_keys").rowcount

    # The events that are still to be delivered.

    def owe(self, event: Event) -> None:
        """Note that an event is to be delivered."""
        self._db.execute("INSERT INTO deliveries (id, name, payment, refund, body) VALUES (?, ?, ?, ?, ?)", event)

    def owed(self) -> list[Event]:
        """The events that are still to be delivered, in order."""
        rows = self._db.execute("SELECT id, name, payment, refund, body FROM deliveries ORDER BY seq")
        return [Event(*row) for row in rows]

    def delivered(self, event: str) -> None:
        """Note that an event reached its receiver, or was given up."""
        self._db.execute("DELETE FROM deliveries WHERE id = ?", (event,))

    def _rows(self, query: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
        cursor = self._db.execute(query, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]


def _payment_of(thing: Payment | Refund) -> str:
    return thing.id if isinstance(thing, Payment) else thing.payment_id
