"""The stand-in's own store: one SQLite file that outlives the process.

The ledger is append-only, and SQLite itself refuses to change it: tests compare it with what the mesh believes.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from sandbox.delhivery.shipments import Scan, Shipment, Step

SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF; -- a lost machine may lose the last writes; a lost process loses none

CREATE TABLE IF NOT EXISTS shipments (
    awb TEXT PRIMARY KEY, reference_no TEXT NOT NULL, order_type TEXT NOT NULL, cod_amount NUMERIC NOT NULL,
    reverse INTEGER NOT NULL, picked_up_at TEXT, canceled INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS shipments_by_reference ON shipments (reference_no);

CREATE TABLE IF NOT EXISTS scans (
    seq INTEGER PRIMARY KEY, awb TEXT NOT NULL REFERENCES shipments, status_type TEXT NOT NULL, status TEXT NOT NULL,
    code TEXT NOT NULL, instructions TEXT NOT NULL, at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS scans_by_awb ON scans (awb);

CREATE TABLE IF NOT EXISTS steps ( -- what accepted cancels have yet to bring about
    seq INTEGER PRIMARY KEY, awb TEXT NOT NULL REFERENCES shipments, due REAL NOT NULL, is_last INTEGER NOT NULL,
    status_type TEXT NOT NULL, status TEXT NOT NULL, code TEXT NOT NULL, instructions TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS steps_by_due ON steps (due);
CREATE INDEX IF NOT EXISTS steps_by_awb ON steps (awb);

CREATE TABLE IF NOT EXISTS ledger (
    seq INTEGER PRIMARY KEY, at REAL NOT NULL, operation TEXT NOT NULL, awb TEXT NOT NULL,
    status_type TEXT NOT NULL, status TEXT NOT NULL, code TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS ledger_by_awb ON ledger (awb);
CREATE TRIGGER IF NOT EXISTS ledger_is_never_changed BEFORE UPDATE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS ledger_is_never_deleted BEFORE DELETE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;

CREATE TABLE IF NOT EXISTS requests (
    seq INTEGER PRIMARY KEY, at REAL NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL, operation TEXT NOT NULL,
    waybills TEXT NOT NULL, asked INTEGER NOT NULL, fault TEXT,
    status INTEGER -- none while it is carried out, and for ever when the answer was withheld
);

CREATE TABLE IF NOT EXISTS pushes ( -- one row an attempt; one without an answer has no status
    seq INTEGER PRIMARY KEY, at REAL NOT NULL, awb TEXT NOT NULL, shape TEXT NOT NULL, body TEXT NOT NULL,
    attempt INTEGER NOT NULL, status INTEGER, answer TEXT, milliseconds REAL, taken INTEGER NOT NULL, fault TEXT
);
CREATE INDEX IF NOT EXISTS pushes_by_awb ON pushes (awb);
"""


class OwedStep(NamedTuple):
    """A scan that an accepted cancel has yet to bring about; `due` is in unix seconds."""

    seq: int
    awb: str
    due: float
    is_last: bool
    status_type: str
    status: str
    code: str
    instructions: str

    def scan(self, at: str) -> Scan:
        """The scan, made at this moment."""
        return Scan(self.status_type, self.status, self.code, self.instructions, at)


class Store:
    """Everything the stand-in remembers."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(directory / "delhivery.sqlite3", isolation_level=None)
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

    # The shipments and their scans.

    def add(self, shipments: Iterable[Shipment]) -> None:
        """Keep new shipments; raises ValueError when one of the waybills is taken."""
        try:
            self._db.executemany("INSERT INTO shipments VALUES (?, ?, ?, ?, ?, ?, ?)", shipments)
        except sqlite3.IntegrityError as taken:
            raise ValueError("every awb must be new, and stand in the list once") from taken

    def find(self, awb: str) -> Shipment | None:
        """The shipment with this waybill, or None."""
        row = self._db.execute("SELECT * FROM shipments WHERE awb = ?", (awb,)).fetchone()
        return _shipment(row) if row else None

    def referred_to(self, reference_no: str) -> list[Shipment]:
        """The shipments of an order."""
        rows = self._db.execute("SELECT * FROM shipments WHERE reference_no = ? ORDER BY awb", (reference_no,))
        return [_shipment(row) for row in rows]

    def pick_up(self, awb: str, at: str) -> None:
        """Note when a parcel was picked up, once."""
        self._db.execute("UPDATE shipments SET picked_up_at = ? WHERE awb = ? AND picked_up_at IS NULL", (at, awb))

    def cancel(self, awb: str) -> None:
        """Note that a cancel took effect."""
        self._db.execute("UPDATE shipments SET canceled = 1 WHERE awb = ?", (awb,))

    def add_scans(self, scans: Iterable[tuple[str, Scan]]) -> None:
        """Keep scans, each with its waybill."""
        self._db.executemany(
            "INSERT INTO scans (awb, status_type, status, code, instructions, at) VALUES (?, ?, ?, ?, ?, ?)",
            ((awb, *scan) for awb, scan in scans),
        )

    def scans(self, awb: str) -> list[Scan]:
        """The scans of a shipment, in order; the last one says how it stands."""
        rows = self._db.execute(
            "SELECT status_type, status, code, instructions, at FROM scans WHERE awb = ? ORDER BY seq", (awb,)
        )
        return [Scan(*row) for row in rows]

    # What accepted cancels have yet to bring about.

    def owe(self, awb: str, steps: Sequence[tuple[float, Step]]) -> None:
        """Keep the steps of an accepted cancel, each with the moment when it is due."""
        self._db.executemany(
            "INSERT INTO steps (awb, due, is_last, status_type, status, code, instructions)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(awb, due, step is steps[-1][1], *step[1:]) for due, step in steps],
        )

    def owed_to(self, awb: str) -> list[OwedStep]:
        """The steps that a shipment has before it, in order."""
        return self._steps("SELECT * FROM steps WHERE awb = ? ORDER BY seq", awb)

    def due(self, moment: float) -> list[OwedStep]:
        """The steps that are due at this moment, in order."""
        return self._steps("SELECT * FROM steps WHERE due <= ? ORDER BY due, seq", moment)

    def next_due(self) -> float | None:
        """When the next step is due, in unix seconds; None when there is none."""
        (due,) = self._db.execute("SELECT min(due) FROM steps").fetchone()
        return due if due is None else float(due)

    def forget_steps(self, awb: str, upto: int | None = None) -> None:
        """Owe a shipment nothing more, or nothing up to this step."""
        self._db.execute("DELETE FROM steps WHERE awb = ? AND (? IS NULL OR seq <= ?)", (awb, upto, upto))

    def _steps(self, query: str, value: str | float) -> list[OwedStep]:
        return [OwedStep(*row) for row in self._db.execute(query, (value,))]

    # The ledger.

    def record(self, operation: str, awb: str, scan: Scan) -> None:
        """Append one effect to the ledger, with the scan that says how the shipment stands."""
        self.record_all(operation, [(awb, scan)])

    def record_all(self, operation: str, happened: Iterable[tuple[str, Scan]]) -> None:
        """Append the same effect on many shipments."""
        now = time.time()
        self._db.executemany(
            "INSERT INTO ledger (at, operation, awb, status_type, status, code) VALUES (?, ?, ?, ?, ?, ?)",
            ((now, operation, awb, scan.status_type, scan.status, scan.code) for awb, scan in happened),
        )

    def ledger(self, awb: str | None, since: int) -> list[dict[str, Any]]:
        """The effects after `since`, in order, on one shipment or all of them."""
        return self._rows("SELECT * FROM ledger WHERE seq > ? AND (? IS NULL OR awb = ?) ORDER BY seq", since, awb, awb)

    # The requests, also those that were refused or never answered.

    def arrived(self, method: str, path: str, operation: str, waybills: Sequence[str], fault: str | None) -> int:
        """Note a request as it arrives; returns its place in the list."""
        cursor = self._db.execute(
            "INSERT INTO requests (at, method, path, operation, waybills, asked, fault) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (time.time(), method, path, operation, ",".join(waybills), len(waybills), fault),
        )
        return int(cursor.lastrowid or 0)

    def answered(self, seq: int, status: int) -> None:
        """Note what a request was answered with."""
        self._db.execute("UPDATE requests SET status = ? WHERE seq = ?", (status, seq))

    def requests(self, awb: str | None, since: int) -> list[dict[str, Any]]:
        """The requests after `since`, in order of arrival, that asked for one waybill or for anything."""
        rows = self._rows(
            "SELECT * FROM requests WHERE seq > ? AND (? IS NULL OR instr(',' || waybills || ',', ',' || ? || ','))"
            " ORDER BY seq",
            since,
            awb,
            awb,
        )
        return [row | {"waybills": row["waybills"].split(",") if row["asked"] else []} for row in rows]

    # The pushes.

    def pushed(self, **attempt: Any) -> dict[str, Any]:
        """Keep one attempt at a push; returns it as it is shown."""
        columns, places = ", ".join(attempt), ", ".join("?" * len(attempt))
        query = f"INSERT INTO pushes (at, {columns}) VALUES (?, {places}) RETURNING *"  # noqa: S608  # our own words
        (row,) = self._rows(query, time.time(), *attempt.values())
        return _shown(row)

    def pushes(self, awb: str | None, since: int) -> list[dict[str, Any]]:
        """The attempts at pushes after `since`, in order, about one shipment or all of them."""
        query = "SELECT * FROM pushes WHERE seq > ? AND (? IS NULL OR awb = ?) ORDER BY seq"
        return [_shown(row) for row in self._rows(query, since, awb, awb)]

    def _rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        cursor = self._db.execute(query, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]


def _shipment(row: tuple[Any, ...]) -> Shipment:
    shipment = Shipment(*row)
    return shipment._replace(reverse=bool(shipment.reverse), canceled=bool(shipment.canceled))


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"body": msgspec.json.decode(row["body"]), "taken": bool(row["taken"])}
