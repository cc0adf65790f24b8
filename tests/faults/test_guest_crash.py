"""A worker that is killed while a guest's money is on its way: one refund, and the guest gets the right answer."""

import pytest

from tests.faults import invariants
from tests.faults.mesh import RECOVERY, Mesh
from tests.hotel import Hotel, Stay
from tests.shop import eventually


def started(hotel: Hotel, stay: Stay) -> str:
    """Ask for the cancel and wait for nothing; returns the intent."""
    answer = hotel.cancel(stay, headers={"Prefer": "respond-async"})
    assert answer.status_code == 202, answer.text
    intent: str = answer.json()["intent"]
    return intent


def assert_refunded_once(mesh: Mesh, hotel: Hotel, stay: Stay, intent: str) -> None:
    """The whole outcome of one cancel, wherever it was interrupted."""
    answer = mesh.answer_of(intent)
    assert answer["status"] == 200
    cancellation = answer["body"]["cancellation"]
    assert (cancellation["cancellation_fee"], cancellation["refund_amount"]) == ("50.00", "450.00")
    assert answer["body"] == hotel.cancel(stay).json()
    assert hotel.moves(stay) == [("captured", 50_000), ("refund.created", 45_000)]
    assert hotel.keys(stay) == {f"guest_cancel_refund:{stay.booking_id}"}
    assert mesh.stock(stay.sku) == 10
    assert hotel.is_used(stay)
    eventually(lambda: len(mesh.mails_to(stay.email)) == 1, RECOVERY)
    invariants.check(mesh)


@pytest.mark.parametrize("fault", ["timeout_before", "timeout_after"])
def test_a_worker_killed_around_the_call_of_the_provider_makes_one_refund(mesh: Mesh, fault: str) -> None:
    hotel = Hotel(mesh)
    stay = hotel.confirmed()
    mesh.misbehave("stripe", "refund", fault, str(stay.reference))
    intent = started(hotel, stay)
    eventually(lambda: mesh.has_met_its_fault("stripe"))
    eventually(lambda: fault == "timeout_before" or "refund.created" in mesh.ledger(str(stay.reference)))
    mesh.kill("worker-money")
    assert hotel.view(stay)["status"] == "CANCELING"
    mesh.behave()
    assert_refunded_once(mesh, hotel, stay, intent)


def test_a_refund_that_is_made_while_nobody_can_cancel_the_booking_is_settled_later(mesh: Mesh) -> None:
    hotel = Hotel(mesh)
    stay = hotel.confirmed()
    intent = started(hotel, stay)
    mesh.kill("worker-orders")
    eventually(lambda: "refund.created" in mesh.ledger(str(stay.reference)), RECOVERY)
    assert_refunded_once(mesh, hotel, stay, intent)
