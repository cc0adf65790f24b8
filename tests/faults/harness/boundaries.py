"""Boundaries: the places where a process does something that outlives it, numbered in the order they are reached."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import psycopg


class Kind(StrEnum):
    """What happens at a boundary."""

    COMMIT = "commit"
    CALL = "call"  # of a provider
    MAIL = "mail"
    PUBLISH = "publish"  # of a message or a bell
    READ = "read"  # a statement without effect: nobody is killed there, but others may take their turn


class Side(StrEnum):
    """Where a process stands at a boundary."""

    BEFORE = "before"
    AFTER = "after"


class Killed(BaseException):
    """The process ends here, as by SIGKILL; no handler of the mesh sees it."""


class Cut(psycopg.OperationalError):
    """The connection to Postgres ends here; the process lives, and cannot know what became of its commit."""


@dataclass(frozen=True)
class Boundary:
    """One effect of one process."""

    number: int
    kind: Kind
    what: str
    process: str

    def __str__(self) -> str:
        return f"{self.number}: {self.kind} {self.what} of {self.process}"


@dataclass(frozen=True)
class Crash:
    """What befalls whoever is the first to stand at this side of a boundary with this number, or a later one."""

    number: int
    side: Side
    end: type[BaseException] = Killed

    def __str__(self) -> str:
        return f"{self.end.__name__.lower()} {self.side} {self.number}"


class Turns(Protocol):
    """Decides who goes on when a process has come to the end of a step."""

    def pause(self) -> None:
        """Return when it is this process' turn again."""


class Boundaries:
    """All boundaries of one scenario, and the one at which something befalls somebody."""

    def __init__(self) -> None:
        self.crossed: list[Boundary] = []
        self.crash: Crash | None = None
        #: What a process did that no process may.
        self.offenses: list[str] = []

    def forget(self) -> None:
        """Begin to count anew, with nothing to befall anybody."""
        self.crossed, self.crash, self.offenses = [], None, []

    def add(self, kind: Kind, what: str, process: str) -> Boundary:
        """Number the next boundary."""
        boundary = Boundary(len(self.crossed) + 1, kind, what, process)
        self.crossed.append(boundary)
        return boundary

    def due(self, boundary: Boundary, side: Side) -> type[BaseException] | None:
        """What befalls its process here and now; each crash befalls one process once."""
        crash = self.crash
        if crash is None or boundary.number < crash.number or side is not crash.side:
            return None
        if crash.end is Cut and boundary.kind is not Kind.COMMIT:
            return None
        self.crash = None
        return crash.end


@dataclass
class Process:
    """One run of a request or a task, from its beginning to its end or its death."""

    name: str
    boundaries: Boundaries
    turns: Turns | None = None
    #: Killed: whatever its remains try on their way out, nothing comes of it.
    is_dead: bool = False
    is_in_transaction: bool = False
    #: The server processes that its connections belong to; the last one is the one it uses.
    backends: list[int] = field(default_factory=list)
    _step_is_over: bool = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """What happens in this block is done by this process, until it is killed."""
        token = _running.set(self)
        try:
            yield
        except Killed:
            pass
        finally:
            _running.reset(token)

    def uses(self, backend: int) -> None:
        """Begin to use the connection to this server process.  Raises `Killed` when it is dead."""
        self._go_on()
        if not self.backends or self.backends[-1] != backend:
            self.backends.append(backend)

    def reach(self, kind: Kind, what: str) -> Boundary | None:
        """Come to a boundary, and number it.  Raises how the process ends before it."""
        if kind is not Kind.PUBLISH or self.is_dead:  # what is published only makes others begin
            self._go_on()
        if self.is_in_transaction and kind in (Kind.CALL, Kind.MAIL):
            self.boundaries.offenses.append(f"{self.name} makes a {kind} inside a transaction")
        if kind is Kind.READ:
            return None
        boundary = self.boundaries.add(kind, what, self.name)
        self._meet(boundary, Side.BEFORE)
        return boundary

    def leave(self, boundary: Boundary | None) -> None:
        """The effect is there, and a step is over.  Raises how the process ends after it."""
        self._step_is_over = True
        if boundary is not None:
            self._meet(boundary, Side.AFTER)

    def end_step(self) -> None:
        """Let others have their turn before the next thing that this process does."""
        self._step_is_over = True

    def _go_on(self) -> None:
        if self._step_is_over and self.turns and not self.is_dead:
            self._step_is_over = False
            self.turns.pause()
        if self.is_dead:
            raise Killed

    def _meet(self, boundary: Boundary, side: Side) -> None:
        end = self.boundaries.due(boundary, side)
        if end is not None:
            self.is_dead = end is Killed
            raise end


_running: ContextVar[Process | None] = ContextVar("running", default=None)


def running() -> Process | None:
    """The process that runs here; None in a test's own code."""
    return _running.get()


@contextmanager
def boundary(kind: Kind, what: str) -> Iterator[None]:
    """The block is one effect; what goes wrong in it may have happened all the same."""
    process = running()
    if process is None:
        yield
        return
    reached = process.reach(kind, what)
    try:
        yield
    except Exception:  # also then others may take their turn, and somebody be killed
        process.leave(reached)
        raise
    process.leave(reached)
