"""A hold is larger than we know, as after an increment that arrived late: our rows can say so, whoever moves it."""

import pytest

from tests.faults.harness.checks import violations
from tests.faults.harness.operations import registered
from tests.faults.harness.rig import Rig


@pytest.mark.parametrize(
    ("what", "parameters"), [("cancel", {}), ("capture", {}), ("capture", {"amount_to_capture": 1000})]
)
def test_a_capture_follows_what_became_of_a_hold_that_was_raised(
    rig: Rig, what: str, parameters: dict[str, int]
) -> None:
    sale = rig.offer()
    registered(rig, sale)
    rig.at_dashboard(sale, "increment_authorization", {"amount": 6000})
    rig.at_dashboard(sale, what, parameters)
    rig.hurry(sale)
    rig.settle()
    assert violations(rig) == []
    assert rig.value("SELECT authorized FROM payments") == 6000
