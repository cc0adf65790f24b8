"""Run the stand-in: `python -m sandbox.stripe --port 18420 --data .countermand/stripe`."""

from __future__ import annotations

import argparse
from pathlib import Path

from sandbox.faults import Faults
from sandbox.http import Server, asked_to_end, run
from sandbox.stripe.api import FAULTS, Api
from sandbox.stripe.store import Store
from sandbox.stripe.webhooks import Webhooks


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.stripe", description="A strict stand-in for Stripe's API, on loopback only."
    )
    parser.add_argument("--port", type=int, required=True, help="the port to listen on; 0 for a free one")
    parser.add_argument("--data", type=Path, required=True, help="the directory of its store, made when missing")
    parser.add_argument("--webhook-url", help="where events are sent; loopback only")
    parser.add_argument("--webhook-secret", help="what they are signed with, such as whsec_...")
    chosen = parser.parse_args()
    if (chosen.webhook_url is None) != (chosen.webhook_secret is None):
        parser.error("--webhook-url and --webhook-secret belong together")
    return chosen


async def main(chosen: argparse.Namespace) -> None:
    """Serve until the process is asked to end."""
    asked = asked_to_end()
    store = Store(chosen.data)
    faults = Faults(FAULTS)
    webhooks = Webhooks(store, faults, chosen.webhook_url, chosen.webhook_secret) if chosen.webhook_url else None
    server = Server(Api(store, faults, webhooks).handle)
    port = await server.start(chosen.port)
    if webhooks:
        webhooks.start()
    print(f"stripe stand-in ready on http://127.0.0.1:{port}", flush=True)
    await asked.wait()
    if webhooks:
        webhooks.stop()
    await server.stop()
    store.close()


if __name__ == "__main__":
    run(main(arguments()))
