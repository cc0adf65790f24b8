"""The other way: who takes a shipped order back has Delhivery asked to cancel its parcel, and tracking confirms it."""

from collections.abc import Iterator

import pytest

from tests.depot import PRICE, Depot, Parcel
from tests.shop import eventually


def on_its_way(depot: Depot, **how) -> Parcel:
    """An order that was paid for, with its parcel under way, of which Delhivery tells us nothing more by itself."""
    parcel = depot.paid(**how)
    depot.scan(parcel, "UD", "In Transit", picked_up=True)
    depot.misbehave("delhivery", "push", "lost", parcel.awb, times=-1)
    return parcel


def cancels(depot: Depot, parcel: Parcel, state: str) -> bool:
    """Whether our request to cancel the parcel has come so far."""
    return bool(depot.shipment(parcel)["cancel_state"] == state)


# Delhivery accepts, and tracking lags behind.


def test_an_operators_cancel_of_a_parcel_under_way_is_accepted_and_confirmed_when_tracking_shows_it(depot):
    parcel = on_its_way(depot)
    answer = depot.shop.cancel_by_operator(parcel.order_id, reason="It is the wrong color")
    assert answer.status_code == 200
    assert answer.json()["data"]["refundDetails"]["amount"] == 38.00
    eventually(lambda: cancels(depot, parcel, "accepted"))
    looks = len(depot.questions(parcel))
    eventually(lambda: len(depot.questions(parcel)) > looks)
    assert cancels(depot, parcel, "accepted")  # tracking has not shown it
    assert depot.shipment(parcel)["canceled_at"] is None
    depot.happen("delhivery", "settle", parcel.awb)
    eventually(lambda: cancels(depot, parcel, "confirmed"))
    shown = depot.shipment(parcel)
    assert (shown["status"], shown["canceled_before_pickup"]) == ("returning", False)
    order = depot.shop.view(parcel.order_id)
    assert (order["cancellation_source"], order["cancellation_refund"]) == ("admin", "full")
    depot.idle(parcel)
    assert depot.refunds(parcel) == [PRICE]
    assert depot.shop.stock(parcel.sku) == 10
    assert depot.alarms(parcel) == {}
    events = [name for name in depot.shop.events(parcel.order_id) if name.startswith("shipment_c")]
    assert events == [
        "shipment_cancel_requested",
        "shipment_cancel_accepted",
        "shipment_canceled",
        "shipment_cancel_confirmed",
    ]
    depot.letters(parcel, "canceled", "refunded")


def test_a_shoppers_cancel_of_a_parcel_that_was_only_announced_is_confirmed_as_before_its_pickup(depot):
    parcel = depot.held()
    answer = depot.take_back(parcel)
    assert (answer.status_code, answer.json()["payment_action"]) == (200, "lapsing")
    eventually(lambda: cancels(depot, parcel, "accepted"))
    depot.happen("delhivery", "settle", parcel.awb)
    eventually(lambda: cancels(depot, parcel, "confirmed"))
    shown = depot.shipment(parcel)
    assert (shown["status"], shown["canceled_before_pickup"]) == ("canceled", True)
    assert depot.shop.view(parcel.order_id)["cancellation_source"] == "customer"
    assert depot.handled(parcel).count("shipment.cancel_accepted") == 1
    depot.letters(parcel, "canceled")


def test_a_cancel_without_a_shipment_or_by_a_courier_that_is_not_followed_asks_nobody(depot):
    bare = depot.register({"provider": "cod"}, shipment=None)
    other = depot.register({"provider": "cod"}, shipment={"courier": "BlueDart", "awb": "1"})
    for parcel in (bare, other):
        assert depot.shop.cancel_by_operator(parcel.order_id).status_code == 200
        assert "shipment_cancel_requested" not in depot.shop.events(parcel.order_id)
    assert depot.shipment(other)["cancel_state"] is None


def test_a_parcel_that_its_courier_takes_back_is_not_canceled_there_once_more(depot):
    parcel = depot.paid()
    depot.never_leaves(parcel, push="default")
    depot.refunded(parcel)
    depot.idle(parcel)
    assert depot.questions(parcel, "cancel") == []
    assert depot.shipment(parcel)["cancel_state"] is None


# Delhivery does not, or the parcel goes its way.


def test_a_cancel_that_delhivery_refuses_alarms_a_person_until_the_parcel_comes_back_after_all(depot):
    parcel = on_its_way(depot)
    depot.misbehave("delhivery", "cancel", "refuse", parcel.awb)
    assert depot.shop.cancel_by_operator(parcel.order_id).status_code == 200
    eventually(lambda: depot.alarms(parcel) == {"shipment_not_canceled": True})
    assert cancels(depot, parcel, "refused")
    assert depot.entries(parcel, "shipment_cancel_refused")[0]["error"] == "courier_refused"
    order = depot.shop.view(parcel.order_id)
    assert (order["status"], order["payment"]["status"]) == ("canceled", "refunded")
    depot.idle(parcel)
    assert len(depot.questions(parcel, "cancel")) == 1
    depot.scan(parcel, "RT", "In Transit")
    assert depot.sync(parcel).status_code == 200
    assert cancels(depot, parcel, "confirmed")
    assert depot.alarms(parcel) == {"shipment_not_canceled": False}
    assert depot.refunds(parcel) == [PRICE]


def test_a_cancel_of_what_was_delivered_is_refused_and_a_person_is_told_where_the_goods_are(depot):
    parcel = on_its_way(depot)
    depot.scan(parcel, "DL", "Delivered")
    assert depot.shop.cancel_by_operator(parcel.order_id).status_code == 200
    eventually(lambda: depot.alarms(parcel) == {"shipment_not_canceled": True, "shipment_delivered": True})
    severities = {alert["severity"] for alert in depot.shop.alerts(parcel.order_id)}
    assert severities == {"warning", "critical"}


def test_a_parcel_that_is_delivered_though_its_cancel_was_accepted_alarms_a_person(depot):
    parcel = on_its_way(depot)
    depot.shop.cancel_by_operator(parcel.order_id)
    eventually(lambda: cancels(depot, parcel, "accepted"))
    depot.scan(parcel, "DL", "Delivered")
    eventually(lambda: depot.alarms(parcel) == {"shipment_delivered": True})
    assert depot.shop.view(parcel.order_id)["status"] == "canceled"
    assert depot.refunds(parcel) == [PRICE]


def test_a_parcel_that_is_still_under_way_hours_after_its_cancel_was_accepted_alarms_a_person(depot):
    parcel = on_its_way(depot)
    depot.shop.cancel_by_operator(parcel.order_id)
    eventually(lambda: cancels(depot, parcel, "accepted"))
    assert depot.alarms(parcel) == {}
    aged = "UPDATE shipments SET cancel_asked_at = cancel_asked_at - interval '7 hours' WHERE awb = %s"
    depot.shop.sql(aged, parcel.awb)
    eventually(lambda: depot.alarms(parcel) == {"shipment_not_canceled": True})
    depot.happen("delhivery", "settle", parcel.awb)
    assert depot.sync(parcel).json()["data"]["cancellationDetected"] is True
    assert depot.alarms(parcel) == {"shipment_not_canceled": False}


# Delhivery answers in its own ways, or not at all.


@pytest.mark.parametrize("fault", ["timeout_after", "drop_after", "error_500_after", "not_json"])
def test_a_cancel_without_an_answer_is_asked_for_again_and_does_no_harm(depot, fault):
    parcel = on_its_way(depot)
    depot.misbehave("delhivery", "cancel", fault, parcel.awb)
    assert depot.shop.cancel_by_operator(parcel.order_id).status_code == 200
    eventually(lambda: cancels(depot, parcel, "accepted"))
    assert len(depot.questions(parcel, "cancel")) >= 2
    assert depot.handled(parcel).count("shipment.cancel_accepted") == 1
    assert len(depot.entries(parcel, "shipment_cancel_accepted")) == 1
    assert depot.refunds(parcel) == [PRICE]
    assert depot.alarms(parcel) == {}


def test_an_answer_in_xml_is_understood_as_well_be_it_yes_or_no(depot):
    yes, no = on_its_way(depot), on_its_way(depot)
    depot.scan(no, "UD", "Dispatched")  # too late to be canceled
    for parcel, state in ((yes, "accepted"), (no, "refused")):
        depot.misbehave("delhivery", "cancel", "xml", parcel.awb)
        depot.shop.cancel_by_operator(parcel.order_id)
        eventually(lambda parcel=parcel, state=state: cancels(depot, parcel, state))
        assert len(depot.questions(parcel, "cancel")) == 1


@pytest.fixture
def _let_in_again(depot: Depot) -> Iterator[None]:
    """Whoever was turned away is let in again after the test."""
    yield
    let_in(depot)


def let_in(depot: Depot) -> None:
    """Let the pause be over for which nobody asks Delhivery, and be due what was put off until then."""
    depot.shop.sql("UPDATE pace SET free_at = now() WHERE id = 'delhivery'")
    depot.shop.sql("UPDATE outbox SET due_at = now() WHERE task LIKE 'courier.%%' AND due_at < now() + %s", "1 minute")


@pytest.mark.usefixtures("_let_in_again")
@pytest.mark.parametrize("operation", ["cancel", "track"])
def test_when_the_firewall_turns_us_away_nobody_asks_for_half_a_minute_and_then_it_goes_on(depot, operation):
    parcel = on_its_way(depot)
    depot.misbehave("delhivery", operation, "throttle", parcel.awb)
    if operation == "cancel":
        depot.shop.cancel_by_operator(parcel.order_id)
    else:
        depot.scan(parcel, "RT", "In Transit")
        depot.hint(parcel)
    paused = "SELECT 1 FROM pace WHERE id = 'delhivery' AND free_at > now() + interval '20 seconds'"
    eventually(lambda: depot.shop.sql(paused))
    before = len(depot.questions(parcel)), len(depot.questions(parcel, "cancel"))
    depot.hint(parcel)
    staged = "SELECT 1 FROM outbox b JOIN shipments s ON s.id = b.subject WHERE s.awb = %s AND b.due_at > now() + %s"
    eventually(lambda: depot.shop.sql(staged, parcel.awb, "20 seconds"))
    assert (len(depot.questions(parcel)), len(depot.questions(parcel, "cancel"))) == before
    let_in(depot)
    depot.shop.sql("UPDATE shipments SET looking_until = now() WHERE awb = %s", parcel.awb)
    if operation == "cancel":
        eventually(lambda: cancels(depot, parcel, "accepted"))
    assert depot.canceled(parcel)["status"] == "canceled"
