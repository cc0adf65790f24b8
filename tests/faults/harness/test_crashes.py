"""Every process can end at every step: whoever carries on comes to the same outcome, with one effect."""

import pytest

from tests.faults.harness.hunts import killed
from tests.faults.harness.operations import WHOLE
from tests.faults.harness.rig import Rig


@pytest.mark.parametrize("name", WHOLE)
def test_killed_or_cut_off_at_any_boundary_it_comes_to_one_effect(rig: Rig, name: str) -> None:
    assert list(killed(rig, name)) == []
