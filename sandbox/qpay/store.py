"""The stand-in's own store: one SQLite file that outlives the process.

The ledger is append-only, and SQLite itself refuses to change it: tests compare it with what the mesh believes.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from sandbox.qpay.objects import Invoice, Payment

SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF; -- a lost machine may lose the last writes; a lost process loses none

CREATE TABLE IF NOT EXISTS invoices (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, sender_invoice_no TEXT NOT NULL, body BLOB NOT NULL
);

CREATE TABLE IF NOT EXISTS payments (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, invoice TEXT NOT NULL REFERENCES invoices (id), body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS payments_by_invoice ON payments (invoice, seq);

CREATE TABLE IF NOT EXISTS ledger (
    seq INTEGER PRIMARY KEY, at REAL NOT NULL, operation TEXT NOT NULL, object TEXT NOT NULL, invoice TEXT NOT NULL,
    sender_invoice_no TEXT NOT NULL, amount INTEGER NOT NULL, currency TEXT NOT NULL
);
CREATE TRIGGER IF NOT EXISTS ledger_is_never_changed BEFORE UPDATE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS ledger_is_never_deleted BEFORE DELETE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;

CREATE TABLE IF NOT EXISTS requests (
    seq INTEGER PRIMARY KEY, at REAL NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL, operation TEXT NOT NULL,
    object TEXT, invoice TEXT, sender_invoice_no TEXT, fault TEXT,
    status INTEGER -- none while it is carried out, and for ever when the answer was withheld
);

CREATE TABLE IF NOT EXISTS callbacks ( -- one row an attempt; one without an answer has no status
    seq INTEGER PRIMARY KEY, at REAL NOT NULL, object TEXT NOT NULL, invoice TEXT NOT NULL,
    sender_invoice_no TEXT NOT NULL, method TEXT NOT NULL, url TEXT NOT NULL, attempt INTEGER NOT NULL,
    status INTEGER, answer TEXT, fault TEXT
);

CREATE TABLE IF NOT EXISTS tokens (
    token TEXT PRIMARY KEY, kind TEXT NOT NULL, ends REAL NOT NULL -- in unix seconds
) WITHOUT ROWID;
"""

#: The rows after one of them, in order, about one object, one invoice or one of the merchant's numbers, or all.
WANTED = "WHERE seq > :since AND (:object IS NULL OR :object IN (object, invoice, sender_invoice_no)) ORDER BY seq"


class Subject(NamedTuple):
    """What a request or an effect is about: an invoice or a payment, its invoice, and the merchant's number."""

    object: str | None
    invoice: str | None = None
    sender_invoice_no: str | None = None


class Store:
    """Everything the stand-in remembers."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(directory / "qpay.sqlite3", isolation_level=None)
        self._db.executescript(SCHEMA)
        self._db.execute("PRAGMA foreign_keys = ON")

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

    def invoice(self, id: str) -> Invoice | None:
        """The invoice with this id, or None."""
        row = self._db.execute("SELECT body FROM invoices WHERE id = ?", (id,)).fetchone()
        return msgspec.json.decode(row[0], type=Invoice) if row else None

    def payment(self, id: str) -> Payment | None:
        """The payment with this id, or None."""
        row = self._db.execute("SELECT body FROM payments WHERE id = ?", (id,)).fetchone()
        return msgspec.json.decode(row[0], type=Payment) if row else None

    def payments_of(self, invoice: str) -> list[Payment]:
        """The payments of an invoice, in the order in which they were made."""
        rows = self._db.execute("SELECT body FROM payments WHERE invoice = ? ORDER BY seq", (invoice,))
        return [msgspec.json.decode(body, type=Payment) for (body,) in rows]

    def save_invoice(self, invoice: Invoice) -> None:
        """Keep an invoice as it is now."""
        self._db.execute(
            "INSERT INTO invoices (id, sender_invoice_no, body) VALUES (?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            (invoice.id, invoice.sender_invoice_no, msgspec.json.encode(invoice)),
        )

    def save_payment(self, payment: Payment) -> None:
        """Keep a payment as it is now."""
        self._db.execute(
            "INSERT INTO payments (id, invoice, body) VALUES (?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            (payment.id, payment.invoice, msgspec.json.encode(payment)),
        )

    def subject(self, object: str) -> Subject:
        """What an id is about, as far as it is known."""
        row = self._db.execute(
            "SELECT id, sender_invoice_no FROM invoices"
            " WHERE id = ? OR id = (SELECT invoice FROM payments WHERE id = ?)",
            (object, object),
        ).fetchone()
        return Subject(object, *row) if row else Subject(object)

    # The ledger.

    def record(self, operation: str, object: str, amount: int, currency: str) -> None:
        """Append one effect on an invoice or a payment."""
        self._db.execute(
            "INSERT INTO ledger (at, operation, amount, currency, object, invoice, sender_invoice_no)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (time.time(), operation, amount, currency, *self.subject(object)),
        )

    def ledger(self, object: str | None, since: int) -> list[dict[str, Any]]:
        """The effects that are wanted."""
        return self._rows(f"SELECT * FROM ledger {WANTED}", object=object, since=since)  # noqa: S608  # our own words

    # The requests, also those that were refused or never answered.

    def arrived(self, method: str, path: str, operation: str, subject: Subject, fault: str | None) -> int:
        """Note a request as it arrives; returns its place in the list."""
        cursor = self._db.execute(
            "INSERT INTO requests (at, method, path, operation, fault, object, invoice, sender_invoice_no)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (time.time(), method, path, operation, fault, *subject),
        )
        return int(cursor.lastrowid or 0)

    def answered(self, seq: int, status: int) -> None:
        """Note what a request was answered with."""
        self._db.execute("UPDATE requests SET status = ? WHERE seq = ?", (status, seq))

    def requests(self, object: str | None, since: int) -> list[dict[str, Any]]:
        """The requests that are wanted."""
        return self._rows(f"SELECT * FROM requests {WANTED}", object=object, since=since)  # noqa: S608

    def times_asked(self, path: str) -> int:
        """How many requests went to this address."""
        (count,) = self._db.execute("SELECT count(*) FROM requests WHERE path = ?", (path,)).fetchone()
        return int(count)

    # The callbacks.

    def called(self, **attempt: Any) -> dict[str, Any]:
        """Keep one attempt at a callback, and return it as it is shown."""
        columns, values = ", ".join(attempt), ", ".join(f":{name}" for name in attempt)
        query = f"INSERT INTO callbacks (at, {columns}) VALUES (:at, {values}) RETURNING *"  # noqa: S608
        return self._rows(query, at=time.time(), **attempt)[0]

    def callbacks(self, object: str | None, since: int) -> list[dict[str, Any]]:
        """The attempts at callbacks that are wanted."""
        return self._rows(f"SELECT * FROM callbacks {WANTED}", object=object, since=since)  # noqa: S608

    # The tokens.

    def add_token(self, token: str, kind: str, ends: float) -> None:
        """Keep a token until this moment, in unix seconds."""
        self._db.execute("INSERT INTO tokens VALUES (?, ?, ?)", (token, kind, ends))

    def token_ends(self, token: str, kind: str) -> float | None:
        """When a token of this kind ends, in unix seconds; None when it is not known."""
        row = self._db.execute("SELECT ends FROM tokens WHERE token = ? AND kind = ?", (token, kind)).fetchone()
        return float(row[0]) if row else None

    def forget_token(self, token: str) -> None:
        """End a token for good."""
        self._db.execute("DELETE FROM tokens WHERE token = ?", (token,))

    def expire_tokens(self, kind: str) -> int:
        """Let all tokens of a kind end now; returns how many were alive."""
        query = "UPDATE tokens SET ends = :now WHERE kind = :kind AND ends > :now"
        return self._db.execute(query, {"now": time.time(), "kind": kind}).rowcount

    def _rows(self, query: str, **values: Any) -> list[dict[str, Any]]:
        cursor = self._db.execute(query, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]
