"""Turns: several processes at once, of which one runs at a time, handed on after each step, with real row locks.

A step ends with a read, a call or a commit, and also right before a commit, when locks are held and changes are seen by
nobody.

`interleavings` tries every order of turns that there is: it plays a scenario again and again, each time with another
choice at the last place where there was one, until no choice is left.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import TypeVar

from tests.faults.harness.boundaries import Boundaries, Process
from tests.faults.harness.rig import Rig

Played = TypeVar("Played")

#: Seconds between two questions whether a process waits for a lock; it is asked, never assumed.
LOOK = 0.001

#: How often a playing is begun again that did not go the way of the one before: with patience for no lock at all, a
#: page that Postgres adds to a table in that very moment is enough.
REPLAYS = 3

#: Whether a server process waits for a lock that one of these holds.
BLOCKED = "SELECT pg_blocking_pids(%s) && %s::int[]"


class AnotherWay(Exception):
    """The same choices did not lead to the same place."""


@dataclass
class Script:
    """The choices of one playing: those that were given, and the first one from there on."""

    given: tuple[int, ...] = ()
    #: The first choice is none, since all that it is among are alike.
    alike: bool = False
    #: A choice that there is not means another one; else it means that the scenario did not go the same way again.
    lenient: bool = False
    taken: list[tuple[int, int]] = field(default_factory=list)

    def choose(self, options: int) -> int:
        """Which of so many to take."""
        place = len(self.taken)
        if self.alike and place == 0:
            options = 1
        choice = self.given[place] if place < len(self.given) else 0
        if self.lenient:
            choice %= options
        if choice >= options:
            raise AnotherWay(self.given)
        self.taken.append((choice, options))
        return choice

    def next(self) -> "Script | None":
        """The script that differs in the last choice that is left; None when all were tried."""
        choices = [choice for choice, _ in self.taken]
        for place in reversed(range(len(choices))):
            if choices[place] + 1 < self.taken[place][1]:
                return Script((*choices[:place], choices[place] + 1), self.alike)
        return None


def interleavings(play: Callable[[Script], Played], *, alike: bool = False) -> Iterator[Played]:
    """What every order of turns leads to; half of them are enough when the actors are `alike`.

    Raises `AnotherWay` when a playing cannot be had again.
    """
    script: Script | None = Script(alike=alike)
    replays = 0
    while script is not None:
        try:
            yield play(script)
        except AnotherWay:
            replays += 1
            if replays > REPLAYS:
                raise
            script = Script(script.given, script.alike)
        else:
            script, replays = script.next(), 0


class Actor:
    """One process in a thread of its own, which runs only while it has the turn."""

    def __init__(self, name: str, boundaries: Boundaries, work: Callable[[Process], object]) -> None:
        self.process = Process(name, boundaries, turns=self)
        #: On its way to the next boundary, or kept waiting there by somebody's lock.
        self.is_away = False
        self.has_ended = False
        self._failure: BaseException | None = None
        self._turn = threading.Semaphore(0)
        self._arrived = threading.Event()
        self._thread = threading.Thread(target=copy_context().run, args=(self._run, work), name=name)

    def start(self) -> None:
        """Stand ready, and wait for the first turn."""
        self._thread.start()

    def give_turn(self) -> None:
        """Let it go on to the next boundary."""
        self.is_away = True
        self._arrived.clear()
        self._turn.release()

    def is_back(self) -> bool:
        """Whether it has come to the next boundary, or to its end; waits a moment for it."""
        if self._arrived.wait(LOOK):
            self.is_away = False
        return not self.is_away

    def pause(self) -> None:
        """Hand the turn back, and wait for the next one."""
        self._arrived.set()
        self._turn.acquire()

    def end(self) -> None:
        """Wait for the end of the thread, killed if need be; what went wrong in it goes wrong here."""
        if not self.has_ended:
            self.process.is_dead = True
            self._turn.release()
        self._thread.join()
        if self._failure:
            raise self._failure

    def _run(self, work: Callable[[Process], object]) -> None:
        self._turn.acquire()
        try:
            work(self.process)
        except BaseException as failure:
            self._failure = failure
        finally:
            self.has_ended = True
            self._arrived.set()


class Stage:
    """Where actors take turns as a script wants it."""

    def __init__(self, rig: Rig, script: Script) -> None:
        self._rig = rig
        self._script = script
        self.turns: list[str] = []

    def play(self, actors: Sequence[Actor]) -> None:
        """Give turns until every actor has ended."""
        for actor in actors:
            actor.start()
        try:
            self._give_turns(actors)
        finally:
            for actor in actors:
                actor.end()

    def _give_turns(self, actors: Sequence[Actor]) -> None:
        while not all(actor.has_ended for actor in actors):
            ready = [actor for actor in actors if not actor.has_ended and not actor.is_away]
            if not ready:
                self._rig.deadlocks += 1
                self._await_postgres(actors)
                continue
            actor = ready[self._script.choose(len(ready))]
            self.turns.append(actor.process.name)
            actor.give_turn()
            self._await(actor, actors)

    def _await(self, actor: Actor, actors: Sequence[Actor]) -> None:
        """Return when it is back or kept waiting, and so is everybody whom it kept waiting before."""
        self._follow(actor, actors)
        while any(other.is_away and self._follow(other, actors) for other in actors):
            pass  # who has come back has let somebody else go on

    def _follow(self, actor: Actor, actors: Sequence[Actor]) -> bool:
        """Return when it is back, and then True, or when Postgres says that it waits for another one's lock."""
        others = [backend for other in actors if other is not actor for backend in other.process.backends]
        while not actor.is_back():
            if not self._rig.locks.hasty and self._rig.value(BLOCKED, (actor.process.backends or [0])[-1], others):
                return False
        return True

    def _await_postgres(self, actors: Sequence[Actor]) -> None:
        """Everybody waits for somebody: Postgres ends one of them after its `deadlock_timeout`."""
        while not any(actor.is_back() for actor in actors if not actor.has_ended):
            pass


def together(rig: Rig, script: Script, works: Mapping[str, Callable[[Process], object]]) -> list[str]:
    """Run these at once, in turns; returns who had each turn."""
    stage = Stage(rig, script)
    stage.play([Actor(name, rig.boundaries, work) for name, work in works.items()])
    return stage.turns
