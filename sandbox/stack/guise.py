"""Who runs Postgres: it refuses to be root, and wants its user to have a name."""

import os
import pwd
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sandbox.stack.options import StackError

UNPRIVILEGED = "nobody"

#: Ways for root to become somebody else, the least powerful first; which one works depends on the container.
DEMOTIONS: Sequence[Sequence[str]] = (
    ("setpriv", "--reuid={uid}", "--regid={gid}", "--clear-groups"),
    # Below a home directory that only root may enter, the server needs to pass, and access(2) must say so.
    (
        *("setpriv", "--reuid={uid}", "--regid={gid}", "--clear-groups", "--inh-caps=+dac_override"),
        *("--ambient-caps=+dac_override", "--securebits=+no_setuid_fixup"),
    ),
)

#: A user namespace gives another name to whoever cannot change it: root in a bare one, or a user without a name.
RENAMING = ("unshare", "--user", "--map-user={uid}", "--map-group={gid}")


@dataclass(frozen=True)
class Guise:
    """Somebody who may run Postgres: what turns a command into theirs, and who owns their files."""

    prefix: Sequence[str]
    uid: int
    gid: int

    def own(self, path: Path) -> None:
        """Make them the owner of a file.  Raises OSError when that is not possible here."""
        os.chown(path, self.uid, self.gid)

    def reaches(self, program: Path, directory: Path) -> bool:
        """Whether they may run the program and write in the directory; asks just what Postgres asks itself."""
        probe = [*self.prefix, "test", "-x", str(program), "-a", "-w", str(directory)]
        return subprocess.run(probe, capture_output=True, cwd="/", check=False).returncode == 0


def find(program: Path, directory: Path) -> Guise:
    """The first guise that can run a program on files below a directory.  Raises StackError when there is none."""
    for guise in _candidates():
        with tempfile.TemporaryDirectory(dir=directory) as probe, suppress(OSError):
            guise.own(Path(probe))
            if guise.reaches(program, Path(probe)):
                return guise
    raise StackError(
        f"Postgres runs neither as root nor as a user without a name, and nobody else can be made to reach {directory} "
        "here; start the stack as an ordinary user"
    )


def _candidates() -> Iterator[Guise]:
    uid, gid = os.geteuid(), os.getegid()
    other = pwd.getpwnam(UNPRIVILEGED)
    if uid == 0:
        for words in DEMOTIONS:
            yield Guise(_addressed(words, other), other.pw_uid, other.pw_gid)
    else:
        with suppress(KeyError):
            pwd.getpwuid(uid)
            yield Guise((), uid, gid)
    yield Guise(_addressed(RENAMING, other), uid, gid)


def _addressed(words: Sequence[str], other: pwd.struct_passwd) -> list[str]:
    return [word.format(uid=other.pw_uid, gid=other.pw_gid) for word in words]
