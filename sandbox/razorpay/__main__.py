"""Run the stand-in: `python -m sandbox.razorpay --port 18421 --data .countermand/razorpay`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from sandbox.faults import Faults
from sandbox.http import Server, asked_to_end, run
from sandbox.razorpay.api import FAULTS, Api
from sandbox.razorpay.store import Store
from sandbox.razorpay.webhooks import Webhooks

#: Names the secret in the environment, where other users of the machine do not see it.
SECRET = "RAZORPAY_WEBHOOK_SECRET"  # noqa: S105  # the name, not the secret


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.razorpay", description="A strict stand-in for Razorpay's API, on loopback only."
    )
    parser.add_argument("--port", type=int, required=True, help="the port to listen on; 0 for a free one")
    parser.add_argument("--data", type=Path, required=True, help="the directory of its store, made when missing")
    parser.add_argument("--webhook-url", help="where events are sent; loopback only")
    parser.add_argument(
        "--webhook-secret",
        action="append",
        help=f"what they are signed with; of several the first, as Razorpay has one at a time (default: ${SECRET})",
    )
    parser.add_argument("--webhook-events", type=_words, default=(), help="the events that are sent (default: all)")
    chosen = parser.parse_args()
    if not chosen.webhook_secret and SECRET in os.environ:
        chosen.webhook_secret = [os.environ[SECRET]]
    if (chosen.webhook_url is None) != (not chosen.webhook_secret):
        parser.error("--webhook-url and --webhook-secret belong together")
    return chosen


def _words(text: str) -> list[str]:
    return text.split(",")


async def main(chosen: argparse.Namespace) -> None:
    """Serve until the process is asked to end."""
    asked = asked_to_end()
    store = Store(chosen.data)
    faults = Faults(FAULTS)
    webhooks = (
        Webhooks(store, faults, chosen.webhook_url, chosen.webhook_secret[0], chosen.webhook_events)
        if chosen.webhook_url
        else None
    )
    server = Server(Api(store, faults, webhooks).handle)
    port = await server.start(chosen.port)
    if webhooks:
        webhooks.start()
    print(f"razorpay stand-in ready on http://127.0.0.1:{port}", flush=True)
    await asked.wait()
    await server.stop()
    if webhooks:
        await webhooks.stop()
    store.close()


if __name__ == "__main__":
    run(main(arguments()))
