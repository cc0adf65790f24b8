"""Cancel chain: orders taken back per second, from the first POST until the last one is voided and mailed.

Ours answers when the void is settled; the bare chain answers 202 at once, having only published.  Beside it runs the
bare chain without a gateway, its first messages published by the load generator.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from benchmarks.client import run
from benchmarks.orders import put_stock
from benchmarks.peers import Mesh, bare_chain, mesh
from benchmarks.report import Figure, Result, Row, Table, figure
from benchmarks.rounds import BareChain, Ours, Peer, Published, Round, one_round

#: Orders of the first round, which counts for nothing: connections are opened, statements prepared.
WARM_UP = 300

SPEED_GOAL = 0.7
CPU_GOAL = 1.6

Rounds = Mapping[tuple[int, str], Sequence[Round]]


def measure(rounds: int, orders: int, latencies: Sequence[int]) -> Result:
    """Let the peers take turns on the same stores and stand-ins, and compare them."""
    with mesh() as running, bare_chain(running) as bare:
        peers: list[Peer] = [Ours(running), BareChain(running, bare), Published(running, bare)]
        found = run(_rounds(running, peers, rounds, orders, latencies))
    names = [peer.name for peer in peers]
    rows = [
        row
        for latency in latencies
        for name in names[1:]
        for row in _rows(found, latency, name, has_goals=name == names[1])
    ]
    tables = [_cpu_table(found, latency, names) for latency in latencies]
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


def _rows(found: Rounds, latency: int, peer: str, *, has_goals: bool) -> list[Row]:
    ours, bare = found[latency, "ours"], found[latency, peer]
    speed = _rate(ours).median / _rate(bare).median
    burned = _cpu(ours).median / _cpu(bare).median
    speed_goal = (f"at least {SPEED_GOAL:.2f}", speed >= SPEED_GOAL) if has_goals else ()
    cpu_goal = (f"at most {CPU_GOAL:.2f}", burned <= CPU_GOAL) if has_goals else ()
    at = f"at {latency} ms, against the {peer}"
    return [
        Row(f"cancels/s {at}", _rate(ours).text(), _rate(bare).text(), speed, *speed_goal),
        Row(f"CPU ms per cancel {at}", _cpu(ours).text(2), _cpu(bare).text(2), burned, *cpu_goal),
    ]


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
