"""Every process can end at every step: whoever carries on comes to the same outcome, with one effect."""

from collections.abc import Iterator

import pytest

from tests.faults.harness.boundaries import Boundary, Crash, Cut, Killed, Kind, Side
from tests.faults.harness.checks import violations
from tests.faults.harness.operations import OPERATIONS, begin
from tests.faults.harness.rig import Rig


def play(rig: Rig, name: str, crash: Crash | None = None, *, redelivers: bool = True) -> list[Boundary]:
    """Carry out one operation on a fresh order, until nothing is due any more; returns the boundaries it crossed."""
    rig.reset()
    start = begin(rig, rig.offer(), name)
    rig.boundaries.forget()
    rig.boundaries.crash, rig.redelivers = crash, redelivers
    rig.start(start)
    rig.settle()
    return rig.boundaries.crossed


def crashes(boundaries: list[Boundary]) -> Iterator[tuple[Crash, bool]]:
    """Every way in which one process can end there, and whether its message is delivered again or lost."""
    for boundary in boundaries:
        for side in Side:
            yield Crash(boundary.number, side, Killed), True
            yield Crash(boundary.number, side, Killed), False
            if boundary.kind is Kind.COMMIT:
                yield Crash(boundary.number, side, Cut), True


@pytest.mark.parametrize("name", OPERATIONS)
def test_killed_or_cut_off_at_any_boundary_it_comes_to_one_effect(rig: Rig, name: str) -> None:
    boundaries = play(rig, name)
    assert violations(rig) == []
    found = []
    for crash, redelivers in crashes(boundaries):
        play(rig, name, crash, redelivers=redelivers)
        assert rig.boundaries.crash is None, f"nobody came to {boundaries[crash.number - 1]}"
        found += [
            f"{crash.end.__name__} {crash.side} {boundaries[crash.number - 1]}: {each}" for each in violations(rig)
        ]
    assert not found, "\n".join(found)
