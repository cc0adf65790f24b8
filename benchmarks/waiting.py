"""Waiting: how long a new request takes to be accepted while a thousand clients wait for slow outcomes.

New requests come at a steady pace, and are cancels of unknown orders: their outcome is a quick refusal in both halves
of a round, so that the clients that wait are the only difference.  The provider of those takes many seconds.
"""

import asyncio
from collections.abc import Sequence

from sqlalchemy import text

from benchmarks.books import Violated, check_nothing_left
from benchmarks.client import fire, run
from benchmarks.orders import Purchase, cancels, put_stock
from benchmarks.peers import Mesh, mesh
from benchmarks.report import Figure, Result, Row, figure, percentile
from benchmarks.rounds import WAIT, Ours, expect
from shared.ids import new_id

WAITERS = 1000

#: New requests of each half, and how many of them a second.
ACCEPTS = 500
PACE = 50.0
CLIENTS = 32

#: Milliseconds that a void takes: longer than it takes to measure.
LATENCY = 25_000

#: Longer than that, so that no void counts as unanswered, and no message that waits in its queue counts as lost.
ENVIRONMENT = {"COUNTERMAND_PROVIDER_READ_TIMEOUT": "50", "COUNTERMAND_PATIENCE": "300"}

GOAL = 2.0

_JUDGED = text("SELECT count(*) FROM intents WHERE operation = 'cancel_order' AND state = 'working'")


def measure(rounds: int) -> Result:
    """Measure on a mesh of its own, whose voids may take long."""
    with mesh(environment=ENVIRONMENT) as running:
        found = run(_rounds(running, rounds))
    return Result(_rows([each for each, _ in found], [each for _, each in found]), raw=found)


Times = Sequence[float]


async def _rounds(running: Mesh, rounds: int) -> list[tuple[Times, Times]]:
    put_stock(running.database)
    ours = Ours(running)
    await ours.aim(await ours.prepare(300))(64)
    await _accept(running)
    return [(await _accept(running), await _accept_beside_waiters(running, ours)) for _ in range(rounds)]


async def _accept(running: Mesh) -> Times:
    """Milliseconds of each new request, at a steady pace."""
    purchases = [Purchase(new_id("ord"), "") for _ in range(ACCEPTS)]
    requests = cancels(running.settings, purchases, prefer="respond-async")
    answers = await fire(running.gateway, requests, CLIENTS, every=1 / PACE)
    expect(202, answers)
    return [answer.milliseconds for answer in answers]


async def _accept_beside_waiters(running: Mesh, ours: Ours) -> Times:
    await running.books.set_latency(0)
    requests = cancels(running.settings, await ours.prepare(WAITERS), WAIT)
    await running.books.set_latency(LATENCY)
    waiting = asyncio.create_task(fire(running.gateway, requests, WAITERS))
    await _all_wait(running)
    times = await _accept(running)
    if waiting.done():
        raise Violated("somebody who should wait does not")
    await running.books.set_latency(0)
    expect(200, await waiting)
    await check_nothing_left(running.database, running.broker)
    return times


async def _all_wait(running: Mesh) -> None:
    """Return when every waiting client's cancel is judged and hangs on its void."""
    async with asyncio.timeout(LATENCY / 1000):
        while True:
            with running.database.statement() as connection:
                if int(connection.execute(_JUDGED).scalar_one()) == WAITERS:
                    return
            await asyncio.sleep(0.2)


def _rows(alone: Sequence[Times], beside: Sequence[Times]) -> list[Row]:
    rows = []
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        before, after = _figure(alone, share), _figure(beside, share)
        ratio = after.median / before.median
        goal = (f"at most {GOAL:.2f}", ratio <= GOAL) if name == "p99" else ()
        what = f"new accepts beside {WAITERS:,} waiting clients: {name} in ms, against none waiting"
        rows.append(Row(what, after.text(1), before.text(1), ratio, *goal))
    return rows


def _figure(rounds: Sequence[Times], share: float) -> Figure:
    return figure([percentile(times, share) for times in rounds])
