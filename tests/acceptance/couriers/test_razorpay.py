"""Razorpay: a payment is captured whole or not at all, nobody can release it, and what is refunded is refunded once."""

import uuid

import pytest

from tests.acceptance.refunds import refund_of
from tests.depot import PRICE, Depot, Parcel
from tests.problems import assert_problem
from tests.shop import eventually


def key() -> str:
    return uuid.uuid4().hex


def moves(depot: Depot, parcel: Parcel) -> list[tuple[str, int]]:
    """What happened to the money at Razorpay after it was held."""
    return [(effect["operation"], effect["amount"]) for effect in depot.effects(parcel)[2:]]


def status(depot: Depot, parcel: Parcel) -> str:
    return str(depot.shop.view(parcel.order_id)["payment"]["status"])


def unheard(depot: Depot, reference: str | None) -> None:
    """Let no event about a payment arrive from now on."""
    depot.misbehave("razorpay", "webhook", "lost", reference, times=-1)


def unwatched(depot: Depot, parcel: Parcel) -> None:
    """Let nobody look at a hold that lapses by himself for an hour."""
    voids = "SELECT id FROM voids WHERE order_id = %s"
    put_off = f"UPDATE outbox SET due_at = now() + interval '1 hour' WHERE subject IN ({voids})"  # noqa: S608
    depot.shop.sql(put_off, parcel.order_id)


# Captured whole.


def test_what_an_order_costs_is_captured_when_its_grace_period_is_over(depot):
    parcel = depot.paid()
    assert moves(depot, parcel) == [("payment.captured", PRICE)]
    payment = depot.shop.view(parcel.order_id)["payment"]
    assert payment == {
        "provider": "razorpay",
        "reference": parcel.reference,
        "status": "captured",
        "authorized": PRICE,
        "captured": PRICE,
        "released": 0,
        "refunded": 0,
    }


@pytest.mark.parametrize(
    ("paid", "words"),
    [
        ({"amount": PRICE + 1}, "More is authorized than the order costs, and all of it would be captured"),
        ({"amount": PRICE - 1}, "Less is authorized than the order costs"),
        ({"currency": "USD"}, "The payment is in USD, the order in INR"),
        ({"status": "created"}, "The payment is not authorized"),
        ({"status": "failed"}, "The payment is not authorized"),
    ],
    ids=str,
)
def test_an_order_is_registered_only_with_a_payment_that_can_be_captured_for_it(depot, paid, words):
    body = depot.shop.order(None, currency="INR", payment={"provider": "razorpay", "reference": depot.pay(**paid)})
    assert_problem(depot.shop.register(body), 422, code="payment_unusable", message=words)


@pytest.mark.parametrize("reference", ["pay_SandboxNobody1", "pi_123"])
def test_a_payment_that_razorpay_does_not_know_pays_for_nothing(depot, reference):
    body = depot.shop.order(None, currency="INR", payment={"provider": "razorpay", "reference": reference})
    assert_problem(depot.shop.register(body), 422, code="payment_unusable", reason="no_such_id")


def test_an_order_may_be_changed_only_so_that_it_costs_the_same(depot):
    parcel = depot.held()
    assert_problem(depot.shop.set_quantity(parcel, 1, 3), 409, code="captured_whole")
    assert_problem(depot.shop.set_quantity(parcel, 1, 1), 409, code="captured_whole")
    mug = {"quantity": 5, "price": {"amount": 100, "currency": "INR"}}
    depot.shop.http.put(f"/stock/MUG-{parcel.sku}", json=mug, headers=depot.shop.bearer("service"))
    assert_problem(depot.shop.add(parcel, f"MUG-{parcel.sku}", 1), 409, code="captured_whole")
    address = {"name": "Asha", "line1": "12 Sample Street", "city": "Pune", "postal_code": "411001", "country": "IN"}
    assert depot.shop.edit(parcel, "address", address).status_code == 200
    assert depot.shop.view(parcel.order_id)["total"] == PRICE
    assert depot.shop.stock(parcel.sku) == 8


@pytest.mark.parametrize("fault", ["timeout_after", "drop_after", "gateway_error_after", "json_error_after"])
def test_a_capture_whose_answer_is_lost_is_read_back_and_made_once(depot, fault):
    reference = depot.pay()
    depot.misbehave("razorpay", "capture", fault, reference)
    unheard(depot, reference)
    payment = {"provider": "razorpay", "reference": reference}
    parcel = depot.register(payment, placed_at=depot.before_grace())
    eventually(lambda: depot.shop.view(parcel.order_id)["status"] == "captured")
    assert moves(depot, parcel) == [("payment.captured", PRICE)]
    assert len(depot.asked(parcel, "capture")) == 1


# Left to lapse.


@pytest.mark.parametrize("is_told", [True, False], ids=["by its webhook", "by the watch"])
def test_the_hold_of_a_canceled_order_is_left_to_lapse_and_watched_until_it_has(depot, is_told):
    parcel = depot.held()
    answer = depot.take_back(parcel)
    body = answer.json()
    assert (answer.status_code, body["status"], body["payment_action"]) == (200, "canceled", "lapsing")
    assert "ends by itself" in body["warning"]
    assert depot.take_back(parcel).json()["payment_action"] == "lapsing"
    assert status(depot, parcel) == "voiding"
    assert moves(depot, parcel) == []
    if is_told:
        unwatched(depot, parcel)
    else:
        unheard(depot, parcel.reference)
    depot.happen("razorpay", "lapse", str(parcel.reference))
    eventually(lambda: status(depot, parcel) == "voided")
    assert depot.shop.view(parcel.order_id)["payment"]["released"] == PRICE
    assert moves(depot, parcel) == [("payment.lapsed", PRICE)]
    assert {request["operation"] for request in depot.asked(parcel)} == {"retrieve"}
    assert depot.take_back(parcel).json()["payment_action"] == "voided"
    assert depot.shop.alerts(parcel.order_id) == []
    depot.letters(parcel, "canceled")


def test_a_shopper_who_cancels_while_the_hold_lapses_for_an_operators_refund_is_told_so(depot):
    parcel = depot.held()
    assert refund_of(depot.shop.refund(parcel.order_id))["status"] == "processing"
    assert depot.shop.view(parcel.order_id)["status"] == "pending"
    answer = depot.take_back(parcel)
    assert (answer.status_code, answer.json()["payment_action"]) == (200, "lapsing")
    assert depot.shop.sql("SELECT count(*) FROM voids WHERE order_id = %s", parcel.order_id) == [(1,)]
    depot.happen("razorpay", "lapse", str(parcel.reference))
    eventually(lambda: status(depot, parcel) == "voided")


def test_an_operator_is_told_of_a_hold_that_lapses_as_of_a_refund_that_is_under_way(depot):
    parcel = depot.held()
    data = depot.shop.cancel_by_operator(parcel.order_id).json()["data"]
    assert data["refundProcessed"] is True
    assert data["refundDetails"] | {"amount": 38.00, "status": "processing"} == data["refundDetails"]
    depot.happen("razorpay", "lapse", str(parcel.reference))
    eventually(lambda: status(depot, parcel) == "voided")
    assert depot.refunds(parcel) == []


@pytest.mark.parametrize("is_told", [True, False], ids=["by its webhook", "by the watch"])
def test_a_hold_that_somebody_captures_at_the_dashboard_though_its_order_is_canceled_is_refunded(depot, is_told):
    parcel = depot.held()
    assert depot.take_back(parcel).json()["payment_action"] == "lapsing"
    if not is_told:
        unheard(depot, parcel.reference)
    depot.at_the_dashboard("capture", parcel.reference, PRICE)
    depot.refunded(parcel)
    assert moves(depot, parcel)[:2] == [("payment.captured", PRICE), ("refund.created", PRICE)]
    assert depot.refunds(parcel) == [PRICE]
    eventually(lambda: status(depot, parcel) == "refunded")
    assert not any(depot.alarms(parcel).values())
    depot.letters(parcel, "canceled", "refunded")


def test_a_hold_that_should_have_lapsed_long_ago_alarms_a_person_until_it_has(depot):
    parcel = depot.held()
    depot.take_back(parcel)
    aged = "UPDATE payments SET capture_before = now() - interval '25 hours' WHERE reference = %s"
    depot.shop.sql(aged, parcel.reference)
    eventually(lambda: depot.alarms(parcel) == {"hold_outlives": True})
    depot.happen("razorpay", "lapse", str(parcel.reference))
    eventually(lambda: depot.alarms(parcel) == {"hold_outlives": False})


# Refunded once.


@pytest.mark.parametrize(
    "fault", ["timeout_after", "drop_after", "error_500_after", "gateway_error_after", "json_error_after"]
)
def test_a_refund_that_took_effect_without_an_answer_is_found_by_reading_back_and_not_repeated(depot, fault):
    parcel = depot.paid()
    depot.misbehave("razorpay", "refund", fault, parcel.reference)
    unheard(depot, parcel.reference)
    answer = depot.shop.refund(parcel.order_id)
    assert refund_of(answer)["status"] in ("processing", "completed")
    refund = depot.refunded(parcel)
    assert depot.refunds(parcel) == [PRICE]
    assert len({request["idempotency_key"] for request in depot.asked(parcel, "refund")}) == 1
    assert len(depot.asked(parcel, "refund")) == 1
    assert refund["provider_id"].startswith("rfnd_")
    depot.letters(parcel, "refunded")


@pytest.mark.parametrize("fault", ["timeout_before", "error_500_before", "rate_limit", "conflict", "html_502"])
def test_a_refund_that_never_reached_razorpay_is_made_under_the_same_key(depot, fault):
    parcel = depot.paid()
    depot.misbehave("razorpay", "refund", fault, parcel.reference)
    depot.shop.refund(parcel.order_id)
    depot.refunded(parcel)
    assert depot.refunds(parcel) == [PRICE]
    assert len({request["idempotency_key"] for request in depot.asked(parcel, "refund")}) == 1
    assert not any(depot.alarms(parcel).values())


def test_a_refund_that_razorpay_has_not_decided_is_told_when_it_begins_and_when_it_is_done(depot):
    parcel = depot.paid()
    depot.misbehave("razorpay", "refund", "pending", parcel.reference)
    depot.never_leaves(parcel, push="default")
    refund = eventually(lambda: next((each for each in refunds(depot, parcel) if each["provider_id"]), None))
    assert refund["status"] == "processing"
    letters = depot.letters(parcel, "canceled", "begun")
    for words in ("38.00 INR", refund["refund_id"], "5 to 7 working days"):
        assert words in letters["begun"]
    depot.happen("razorpay", "process", refund["provider_id"])
    depot.refunded(parcel)
    depot.letters(parcel, "canceled", "begun", "refunded")
    assert depot.refunds(parcel) == [PRICE]


def test_a_refund_that_fails_while_it_is_undecided_is_told_to_the_desk_and_made_again_under_a_new_key(depot):
    parcel = depot.paid()
    depot.misbehave("razorpay", "refund", "pending", parcel.reference)
    assert refund_of(depot.shop.refund(parcel.order_id))["status"] == "processing"
    (refund,) = refunds(depot, parcel)
    depot.happen("razorpay", "fail", refund["provider_id"])
    depot.refunded(parcel, "failed")
    assert depot.alarms(parcel) == {"refund_failed": True}
    to_desk = eventually(lambda: [mail for mail in depot.shop.mails(parcel.order_id) if "desk@" in str(mail["to"])])
    assert [mail["subject"] for mail in to_desk] == [f"Refund for order {parcel.order_id} failed"]
    assert_problem(depot.shop.refund(parcel.order_id, key()), 429, code="refund_cooldown")
    eventually(lambda: depot.shop.refund(parcel.order_id, key()).status_code == 200)
    again = depot.refunded(parcel)
    assert (again["refund_id"], again["error"]) == (refund["refund_id"], None)
    assert len({request["idempotency_key"] for request in depot.asked(parcel, "refund")}) == 2
    assert depot.alarms(parcel) == {"refund_failed": False}
    assert status(depot, parcel) == "refunded"
    depot.letters(parcel, "begun", "refunded")
    assert len([mail for mail in depot.shop.mails(parcel.order_id) if "desk@" in str(mail["to"])]) == 1


def test_a_refund_that_somebody_made_at_the_dashboard_is_adopted_and_not_made_again(depot):
    parcel = depot.paid()
    made = depot.at_the_dashboard("refund", parcel.reference, PRICE)
    eventually(lambda: status(depot, parcel) == "refunded")
    (refund,) = refunds(depot, parcel)
    assert (refund["provider_id"], refund["source"], refund["amount"]) == (made, "provider", PRICE)
    assert refund_of(depot.shop.refund(parcel.order_id))["alreadyRefunded"] is True
    depot.never_leaves(parcel, push="default")
    depot.canceled(parcel)
    depot.idle(parcel)
    assert depot.refunds(parcel) == [PRICE]


def refunds(depot: Depot, parcel: Parcel) -> list[dict]:
    found: list[dict] = depot.shop.view(parcel.order_id)["refunds"]
    return found
