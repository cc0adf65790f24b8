"""Syncs: shipments that a bulk sync looks up per second, from the operator's request to the report.

The first sync finds every shipment in a status that is new to us and writes that to its order's timeline; those that
follow find nothing new.  The pace is set aside, and is the peer: it is what the courier would allow.
"""

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from benchmarks import parcels
from benchmarks.books import Slow, Violated, set_latency
from benchmarks.client import fire, request, run
from benchmarks.orders import put_stock, register
from benchmarks.peers import Mesh, mesh
from benchmarks.processes import Meter
from benchmarks.report import Result, Row, Table, figure
from benchmarks.rounds import WAIT, expect
from shared import tokens
from shared.domain.payments import Provider
from shared.ids import new_id
from shared.providers.delhivery import BATCH
from shared.tokens import Role

#: Questions a second: more than can be asked here.
ENVIRONMENT = {"COUNTERMAND_DELHIVERY_RATE": "1000"}

#: Questions that the stand-in lets in during a measurement, as Delhivery does in five minutes.
QUESTIONS = 700

#: The most shipments of one sync.
MOST = 5000

#: Shipments a second at the pace that Delhivery allows: 750 questions in 300 seconds.
ALLOWED = 750 / 300 * BATCH


class Round(NamedTuple):
    """One sync."""

    per_second: float
    #: Milliseconds of CPU per shipment, by process group.
    cpu: Mapping[str, float]


def measure(rounds: int, orders: int, latencies: Sequence[int]) -> Result:
    """Look five shipments for each order up, again and again, as often as the courier lets us."""
    syncs = rounds * len(latencies) + 1
    shipments = min(5 * orders, MOST, QUESTIONS // syncs * BATCH)
    with mesh(environment=ENVIRONMENT) as running:
        run(_fill(running, shipments))
        first = run(_sync(running, shipments, 0))
        found = {at: [run(_sync(running, shipments, at)) for _ in range(rounds)] for at in latencies}
    rows = [_row(f"shipments/s of the first sync of {shipments:,}", [first])]
    rows += [_row(f"the same at {at} ms, when nothing is new", each) for at, each in found.items()]
    raw = {"first": first._asdict()} | {f"at {at} ms": [one._asdict() for one in each] for at, each in found.items()}
    return Result(rows, [_cpu_table(first, found)], raw=raw)


async def _fill(running: Mesh, count: int) -> None:
    """Orders that were paid for, and their parcels."""
    put_stock(running.database)
    references = [new_id("pay") for _ in range(count)]  # nobody asks for them
    name = new_id("b").removeprefix("b_")
    purchases = register(running.database, references, name, captured=True, provider=Provider.RAZORPAY)
    parcels.send(running.database, purchases)
    await parcels.announce(running.port("delhivery"), purchases)


async def _sync(running: Mesh, count: int, latency: int) -> Round:
    """Look so many shipments up once.  Raises Violated unless the report tells of each of them."""
    await set_latency(running.port("delhivery"), Slow("delhivery", "track"), latency)
    operator = tokens.mint(running.settings, role=Role.ADMIN, subject="op_1", order_id=None, expires_in=3600)
    headers = {"Authorization": f"Bearer {operator}", "Content-Type": "application/json", "Prefer": WAIT}
    body = msgspec.json.encode({"limit": count})
    wish = request("POST", "/api/admin/orders/bulk-sync-delhivery", headers, body)
    meter, began = Meter(running.pids), time.monotonic()
    answers = await fire(running.gateway, [wish], clients=1)
    took, burned = time.monotonic() - began, meter.read()
    expect(200, answers)
    _check(answers[0].body, count)
    return Round(count / took, {name: spent / count for name, spent in burned.items()})


def _check(body: bytes, count: int) -> None:
    told = msgspec.json.decode(body)["data"]
    if (told["total"], told["synced"]) != (count, count):
        raise Violated(f"{told['synced']} of {told['total']} shipments synced, not {count}")


def _row(what: str, rounds: Sequence[Round]) -> Row:
    rate = figure([each.per_second for each in rounds])
    return Row(f"{what}, against what the courier allows", rate.text(), f"{ALLOWED:.0f}", rate.median / ALLOWED)


def _cpu_table(first: Round, found: Mapping[int, Sequence[Round]]) -> Table:
    columns = {"first": [first]} | {f"at {latency} ms": rounds for latency, rounds in found.items()}
    lines = [
        [group, *(f"{figure([each.cpu[group] for each in rounds]).median:.3f}" for rounds in columns.values())]
        for group in first.cpu
    ]
    total = [f"{figure([sum(each.cpu.values()) for each in rounds]).median:.3f}" for rounds in columns.values()]
    return Table("CPU ms per shipment of a sync by process group", ["group", *columns], [*lines, ["all", *total]])
