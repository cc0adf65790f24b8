"""supervisord: it starts the programs, keeps their logs, starts again what dies, and stops them room by room."""

import io
import os
import shlex
import subprocess
import sys
import xmlrpc.client
from collections.abc import Collection, Mapping
from configparser import RawConfigParser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport  # type: ignore[import-untyped]  # it has no types

from sandbox.stack.layout import PROJECT, Layout, write_private
from sandbox.stack.programs import Program, Room

#: States of a program that did not stay up (supervisor's own words).
FALLEN = frozenset({"BACKOFF", "EXITED", "FATAL"})

#: A program that keeps falling is tried again for ever, with growing pauses: its broker may be away for an hour.
FOR_EVER = 1_000_000

#: Names of supervisor's groups that hold programs.
ROOMS = frozenset(Room)

#: The name of the supervisor's socket in the run directory.
SOCKET = "supervisor.sock"

#: Seconds that a program must stay up to count as started.
SETTLING = 1


@dataclass(frozen=True)
class Supervisor:
    """A running supervisord, reached through its socket."""

    socket: Path

    def states(self) -> dict[str, str]:
        """The state of every program, in supervisor's words."""
        return {info["name"]: info["statename"] for info in self._infos() if info["group"] in ROOMS}

    def pids(self) -> dict[str, int]:
        """The process id of every program that runs."""
        return {info["name"]: info["pid"] for info in self._infos() if info["group"] in ROOMS and info["pid"]}

    def start(self, room: Room) -> None:
        """Start the programs of a room at once, without waiting for them."""
        self._call("startProcessGroup", room.value, False)

    def restart(self, program: Program) -> None:
        """Stop one program as it wishes to be stopped, and start it again."""
        name = f"{program.room}:{program.name}"
        self._call("stopProcess", name)
        self._call("startProcess", name)

    def _infos(self) -> list[dict[str, Any]]:
        infos: list[dict[str, Any]] = self._call("getAllProcessInfo")
        return infos

    def _call(self, method: str, *arguments: Any) -> Any:
        transport = SupervisorTransport(serverurl=f"unix://{self.socket}")
        with xmlrpc.client.ServerProxy("http://localhost", transport) as proxy:
            return getattr(proxy.supervisor, method)(*arguments)


def launch(layout: Layout, environment: Mapping[str, str], *, detached: bool) -> subprocess.Popen[bytes]:
    """Start supervisord in a session of its own, so that a Ctrl-C of the terminal reaches its starter only."""
    command = [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(layout.supervisor_config)]
    if not detached:
        command = ["setpriv", "--pdeathsig", "TERM", *command]
    return subprocess.Popen(
        command,
        env=environment,
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def write_config(layout: Layout, socket: Path, programs: Collection[Program]) -> None:
    """Write the configuration of supervisord; rooms become its groups, which it stops one after the other."""
    config = RawConfigParser()
    config["unix_http_server"] = {"file": str(socket), "chmod": "0700"}
    config["supervisord"] = {
        "logfile": str(layout.log("supervisord")),
        "pidfile": str(layout.supervisor_pid),
        "childlogdir": str(layout.logs),
        "nodaemon": "true",
    }
    config["eventlistener:scribe"] = {
        "command": shlex.join([sys.executable, "-m", "sandbox.stack.scribe", str(layout.root)]),
        "directory": str(PROJECT),
        "events": "PROCESS_STATE_RUNNING",
        "buffer_size": "100",
        "stderr_logfile": str(layout.log("scribe")),
    }
    if os.geteuid() == 0:
        config["supervisord"]["user"] = "root"  # said aloud, so that it does not warn
    config["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    for order, room in enumerate(Room):
        members = [program for program in programs if program.room is room]
        if members:
            config[f"group:{room}"] = {
                "programs": ",".join(program.name for program in members),
                "priority": str(order),
            }
        for program in members:
            config[f"program:{program.name}"] = _section(layout, program)
    text = io.StringIO()
    config.write(text)
    write_private(layout.supervisor_config, text.getvalue().replace("%", "%%"))  # supervisor expands %(name)s


def _section(layout: Layout, program: Program) -> dict[str, str]:
    return {
        "command": shlex.join(program.command),
        "directory": str(PROJECT),
        "environment": ",".join(f'{name}="{value}"' for name, value in program.environment.items()),
        "autostart": "false" if program.room is Room.MESH else "true",
        "autorestart": "true",
        "startsecs": str(SETTLING),
        "startretries": str(FOR_EVER),
        "stopsignal": program.stop_signal,
        "stopwaitsecs": str(program.stop_seconds),
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": str(layout.log(program.name)),
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": "2",
    }
