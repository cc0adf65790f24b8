"""What must hold when nothing is due any more: the invariants, and what only the harness can see."""

from collections.abc import Callable, Iterator

import msgspec

from tests.faults import invariants
from tests.faults.harness.rig import Rig


def nothing_moves(rig: Rig) -> Iterator[str]:
    """7. No message is needed: whatever was lost, what was begun has ended, or was parked and a person told."""
    parked = {cause.rpartition(":")[2] for (cause,) in rig.sql("SELECT cause FROM alerts WHERE resolved_at IS NULL")}
    for noun, name, state in invariants.moving(rig):  # type: ignore[arg-type]  # it asks for rows, as a shop does
        if name not in parked:
            yield f"7: {noun} {name} is still {state}"


def nothing_broke(rig: Rig) -> Iterator[str]:
    """Nobody met an exception that was not foreseen, such as a wall in SQL: the rules in Python let it come there."""
    for entry in rig.log:
        if entry["event"] in ("task_broke", "request_broke"):
            who = entry.get("task") or entry.get("path")
            yield f"broke: {who} at {entry.get('constraint')} ({entry.get('error')})"
    yield from (f"broke: {offense}" for offense in rig.boundaries.offenses)
    if rig.deadlocks:
        yield f"broke: {rig.deadlocks} deadlocks"


def answers_are_given_again(rig: Rig) -> Iterator[str]:
    """4. The same client key is one intent, and gets the stored answer again, byte for byte."""
    for request in rig.asked.values():
        name = f"4: {request.method} {request.path}"
        found = rig.sql("SELECT answer_status, answer_body FROM intents WHERE idempotency_key = %s", request.key)
        again = rig.ask_again(request)
        if len(found) != 1:
            yield f"{name} is {len(found)} intents"
        elif again.status_code != found[0][0] or not _is(again.text, found[0][1]):
            yield f"{name} is answered {again.status_code} {again.text}, and {found[0]} is stored"


def _is(answer: str, stored: str) -> bool:
    """Whether an answer is the stored one; that to a registration carries a token besides, or where it is named."""
    body = msgspec.json.decode(answer)
    known = stored.partition(',"guest_token":')[0] if "guest_token" in body else stored.removesuffix("}")
    return answer == stored or (("modification_token" in body or "guest_token" in body) and answer.startswith(known))


def the_rules_hold(rig: Rig) -> Iterator[str]:
    """1 to 6 and 8, against the provider's own ledger."""
    yield from invariants.violations(rig.look())


def what_was_told_was_seen(rig: Rig) -> Iterator[str]:
    """A parcel of which its courier told us anything shows its last scan: here nobody scans and says nothing of it."""
    told = rig.query("SELECT * FROM shipments WHERE awb IN (SELECT awb FROM courier_events)")
    scans = rig.look().scans if told else {}
    for parcel in told:
        shown = [parcel["status_type"], parcel["courier_status"], parcel["status_code"]]
        last = [scans[parcel["awb"]][-1][column] or None for column in ("status_type", "status", "code")]
        if shown != last:
            yield f"seen: parcel {parcel['id']} shows {shown}, and its courier {last}"


CHECKS: tuple[Callable[[Rig], Iterator[str]], ...] = (
    nothing_moves,
    nothing_broke,
    the_rules_hold,
    what_was_told_was_seen,
    answers_are_given_again,
)


def violations(rig: Rig) -> list[str]:
    """Every violation, one sentence each."""
    return [violation for check in CHECKS for violation in check(rig)]
