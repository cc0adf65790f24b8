"""What the mailbox remembers: the newest messages, and every delivery it ever accepted."""

from __future__ import annotations

import re
import sqlite3
import time
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

#: Older messages are forgotten; the ledger keeps their deliveries.
MOST_MESSAGES = 10_000

SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF; -- a lost machine may lose the last mails; a lost process loses none

CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY, received_at REAL NOT NULL, sender TEXT NOT NULL, recipients TEXT NOT NULL,
    message_id TEXT, source BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS messages_by_message_id ON messages (message_id);
CREATE TABLE IF NOT EXISTS recipients (
    message INTEGER NOT NULL REFERENCES messages ON DELETE CASCADE, address TEXT NOT NULL COLLATE NOCASE
);
CREATE INDEX IF NOT EXISTS recipients_by_message ON recipients (message);
CREATE INDEX IF NOT EXISTS recipients_by_address ON recipients (address, message);

CREATE TABLE IF NOT EXISTS ledger (
    seq INTEGER PRIMARY KEY, at REAL NOT NULL, sender TEXT NOT NULL, recipients TEXT NOT NULL, message_id TEXT
);
CREATE TRIGGER IF NOT EXISTS ledger_is_never_changed BEFORE UPDATE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS ledger_is_never_deleted BEFORE DELETE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
"""

#: The Message-ID of a message's head; a full parse is left to whoever reads the message.
MESSAGE_ID = re.compile(rb"^message-id:\s*(<[^>\r\n]*>)", re.IGNORECASE | re.MULTILINE)


class Kept(NamedTuple):
    """One message as it was received: envelope and source."""

    id: int
    received_at: float
    sender: str
    recipients: str
    message_id: str | None
    source: bytes


class Store:
    """One SQLite file that outlives the process."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(directory / "mailbox.sqlite3", isolation_level=None)
        self._db.executescript(SCHEMA)
        self._db.execute("PRAGMA foreign_keys = ON")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def keep(self, sender: str, recipients: list[str], source: bytes) -> None:
        """Keep a message and note its delivery in the ledger; a message's id is its place in the ledger."""
        now = time.time()
        head = source.partition(b"\r\n\r\n")[0]
        found = MESSAGE_ID.search(head)
        message_id = found[1].decode("utf-8", "replace") if found else None
        addresses = msgspec.json.encode(recipients).decode()
        self._db.execute("BEGIN IMMEDIATE")
        id = self._db.execute(
            "INSERT INTO ledger (at, sender, recipients, message_id) VALUES (?, ?, ?, ?)",
            (now, sender, addresses, message_id),
        ).lastrowid
        self._db.execute(
            "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)", (id, now, sender, addresses, message_id, source)
        )
        for recipient in recipients:
            self._db.execute("INSERT INTO recipients VALUES (?, ?)", (id, recipient))
        self._db.execute("DELETE FROM messages WHERE id <= ?", ((id or 0) - MOST_MESSAGES,))
        self._db.execute("COMMIT")

    def find(self, id: int) -> Kept | None:
        """The message with this id, or None."""
        row = self._db.execute("SELECT * FROM messages WHERE id = ?", (id,)).fetchone()
        return Kept(*row) if row else None

    def newest(self, to: str | None, message_id: str | None, limit: int) -> list[Kept]:
        """At most `limit` messages, the newest first."""
        rows = self._db.execute(
            "SELECT * FROM messages WHERE (:to IS NULL OR id IN (SELECT message FROM recipients WHERE address = :to))"
            " AND (:message_id IS NULL OR message_id = :message_id) ORDER BY id DESC LIMIT :limit",
            {"to": to, "message_id": message_id, "limit": limit},
        )
        return [Kept(*row) for row in rows]

    def clear(self) -> int:
        """Forget every message, not the ledger; returns how many there were."""
        return self._db.execute("DELETE FROM messages").rowcount

    def ledger(self, since: int) -> list[dict[str, Any]]:
        """Every delivery after `since`, in order."""
        rows = self._db.execute("SELECT * FROM ledger WHERE seq > ? ORDER BY seq", (since,))
        return [
            {"seq": seq, "at": at, "from": sender, "to": msgspec.json.decode(recipients), "message_id": message_id}
            for seq, at, sender, recipients, message_id in rows
        ]

    def count(self) -> dict[str, int]:
        """How many deliveries were accepted, and how many messages are kept."""
        (accepted,) = self._db.execute("SELECT count(*) FROM ledger").fetchone()
        (kept,) = self._db.execute("SELECT count(*) FROM messages").fetchone()
        return {"count": accepted, "kept": kept}
