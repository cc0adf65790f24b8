"""The scribe: keeps the process ids in stack.json true when a program was started again.

supervisord runs it as an event listener, and tells it of every program that is running anew.
"""

import json
import sys
from contextlib import suppress
from pathlib import Path
from xmlrpc.client import Fault

from supervisor.childutils import listener  # type: ignore[import-untyped]  # it has no types

from sandbox.stack.layout import Layout, write_private
from sandbox.stack.supervision import SOCKET, Supervisor


def record(layout: Layout) -> None:
    """Write the present process ids into the description of a stack; before it is ready there is none."""
    if layout.description.exists():
        described = json.loads(layout.description.read_text())
        described["pids"] = Supervisor(layout.run() / SOCKET).pids()
        write_private(layout.description, json.dumps(described, indent=2) + "\n")


def main(root: Path) -> None:
    """Serve events until supervisord ends."""
    while True:
        listener.wait(sys.stdin, sys.stdout)
        with suppress(Fault):  # the supervisor is shutting down, and stack.json goes with it
            record(Layout(root))
        listener.ok(sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
