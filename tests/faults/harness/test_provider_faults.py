"""The provider misbehaves, once or until it is read back: every operation still comes to one effect."""

import pytest

from tests.faults.harness.faults import combinations
from tests.faults.harness.hunts import misbehaved
from tests.faults.harness.rig import Rig


@pytest.mark.parametrize(("name", "fault"), tuple(combinations()))
def test_whatever_the_provider_does_an_operation_comes_to_one_effect(rig: Rig, name: str, fault: str) -> None:
    assert list(misbehaved(rig, name, fault)) == []
