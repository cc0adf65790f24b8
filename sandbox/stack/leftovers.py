"""Processes of a stack, known by a mark in their environment; found even when whoever started them is gone."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

#: Names the stack's root in the environment of every process that belongs to it.
MARK = "COUNTERMAND_STACK"

#: Seconds that a leftover gets to end by itself.
GRACE = 10.0


def belongs(pid: int, root: Path) -> bool:
    """Whether a process is alive and belongs to the stack in `root`."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:  # it ended, or is somebody else's
        return False
    return os.fsencode(f"{MARK}={root}") in environment.split(b"\0")


def processes(root: Path) -> Iterator[int]:
    """The ids of all processes of the stack in `root`, but for this one."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid() and belongs(int(entry.name), root):
            yield int(entry.name)


def end(root: Path) -> None:
    """End what is left of the stack in `root`, each process by its id.

    SIGINT first: it is what lets Postgres disconnect its clients and write everything down.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        for pid in processes(root):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if _within(GRACE, lambda: not any(processes(root))):
            return


def wait_for(pid: int, root: Path, seconds: float) -> None:
    """Return when a process of the stack has ended, or when its time is up."""
    _within(seconds, lambda: not belongs(pid, root))


def _within(seconds: float, holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
