"""Cancel chain: orders taken back per second, from the first POST until the last one is voided and mailed.

Ours answers when the void is settled; the bare chain answers 202 at once, having only published.  Beside it runs the
bare chain without a gateway, its first messages published by the load generator.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from redis import Redis
from sqlalchemy import text

from benchmarks.books import Books, Violated, check_nothing_left
from benchmarks.client import Answer, fire, run
from benchmarks.orders import Purchase, authorize, cancels, put_stock, register
from benchmarks.peers import Bare, Mesh, bare_chain, mesh
from benchmarks.processes import Meter
from benchmarks.report import Figure, Result, Row, Table, figure
from shared.broker import Publisher, celery_app
from shared.db import Database
from shared.ids import new_id
from shared.queues import Task
from shared.store.outbox import Message

#: Clients at once, by the provider's latency in milliseconds: enough to keep 200 ms of waiting filled with work.
CLIENTS = {0: 64, 200: 128}

#: Orders of the first round, which counts for nothing: connections are opened, statements prepared.
WARM_UP = 300

#: Seconds that a round may take.
LIMIT = 240.0

#: How long a client waits for its outcome; the usual ten seconds would count a slow machine as a failure.
WAIT = "wait=60"

#: Seconds after the last effect, in which rows are settled and messages acknowledged, before the CPU is read.
SETTLING = 0.5


_LETTERS = text("SELECT id FROM emails WHERE order_id = ANY(:orders)")


class Round(NamedTuple):
    """One round of one peer."""

    per_second: float
    #: Milliseconds of CPU per cancel, by process group.
    cpu: Mapping[str, float]


class Peer(Protocol):
    """Somebody who cancels orders."""

    name: str
    pids: Mapping[str, int]
    broker: Redis
    database: Database | None

    async def prepare(self, count: int) -> list[Purchase]:
        """Make orders that can be canceled."""

    async def cancel(self, purchases: Sequence[Purchase], clients: int) -> None:
        """Ask for all of them to be canceled, from so many clients at once."""

    def letters(self, purchases: Sequence[Purchase]) -> list[str]:
        """The ids of the e-mails that tell of these orders, one each."""


@dataclass
class Ours:
    """The mesh."""

    mesh: Mesh
    name: str = "ours"

    def __post_init__(self) -> None:
        self.pids = self.mesh.pids
        self.broker = self.mesh.broker
        self.database: Database | None = self.mesh.database

    async def prepare(self, count: int) -> list[Purchase]:
        """Registered orders, each with its hold."""
        references = await authorize(self.mesh.settings, count)
        return register(self.mesh.database, references, new_id("b").removeprefix("b_"))

    async def cancel(self, purchases: Sequence[Purchase], clients: int) -> None:
        """Wait for each outcome."""
        answers = await fire(self.mesh.gateway, cancels(self.mesh.settings, purchases, WAIT), clients)
        _expect(200, answers)

    def letters(self, purchases: Sequence[Purchase]) -> list[str]:
        """One row each."""
        with self.mesh.database.statement() as connection:
            rows = connection.execute(_LETTERS, {"orders": [purchase.order_id for purchase in purchases]})
            return list(rows.scalars())


@dataclass
class BareChain:
    """Three hops after a POST."""

    mesh: Mesh
    bare: Bare
    name: str = "bare chain"

    def __post_init__(self) -> None:
        self.pids = self.bare.pids
        self.broker = self.bare.broker
        self.database: Database | None = None

    async def prepare(self, count: int) -> list[Purchase]:
        """Holds; here an order is nothing more."""
        return [Purchase(reference, reference) for reference in await authorize(self.mesh.settings, count)]

    async def cancel(self, purchases: Sequence[Purchase], clients: int) -> None:
        """The same POST, answered at once."""
        answers = await fire(self.bare.gateway, cancels(self.mesh.settings, purchases), clients)
        _expect(202, answers)

    def letters(self, purchases: Sequence[Purchase]) -> list[str]:
        """Named as the order."""
        return [purchase.order_id for purchase in purchases]


@dataclass
class Published(BareChain):
    """Three hops after nothing but a message."""

    name: str = "bare chain, published by the load"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._publisher = Publisher(celery_app(self.bare.settings))

    async def cancel(self, purchases: Sequence[Purchase], clients: int) -> None:
        """Publish everything."""
        self._publisher.publish([Message(Task.CANCEL_ORDER, purchase.order_id) for purchase in purchases])


def _expect(status: int, answers: Sequence[Answer]) -> None:
    wrong = [answer for answer in answers if answer.status != status]
    if wrong:
        first = f"{wrong[0].status} {wrong[0].body.decode()}"
        raise Violated(f"{len(wrong)} of {len(answers)} answers are not {status}, e.g. {first}")


async def one_round(peer: Peer, books: Books, orders: int, latency: int) -> Round:
    """Cancel so many fresh orders.  Raises Violated when anything is left over or repeated."""
    await books.set_latency(0)
    purchases = await peer.prepare(orders)
    await books.set_latency(latency)
    await books.turn()
    meter, began = Meter(peer.pids), time.time()
    await peer.cancel(purchases, CLIENTS.get(latency, 64))
    ended = await books.complete(orders, LIMIT)
    await asyncio.sleep(SETTLING)
    burned = meter.read()
    await check_nothing_left(peer.database, peer.broker)
    await books.check_once_each([purchase.reference for purchase in purchases], peer.letters(purchases))
    return Round(orders / (ended - began), {name: spent / orders for name, spent in burned.items()})


Rounds = Mapping[tuple[int, str], Sequence[Round]]


def measure(rounds: int, orders: int, latencies: Sequence[int]) -> Result:
    """Let the peers take turns on the same stores and stand-ins, and compare them."""
    with mesh() as running, bare_chain(running) as bare:
        peers: list[Peer] = [Ours(running), BareChain(running, bare), Published(running, bare)]
        found = run(_rounds(running, peers, rounds, orders, latencies))
    rows = [row for latency in latencies for row in _rows(found, latency, [peer.name for peer in peers[1:]])]
    tables = [_cpu_table(found, latency, [peer.name for peer in peers]) for latency in latencies]
    raw = {f"{name} at {latency} ms": [each._asdict() for each in got] for (latency, name), got in found.items()}
    return Result(rows, tables, raw=raw)


async def _rounds(running: Mesh, peers: Sequence[Peer], rounds: int, orders: int, latencies: Sequence[int]) -> Rounds:
    put_stock(running.database)
    for peer in peers:
        await one_round(peer, running.books, min(WARM_UP, orders), 0)
    found = defaultdict(list)
    for number in range(rounds):
        for latency in latencies:
            for turn in range(len(peers)):
                peer = peers[(number + turn) % len(peers)]
                found[latency, peer.name].append(await one_round(peer, running.books, orders, latency))
    return found


def _rows(found: Rounds, latency: int, peers: Sequence[str]) -> list[Row]:
    rows = []
    ours, our_cpu = _rate(found[latency, "ours"]), _cpu(found[latency, "ours"])
    for name in peers:
        rate, cpu = _rate(found[latency, name]), _cpu(found[latency, name])
        goals = name == "bare chain"
        speed, burned = ours.median / rate.median, our_cpu.median / cpu.median
        rows += [
            Row(
                f"cancels/s at {latency} ms, against the {name}",
                *(ours.text(), rate.text(), speed),
                *(("at least 0.70", speed >= 0.7) if goals else ()),
            ),
            Row(
                f"CPU ms per cancel at {latency} ms, against the {name}",
                *(our_cpu.text(2), cpu.text(2), burned),
                *(("at most 1.60", burned <= 1.6) if goals else ()),
            ),
        ]
    return rows


def _rate(rounds: Sequence[Round]) -> Figure:
    return figure([each.per_second for each in rounds])


def _cpu(rounds: Sequence[Round]) -> Figure:
    return figure([sum(each.cpu.values()) for each in rounds])


def _cpu_table(found: Rounds, latency: int, peers: Sequence[str]) -> Table:
    groups = list(dict.fromkeys(group for name in peers for group in found[latency, name][0].cpu))
    lines = [[group, *(_median_of(found[latency, name], group) for name in peers)] for group in groups]
    total = ["all", *(f"{_cpu(found[latency, name]).median:.2f}" for name in peers)]
    return Table(f"CPU ms per cancel by process group, at {latency} ms", ["group", *peers], [*lines, total])


def _median_of(rounds: Sequence[Round], group: str) -> str:
    if group not in rounds[0].cpu:
        return "-"
    return f"{figure([each.cpu[group] for each in rounds]).median:.2f}"
