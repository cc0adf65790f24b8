"""Run the stand-in: `python -m sandbox.qpay --port 18422 --data .countermand/qpay`."""

from __future__ import annotations

import argparse
from pathlib import Path

from sandbox.faults import Faults
from sandbox.http import Server, asked_to_end, run
from sandbox.qpay.api import FAULTS, Api
from sandbox.qpay.callbacks import Callbacks
from sandbox.qpay.store import Store
from sandbox.qpay.tokens import Tokens


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.qpay", description="A strict stand-in for QPay's API, on loopback only."
    )
    parser.add_argument("--port", type=int, required=True, help="the port to listen on; 0 for a free one")
    parser.add_argument("--data", type=Path, required=True, help="the directory of its store, made when missing")
    parser.add_argument(
        "--token-seconds",
        type=int,
        default=24 * 3600,  # as observed
        metavar="N",
        help="how long an access token lives (default: %(default)s)",
    )
    return parser.parse_args()


async def main(chosen: argparse.Namespace) -> None:
    """Serve until the process is asked to end."""
    asked = asked_to_end()
    store = Store(chosen.data)
    faults = Faults(FAULTS)
    callbacks = Callbacks(store, faults)
    server = Server(Api(store, faults, Tokens(store, chosen.token_seconds), callbacks).handle)
    port = await server.start(chosen.port)
    print(f"qpay stand-in ready on http://127.0.0.1:{port}", flush=True)
    await asked.wait()
    await server.stop()
    await callbacks.stop()
    store.close()


if __name__ == "__main__":
    run(main(arguments()))
