"""Statements: how many one whole cancel takes, over all its transactions, and which.

Orders are canceled one at a time, and what Postgres executed for each is counted.  Beat's sweep may fall into a few of
them, so the number that most of them agree on is the one.
"""

import asyncio
from collections import Counter
from itertools import pairwise

from benchmarks.client import run
from benchmarks.orders import put_stock
from benchmarks.peers import Mesh, mesh
from benchmarks.recording import Recorder, Transaction, one_line, recording
from benchmarks.report import Result, Row, Table
from benchmarks.rounds import Ours

#: Cancels before anything is counted: connections are opened, pools filled.
WARM_UP = 100

#: Cancels that are counted.
SAMPLES = 15

#: Seconds after the mail in which the last statements are executed.
QUIET = 0.4

GOAL = 20


def measure() -> Result:
    """Count on a mesh of its own."""
    with mesh() as running:
        found = one_cancel(running)
    statements = [(number, each) for number, group in enumerate(found, 1) for each in group if not each.is_frame]
    lines = [
        [f"{place:>2}  {one_line(each.sql)[:100]}", str(number)] for place, (number, each) in enumerate(statements, 1)
    ]
    count = len(statements)
    row = Row("statements of a whole cancel", str(count), goal=f"at most {GOAL}", reached=count <= GOAL)
    table = Table("Statements of a whole cancel", ("statement", "transaction"), lines)
    return Result([row], [table], raw=[one_line(each.sql) for _, each in statements])


def one_cancel(running: Mesh) -> list[Transaction]:
    """The transactions of one whole cancel, from the POST to the mail."""
    put_stock(running.database)
    with recording(running) as recorder:
        samples = run(_cancels(running, recorder))
    shapes = [tuple(one_line(each.sql) for group in sample for each in group) for sample in samples]
    count = Counter(map(len, shapes)).most_common(1)[0][0]
    return next(sample for sample, shape in zip(samples, shapes, strict=True) if len(shape) == count)


async def _cancels(running: Mesh, recorder: Recorder) -> list[list[Transaction]]:
    ours = Ours(running)
    await ours.aim(await ours.prepare(WARM_UP))(32)
    purchases = await ours.prepare(SAMPLES)
    await asyncio.sleep(2)  # the mails of the first ones
    await running.books.turn()
    marks = [recorder.mark()]
    for done, purchase in enumerate(purchases, 1):
        await ours.aim([purchase])(1)
        await running.books.complete(done, within=30)
        await asyncio.sleep(QUIET)
        marks.append(recorder.mark())
    return [recorder.between(*pair) for pair in pairwise(marks)]
