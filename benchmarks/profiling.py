"""Profiles: where the CPU of a cancel goes, by concern and by function, for ours and for the bare chain.

py-spy samples every process of the mesh during one round.  Its raw output, one stack a line as flame graph tools read
it, stays below `.countermand/profiles`.
"""

import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.client import run
from benchmarks.orders import put_stock
from benchmarks.peers import bare_chain, mesh
from benchmarks.report import Result, Table
from benchmarks.rounds import BareChain, Ours, Peer, one_round
from sandbox.stack.layout import PROJECT

PLACE = PROJECT / ".countermand" / "profiles"

#: Samples a second.
FREQUENCY = 200

#: Functions in a table.
SHOWN = 15

#: Processes with a part in a cancel that are ours to tune.
SEEN = ("gateway", "worker")

#: Functions in which a thread only waits, though py-spy takes it for busy.
IDLE = ("acquire_with_timeout", "wait_for_signals", "EpollSelector.select", "Hub.run")

#: What a stack is about: the first concern of which a word stands in any of its frames.
CONCERNS: Mapping[str, Sequence[str]] = {
    "Celery's task events": ("EventDispatcher",),
    "ringing the doorbell": ("Publisher.ring",),
    "publishing": ("Publisher.publish", "send_task"),
    "acknowledging": ("acknowledge", "basic_ack"),
    "Postgres: driver": ("(psycopg/",),
    "Postgres: SQLAlchemy": ("(sqlalchemy/",),
    "Stripe's SDK": ("(stripe/",),
    "building the mail": ("Mailer._message", "(jinja2/"),
    "sending the mail": ("(smtplib.py",),
    "fetching messages": ("MultiChannelPoller",),
    "HTTP: tokens": ("(jwt/",),
    "our own code": ("(workers/", "(gateway/", "(shared/", "(benchmarks/"),
    "HTTP: Falcon and gunicorn": ("(falcon/", "(gunicorn/"),
    "Celery's task machinery": ("(celery/", "(kombu/"),
    "gevent": ("(gevent/",),
}

OTHER = "other"


def measure(orders: int) -> Result:
    """Profile one round of ours and one of the bare chain."""
    PLACE.mkdir(parents=True, exist_ok=True)
    spent: dict[str, Counter[str]] = defaultdict(Counter)
    tables = []
    with mesh() as running, bare_chain(running) as bare:
        put_stock(running.database)
        peers: list[Peer] = [Ours(running), BareChain(running, bare)]
        for peer in peers:
            rate = run(one_round(peer, running.books, orders, 0)).per_second
            recorders = _record(peer, seconds=orders / rate + 2)
            cpu = run(one_round(peer, running.books, orders, 0)).cpu
            for name, (file, recorder) in recorders.items():
                recorder.wait(120)
                stacks = Counter(dict(_stacks(file)))
                tables.append(_functions(f"{peer.name}, {name}", stacks))
                spent[peer.name] += _concerns(stacks, cpu[name])
    return Result([], [_overview(spent), *tables])


def _record(peer: Peer, seconds: float) -> Mapping[str, tuple[Path, "subprocess.Popen[bytes]"]]:
    """Start to sample the processes of a peer, for so many seconds."""
    spy = Path(sys.executable).with_name("py-spy")
    recorders = {}
    for name, pid in peer.pids.items():
        if name.startswith(SEEN) and name != "worker-upkeep":
            file = PLACE / f"{peer.name.replace(' ', '-')}.{name}.raw"
            file.write_text("")
            command: list[str | Path] = [
                *(spy, "record", "--pid", str(pid), "--subprocesses", "--format", "raw", "--output", file),
                *("--rate", str(FREQUENCY), "--duration", f"{seconds:.0f}"),
            ]
            recorder = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            recorders[name] = file, recorder
    time.sleep(1)  # py-spy looks at the process before it samples
    return recorders


def _stacks(file: Path) -> Iterator[tuple[str, int]]:
    """Each stack that was seen busy, outermost frame first, and how often."""
    for line in file.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        innermost = stack.rpartition(";")[2]
        if not innermost.startswith("process ") and not any(idle in innermost for idle in IDLE):
            yield stack, int(count)


def _concerns(stacks: Counter[str], milliseconds: float) -> Counter[str]:
    """Share a process's milliseconds out among the concerns; in thousandths, since counters hold whole numbers."""
    seen: Counter[str] = Counter()
    for stack, count in stacks.items():
        seen[next((name for name, words in CONCERNS.items() if any(word in stack for word in words)), OTHER)] += count
    return Counter({name: round(count / stacks.total() * milliseconds * 1000) for name, count in seen.items()})


def _overview(spent: Mapping[str, Counter[str]]) -> Table:
    peers = list(spent)
    lines = [[name, *(f"{spent[peer][name] / 1000:.2f}" for peer in peers)] for name in (*CONCERNS, OTHER)]
    total = ["all", *(f"{spent[peer].total() / 1000:.2f}" for peer in peers)]
    return Table("CPU ms per cancel by concern: gateway and workers", ["concern", *peers], [*lines, total])


def _functions(title: str, stacks: Counter[str]) -> Table:
    """The functions with the most time of their own, and with what they call."""
    own: Counter[str] = Counter()
    within: Counter[str] = Counter()
    for stack, count in stacks.items():
        frames = [frame.rpartition(":")[0] + ")" for frame in stack.split(";") if not frame.startswith("process ")]
        own[frames[-1]] += count
        within.update(dict.fromkeys(frames, count))
    total = max(stacks.total(), 1)
    lines = [[name, f"{count / total:.1%}", f"{within[name] / total:.1%}"] for name, count in own.most_common(SHOWN)]
    return Table(f"{title}: {total:,} busy samples", ("function", "self", "with callees"), lines)
