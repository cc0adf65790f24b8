"""Two operations on one order at once, in every order of their steps: the outcome is one of theirs, never a mixture."""

from itertools import combinations_with_replacement

import pytest

from shared.domain.intents import TASK_OF, Operation
from shared.store.outbox import Message
from tests.faults.harness.checks import violations
from tests.faults.harness.operations import OPERATIONS
from tests.faults.harness.rig import Rig, Start
from tests.faults.harness.scheduler import Script, interleavings, together

PAIRS = tuple(combinations_with_replacement(OPERATIONS, 2))


def messages(rig: Rig, names: tuple[str, str]) -> list[Message]:
    """Get one order ready for both, and return the messages that begin them; a request is taken in before."""
    sale = rig.offer()
    for name in names:
        OPERATIONS[name].ready(rig, sale)
    starts = [OPERATIONS[name].begin(rig, sale) for name in names]
    return [arrived(rig, start) for start in starts if start]


def arrived(rig: Rig, start: Start) -> Message:
    """The message that a request leads to, or has led to before; or the message itself."""
    if isinstance(start, Message):
        return start
    rig.ask(start)
    ((intent_id, operation),) = rig.sql("SELECT id, operation FROM intents WHERE idempotency_key = %s", start.key)
    message = Message(TASK_OF[Operation(operation)], intent_id)
    rig.transport.take_all(*message)
    return message


@pytest.mark.parametrize("hasty", [False, True], ids=["waiting for locks", "giving up on locks"])
@pytest.mark.parametrize("names", PAIRS, ids=" and ".join)
def test_at_once_in_any_interleaving_two_operations_come_to_one_outcome(
    rig: Rig, names: tuple[str, str], hasty: bool
) -> None:
    def play(script: Script) -> None:
        rig.reset()
        begun = messages(rig, names)
        rig.locks.hasty = hasty
        works = {
            f"{message.task} {place}": lambda process, message=message: rig.run(message, process)
            for place, message in enumerate(begun)
        }
        turns = together(rig, script, works)
        rig.locks.hasty = False
        rig.settle()
        assert violations(rig) == [], " ".join(turns)

    import time
    t=time.time()
    n = interleavings(play, alike=names[0] == names[1])
    print("COUNT", names, hasty, n, round(time.time()-t,2))
    assert n >= 1
