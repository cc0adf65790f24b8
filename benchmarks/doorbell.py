"""Doorbell: milliseconds from the commit of an outcome until the client that waits for it has its answer.

One cancel at a time on an idle machine.  The commit's time is Postgres' own (`track_commit_timestamp`), taken when the
commit record is written and before it is on the disk, so that the figure is rather too large than too small.
"""

from sqlalchemy import text

from benchmarks.client import fire, run
from benchmarks.orders import cancels, put_stock
from benchmarks.peers import Mesh, mesh
from benchmarks.report import Result, Row, percentile
from benchmarks.rounds import WAIT, Ours

SAMPLES = 400
WARM_UP = 100

GOAL = 30.0

#: When the last change of an intent, which ended it, was committed: Unix seconds by the order's id.
_COMMITTED = text("""
    SELECT subject, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 FROM intents
    WHERE operation = 'cancel_order' AND state = 'done'
""")


def measure() -> Result:
    """Measure on a mesh of its own."""
    with mesh(postgres={"track_commit_timestamp": "on"}) as running:
        times = run(_sample(running))
    p50, p99 = percentile(times, 0.5), percentile(times, 0.99)
    return Result(
        [
            Row("doorbell: p50 in ms from commit to answer", f"{p50:.1f}"),
            Row(
                "doorbell: p99 in ms from commit to answer", f"{p99:.1f}", "", None, f"at most {GOAL:.0f}", p99 <= GOAL
            ),
        ],
        raw=times,
    )


async def _sample(running: Mesh) -> list[float]:
    put_stock(running.database)
    ours = Ours(running)
    await ours.aim(await ours.prepare(WARM_UP))(8)
    purchases = await ours.prepare(SAMPLES)
    answers = await fire(running.gateway, cancels(running.settings, purchases, WAIT), clients=1)
    with running.database.statement() as connection:
        committed = {row[0]: float(row[1]) for row in connection.execute(_COMMITTED)}
    return [(answer.received_at - committed[purchases[answer.place].order_id]) * 1000 for answer in answers]
