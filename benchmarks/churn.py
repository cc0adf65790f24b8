"""Churn: the rate of cancels before and after many thousands of rows went through intents and outbox.

The statements are the mesh's own, recorded once from its store: accept (an intent and its message), end it, strike the
message out.  pgbench repeats them; the ended intents stay, as they do in a shop.  The bare chain, which has no
database, runs before and after as well: what it loses or gains is the machine's.
"""

from collections import defaultdict

from sqlalchemy import text

from benchmarks.books import check_nothing_left
from benchmarks.client import run
from benchmarks.orders import put_stock
from benchmarks.peers import Mesh, bare_chain, mesh
from benchmarks.pgbench import execute, script
from benchmarks.recording import Statement, recording
from benchmarks.report import Figure, Result, Row, figure
from benchmarks.rounds import BareChain, Ours, Peer, one_round
from shared.db import OPTIONS
from shared.domain.intents import TASK_OF, IntentState, Operation
from shared.ids import new_id
from shared.store import intents, journal
from shared.store.intents import NewIntent
from shared.store.outbox import Message

CLIENTS = 8

GOAL = 0.9

#: The churn need not wait for the disk; what it leaves in the tables is the same.
QUICK = f"{OPTIONS} -c synchronous_commit=off"


def measure(rounds: int, orders: int, rows: int) -> Result:
    """Measure, churn, and measure again, on one mesh."""
    with mesh() as running, bare_chain(running) as bare:
        put_stock(running.database)
        peers: list[Peer] = [Ours(running), BareChain(running, bare)]
        for peer in peers:
            run(one_round(peer, running.books, orders, 0))
        before = _rates(running, peers, rounds, orders)
        churned = _churn(running, rows)
        after = _rates(running, peers, rounds, orders)
    ratio = after["ours"].median / before["ours"].median
    control = after["bare chain"].median / before["bare chain"].median
    what = f"cancels/s at 0 ms after {churned:,} churned rows, against before"
    return Result(
        [
            Row(what, after["ours"].text(), before["ours"].text(), ratio, f"at least {GOAL:.2f}", ratio >= GOAL),
            Row(
                "the same of the bare chain, as a control",
                after["bare chain"].text(),
                before["bare chain"].text(),
                control,
            ),
        ],
        raw={"before": before, "after": after},
    )


def _rates(running: Mesh, peers: list[Peer], rounds: int, orders: int) -> dict[str, Figure]:
    found = defaultdict(list)
    for number in range(rounds):
        for peer in peers if number % 2 else reversed(peers):
            found[peer.name].append(run(one_round(peer, running.books, orders, 0)).per_second)
    return {name: figure(rates) for name, rates in found.items()}


def _churn(running: Mesh, rows: int) -> int:
    """Put so many rows through both tables; returns how many intents there are more."""
    before = _intents(running)
    execute(running, script(_one_row(running)), "churn", CLIENTS, rows // CLIENTS, QUICK)
    run(check_nothing_left(running.database, running.broker))
    return _intents(running) - before


def _one_row(running: Mesh) -> list[Statement]:
    """The statements that take one intent and its message through both tables."""
    new = NewIntent(new_id("int"), Operation.SET_STOCK, new_id("sku"), "service:shop", None, b"", "{}", None, 30)
    with recording(running) as recorder:
        first = recorder.mark()
        with running.database.statement() as connection:
            backend = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
            intents.accept_all(connection, [new])
        with running.database.transaction() as connection:
            intents.end(connection, new.id, IntentState.DONE, 200, "{}")
            struck = [Message(TASK_OF[new.operation], new.id)]
            journal.close(connection, history=[], struck=struck, staged=[], patience=30)
        recorded = recorder.between(first, recorder.mark())
    statements = [each for group in recorded for each in group if each.backend == backend]
    return [each for each in statements if "pg_backend_pid" not in each.sql]


def _intents(running: Mesh) -> int:
    with running.database.statement() as connection:
        return int(connection.execute(text("SELECT count(*) FROM intents")).scalar_one())
