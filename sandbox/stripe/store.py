"""The stand-in's own store: one SQLite file that outlives the process.

The objects are kept as the JSON they are sent as.  The ledger is append-only, and SQLite itself refuses to change it:
tests compare it with what the mesh believes.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from sandbox.stripe.objects import Charge, Dispute, Event, PaymentIntent, Refund

SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF; -- a lost machine may lose the last writes; a lost process loses none
PRAGMA wal_autocheckpoint = 10000; -- pages; the rarer the cheaper, and the file stays below 40 MB

CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, payment_intent TEXT NOT NULL,
    type TEXT, created INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS objects_by_kind ON objects (kind, seq);
CREATE INDEX IF NOT EXISTS objects_by_payment_intent ON objects (payment_intent, kind, seq);

CREATE TABLE IF NOT EXISTS deliveries (seq INTEGER PRIMARY KEY, event TEXT NOT NULL);

CREATE TABLE IF NOT EXISTS ledger (
    seq INTEGER PRIMARY KEY, at REAL NOT NULL, operation TEXT NOT NULL, object TEXT NOT NULL,
    payment_intent TEXT NOT NULL, amount INTEGER NOT NULL, currency TEXT NOT NULL,
    idempotency_key TEXT, request_id TEXT
);
CREATE INDEX IF NOT EXISTS ledger_by_payment_intent ON ledger (payment_intent);
CREATE INDEX IF NOT EXISTS ledger_by_object ON ledger (object);
CREATE TRIGGER IF NOT EXISTS ledger_is_never_changed BEFORE UPDATE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS ledger_is_never_deleted BEFORE DELETE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;

CREATE TABLE IF NOT EXISTS requests (
    seq INTEGER PRIMARY KEY, at REAL NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL, operation TEXT NOT NULL,
    object TEXT, idempotency_key TEXT, request_id TEXT NOT NULL, fault TEXT, replayed INTEGER NOT NULL DEFAULT 0,
    status INTEGER -- none while it is carried out, and for ever when the answer was withheld
);
CREATE INDEX IF NOT EXISTS requests_by_object ON requests (object);

CREATE TABLE IF NOT EXISTS idempotency_keys (
    key TEXT PRIMARY KEY, at REAL NOT NULL, path TEXT NOT NULL, parameters TEXT NOT NULL, status INTEGER NOT NULL,
    body BLOB NOT NULL, request_id TEXT NOT NULL
);
"""
#: Stripe keeps an idempotency key for at least 24 hours; here it is forgotten right after them.
KEY_LIFETIME_SECONDS = 24 * 3600

Thing = TypeVar("Thing", PaymentIntent, Charge, Refund, Dispute, Event)


class KeptAnswer(NamedTuple):
    """The first answer under an idempotency key, and the request it was given to."""

    path: str
    parameters: str
    status: int
    body: bytes
    request_id: str


class Store:
    """Everything the stand-in remembers."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(directory / "stripe.sqlite3", isolation_level=None, cached_statements=256)
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
        row = self._db.execute("SELECT body FROM objects WHERE id = ? AND kind = ?", (id, shape.__name__)).fetchone()
        return msgspec.json.decode(row[0], type=shape) if row else None

    def add(self, thing: Thing, payment_intent: str) -> None:
        """Keep a new object, which belongs to this PaymentIntent."""
        kind = type(thing).__name__
        of_type = thing.type if isinstance(thing, Event) else None
        self._db.execute(
            "INSERT INTO objects (id, kind, payment_intent, type, created, body) VALUES (?, ?, ?, ?, ?, ?)",
            (thing.id, kind, payment_intent, of_type, thing.created, thing.encode()),
        )

    def save(self, thing: Thing) -> None:
        """Keep the new state of an object."""
        self._db.execute("UPDATE objects SET body = ? WHERE id = ?", (thing.encode(), thing.id))

    def page(self, shape: type[Thing], where: Mapping[str, Any], limit: int, *, oldest_first: bool) -> list[Thing]:
        """At most `limit` objects in the order of creation; `where` maps conditions, one place each, to values."""
        order = "ASC" if oldest_first else "DESC"
        conditions = " AND ".join(["kind = ?", *where])
        # The conditions are this program's own words; only their values come from a request.
        query = f"SELECT body FROM objects WHERE {conditions} ORDER BY seq {order} LIMIT ?"  # noqa: S608
        rows = self._db.execute(query, (shape.__name__, *where.values(), limit))
        return [msgspec.json.decode(body, type=shape) for (body,) in rows]

    def position(self, id: str) -> int | None:
        """Where an object stands in the order of creation."""
        row = self._db.execute("SELECT seq FROM objects WHERE id = ?", (id,)).fetchone()
        return row[0] if row else None

    # The ledger.

    def record(
        self,
        operation: str,
        thing: PaymentIntent | Refund | Dispute,
        payment_intent: str,
        amount: int,
        idempotency_key: str | None,
        request_id: str | None,
    ) -> None:
        """Append one effect to the ledger."""
        self._db.execute(
            "INSERT INTO ledger (at, operation, object, payment_intent, amount, currency, idempotency_key, request_id)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (time.time(), operation, thing.id, payment_intent, amount, thing.currency, idempotency_key, request_id),
        )

    def count(self, payment_intent: str, *operations: str) -> int:
        """How often these operations stand in the ledger for a PaymentIntent."""
        places = ", ".join("?" * len(operations))
        query = f"SELECT count(*) FROM ledger WHERE payment_intent = ? AND operation IN ({places})"  # noqa: S608
        return int(self._db.execute(query, (payment_intent, *operations)).fetchone()[0])

    def ledger(self, object: str | None, since: int) -> list[dict[str, Any]]:
        """The effects after `since`, in order; of one object, or of a PaymentIntent with its refunds."""
        return self._rows(
            "SELECT * FROM ledger WHERE seq > ? AND (? IS NULL OR object = ? OR payment_intent = ?) ORDER BY seq",
            (since, object, object, object),
        )

    # The requests, also those that were refused or never answered.

    def arrived(self, method: str, path: str, **noted: str | None) -> int:
        """Note a request as it arrives; returns its place in the list."""
        columns = ", ".join(noted)
        places = ", ".join("?" * len(noted))
        cursor = self._db.execute(
            f"INSERT INTO requests (at, method, path, {columns}) VALUES (?, ?, ?, {places})",  # noqa: S608  # our words
            (time.time(), method, path, *noted.values()),
        )
        return int(cursor.lastrowid or 0)

    def answered(self, seq: int, status: int | None, object: str | None, replayed: bool = False) -> None:
        """Note what a request was answered with, None when that was withheld, and the object it is about."""
        self._db.execute(
            "UPDATE requests SET status = ?, object = ?, replayed = ? WHERE seq = ?", (status, object, replayed, seq)
        )

    def requests(self, object: str | None, since: int) -> list[dict[str, Any]]:
        """The requests after `since`, in order of arrival, about one object or all of them."""
        query = "SELECT * FROM requests WHERE seq > ? AND (? IS NULL OR object = ?) ORDER BY seq"
        rows = self._rows(query, (since, object, object))
        return [row | {"replayed": bool(row["replayed"])} for row in rows]

    # The idempotency keys.

    def kept_answer(self, key: str) -> KeptAnswer | None:
        """What was first answered under a key, while the key is remembered."""
        row = self._db.execute(
            "SELECT path, parameters, status, body, request_id FROM idempotency_keys WHERE key = ? AND at > ?",
            (key, time.time() - KEY_LIFETIME_SECONDS),
        ).fetchone()
        return KeptAnswer(*row) if row else None

    def keep_answer(self, key: str | None, answer: KeptAnswer) -> None:
        """Remember what was answered under a key, when there was one."""
        if key:
            self._db.execute("REPLACE INTO idempotency_keys VALUES (?, ?, ?, ?, ?, ?, ?)", (key, time.time(), *answer))

    def forget_keys(self) -> int:
        """Forget every key, as Stripe may after 24 hours; returns how many there were."""
        return self._db.execute("DELETE FROM idempotency_keys").rowcount

    def age_keys(self, seconds: float) -> int:
        """Let so many seconds pass for every key; returns how many there are."""
        return self._db.execute("UPDATE idempotency_keys SET at = at - ?", (seconds,)).rowcount

    # The webhooks that are still to be delivered.

    def owe(self, event: str) -> None:
        """Note that an event is to be delivered."""
        self._db.execute("INSERT INTO deliveries (event) VALUES (?)", (event,))

    def owed(self) -> list[str]:
        """The ids of the events that are still to be delivered, in order."""
        return [event for (event,) in self._db.execute("SELECT event FROM deliveries ORDER BY seq")]

    def delivered(self, event: str) -> None:
        """Note that an event reached its receiver."""
        self._db.execute("DELETE FROM deliveries WHERE event = ?", (event,))

    def _rows(self, query: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
        cursor = self._db.execute(query, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]
