"""The provider misbehaves once, or until it is read back: every operation still comes to one effect."""

import pytest

from tests.faults.harness.checks import violations
from tests.faults.harness.faults import FAULTS, combinations
from tests.faults.harness.operations import OPERATIONS, begin
from tests.faults.harness.rig import Rig


@pytest.mark.parametrize(("name", "fault"), tuple(combinations()))
def test_whatever_the_provider_does_an_operation_comes_to_one_effect(rig: Rig, name: str, fault: str) -> None:
    called = str(OPERATIONS[name].calls)
    for also_misbehaves in ((), (called,), ("retrieve",), (called, "retrieve")):
        rig.reset()
        start = begin(rig, rig.offer(), name)
        for operation in (called, *also_misbehaves):
            if not (fault == "declined" and operation == "retrieve"):
                FAULTS[fault](rig, operation)
        rig.start(start)
        rig.settle()
        assert violations(rig) == [], also_misbehaves
