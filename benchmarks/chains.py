"""Chains beside the cancel's: orders refunded, edited, or taken back by guests or couriers per second, POST to mail.

They travel as a cancel does (gateway, rules, provider, e-mail), so the peer is the mesh's own cancel.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import statements
from benchmarks.books import COURIER_REFUND, INCREMENT, REFUND, VOID, Effect
from benchmarks.client import run
from benchmarks.orders import put_stock
from benchmarks.peers import Mesh, mesh
from benchmarks.report import Result, Row, figure
from benchmarks.rounds import Editing, Ours, Refunding, Returning, Round, Staying, one_round

#: Orders of the first round, which counts for nothing.
WARM_UP = 300

Rounds = dict[tuple[int, str], list[Round]]


@dataclass(frozen=True)
class Chain:
    """What is measured: its noun, who does it, and what it comes to at the provider."""

    noun: str
    peer: type[Ours]
    effect: Effect


#: An operator gives all of the money back.
REFUNDS = Chain("refund", Refunding, REFUND)
#: A guest takes a booking back, for a fee.
GUESTS = Chain("guest's cancel", Staying, REFUND)
#: A courier brings a parcel back: it tells us, is asked, and the order is canceled and refunded.
COURIERS = Chain("courier's cancel", Returning, COURIER_REFUND)
#: A shopper wants one unit more, for which the hold is raised.
EDITS = Chain("edit", Editing, INCREMENT)


def measure(chain: Chain, rounds: int, orders: int, latencies: Sequence[int]) -> Result:
    """Let a chain and cancels take turns on one mesh."""
    with mesh() as running:
        found = run(_rounds(chain, running, rounds, orders, latencies))
        executed = statements.one_of(running, chain.peer(running), running.books_of(chain.effect))
    rows = [row for latency in latencies for row in _rows(chain, found, latency)]
    rows.append(Row(f"statements of a whole {chain.noun}", str(statements.count(executed))))
    return Result(
        rows, raw={f"{name} at {at} ms": [each._asdict() for each in got] for (at, name), got in found.items()}
    )


async def _rounds(chain: Chain, running: Mesh, rounds: int, orders: int, latencies: Sequence[int]) -> Rounds:
    put_stock(running.database)
    peers = [(chain.peer(running), running.books_of(chain.effect)), (Ours(running), running.books_of(VOID))]
    for peer, books in peers:
        await one_round(peer, books, min(WARM_UP, orders), 0)
    found: Rounds = defaultdict(list)
    for number in range(rounds):
        for latency in latencies:
            for peer, books in peers if number % 2 else reversed(peers):
                found[latency, peer.name].append(await one_round(peer, books, orders, latency))
    return found


def _rows(chain: Chain, found: Rounds, latency: int) -> list[Row]:
    compared = found[latency, chain.peer.name], found[latency, Ours.name]
    rate, peer_rate = (figure([each.per_second for each in rounds]) for rounds in compared)
    cpu, peer_cpu = (figure([sum(each.cpu.values()) for each in rounds]) for rounds in compared)
    at = f"at {latency} ms, against cancels"
    return [
        Row(f"{chain.noun}s/s {at}", rate.text(), peer_rate.text(), rate.median / peer_rate.median),
        Row(f"CPU ms per {chain.noun} {at}", cpu.text(2), peer_cpu.text(2), cpu.median / peer_cpu.median),
    ]
