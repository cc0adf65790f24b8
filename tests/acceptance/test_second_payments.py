"""Several payments in one collection are captured, voided and refunded together."""

from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.stack import StackOptions
from tests.conftest import QUICK, started
from tests.shop import Purchase, Shop, eventually

#: 15.00 with ten percent of tax.
TEE = 1650

#: A card that its customer has saved.
SAVED: dict[str, Any] = {"customer": "cus_saved", "setup_future_usage": "off_session"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop whose policy it is to make a second payment where a hold cannot be raised."""
    environment = QUICK | {"COUNTERMAND_INCREMENT_UNAVAILABLE": "second_payment"}
    options = StackOptions(environment=environment)
    with started(tmp_path_factory.mktemp("second"), options) as stack, Shop(stack) as shop:
        yield shop


def buy(shop: Shop, **card: Any) -> Purchase:
    return shop.bought(shop.authorize(**SAVED | card))


def two(shop: Shop) -> Purchase:
    """An order of 54.50, of which 16.50 are held by a second payment."""
    purchase = buy(shop)
    answer = shop.set_quantity(purchase, 1, 3)
    assert answer.status_code == 200, answer.text
    assert answer.json()["payment_action"] == "second_payment"
    return purchase


def payments(shop: Shop, purchase: Purchase) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shop.view(purchase.order_id)["payments"]
    return found


def due(shop: Shop, purchase: Purchase) -> None:
    for (job_id,) in shop.sql(
        "UPDATE capture_jobs SET due_at = now() WHERE order_id = %s RETURNING id", purchase.order_id
    ):
        shop.remind(job_id)


def captured(shop: Shop, purchase: Purchase) -> dict[str, Any]:
    due(shop, purchase)
    return eventually(lambda: (order := shop.view(purchase.order_id))["status"] == "captured" and order)


def test_what_a_hold_cannot_be_raised_by_is_held_beside_it(shop):
    purchase = two(shop)
    order = shop.view(purchase.order_id)
    assert (order["total"], order["payment"]["authorized"], order["payment"]["status"]) == (5450, 5450, "authorized")
    first, second = payments(shop, purchase)
    assert (first["amount"], second["amount"]) == (3800, TEE)
    assert shop.ledger(second["reference"])[-1] == "payment_intent.authorized"


def test_both_are_captured_and_then_the_order_is(shop):
    purchase = two(shop)
    order = captured(shop, purchase)
    assert order["payment"] | {"status": "captured", "captured": 5450, "released": 0} == order["payment"]
    assert [payment["captured"] for payment in order["payments"]] == [3800, TEE]
    assert [entry["event"] for entry in order["timeline"]].count("order_captured") == 1
    assert order["timeline"][-1]["event"] == "order_captured"


def test_both_are_voided_by_a_cancel(shop):
    purchase = two(shop)
    answer = shop.cancel(purchase)
    assert answer.json() == {"order_id": purchase.order_id, "status": "canceled", "payment_action": "voided"}
    assert [payment["status"] for payment in payments(shop, purchase)] == ["voided", "voided"]


def test_a_cancel_of_which_one_void_fails_says_so(shop):
    purchase = two(shop)
    second = payments(shop, purchase)[1]["reference"]
    shop.fault("cancel", "error_500_before", reference=second, times=3)
    answer = shop.cancel(purchase)
    assert answer.json()["payment_action"] == "void_failed"
    eventually(lambda: [payment["status"] for payment in payments(shop, purchase)] == ["voided", "voided"])
    eventually(lambda: not any(alert["open"] for alert in shop.alerts(purchase.order_id)))


def test_both_are_refunded_by_one_request(shop):
    purchase = two(shop)
    captured(shop, purchase)
    answer = shop.refund(purchase.order_id, "all")
    assert answer.status_code == 200, answer.text
    refund = answer.json()["data"]["refund"]
    assert (refund["amount"], refund["status"]) == (54.50, "completed")
    order = shop.view(purchase.order_id)
    assert order["payment"] | {"status": "refunded", "refunded": 5450} == order["payment"]
    assert sorted(refund["amount"] for refund in order["refunds"]) == [TEE, 3800]


def test_a_part_that_one_payment_cannot_give_back_is_given_back_by_both(shop):
    purchase = two(shop)
    captured(shop, purchase)
    answer = shop.refund(purchase.order_id, "part", amount=20.00)
    assert answer.json()["data"]["refund"]["amount"] == 20.00
    order = shop.view(purchase.order_id)
    assert (order["payment"]["status"], order["payment"]["refunded"]) == ("partially_refunded", 2000)
    assert shop.refund(purchase.order_id, "rest", amount=40.00).status_code == 422


def test_an_operators_cancel_of_a_paid_order_refunds_both(shop):
    purchase = two(shop)
    captured(shop, purchase)
    answer = shop.cancel_by_operator(purchase.order_id, reason="sold out")
    assert answer.json()["data"]["refundDetails"]["amount"] == 54.50
    assert shop.view(purchase.order_id)["payment"]["refunded"] == 5450


def test_an_operators_cancel_of_a_held_order_voids_both(shop):
    purchase = two(shop)
    answer = shop.cancel_by_operator(purchase.order_id, reason="sold out")
    assert answer.json()["data"]["refundDetails"]["amount"] == 54.50
    assert [payment["status"] for payment in payments(shop, purchase)] == ["voided", "voided"]


def test_a_payment_that_is_not_needed_any_more_is_released(shop):
    purchase = two(shop)
    assert shop.set_quantity(purchase, 1, 2).json()["total"] == 3800
    eventually(lambda: payments(shop, purchase)[1]["status"] == "voided")
    order = captured(shop, purchase)
    assert (order["payment"]["captured"], order["payment"]["status"]) == (3800, "captured")


def test_a_second_payment_can_be_raised_itself(shop):
    purchase = two(shop)
    assert shop.set_quantity(purchase, 1, 4).json()["payment_action"] == "increment"
    assert [payment["amount"] for payment in payments(shop, purchase)] == [3800, 2 * TEE]


@pytest.mark.parametrize("fault", ["timeout_after", "drop_after", "error_500_before"])
def test_a_second_payment_is_made_once_when_its_answer_is_lost(shop, fault):
    purchase = buy(shop)
    shop.fault("create", fault)
    assert shop.set_quantity(purchase, 1, 3).status_code == 200
    assert len(payments(shop, purchase)) == 2
    holds = shop.provider.v1.payment_intents.list({"customer": "cus_saved", "limit": 100})
    edit_id = shop.sql("SELECT id FROM order_edits WHERE order_id = %s", purchase.order_id)[0][0]
    assert [hold.metadata.to_dict().get("countermand_edit") for hold in holds].count(edit_id) == 1


def test_a_second_payment_that_is_declined_leaves_the_order_as_it_was(shop):
    purchase = buy(shop)
    shop.fault("create", "decline")
    answer = shop.set_quantity(purchase, 1, 3)
    assert (answer.status_code, answer.json()["code"]) == (402, "authorization_declined")
    assert len(payments(shop, purchase)) == 1
    assert shop.view(purchase.order_id)["total"] == 3800


def test_a_card_that_nobody_saved_is_not_charged_again(shop):
    purchase = shop.buy()
    answer = shop.set_quantity(purchase, 1, 3)
    assert (answer.status_code, answer.json()["code"]) == (409, "increment_unavailable")


def test_a_hold_that_was_raised_as_often_as_it_may_be_gets_another_beside_it(shop):
    card = {"request_incremental_authorization": "if_available"}
    purchase = buy(shop, payment_method_options={"card": card})
    for units in range(3, 13):
        assert shop.set_quantity(purchase, 1, units).json()["payment_action"] == "increment"
    answer = shop.set_quantity(purchase, 1, 13)
    assert (answer.status_code, answer.json()["payment_action"]) == (200, "second_payment")
    assert captured(shop, purchase)["payment"]["captured"] == 500 + 13 * TEE


def test_what_was_held_by_a_request_that_arrived_late_is_released(shop):
    purchase = buy(shop)
    shop.fault("create", "error_500_before", times=-1)
    assert shop.set_quantity(purchase, 1, 3, Prefer="wait=40").status_code == 502
    shop.behave()
    ((edit_id,),) = shop.sql(
        "UPDATE order_edits SET settled_at = settled_at - interval '1 minute' WHERE order_id = %s RETURNING id",
        purchase.order_id,
    )
    late = shop.authorize(TEE, **SAVED, metadata={"countermand_edit": edit_id})
    shop.sql("UPDATE outbox SET due_at = now() WHERE subject = %s RETURNING 1", edit_id)
    eventually(lambda: shop.ledger(late)[-1] == "payment_intent.canceled")
    eventually(lambda: [payment["status"] for payment in payments(shop, purchase)] == ["authorized", "voided"])


def cancel_answers(shop: Shop, purchase: Purchase) -> list[tuple[Any, ...]]:
    """How the intents of an order have fared."""
    return shop.sql(
        "SELECT operation, state, answer_status FROM intents WHERE subject = %s ORDER BY id", purchase.order_id
    )


class TestWhileThePaymentThatIsNotNeededIsReleased:
    """The second payment's void gets no answer; the order stands on the first one."""

    @pytest.fixture
    def purchase(self, shop: Shop) -> Purchase:
        purchase = two(shop)
        shop.fault("cancel", "error_500_before", reference=payments(shop, purchase)[1]["reference"], times=-1)
        assert shop.set_quantity(purchase, 1, 2).status_code == 200
        assert [payment["status"] for payment in payments(shop, purchase)] == ["authorized", "voiding"]
        return purchase

    def test_a_cancel_releases_the_first(self, shop, purchase):
        answer = shop.cancel(purchase)
        assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
        assert payments(shop, purchase)[0]["status"] == "voided"

    def test_the_order_can_be_edited(self, shop, purchase):
        assert shop.set_quantity(purchase, 1, 1).json()["total"] == 3800 - TEE

    def test_an_operator_cancels_what_is_held(self, shop, purchase):
        assert shop.cancel_by_operator(purchase.order_id, reason="sold out").status_code == 200
        assert payments(shop, purchase)[0]["status"] == "voided"

    def test_the_order_is_captured(self, shop, purchase):
        assert captured(shop, purchase)["payment"]["captured"] == 3800


def test_an_order_whose_second_payment_was_canceled_at_the_provider_can_be_edited(shop):
    purchase = two(shop)
    second = payments(shop, purchase)[1]["reference"]
    shop.provider.v1.payment_intents.cancel(second)
    shop.compare(second)
    eventually(lambda: payments(shop, purchase)[1]["status"] == "voided")
    answer = shop.set_quantity(purchase, 1, 4)
    assert (answer.status_code, answer.json()["total"]) == (200, 3800 + 2 * TEE)
    assert [payment["amount"] for payment in payments(shop, purchase)] == [3800, 0, 2 * TEE]
    assert captured(shop, purchase)["payment"]["captured"] == 3800 + 2 * TEE


def test_a_second_payment_that_is_known_only_when_its_hour_is_over_is_captured_too(shop):
    purchase = buy(shop)
    shop.fault("create", "timeout_after")
    shop.set_quantity(purchase, 1, 3, Prefer="respond-async")
    eventually(lambda: shop.view(purchase.order_id)["edit_status"] == "editing")
    due(shop, purchase)
    order = eventually(lambda: (order := shop.view(purchase.order_id))["status"] == "captured" and order)
    assert order["payment"]["captured"] == order["total"]
    assert order["edit_status"] == "open"


def test_an_operator_waits_for_the_void_that_is_under_way(shop):
    purchase = two(shop)
    shop.fault("cancel", "timeout_before", reference=purchase.reference)
    shop.cancel(purchase, Prefer="respond-async")
    eventually(lambda: payments(shop, purchase)[1]["status"] == "voided")
    answer = shop.cancel_by_operator(purchase.order_id, reason="sold out")
    assert answer.status_code == 200
    eventually(lambda: payments(shop, purchase)[0]["status"] == "voided")
    assert all(status == 200 or status == 201 for _, _, status in cancel_answers(shop, purchase))


def test_an_operator_is_not_told_that_all_is_back_while_one_void_is_not_known(shop):
    purchase = two(shop)
    shop.fault("cancel", "error_500_before", reference=payments(shop, purchase)[1]["reference"], times=-1)
    shop.slow_down("cancel", 300)
    given = shop.refund(purchase.order_id, "all").json()["data"]["refund"]
    assert (given["amount"], given["status"]) == (54.50, "processing")


def test_a_hold_whose_capture_failed_is_released_when_an_operator_cancels(shop):
    purchase = two(shop)
    second = payments(shop, purchase)[1]["reference"]
    shop.fault("capture", "decline", reference=second)
    due(shop, purchase)
    eventually(lambda: [payment["status"] for payment in payments(shop, purchase)] == ["captured", "authorized"])
    eventually(lambda: shop.view(purchase.order_id)["payment"]["status"] == "partially_captured")
    assert shop.cancel_by_operator(purchase.order_id, reason="sold out").status_code == 200
    eventually(lambda: [payment["status"] for payment in payments(shop, purchase)] == ["refunded", "voided"])


def test_a_doubled_message_does_not_keep_a_late_request_from_being_found(shop):
    purchase = buy(shop)
    shop.fault("create", "error_500_before", times=-1)
    assert shop.set_quantity(purchase, 1, 3, Prefer="wait=40").status_code == 502
    ((edit_id,),) = shop.sql("SELECT id FROM order_edits WHERE order_id = %s", purchase.order_id)
    shop.sql("UPDATE outbox SET due_at = now() WHERE subject = %s RETURNING 1", edit_id)
    # Published twice, it is still there after the first.
    eventually(lambda: shop.sql("SELECT 1 FROM outbox WHERE subject = %s AND sweeps > 1", edit_id))


def test_what_a_free_order_cannot_pay_is_not_added(shop):
    body = shop.order(None, lines=[{"sku": "TEE", "quantity": 1, "unit_price": 0}], shipping=0)
    answer = shop.register(body).json()
    purchase = Purchase(answer["order_id"], answer["modification_token"], "", 0)
    shop.http.put(
        "/stock/PRICED",
        json={"quantity": 9, "price": {"amount": 100, "currency": "USD"}},
        headers=shop.bearer("service"),
    )
    assert shop.add(purchase, "PRICED", 1).json()["code"] == "increment_unavailable"
