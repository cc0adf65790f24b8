"""`python -m benchmarks`: measure, and print one table of ratios.

Peers take turns within each round, and every figure is the median of all rounds with the least and the most.  The run
fails when a message was left over or an effect was repeated.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import accepts, cancel_chain, churn, doorbell, pgbench, profiling, statements, waiting
from benchmarks.books import Violated
from benchmarks.report import Result, summary

#: Every measurement by its name, in the order in which they are made.
MEASUREMENTS: Mapping[str, Callable[[argparse.Namespace], Result]] = {
    "cancel-chain": lambda chosen: cancel_chain.measure(chosen.rounds, chosen.orders, chosen.latency),
    "pgbench": lambda chosen: pgbench.measure(chosen.rounds, chosen.orders),
    "accepts": lambda chosen: accepts.measure(chosen.rounds, chosen.orders),
    "doorbell": lambda chosen: doorbell.measure(),
    "waiting": lambda chosen: waiting.measure(chosen.rounds),
    "statements": lambda chosen: statements.measure(),
    "churn": lambda chosen: churn.measure(chosen.rounds, chosen.orders, chosen.churn),
}


def main() -> int:
    """Measure what was asked for; 1 when something was left over or repeated."""
    chosen = _arguments()
    results: dict[str, Result] = {}
    failed = False
    for name in chosen.only or ([] if chosen.profile else MEASUREMENTS):
        began = time.monotonic()
        _say(f"{name} ...")
        try:
            results[name] = MEASUREMENTS[name](chosen)
            _say(f"{name} took {time.monotonic() - began:.0f} s")
        except Violated as violation:
            _say(f"{name} FAILED: {violation}")
            failed = True
    if chosen.profile:
        results["profile"] = profiling.measure(chosen.orders)
    tables = [summary(list(results.values()))] if any(result.rows for result in results.values()) else []
    for table in [*tables, *(table for result in results.values() for table in result.tables)]:
        print(f"\n{table.text()}")
    if chosen.json:
        kept = {name: {"rows": [row._asdict() for row in r.rows], "raw": r.raw} for name, r in results.items()}
        chosen.json.write_text(json.dumps(kept, indent=1))
    return int(failed)


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
