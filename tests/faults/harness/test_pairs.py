"""Two operations on one order at once, in every order of their steps: the outcome is one of theirs, never a mixture."""

import pytest

from tests.faults.harness.hunts import raced
from tests.faults.harness.operations import PAIRS
from tests.faults.harness.rig import Rig


@pytest.mark.parametrize("hasty", [False, True], ids=["waiting for locks", "giving up on locks"])
@pytest.mark.parametrize("names", PAIRS, ids=" and ".join)
def test_in_any_interleaving_two_operations_come_to_one_outcome(rig: Rig, names: tuple[str, str], hasty: bool) -> None:
    assert list(raced(rig, names, hasty=hasty)) == []
