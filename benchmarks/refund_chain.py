"""Refund chain: orders whose money was given back per second, from the first POST until the last one is mailed.

An operator's refund travels as a cancel does (gateway, rules, provider, e-mail), so the peer is the mesh's own cancel.
"""

from collections import defaultdict
from collections.abc import Sequence

from benchmarks.books import REFUND, VOID
from benchmarks.client import run
from benchmarks.orders import put_stock
from benchmarks.peers import Mesh, mesh
from benchmarks.report import Result, Row, figure
from benchmarks.rounds import Ours, Refunding, Round, one_round

#: Orders of the first round, which counts for nothing.
WARM_UP = 300

Rounds = dict[tuple[int, str], list[Round]]


def measure(rounds: int, orders: int, latencies: Sequence[int]) -> Result:
    """Let refunds and cancels take turns on one mesh."""
    with mesh() as running:
        found = run(_rounds(running, rounds, orders, latencies))
    rows = [row for latency in latencies for row in _rows(found, latency)]
    return Result(
        rows, raw={f"{name} at {at} ms": [each._asdict() for each in got] for (at, name), got in found.items()}
    )


async def _rounds(running: Mesh, rounds: int, orders: int, latencies: Sequence[int]) -> Rounds:
    put_stock(running.database)
    peers = [(Refunding(running), running.books_of(REFUND)), (Ours(running), running.books_of(VOID))]
    for peer, books in peers:
        await one_round(peer, books, min(WARM_UP, orders), 0)
    found: Rounds = defaultdict(list)
    for number in range(rounds):
        for latency in latencies:
            for peer, books in peers if number % 2 else reversed(peers):
                found[latency, peer.name].append(await one_round(peer, books, orders, latency))
    return found


def _rows(found: Rounds, latency: int) -> list[Row]:
    refunding, canceling = found[latency, Refunding.name], found[latency, Ours.name]
    rate, peer_rate = (figure([each.per_second for each in rounds]) for rounds in (refunding, canceling))
    cpu, peer_cpu = (figure([sum(each.cpu.values()) for each in rounds]) for rounds in (refunding, canceling))
    at = f"at {latency} ms, against cancels"
    return [
        Row(f"refunds/s {at}", rate.text(), peer_rate.text(), rate.median / peer_rate.median),
        Row(f"CPU ms per refund {at}", cpu.text(2), peer_cpu.text(2), cpu.median / peer_cpu.median),
    ]
