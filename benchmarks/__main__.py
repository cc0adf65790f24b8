"""`python -m benchmarks`: measure, and print one table of ratios.

Peers take turns within each round, and every figure is the median of all rounds with the least and the most.  The run
fails when a message was left over or an effect was repeated.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks import accepts, cancel_chain, chains, churn, doorbell, pgbench, profiling, statements, syncs, waiting
from benchmarks.books import Violated
from benchmarks.report import Result, summary

#: Every measurement by its name, in the order in which they are made.
MEASUREMENTS: Mapping[str, Callable[[argparse.Namespace], Result]] = {
    "cancel-chain": lambda chosen: cancel_chain.measure(chosen.rounds, chosen.orders, chosen.latency),
    "refund-chain": lambda chosen: chains.measure(chains.REFUNDS, chosen.rounds, chosen.orders, chosen.latency),
    "guest-chain": lambda chosen: chains.measure(chains.GUESTS, chosen.rounds, chosen.orders, chosen.latency),
    "courier-chain": lambda chosen: chains.measure(chains.COURIERS, chosen.rounds, chosen.orders, chosen.latency),
    "edit-chain": lambda chosen: chains.measure(chains.EDITS, chosen.rounds, chosen.orders, chosen.latency),
    "sync": lambda chosen: syncs.measure(chosen.rounds, chosen.orders, chosen.latency),
    "pgbench": lambda chosen: pgbench.measure(chosen.rounds, chosen.orders),
    "accepts": lambda chosen: accepts.measure(chosen.rounds, chosen.orders),
    "doorbell": lambda chosen: doorbell.measure(),
    "waiting": lambda chosen: waiting.measure(chosen.rounds),
    "statements": lambda chosen: statements.measure(),
    "churn": lambda chosen: churn.measure(chosen.rounds, chosen.orders, chosen.churn),
}


def main() -> int:
    """Measure what was asked for; 1 when anything was left over or repeated, or broke."""
    chosen = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that everything is put away
    names = chosen.only or ([] if chosen.profile else list(MEASUREMENTS))
    found = {name: _measure(name, MEASUREMENTS[name], chosen) for name in names}
    if chosen.profile:
        found["profile"] = _measure("profile", lambda chosen: profiling.measure(chosen.orders), chosen)
    results = {name: result for name, result in found.items() if result}
    _print([*results.values()])
    if chosen.json:
        kept = {name: {"rows": [row._asdict() for row in each.rows], "raw": each.raw} for name, each in results.items()}
        chosen.json.write_text(json.dumps(kept, indent=1))
    return int(len(results) < len(found))


def _measure(name: str, measure: Callable[[argparse.Namespace], Result], chosen: argparse.Namespace) -> Result | None:
    """Make one measurement; None when it failed, which does not keep the others from being made."""
    began = time.monotonic()
    _say(f"{name} ...")
    try:
        result = measure(chosen)
    except (Violated, RuntimeError, OSError) as failure:
        _say(f"{name} FAILED: {failure or type(failure).__name__}")
        return None
    _say(f"{name} took {time.monotonic() - began:.0f} s")
    return result


def _print(results: Sequence[Result]) -> None:
    tables = [summary(results)] if any(result.rows for result in results) else []
    for table in [*tables, *(table for result in results for table in result.tables)]:
        print(f"\n{table.text()}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    option = parser.add_argument
    option("--only", choices=MEASUREMENTS, action="append", help="one measurement; may be repeated")
    option("--rounds", type=int, default=5, help="rounds of each measurement (default: %(default)s)")
    option("--orders", type=int, default=1000, help="orders in each round (default: %(default)s)")
    option("--latency", type=int, nargs="+", default=[0, 200], metavar="MS", help="the provider's (default: 0 200)")
    option("--churn", type=int, default=300_000, metavar="ROWS", help="rows to churn (default: %(default)s)")
    option("--json", type=Path, metavar="FILE", help="write every figure of every round there")
    option("--profile", action="store_true", help="tell where the CPU of each process goes, by py-spy")
    return parser.parse_args()


def _say(line: str) -> None:
    """Progress goes to standard error, the tables to standard output."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
