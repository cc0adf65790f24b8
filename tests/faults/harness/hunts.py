"""Three hunts: an operation killed at every boundary, two at once in every interleaving, a provider that misbehaves.

Each tells its violations one by one, with how they came about.
"""

from collections.abc import Iterator

from shared.queues import Task
from shared.store.outbox import Message
from tests.faults.harness.boundaries import Boundary, Crash, Cut, Killed, Kind, Process, Side
from tests.faults.harness.checks import violations
from tests.faults.harness.edges import called, place
from tests.faults.harness.faults import FAULTS, befalls
from tests.faults.harness.operations import OPERATIONS
from tests.faults.harness.parcels import at_the_door, comes_back, hint, sent
from tests.faults.harness.rig import Rig, Sale, Start
from tests.faults.harness.sales import arrived, cancel_by_shopper, unanswered
from tests.faults.harness.scheduler import Script, interleavings, together


def killed(rig: Rig, name: str) -> Iterator[str]:
    """One dry run counts the boundaries of an operation; then its process ends at each of them, before and after."""
    boundaries = carry_out(rig, name)
    yield from violations(rig)
    spared = OPERATIONS[name].spares
    for crash, redelivers in crashes([each for each in boundaries if each.process not in spared]):
        where = f"{crash.end.__name__} {crash.side} {boundaries[crash.number - 1]}"
        carry_out(rig, name, crash, redelivers=redelivers)
        if rig.boundaries.crash is not None:
            yield f"{where}: nobody came there again"
        yield from (f"{where}: {violation}" for violation in violations(rig))


def crashes(boundaries: list[Boundary]) -> Iterator[tuple[Crash, bool]]:
    """Every way in which one process can end there, and whether its message is delivered again or lost."""
    for boundary in boundaries:
        for side in Side:
            yield Crash(boundary.number, side, Killed), True
            yield Crash(boundary.number, side, Killed), False
            if boundary.kind is Kind.COMMIT:
                yield Crash(boundary.number, side, Cut), True


def carry_out(rig: Rig, name: str, crash: Crash | None = None, *, redelivers: bool = True) -> list[Boundary]:
    """Carry out one operation on a fresh order, until nothing is due any more; returns the boundaries it crossed."""
    rig.reset()
    start = begin(rig, rig.offer(), name)
    rig.boundaries.forget()
    rig.boundaries.crash, rig.redelivers = crash, redelivers
    rig.start(start)
    rig.settle()
    return rig.boundaries.crossed


def raced(rig: Rig, names: tuple[str, str], *, hasty: bool = False) -> Iterator[str]:
    """Two operations on one order at once, in every order of their steps; with `hasty` nobody waits for a lock."""

    def play(script: Script) -> list[str]:
        rig.reset()
        begun = both(rig, rig.offer(), names)
        with rig.locks.wait(not hasty):
            turns = together(
                rig,
                script,
                {
                    f"{message.task} {place}": lambda process, message=message: rig.run(message, process)
                    for place, message in enumerate(begun)
                },
            )
        rig.settle()
        return [f"{' '.join(turns)}: {violation}" for violation in violations(rig)]

    for found in interleavings(play, alike=names[0] == names[1]):
        yield from found


def hurried(rig: Rig) -> Iterator[str]:
    """A cancel has an edit decided that got no answer, while a twin still asks for more, whose answer is lost too."""

    def play(script: Script) -> list[str]:
        rig.reset()
        sale = rig.offer()
        unanswered(effect=False)(rig, sale)
        edit, cancel = rig.outboxed(Task.AUTHORIZE_EDIT), arrived(rig, cancel_by_shopper(rig, sale))
        if edit is None:
            raise LookupError("the edit is not under way")
        FAULTS["timeout after effect"](rig, "increment")

        def hurry(process: Process) -> None:
            rig.run(cancel, process)
            rig.run(edit, process)

        turns = together(rig, script, {"asks": lambda process: rig.run(edit, process), "decides": hurry})
        rig.settle()
        return [f"{' '.join(turns)}: {violation}" for violation in violations(rig)]

    for found in interleavings(play):
        yield from found


def told_meanwhile(rig: Rig) -> Iterator[str]:
    """A parcel turns back, and its courier tells of it, while somebody looks who may have seen it on its way."""

    def play(script: Script) -> list[str]:
        rig.reset()
        sale = rig.offer()
        sent(at_the_door)(rig, sale)
        look = rig.outboxed(Task.TRACK_SHIPMENT)
        if look is None:
            raise LookupError("the parcel is not to be looked at")

        def turn_back(process: Process) -> None:
            comes_back(rig, sale)
            rig.ask(hint(rig, sale), process)
            rig.run(rig.transport.take(), process)

        turns = together(rig, script, {"looks": lambda process: rig.run(look, process), "tells": turn_back})
        rig.settle()
        return [f"{' '.join(turns)}: {violation}" for violation in violations(rig)]

    for found in interleavings(play):
        yield from found


def both(rig: Rig, sale: Sale, names: tuple[str, str]) -> list[Message]:
    """Get one order ready for both, and return the messages that begin them; a request is taken in before."""
    for name in names:
        OPERATIONS[name].ready(rig, sale)
    starts = [OPERATIONS[name].begin(rig, sale) for name in names]
    return [arrived(rig, start) for start in starts if start]


def misbehaved(rig: Rig, name: str, fault: str) -> Iterator[str]:
    """Somebody misbehaves once at the operation's call; then also at the next call and when it is read back."""
    call = str(OPERATIONS[name].calls)
    for more in ((), (call, read_back(call))):
        rig.reset()
        start = begin(rig, rig.offer(), name)
        for each in (call, *more):
            if befalls(fault, each):  # nobody declines to be read
                FAULTS[fault](rig, each)
        rig.start(start)
        rig.settle()
        yield from (f"{fault} of {(call, *more)}: {violation}" for violation in violations(rig))


def read_back(call: str) -> str:
    """What is asked to find out what became of a call."""
    stand_in, _ = place(call)
    return called(stand_in, "track" if stand_in == "delhivery" else "retrieve")


def begin(rig: Rig, sale: Sale, name: str) -> Start:
    """Get an order ready for an operation; returns what begins it."""
    operation = OPERATIONS[name]
    operation.ready(rig, sale)
    start = operation.begin(rig, sale)
    if start is None:
        raise LookupError(f"{name} does not begin on an order that was got ready for it")
    return start
