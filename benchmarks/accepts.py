"""Accepts: requests per second that the gateway takes with `Prefer: respond-async`, beside a bare handler.

No worker runs, so nothing but accepting is measured.  The bare handler makes one INSERT and publishes one message; it
checks no token, and would accept the same request twice.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from redis import Redis
from sqlalchemy import text

from benchmarks.books import Violated
from benchmarks.client import fire, run
from benchmarks.orders import Purchase, cancels
from benchmarks.peers import Mesh, bare_handler, mesh
from benchmarks.report import Figure, Result, Row, figure, percentile
from shared.ids import new_id
from shared.queues import Queue

#: Clients at once.
CLIENTS = 32

#: Accepts of the first round, which counts for nothing.
WARM_UP = 500

GOAL = 0.7

BARE_TABLE = """
    CREATE TABLE bare_accepts (id text PRIMARY KEY, subject text NOT NULL, at timestamptz NOT NULL DEFAULT now())
"""


class Door(NamedTuple):
    """Where requests are accepted, and where an accepted one shows."""

    port: int
    broker: Redis
    table: str


class Round(NamedTuple):
    """One round at one door."""

    per_second: float
    p50: float
    p99: float


def measure(rounds: int, orders: int) -> Result:
    """Let both doors take turns on one Postgres and one Redis."""
    with mesh(only=("stores", "outside", "gateway")) as running:
        with running.database.statement() as connection:
            connection.execute(text(BARE_TABLE))
        with bare_handler(running) as bare:
            doors = {
                "ours": Door(running.gateway, running.broker, "intents"),
                "bare": Door(bare.gateway, bare.broker, "bare_accepts"),
            }
            for door in doors.values():
                _round(running, door, WARM_UP)
            found = defaultdict(list)
            for number in range(rounds):
                for name in sorted(doors, reverse=bool(number % 2)):
                    found[name].append(_round(running, doors[name], 2 * orders))
    return Result(_rows(found["ours"], found["bare"]), raw=found)


def _round(running: Mesh, door: Door, count: int) -> Round:
    """Accept so many cancels.  Raises Violated when an accepted one is missing in the rows or among the messages."""
    purchases = [Purchase(new_id("ord"), "") for _ in range(count)]
    requests = cancels(running.settings, purchases, prefer="respond-async")
    before = _accepted(running, door)
    answers = run(fire(door.port, requests, CLIENTS))
    after = _accepted(running, door)
    expected = tuple(each + count for each in before)
    if after != expected or any(answer.status != 202 for answer in answers):
        raise Violated(f"{count} accepts made of {before} rows and messages {after}")
    took = max(answer.received_at for answer in answers) - min(answer.sent_at for answer in answers)
    times = [answer.milliseconds for answer in answers]
    return Round(count / took, percentile(times, 0.5), percentile(times, 0.99))


def _accepted(running: Mesh, door: Door) -> tuple[int, int]:
    with running.database.statement() as connection:
        rows = connection.execute(text(f"SELECT count(*) FROM {door.table}")).scalar_one()  # noqa: S608  # our words
    return int(rows), int(str(door.broker.llen(Queue.CANCEL)))


def _rows(ours: Sequence[Round], bare: Sequence[Round]) -> list[Row]:
    rate, peer = (figure([each.per_second for each in rounds]) for rounds in (ours, bare))
    ratio = rate.median / peer.median
    rows = [
        Row(
            "accepts/s, against the bare handler",
            rate.text(),
            peer.text(),
            ratio,
            f"at least {GOAL:.2f}",
            ratio >= GOAL,
        )
    ]
    for name in ("p50", "p99"):
        mine, theirs = _latency(ours, name), _latency(bare, name)
        rows.append(
            Row(f"accepts: {name} in ms, {CLIENTS} clients", mine.text(1), theirs.text(1), mine.median / theirs.median)
        )
    return rows


def _latency(rounds: Sequence[Round], name: str) -> Figure:
    return figure([getattr(each, name) for each in rounds])
