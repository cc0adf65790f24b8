"""The rules of parcels find nothing in a world that is right, and every way in which one goes wrong."""

from collections.abc import Callable, Mapping

import pytest

from tests.faults.harness.parcels import at_razorpay, at_stripe, comes_back, hint, in_turn, sent
from tests.faults.harness.rig import Rig
from tests.faults.harness.sales import canceled, captured
from tests.faults.invariants import violations
from tests.faults.world import CAPTURED, Row, World


@pytest.fixture
def world(rig: Rig) -> World:
    """An order whose parcel came back, paid at Razorpay; and one that its shopper took back, paid at Stripe."""
    for sale, ready in (
        (rig.offer(), in_turn(sent(at_razorpay), captured, comes_back)),
        (rig.offer(), in_turn(sent(at_stripe), canceled)),
    ):
        ready(rig, sale)
        rig.ask(hint(rig, sale))
        rig.settle()
    return rig.look()


def came_back(world: World) -> Row:
    """The parcel that came back by itself."""
    return next(parcel for parcel in world.rows["shipments"] if parcel["cancel_state"] is None)


def called_back(world: World) -> Row:
    """The parcel whose cancellation was asked for."""
    return next(parcel for parcel in world.rows["shipments"] if parcel["cancel_state"])


def order_of(world: World, parcel: Row) -> Row:
    """The order that went out by a parcel."""
    return world.orders[parcel["order_id"]]


def effects(world: World) -> list[Row]:
    """What happened at Razorpay to the order whose parcel came back."""
    payments = [each for each in world.rows["payments"] if each["order_id"] == came_back(world)["order_id"]]
    return world.ledger[payments[0]["reference"]]


def let_the_order_stand(world: World) -> None:
    order_of(world, came_back(world))["status"] = "captured"


def see_nothing(world: World) -> None:
    came_back(world)["canceled_at"] = None


def ask_twice_to_take_it_back(world: World) -> None:
    (asked,) = (each for each in world.rows["intents"] if each["operation"] == "cancel_order_by_courier")
    world.rows["intents"].append(asked)


def leave_it_under_way(world: World) -> None:
    called_back(world).update(cancel_state=None, status="in_transit")


def cancel_one_whose_order_stands(world: World) -> None:
    order_of(world, called_back(world))["status"] = "pending"


def believe_what_the_courier_did_not_say(world: World) -> None:
    called_back(world)["cancel_state"] = "refused"


def wait_for_ever(world: World) -> None:
    called_back(world)["cancel_state"] = "accepted"


def forget_that_it_moved(world: World) -> None:
    entries = [each for each in world.rows["timeline"] if each["order_id"] == came_back(world)["order_id"]]
    world.rows["timeline"].remove([each for each in entries if each["event"] == "shipment_tracked"][-1])


def tell_twice_that_it_came_back(world: World) -> None:
    world.rows["timeline"].append(next(each for each in world.rows["timeline"] if each["event"] == "shipment_canceled"))


def refund_twice(world: World) -> None:
    (made,) = (effect for effect in effects(world) if effect["operation"] == "refund.created")
    effects(world).append(made | {"object": "rfnd_another"})


def capture_more(world: World) -> None:
    next(effect for effect in effects(world) if effect["operation"] == CAPTURED)["amount"] += 1


#: How the world is falsified, and how the violation begins that is found then.
WRONG: Mapping[Callable[[World], None], str] = {
    let_the_order_stand: "parcel: that of order",
    see_nothing: "parcel: order",
    ask_twice_to_take_it_back: "parcel: one was to take its order back more than once",
    leave_it_under_way: "parcel: ",
    cancel_one_whose_order_stands: "parcel: ",
    believe_what_the_courier_did_not_say: "parcel: ",
    wait_for_ever: "parcel: ",
    forget_that_it_moved: "8: parcel",
    tell_twice_that_it_came_back: "8: parcel",
    refund_twice: "3: refund",
    capture_more: "6: payment",
}


def test_a_world_that_is_right_has_no_violation(world: World) -> None:
    assert [parcel["status"] for parcel in world.rows["shipments"]] == ["returning", "returning"]
    assert violations(world) == []


@pytest.mark.parametrize("falsify", WRONG, ids=lambda falsify: falsify.__name__)
def test_every_way_in_which_it_goes_wrong_is_found(world: World, falsify: Callable[[World], None]) -> None:
    falsified = world.copied()
    falsify(falsified)
    assert any(violation.startswith(WRONG[falsify]) for violation in violations(falsified))
