"""Two operations on one order at once, in every order of their steps: the outcome is one of theirs, never a mixture."""

import pytest

from tests.faults.harness.hunts import hurried, raced, told_meanwhile
from tests.faults.harness.operations import HASTY, PAIRS
from tests.faults.harness.rig import Rig

#: Seconds: some have thousands of interleavings, and other tests may keep the cores busy.
pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize("names", PAIRS, ids=" and ".join)
def test_in_any_interleaving_two_operations_come_to_one_outcome(rig: Rig, names: tuple[str, str]) -> None:
    assert list(raced(rig, names)) == []


@pytest.mark.parametrize("names", HASTY, ids=" and ".join)
def test_the_same_when_nobody_waits_for_a_lock(rig: Rig, names: tuple[str, str]) -> None:
    assert list(raced(rig, names, hasty=True)) == []


def test_an_edit_is_decided_in_any_interleaving_with_a_twin_that_still_asks(rig: Rig) -> None:
    assert list(hurried(rig)) == []


def test_what_a_courier_tells_while_somebody_looks_is_looked_at(rig: Rig) -> None:
    assert list(told_meanwhile(rig)) == []
