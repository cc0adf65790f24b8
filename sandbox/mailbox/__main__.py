"""Run the mailbox: `python -m sandbox.mailbox --smtp-port 18425 --http-port 18426 --data .countermand/mailbox`."""

from __future__ import annotations

import argparse
from pathlib import Path

from sandbox.faults import Faults
from sandbox.http import Server, asked_to_end, run
from sandbox.mailbox.pages import Pages
from sandbox.mailbox.smtp import FAULTS, Sink
from sandbox.mailbox.store import Store


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.mailbox", description="An SMTP sink that shows what it took, on loopback only."
    )
    parser.add_argument("--smtp-port", type=int, required=True, help="the port to take mail on; 0 for a free one")
    parser.add_argument("--http-port", type=int, required=True, help="the port to show it on; 0 for a free one")
    parser.add_argument("--data", type=Path, required=True, help="the directory of its store, made when missing")
    return parser.parse_args()


async def main(chosen: argparse.Namespace) -> None:
    """Serve until the process is asked to end."""
    asked = asked_to_end()
    store = Store(chosen.data)
    faults = Faults(FAULTS)
    sink = Sink(store.keep, faults)
    server = Server(Pages(store, faults).handle)
    smtp_port, http_port = await sink.start(chosen.smtp_port), await server.start(chosen.http_port)
    print(f"mailbox ready on smtp://127.0.0.1:{smtp_port} and http://127.0.0.1:{http_port}", flush=True)
    await asked.wait()
    await sink.stop()
    await server.stop()
    store.close()


if __name__ == "__main__":
    run(main(arguments()))
