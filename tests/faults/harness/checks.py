"""What must hold when nothing is due any more: the invariants, and what only the harness can see."""

from collections.abc import Callable, Iterator

from tests.faults import invariants
from tests.faults.harness.rig import Rig


def nothing_moves(rig: Rig) -> Iterator[str]:
    """7. No message is needed: whatever was lost, what was begun has come to its end, or was parked and a person told."""
    parked = {cause.rpartition(":")[2] for (cause,) in rig.sql("SELECT cause FROM alerts WHERE resolved_at IS NULL")}
    for noun, name, state in invariants.moving(rig):  # type: ignore[arg-type]  # it asks for rows, as a shop does
        if name not in parked:
            yield f"7: {noun} {name} is still {state}"


def nothing_broke(rig: Rig) -> Iterator[str]:
    """A task met an exception that nobody foresaw, such as a wall in SQL: the rules in Python let it come there."""
    for entry in rig.log:
        if entry["event"] == "task_broke":
            yield f"broke: {entry.get('task')} at {entry.get('constraint')} ({entry.get('error')})"
    if rig.deadlocks:
        yield f"broke: {rig.deadlocks} deadlocks"


def answers_are_given_again(rig: Rig) -> Iterator[str]:
    """4. The same client key gets the same answer again, byte for byte, and asks for nothing new."""
    for request in rig.asked.values():
        count = "SELECT count(*) FROM intents WHERE idempotency_key = %s"
        if (number := rig.value(count, request.key)) != 1:
            yield f"4: {request.method} {request.path} is {number} intents"
        first, second = rig.ask_again(request), rig.ask_again(request)
        stored = rig.query("SELECT answer_status, answer_body FROM intents WHERE idempotency_key = %s", [request.key])
        if (first.status_code, first.content) != (second.status_code, second.content):
            yield f"4: {request.method} {request.path} was answered in two ways"
        if first.status_code not in {row["answer_status"] for row in stored}:
            yield f"4: {request.method} {request.path} is answered {first.status_code}, and {stored} is stored"


def the_rules_hold(rig: Rig) -> Iterator[str]:
    """1 to 6 and 8, against the provider's own ledger."""
    yield from invariants.violations(rig.look())


CHECKS: tuple[Callable[[Rig], Iterator[str]], ...] = (
    nothing_moves,
    nothing_broke,
    the_rules_hold,
    answers_are_given_again,
)


def violations(rig: Rig) -> list[str]:
    """Every violation, one sentence each."""
    return [violation for check in CHECKS for violation in check(rig)]
