"""A parcel that many speak of at once: one of them takes its order back, and the money goes back once."""

from collections.abc import Callable

import pytest

from tests.depot import PRICE, SHIPPING, Depot, Parcel
from tests.shop import at_once, eventually

#: How often a race is run: who wins differs.
ROUNDS = 5


def one_winner(depot: Depot, parcel: Parcel, *amounts: int) -> None:
    """The order was canceled once, so much went back in one refund, and its shopper was told once of each."""
    depot.refunded(parcel)
    depot.idle(parcel)
    assert len(depot.entries(parcel, "order_canceled")) == 1
    (refunded,) = depot.refunds(parcel)
    assert refunded in amounts
    assert len({request["idempotency_key"] for request in depot.asked(parcel, "refund")}) == 1
    assert depot.shop.stock(parcel.sku) == 10
    depot.letters(parcel, "canceled", "refunded")


# One webhook, many times.


def as_delhivery_does(depot: Depot, parcel: Parcel) -> dict:
    return depot.scanned(parcel, "UD", "Not Picked", code="DTUP-210", instructions="Seller cancelled the order")


def as_the_client_contract_has_it(_: Depot, parcel: Parcel) -> dict:
    return {"awb": parcel.awb, "status": "Cancelled", "current_status": "Cancelled - Customer Request"}


@pytest.mark.parametrize("body_of", [as_delhivery_does, as_the_client_contract_has_it])
def test_a_webhook_twenty_times_at_once_and_once_more_a_day_later_cancels_refunds_and_mails_once(
    depot: Depot, body_of: Callable[[Depot, Parcel], dict]
) -> None:
    parcel = depot.paid()
    depot.never_leaves(parcel)
    body = body_of(depot, parcel)
    assert [answer.status_code for answer in at_once(20, lambda _: depot.push(body))] == [200] * 20
    one_winner(depot, parcel, PRICE)
    before = depot.shop.view(parcel.order_id)
    depot.a_day_later(parcel)
    assert depot.push(body).status_code == 200
    depot.idle(parcel)
    after = depot.shop.view(parcel.order_id)
    assert (after["payment"], after["refunds"], after["status"]) == (before["payment"], before["refunds"], "canceled")
    one_winner(depot, parcel, PRICE)
    assert depot.shop.sql("SELECT times FROM courier_events WHERE awb = %s", parcel.awb) == [(21,)]


def test_scans_that_are_told_out_of_order_and_twice_come_to_the_same(depot):
    parcel = depot.paid()
    depot.returns(parcel)
    depot.scan(parcel, "DL", "RTO")
    story = [("DL", "RTO", 3), ("UD", "In Transit", 1), ("RT", "In Transit", 2), ("UD", "Manifested", 0)]
    bodies = [depot.scanned(parcel, kind, word, at=f"2026-08-01T10:11:1{at}") for kind, word, at in story * 2]
    assert {answer.status_code for answer in at_once(8, lambda number: depot.push(bodies[number]))} == {200}
    one_winner(depot, parcel, PRICE - SHIPPING)
    assert depot.shipment(parcel)["status"] == "returned"


# Webhook, sync, operator and shopper.


@pytest.mark.parametrize("_", range(ROUNDS))
def test_a_webhook_a_sync_and_an_operators_cancel_at_once_have_one_winner(depot, _):
    parcel = depot.paid()
    depot.returns(parcel)
    acts = (depot.hint, depot.sync, lambda parcel: depot.shop.cancel_by_operator(parcel.order_id))
    answers = at_once(3, lambda number: acts[number](parcel))
    assert [answer.status_code for answer in answers] == [200] * 3, [answer.text for answer in answers]
    source = depot.shop.view(parcel.order_id)["cancellation_source"]
    assert source in ("delhivery_webhook", "delhivery_sync", "admin")
    one_winner(depot, parcel, PRICE if source == "admin" else PRICE - SHIPPING)
    assert depot.shipment(parcel)["status"] == "returning"
    eventually(lambda: not any(alert["open"] for alert in depot.shop.alerts(parcel.order_id)))


@pytest.mark.parametrize("_", range(ROUNDS))
def test_an_operators_refund_and_a_return_at_once_give_back_no_more_than_was_paid(depot, _):
    parcel = depot.paid()
    depot.returns(parcel)
    acts = (depot.hint, lambda parcel: depot.shop.refund(parcel.order_id))
    assert {answer.status_code for answer in at_once(2, lambda number: acts[number](parcel))} == {200}
    depot.canceled(parcel)
    eventually(lambda: depot.shop.view(parcel.order_id)["payment"]["status"] in ("refunded", "partially_refunded"))
    depot.idle(parcel)
    assert sorted(depot.refunds(parcel)) in ([PRICE], [SHIPPING, PRICE - SHIPPING], [PRICE - SHIPPING])
    assert depot.shop.view(parcel.order_id)["payment"]["refunded"] == sum(depot.refunds(parcel))
    assert depot.shop.stock(parcel.sku) == 10


@pytest.mark.parametrize("_", range(ROUNDS))
def test_a_shoppers_cancel_and_a_return_at_once_let_one_hold_lapse_and_take_nothing(depot, _):
    parcel = depot.held()
    depot.never_leaves(parcel)
    acts = (depot.hint, depot.take_back)
    answers = at_once(2, lambda number: acts[number](parcel))
    assert [answer.status_code for answer in answers] == [200, 200], [answer.text for answer in answers]
    assert depot.canceled(parcel)["cancellation_source"] in ("customer", "delhivery_webhook")
    eventually(lambda: depot.entries(parcel, "void_lapsing"))
    depot.idle(parcel)
    assert len(depot.entries(parcel, "order_canceled")) == 1
    assert depot.asked(parcel, "capture") == depot.asked(parcel, "refund") == []
    assert depot.shop.stock(parcel.sku) == 10
    depot.letters(parcel, "canceled")


# A capture under way.


def test_a_parcel_that_returns_while_its_capture_is_under_way_is_refunded_when_the_money_is_there(depot):
    depot.slow_down("razorpay", "capture", 2500)
    parcel = depot.held(placed_at=depot.before_grace())
    eventually(lambda: depot.shop.view(parcel.order_id)["payment"]["status"] == "capturing")
    depot.returns(parcel, push="default")
    eventually(lambda: depot.entries(parcel, "shipment_canceled"))
    assert depot.shop.view(parcel.order_id)["status"] == "pending"
    one_winner(depot, parcel, PRICE - SHIPPING)
    events = depot.shop.events(parcel.order_id)
    assert events.index("shipment_canceled") < events.index("payment_captured") < events.index("order_canceled")
    assert depot.canceled(parcel)["cancellation_source"] == "delhivery_webhook"


@pytest.mark.parametrize("fault", ["timeout_before", "timeout_after", "gateway_error_before", "json_error_after"])
def test_a_parcel_that_returns_while_nobody_knows_what_came_of_its_capture_is_refunded_once(depot, fault):
    reference = depot.pay()
    depot.misbehave("razorpay", "capture", fault, reference)
    payment = {"provider": "razorpay", "reference": reference}
    parcel = depot.register(payment, placed_at=depot.before_grace())
    eventually(lambda: "capture_started" in depot.shop.events(parcel.order_id))
    depot.returns(parcel, push="default")
    one_winner(depot, parcel, PRICE - SHIPPING)
    captures = [effect for effect in depot.effects(parcel) if effect["operation"] == "payment.captured"]
    assert [effect["amount"] for effect in captures] == [PRICE]
