"""Statements: how many one whole cancel takes, over all its transactions, and which.

Orders are canceled one at a time, and what Postgres executed for each is counted.  Beat's sweep may fall into a few of
them, so the number that most of them agree on is the one.
"""

import asyncio
from collections import Counter
from itertools import pairwise

from benchmarks.books import Books
from benchmarks.client import run
from benchmarks.orders import put_stock
from benchmarks.peers import Mesh, mesh
from benchmarks.recording import Recorder, Transaction, one_line, recording
from benchmarks.report import Result, Row, Table
from benchmarks.rounds import Ours, Peer

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
    row = Row("statements of a whole cancel", f"{count(found)}", goal=f"at most {GOAL}", reached=count(found) <= GOAL)
    table = Table("Statements of a whole cancel", ("statement", "transaction"), lines)
    return Result([row], [table], raw=[one_line(each.sql) for _, each in statements])


def one_cancel(running: Mesh) -> list[Transaction]:
    """The transactions of one whole cancel, from the POST to the mail."""
    put_stock(running.database)
    return one_of(running, Ours(running), running.books)


def one_of(running: Mesh, peer: Peer, books: Books) -> list[Transaction]:
    """The transactions of one order of a peer's, from its request to its last mail."""
    with recording(running) as recorder:
        samples = run(_one_by_one(peer, books, recorder))
    shapes = [tuple(one_line(each.sql) for group in sample for each in group) for sample in samples]
    usual = Counter(map(len, shapes)).most_common(1)[0][0]
    return next(sample for sample, shape in zip(samples, shapes, strict=True) if len(shape) == usual)


def count(transactions: list[Transaction]) -> int:
    """How many statements these are."""
    return sum(not each.is_frame for group in transactions for each in group)


async def _one_by_one(peer: Peer, books: Books, recorder: Recorder) -> list[list[Transaction]]:
    await books.set_latency(0)
    await books.turn()
    await peer.aim(await peer.prepare(WARM_UP))(32)
    await books.complete(WARM_UP, WARM_UP * peer.mails, within=60)
    purchases = await peer.prepare(SAMPLES)
    await asyncio.sleep(QUIET)
    await books.turn()
    marks = [recorder.mark()]
    for done, purchase in enumerate(purchases, 1):
        await peer.aim([purchase])(1)
        await books.complete(done, done * peer.mails, within=30)
        await asyncio.sleep(QUIET)
        marks.append(recorder.mark())
    return [recorder.between(*pair) for pair in pairwise(marks)]
