"""Where a stack keeps its things: one directory for what lasts, one short-lived one for sockets."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox.stack.options import StackError

#: The source tree that the programs run from.
PROJECT = Path(__file__).resolve().parents[2]

#: A socket's path ends at 107 bytes (unix(7)); this is the longest name that is put below the run directory.
SOCKET_PATH_LIMIT = 107
LONGEST_SOCKET = "/pg/.s.PGSQL.5432.lock"


@dataclass(frozen=True)
class Layout:
    """The files of one stack below its root."""

    root: Path

    @property
    def logs(self) -> Path:
        """One log a program."""
        return self.root / "log"

    @property
    def description(self) -> Path:
        """Every URL and process id, there while the stack is ready."""
        return self.root / "stack.json"

    @property
    def environment(self) -> Path:
        """What the programs were given; readable by its owner only."""
        return self.root / "environment.json"

    @property
    def secrets(self) -> Path:
        """Keys and passwords, made once; readable by its owner only."""
        return self.root / "secrets.json"

    @property
    def supervisor_config(self) -> Path:
        """Generated at every start."""
        return self.root / "supervisord.conf"

    @property
    def supervisor_pid(self) -> Path:
        """Written by supervisord itself."""
        return self.root / "supervisord.pid"

    @property
    def run_link(self) -> Path:
        """A symbolic link to the run directory, there from start to stop."""
        return self.root / "run"

    def data(self, name: str) -> Path:
        """The data directory of one program."""
        return self.root / name

    def log(self, program: str) -> Path:
        """The log of one program."""
        return self.logs / f"{program}.log"

    def run(self) -> Path:
        """The directory of the sockets.  Raises StackError when the stack is not running."""
        try:
            return self.run_link.readlink()
        except OSError:
            raise StackError(f"no stack is running in {self.root}") from None

    def make_run(self) -> Path:
        """Create the directory of the sockets under a short path that nobody can guess or list."""
        run = Path(tempfile.mkdtemp(prefix="countermand-"))
        if len(os.fsencode(run)) + len(LONGEST_SOCKET) > SOCKET_PATH_LIMIT:
            run.rmdir()
            run = Path(tempfile.mkdtemp(prefix="countermand-", dir="/tmp"))
        run.chmod(0o711)  # Postgres may run as another user; every socket inside guards itself
        self.run_link.unlink(missing_ok=True)
        self.run_link.symlink_to(run)
        return run

    def remove_run(self) -> None:
        """Remove the directory of the sockets and everything that says that the stack is running."""
        with contextlib.suppress(StackError):
            shutil.rmtree(self.run(), ignore_errors=True)
        for path in (self.run_link, self.description, self.environment, self.supervisor_pid):
            path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from starting or stopping this stack meanwhile; waits for whoever is at it already."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def write_private(path: Path, text: str) -> None:
    """Write a file whole or not at all, readable by its owner only."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f"{path.name}.", delete=False) as draft:
        draft.write(text)
    Path(draft.name).replace(path)
