"""The start of a stack: room by room, each program watched until it is ready."""

import subprocess
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path

from sandbox.stack import leftovers, supervision
from sandbox.stack.layout import PROJECT, Layout
from sandbox.stack.options import StackError, StackOptions
from sandbox.stack.plan import Plan
from sandbox.stack.programs import Program, Room
from sandbox.stack.supervision import FALLEN, SOCKET, Supervisor

#: Lines of a log that explain why a program did not start.
TAIL = 25
#: Seconds between two looks at what is not ready yet.
PAUSE = 0.1


class Start:
    """Starts what a plan names, and says so line by line."""

    def __init__(
        self, layout: Layout, options: StackOptions, plan: Plan, run: Path, report: Callable[[str], None]
    ) -> None:
        self._layout, self._options, self._plan, self._report = layout, options, plan, report
        self._environment = {**plan.environment, leftovers.MARK: str(layout.root)}
        self._supervisor = Supervisor(run / SOCKET)
        self._process: subprocess.Popen[bytes] | None = None
        self._began = time.monotonic()

    def run(self) -> None:
        """Start everything and return when all is ready.

        Raises StackError with the end of the log of the program that failed.
        """
        supervision.write_config(self._layout, self._supervisor.socket, self._plan.programs.values())
        self._process = supervision.launch(self._layout, self._environment, detached=self._options.detached)
        stores, outside, mesh = (self._plan.room(room) for room in (Room.STORES, Room.OUTSIDE, Room.MESH))
        self.watch(stores)
        if self._options.migrate and stores:
            self._migrate()
        if mesh:
            self._supervisor.start(Room.MESH)
        self.watch([*outside, *mesh])

    def restart(self, name: str) -> None:
        """Stop one program as it wishes to be stopped, start it, and return when it is ready again."""
        program = self._plan.programs[name]
        self._began = time.monotonic()
        self._supervisor.restart(program)
        self.watch([program])

    def watch(self, programs: Collection[Program]) -> None:
        """Return when all of these programs are ready; one that ends before that fails the start."""
        pending = list(programs)
        deadline = time.monotonic() + self._options.patience
        while pending:
            states = self._states()
            for program in programs:
                if states.get(program.name) in FALLEN:
                    raise StackError(self._explained(f"{program.name} ended", program.name))
            for program in [program for program in pending if states and program.is_ready()]:
                pending.remove(program)
                self._report_ready(program.name)
            if pending and time.monotonic() > deadline:
                names = ", ".join(program.name for program in pending)
                raise StackError(self._explained(f"not ready in time: {names}", pending[0].name))
            time.sleep(PAUSE)

    def reap(self) -> None:
        """Take note that the supervisor has ended: until its starter does, it stays a zombie."""
        if self._process is not None:
            self._process.wait()

    def _migrate(self) -> None:
        command = [sys.executable, "-m", "sandbox.cli", "migrate"]
        with self._layout.log("migrate").open("wb") as log:
            done = subprocess.run(command, env=self._environment, cwd=PROJECT, stdout=log, stderr=log, check=False)
        if done.returncode:
            raise StackError(self._explained("the migration failed", "migrate"))
        self._report_ready("migrate")

    def _states(self) -> dict[str, str]:
        """What the supervisor says of its programs; nothing while it is starting itself."""
        if self._process is not None and self._process.poll() is not None:
            raise StackError(self._explained("the supervisor ended", "supervisord"))
        try:
            return self._supervisor.states()
        except OSError:
            return {}

    def _report_ready(self, name: str) -> None:
        self._report(f"  {name:<16} ready after {time.monotonic() - self._began:4.1f} s")

    def _explained(self, what: str, program: str) -> str:
        log = self._layout.log(program)
        lines = log.read_text(errors="replace").splitlines()[-TAIL:] if log.exists() else []
        return "\n".join([f"{what}; the end of {log}:", *lines])
