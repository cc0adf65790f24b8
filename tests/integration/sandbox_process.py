"""Starts a stand-in as a process of its own, and ends it by its id."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Running:
    """A stand-in that is ready: its process, and the addresses it printed."""

    process: subprocess.Popen[str]
    addresses: list[str]

    def end(self, by: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, and return its exit code."""
        self.process.send_signal(by)
        return self.process.wait(timeout=5)


@contextmanager
def running(module: str, *arguments: str) -> Iterator[Running]:
    """Run `python -m module` until the block ends."""
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready = process.stdout.readline().split()
            yield Running(process, [word for word in ready if "://" in word])
        finally:
            process.terminate()
