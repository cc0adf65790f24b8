"""A hold is larger than we know, as after an increment that arrived late: our rows can say so, whoever moves it."""

import pytest

from tests.faults.harness.checks import violations
from tests.faults.harness.rig import Rig
from tests.faults.harness.sales import one_more, registered, unanswered


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


def test_an_edit_that_costs_no_more_than_is_held_there_meanwhile_is_not_refused(rig: Rig) -> None:
    sale = rig.offer()
    registered(rig, sale)
    rig.at_dashboard(sale, "increment_authorization", {"amount": 6000})
    rig.ask(one_more(rig, sale))
    rig.deliver_all()
    assert rig.sql("SELECT answer_status FROM intents WHERE operation = 'add_item'") == [(200,)]
    assert rig.sql("SELECT amount, authorized FROM payments") == [(5450, 6000)]
    rig.settle()
    assert violations(rig) == []


def test_an_edit_whose_answer_was_lost_finds_all_that_is_held(rig: Rig) -> None:
    sale = rig.offer()
    unanswered(effect=False)(rig, sale)
    rig.at_dashboard(sale, "increment_authorization", {"amount": 6000})
    rig.pass_time(60)
    rig.wake()
    rig.deliver_all()
    assert rig.sql("SELECT amount, authorized FROM payments") == [(5450, 6000)]
    rig.settle()
    assert violations(rig) == []
