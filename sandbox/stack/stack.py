"""One stack: from a directory to a running mesh, and back to nothing."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sandbox.stack import leftovers, plan, secrets
from sandbox.stack.layout import Layout, write_private
from sandbox.stack.options import PORTS, StackError, StackOptions
from sandbox.stack.ports import reserved
from sandbox.stack.start import Start
from sandbox.stack.supervision import SOCKET, Supervisor

#: Seconds that all rooms together get to stop: the workers' ten, the stand-ins' ten, Postgres' thirty.
STOP_LIMIT = 55.0


class AlreadyRunning(StackError):
    """The stack runs already."""


class Stack:
    """The embedded stack below one root directory; any process may describe or stop what another one started."""

    def __init__(
        self, root: Path, options: StackOptions | None = None, report: Callable[[str], None] = lambda line: None
    ) -> None:
        self.root = root.resolve()
        self._layout = Layout(self.root)
        self._options = options or StackOptions()
        self._report = report
        self._start: Start | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start every program and return when all of them are ready; after a failure nothing runs.

        Raises AlreadyRunning, or StackError with the end of the log of the program that failed.
        """
        with self._layout.locked():
            if self.is_running():
                raise AlreadyRunning(f"the stack in {self.root} is running already")
            self._halt()
            shown = self.root.relative_to(Path.cwd()) if self.root.is_relative_to(Path.cwd()) else self.root
            self._report(f"Starting the stack in {shown}")
            try:
                self._start_all()
            except BaseException:
                self._halt()
                raise

    def stop(self) -> None:
        """Stop every program, the mesh first and the stores last, and remove the sockets.  The data stays."""
        with self._layout.locked():
            self._halt()

    def restart(self, name: str) -> None:
        """Stop one program as it wishes to be stopped, start it, and return when it is ready again.

        Raises StackError when it does not get ready, or when this object did not start the stack.
        """
        if self._start is None:
            raise StackError("only the object that started a stack restarts its programs")
        self._start.restart(name)

    def wait(self) -> None:
        """Return when the supervisor ends, because somebody stopped the stack or it died."""
        while self._supervisor_pid() is not None:
            time.sleep(0.3)

    def is_running(self) -> bool:
        """Whether the stack was started whole and its supervisor lives."""
        return self._layout.description.exists() and self._supervisor_pid() is not None

    def describe(self) -> dict[str, Any]:
        """Every URL of the running stack, and the process ids of its programs by name.

        Raises StackError when the stack is not running.
        """
        return self._read(self._layout.description) | {"pids": self.pids()}

    def environment(self) -> dict[str, str]:
        """The environment that the programs of the running stack were given; shared/settings.py reads it.

        Raises StackError when the stack is not running.
        """
        return self._read(self._layout.environment)

    def pids(self) -> dict[str, int]:
        """The process ids of the programs that run now, by name.  Raises StackError when the stack is not running."""
        return Supervisor(self._layout.run() / SOCKET).pids()

    def secrets(self) -> secrets.Secrets:
        """The keys and passwords of this stack."""
        return secrets.load_or_make(self._layout.secrets)

    def _start_all(self) -> None:
        self._layout.logs.mkdir(mode=0o700, exist_ok=True)
        run = self._layout.make_run()
        with reserved(PORTS, self._options.ports) as ports:
            made = plan.make(self._layout, self._options, run, ports, self.secrets())
            write_private(self._layout.environment, json.dumps(made.environment, indent=2) + "\n")
            self._start = Start(self._layout, self._options, made, run, self._report)
            self._start.run()
        write_private(self._layout.description, json.dumps({**made.urls, "pids": self.pids()}, indent=2) + "\n")

    def _halt(self) -> None:
        pid = self._supervisor_pid()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            leftovers.wait_for(pid, self.root, STOP_LIMIT)
        leftovers.end(self.root)
        if self._start is not None:
            self._start.reap()
            self._start = None
        self._layout.remove_run()

    def _supervisor_pid(self) -> int | None:
        """The id of the living supervisor of this stack."""
        try:
            pid = int(self._layout.supervisor_pid.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return pid if leftovers.belongs(pid, self.root) else None

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(path.read_text())
        except FileNotFoundError:
            raise StackError(f"no stack is running in {self.root}") from None
        return found
