"""One stack: from a directory to a running mesh, and back to nothing."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sandbox.stack import environment, leftovers, programs, supervision
from sandbox.stack.layout import PROJECT, Layout, write_private
from sandbox.stack.options import PORTS, StackError, StackOptions
from sandbox.stack.ports import LOOPBACK, reserved
from sandbox.stack.postgres import Postgres
from sandbox.stack.programs import Program, Room
from sandbox.stack.redis import Redis
from sandbox.stack.secrets import Secrets, load_or_make
from sandbox.stack.supervision import FALLEN, Supervisor

#: Lines of a log that explain why a program did not start.
TAIL = 25
#: Seconds between two looks at what is not ready yet.
PAUSE = 0.1
#: Seconds that all rooms together get to stop: the workers' ten, the stand-ins' ten, Postgres' thirty.
STOP_LIMIT = 55.0


class AlreadyRunningError(StackError):
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
        self._programs: dict[str, Program] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def root(self) -> Path:
        """The directory of this stack's data, logs and secrets."""
        return self._layout.root

    def start(self) -> None:
        """Start every program and return when all of them are ready; after a failure nothing runs.

        Raises AlreadyRunningError, or StackError with the end of the log of the program that failed.
        """
        with self._layout.locked():
            if self.is_running():
                raise AlreadyRunningError(f"the stack in {self._layout.root} is running already")
            self._halt()
            try:
                self._start()
            except BaseException:
                self._halt()
                raise

    def stop(self) -> None:
        """Stop every program, the mesh first and the stores last, and remove the sockets.  The data stays."""
        with self._layout.locked():
            self._halt()

    def is_running(self) -> bool:
        """Whether the stack was started whole and its supervisor lives."""
        return self._layout.description.exists() and self._supervisor_pid() is not None

    def wait(self) -> None:
        """Return when the supervisor ends, because somebody stopped the stack or it died."""
        while self._supervisor_pid() is not None:
            time.sleep(0.3)

    def describe(self) -> dict[str, Any]:
        """Every URL of the running stack, and the process ids of its programs by name.

        Raises StackError when the stack is not running.
        """
        try:
            described: dict[str, Any] = json.loads(self._layout.description.read_text())
        except FileNotFoundError:
            raise StackError(f"no stack is running in {self._layout.root}") from None
        return described | {"pids": self.pids()}

    def pids(self) -> dict[str, int]:
        """The process ids of the programs that run now, by name."""
        return self._supervisor().pids()

    def environment(self) -> dict[str, str]:
        """The environment that the programs of the running stack were given; shared/settings.py reads it.

        Raises StackError when the stack is not running.
        """
        try:
            given: dict[str, str] = json.loads(self._layout.environment.read_text())
        except FileNotFoundError:
            raise StackError(f"no stack is running in {self._layout.root}") from None
        return given

    def secrets(self) -> Secrets:
        """The keys and passwords of this stack."""
        return load_or_make(self._layout.secrets)

    def restart(self, name: str) -> None:
        """Stop one program as it wishes to be stopped, start it, and return when it is ready again."""
        program = self._programs[name]
        self._supervisor().restart(program)
        self._await([program])

    def _start(self) -> None:
        self._began = time.monotonic()
        self._report(f"Starting the stack in {self.root}")
        for directory in (self._layout.logs, self._layout.data("beat"), self._layout.data("flower")):
            directory.mkdir(parents=True, exist_ok=True)
        run = self._layout.make_run()
        kept = self.secrets()
        postgres = Postgres(self._layout.data("pg"), run / "pg", kept.postgres_password)
        redis = Redis(self._layout.data("redis"), run / "redis.sock") if self._options.broker == "redis" else None
        broker = redis.url if redis else self._options.broker
        postgres.prepare()
        if redis:
            redis.prepare()
        with reserved(PORTS, self._options.ports) as ports:
            self._programs = {
                program.name: program
                for program in (
                    *programs.stores(postgres, redis),
                    *programs.outside(self._layout, ports),
                    *programs.mesh(self._layout, ports, broker, kept.flower_password),
                )
                if program.wanted(self._options.only)
            }
            given = environment.for_programs(self._options, ports, kept, database=postgres.url, broker=broker)
            write_private(self._layout.environment, json.dumps(given, indent=2))
            self._launch(run, given)
        urls = {name: f"http://{LOOPBACK}:{port}" for name, port in ports.items() if name in self._programs}
        if "mailbox" in urls:
            urls["smtp"] = f"smtp://{LOOPBACK}:{ports['smtp']}"
        described = {**urls, "postgres": postgres.url, "broker": broker, "pids": self.pids()}
        write_private(self._layout.description, json.dumps(described, indent=2) + "\n")

    def _launch(self, run: Path, given: Mapping[str, str]) -> None:
        supervision.write_config(self._layout, run / "supervisor.sock", list(self._programs.values()))
        marked = {**given, leftovers.MARK: str(self._layout.root)}
        self._process = supervision.launch(self._layout, marked, detached=self._options.detached)
        self._await(self._in(Room.STORES))
        if self._options.migrate and "postgres" in self._programs:
            self._migrate(marked)
        if self._in(Room.MESH):
            self._supervisor().start(Room.MESH)
        self._await([*self._in(Room.OUTSIDE), *self._in(Room.MESH)])

    def _in(self, room: Room) -> list[Program]:
        return [program for program in self._programs.values() if program.room is room]

    def _migrate(self, given: Mapping[str, str]) -> None:
        began = time.monotonic()
        log = self._layout.log("migrate")
        with log.open("wb") as output:
            command = [sys.executable, "-m", "sandbox.cli", "migrate"]
            done = subprocess.run(
                command, env=given, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
            )
        if done.returncode:
            raise StackError(_explained("the migration failed", log))
        self._report_ready("migrate", began)

    def _await(self, awaited: Iterable[Program]) -> None:
        """Return when all of these programs are ready; a program that ends before it is ready fails the start."""
        began = time.monotonic()
        pending = list(awaited)
        while pending:
            states = self._states()
            for program in list(pending):
                if states.get(program.name) in FALLEN:
                    raise StackError(_explained(f"{program.name} ended", self._layout.log(program.name)))
                if states and program.is_ready():
                    pending.remove(program)
                    self._report_ready(program.name, began)
            if pending and time.monotonic() - began > self._options.patience:
                names = ", ".join(program.name for program in pending)
                raise StackError(_explained(f"not ready in time: {names}", self._layout.log(pending[0].name)))
            time.sleep(PAUSE)

    def _states(self) -> dict[str, str]:
        """What the supervisor says of its programs; nothing while it is starting itself."""
        if self._process is not None and self._process.poll() is not None:
            raise StackError(_explained("the supervisor ended", self._layout.log("supervisord")))
        try:
            return self._supervisor().states()
        except OSError:
            return {}

    def _report_ready(self, name: str, began: float) -> None:
        self._report(f"  {name:<22} ready {time.monotonic() - began:5.1f} s")

    def _supervisor(self) -> Supervisor:
        return Supervisor(self._layout.run() / "supervisor.sock")

    def _supervisor_pid(self) -> int | None:
        """The id of the living supervisor of this stack."""
        try:
            pid = int(self._layout.supervisor_pid.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return pid if leftovers.belongs(pid, self._layout.root) else None

    def _halt(self) -> None:
        pid = self._supervisor_pid()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            leftovers.wait_for(pid, self._layout.root, STOP_LIMIT)
        leftovers.end(self._layout.root)
        if self._process is not None:
            self._process.wait()
            self._process = None
        self._layout.remove_run()


def _explained(what: str, log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-TAIL:] if log.exists() else []
    return "\n".join([f"{what}; the end of {log}:", *lines])
