"""Processes: the CPU that they burn, and those that a benchmark starts beside the stack."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox.stack.layout import PROJECT

TICKS = os.sysconf("SC_CLK_TCK")

#: Seconds that a process gets to end after SIGTERM.
GRACE = 15.0


def cpu_milliseconds(root: int) -> float:
    """The CPU that a process and its descendants have burned so far, also those that ended and were waited for."""
    return sum(_times(pid) for pid in family(root)) * 1000 / TICKS


def family(root: int) -> list[int]:
    """A process and all its descendants that live."""
    found = [root]
    for pid in found:
        found.extend(_children(pid))
    return found


def _children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:  # it has ended
        return []


def _times(pid: int) -> int:
    """utime, stime, cutime and cstime of proc_pid_stat(5), in ticks."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return sum(map(int, stat.rpartition(")")[2].split()[11:15]))


class Meter:
    """The CPU of named processes, and of this one, since the meter was made."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._before = self._now()

    def read(self) -> dict[str, float]:
        """Milliseconds of CPU by name; this process is the load."""
        return {name: milliseconds - self._before[name] for name, milliseconds in self._now().items()}

    def _now(self) -> dict[str, float]:
        return {name: cpu_milliseconds(pid) for name, pid in self._pids.items()} | {"load": time.process_time() * 1000}


class Program:
    """One process of a peer; it ends with the thread that started it at the latest."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *command],
                env=environment,
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def wait_until(self, is_ready: Callable[[], bool], seconds: float = 60.0) -> None:
        """Return when it is ready.  Raises RuntimeError with the end of its log when it ends before, or is late."""
        deadline = time.monotonic() + seconds
        while not is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"a peer did not start; the end of its log:\n{self._log.read_text()[-3000:]}")
            time.sleep(0.1)
