"""Run the stand-in: `python -m sandbox.delhivery --port 18423 --data .countermand/delhivery`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from sandbox.delhivery.api import FAULTS, Api
from sandbox.delhivery.control import Control
from sandbox.delhivery.lag import Lag
from sandbox.delhivery.push import Pushes
from sandbox.delhivery.store import Store
from sandbox.delhivery.throttle import USUAL_LIMIT, WINDOW_SECONDS, Throttle
from sandbox.faults import Faults
from sandbox.http import Server, asked_to_end, run

#: Names the secret in the environment, where other users of the machine do not see it.
SECRET = "DELHIVERY_PUSH_SECRET"  # noqa: S105  # the name, not the secret


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.delhivery", description="A strict stand-in for Delhivery's B2C API, on loopback only."
    )
    parser.add_argument("--port", type=int, required=True, help="the port to listen on; 0 for a free one")
    parser.add_argument("--data", type=Path, required=True, help="the directory of its store, made when missing")
    parser.add_argument("--push-url", help="where scans are pushed; loopback only")
    parser.add_argument(
        "--push-secret", default=os.environ.get(SECRET), help=f"the X-Delhivery-Secret of a push (default: ${SECRET})"
    )
    parser.add_argument(
        "--rate-limit",
        type=int,
        default=USUAL_LIMIT,
        metavar="N",
        help=f"Track calls that the firewall lets in, in {WINDOW_SECONDS} s (default: %(default)s)",
    )
    parser.add_argument(
        "--settle-seconds",
        type=float,
        default=90.0,  # as observed of cancels before the pickup
        help="how far tracking lags behind an accepted cancel (default: %(default)s)",
    )
    chosen = parser.parse_args()
    if chosen.push_url and not chosen.push_secret:
        parser.error("--push-url needs --push-secret")
    return chosen


async def main(chosen: argparse.Namespace) -> None:
    """Serve until the process is asked to end."""
    asked = asked_to_end()
    store = Store(chosen.data)
    faults = Faults(FAULTS)
    pushes = Pushes(store, faults, chosen.push_url, chosen.push_secret) if chosen.push_url else None
    lag = Lag(store, chosen.settle_seconds, pushes)
    control = Control(store, faults, lag, pushes)
    server = Server(Api(store, faults, lag, Throttle(chosen.rate_limit), control).handle)
    port = await server.start(chosen.port)
    lag.start()
    print(f"delhivery stand-in ready on http://127.0.0.1:{port}", flush=True)
    await asked.wait()
    lag.stop()
    if pushes:
        pushes.stop()
    await server.stop()
    store.close()


if __name__ == "__main__":
    run(main(arguments()))
