"""The zombie: an order that is canceled while its void fails.  It stays canceled, and its money is freed in the end."""

import subprocess
import sys
import uuid
from pathlib import Path

import httpx
import pytest

from tests.shop import Purchase, Shop, eventually

#: Faults before the void takes effect, and faults that hide that it did.
BEFORE = ("drop_before", "timeout_before", "error_500_before", "html_502", "rate_limit")
AFTER = ("drop_after", "timeout_after", "error_500_after")
FOR_EVER = -1


def title(purchase: Purchase) -> str:
    return f"Order {purchase.order_id} Canceled but Payment Void Failed. Manual Void Required."


def assert_failed(purchase: Purchase, answer: httpx.Response) -> None:
    """The shopper is told that the order is canceled, with a warning that its money is not free yet."""
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body.pop("warning")
    assert body == {"order_id": purchase.order_id, "status": "canceled", "payment_action": "void_failed"}


def voided(purchase: Purchase) -> dict[str, str]:
    return {"order_id": purchase.order_id, "status": "canceled", "payment_action": "voided"}


def voids(shop: Shop, purchase: Purchase) -> list[dict]:
    """The requests to void it that reached the provider."""
    return [r for r in shop.requests_to_provider(purchase.reference) if r["operation"] == "cancel"]


def assert_alarmed_once(shop: Shop, purchase: Purchase, is_open: bool) -> None:
    assert shop.alerts(purchase.order_id) == [{"title": title(purchase), "severity": "critical", "open": is_open}]
    (line,) = eventually(lambda: shop.logged("worker", alert=title(purchase)))
    assert line["level"] == "critical"
    critical = [log for log in shop.logged("worker", level="critical") if purchase.order_id in str(log)]
    assert critical == [line]


def cut_off(shop: Shop, purchase: Purchase, fault: str) -> None:
    """Let the void of an order fail like this, and go on failing until the provider behaves again."""
    if fault in AFTER:  # the effect takes place, once; from then on nobody can find out
        shop.fault("cancel", fault, reference=purchase.reference)
        shop.fault("cancel", "drop_before", reference=purchase.reference, times=FOR_EVER)
        shop.fault("retrieve", "drop_before", reference=purchase.reference, times=FOR_EVER)
    else:
        shop.fault("cancel", fault, reference=purchase.reference, times=FOR_EVER)


@pytest.mark.parametrize("fault", BEFORE + AFTER)
def test_an_order_stays_canceled_while_its_void_fails_and_is_voided_once_when_the_provider_is_back(shop, fault):
    sku = f"SKU-{uuid.uuid4().hex}"
    shop.put_stock(sku, 10)
    purchase = shop.buy(lines=[{"sku": sku, "quantity": 2, "unit_price": 1500, "tax_rate": "0.10"}])
    cut_off(shop, purchase, fault)

    answer = shop.cancel(purchase)
    assert_failed(purchase, answer)
    view = shop.view(purchase.order_id)
    assert (view["status"], view["payment"]["status"]) == ("canceled", "voiding")
    assert shop.stock(sku) == 10
    assert_alarmed_once(shop, purchase, is_open=True)
    attempts = len(shop.requests_to_provider(purchase.reference))
    eventually(lambda: len(shop.requests_to_provider(purchase.reference)) > attempts)  # it keeps trying
    assert_alarmed_once(shop, purchase, is_open=True)
    assert shop.cancel(purchase).content == answer.content

    shop.behave()
    view = eventually(lambda: (seen := shop.view(purchase.order_id))["payment"]["status"] == "voided" and seen)
    assert (view["status"], view["payment"]["captured"], view["payment"]["released"]) == ("canceled", 0, 3800)
    assert shop.ledger(purchase.reference).count("payment_intent.canceled") == 1
    ((void_id,),) = shop.sql("SELECT id FROM voids WHERE order_id = %s", purchase.order_id)
    assert {attempt["idempotency_key"] for attempt in voids(shop, purchase)} == {f"void:{void_id}"}
    assert_alarmed_once(shop, purchase, is_open=False)
    assert [entry["event"] for entry in view["timeline"]] == [
        "order_registered",
        "order_canceled",
        "void_started",
        "void_unanswered",
        "payment_voided",
    ]
    assert shop.cancel(purchase).json() == voided(purchase)
    assert shop.stock(sku) == 10
    assert len(eventually(lambda: shop.mails(purchase.order_id))) == 1


def test_a_twin_that_is_already_calling_the_provider_is_no_failure(shop):
    purchase = shop.buy()
    shop.fault("cancel", "conflict", reference=purchase.reference)  # a request under this key is in progress
    assert shop.cancel(purchase).json() == voided(purchase)
    assert shop.ledger(purchase.reference).count("payment_intent.canceled") == 1
    assert shop.alerts(purchase.order_id) == []


def test_the_first_answer_is_kept_under_its_key_though_the_void_succeeds_later(shop):
    purchase = shop.buy()
    cut_off(shop, purchase, "drop_before")
    key = {"Idempotency-Key": uuid.uuid4().hex}
    first = shop.cancel(purchase, **key)
    assert_failed(purchase, first)
    shop.behave()
    eventually(lambda: shop.view(purchase.order_id)["payment"]["status"] == "voided")
    again = shop.cancel(purchase, **key)
    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    assert shop.cancel(purchase).json() == voided(purchase)


def test_money_that_was_captured_behind_our_back_is_not_called_free_and_goes_back_as_a_refund(shop):
    purchase = shop.buy()
    shop.unheard(purchase.reference)
    shop.provider.v1.payment_intents.capture(purchase.reference)
    answer = shop.cancel(purchase)
    assert_failed(purchase, answer)
    assert_refunded_instead(shop, purchase)
    assert shop.sql("SELECT state FROM voids WHERE order_id = %s", purchase.order_id) == [("overtaken",)]
    (alert,) = shop.alerts(purchase.order_id)
    assert (alert["severity"], alert["open"]) == ("warning", False)
    assert shop.cancel(purchase).content == answer.content


def test_more_money_than_was_held_when_the_order_came_goes_back_as_well(shop):
    incremental = {"payment_method_options": {"card": {"request_incremental_authorization": "if_available"}}}
    reference = shop.authorize(**incremental)
    body = shop.register(shop.order(reference)).json()
    purchase = Purchase(body["order_id"], body["modification_token"], reference, body["total"])
    shop.unheard(reference)
    shop.provider.v1.payment_intents.increment_authorization(reference, {"amount": 5000})
    shop.provider.v1.payment_intents.capture(reference)
    shop.cancel(purchase)
    seen = eventually(lambda: (view := shop.view(purchase.order_id)["payment"])["status"] == "refunded" and view)
    assert seen | {"authorized": 5000, "captured": 5000, "released": 0, "refunded": 5000} == seen


def test_money_that_was_captured_while_the_void_failed_is_found_out_and_refunded(shop):
    purchase = shop.buy()
    shop.unheard(purchase.reference)
    cut_off(shop, purchase, "drop_before")
    assert_failed(purchase, shop.cancel(purchase))
    shop.provider.v1.payment_intents.capture(purchase.reference)
    shop.behave()
    assert_refunded_instead(shop, purchase)
    assert [(alert["severity"], alert["open"]) for alert in shop.alerts(purchase.order_id)] == [
        ("critical", False),
        ("warning", False),
    ]


#: Voids a payment in a process whose policy is another one.
BY_ANOTHER_POLICY = """
import sys
from shared.domain.orders import OrderKind
from shared.domain.refunds import VOID_OF_CAPTURED, Overtaken
from workers.void import void_payment
VOID_OF_CAPTURED[OrderKind.RETAIL] = Overtaken.PERSON
void_payment(sys.argv[1])
"""


def test_by_policy_a_person_decides_over_money_that_was_captured_behind_our_back(shop):
    purchase = shop.buy()
    cut_off(shop, purchase, "drop_before")
    assert_failed(purchase, shop.cancel(purchase))
    postponed = "UPDATE outbox SET due_at = now() + interval '1 hour' WHERE subject = %s RETURNING subject"
    ((void_id,),) = shop.sql("SELECT id FROM voids WHERE order_id = %s", purchase.order_id)
    assert shop.sql(postponed, void_id) == [(void_id,)]
    shop.behave()
    shop.unheard(purchase.reference)
    shop.provider.v1.payment_intents.capture(purchase.reference)
    program = [sys.executable, "-c", BY_ANOTHER_POLICY, void_id]
    subprocess.run(program, env=shop.stack.environment(), check=True, timeout=60, cwd=Path(__file__).parents[2])
    view = shop.view(purchase.order_id)
    assert (view["status"], view["payment"]["status"], view["refunds"]) == ("canceled", "captured", [])
    assert_alarmed_once(shop, purchase, is_open=True)
    assert shop.refund(purchase.order_id).json()["data"]["refund"]["status"] == "completed"


def assert_refunded_instead(shop: Shop, purchase: Purchase) -> None:
    """The order stays canceled, and what was captured of it is back."""
    view = eventually(lambda: (seen := shop.view(purchase.order_id))["payment"]["status"] == "refunded" and seen)
    assert (view["status"], view["cancellation_refund"]) == ("canceled", "full")
    assert view["payment"] | {"captured": 3800, "released": 0, "refunded": 3800} == view["payment"]
    assert shop.ledger(purchase.reference)[-2:] == ["payment_intent.captured", "refund.created"]
    assert [entry["event"] for entry in view["timeline"]][-5:] == [
        "void_overtaken_by_capture",
        "refund_initiated",
        "refund_started",
        "refund_completed",
        "payment_refunded",
    ]


def test_a_hold_that_was_released_behind_our_back_is_voided_without_an_alert(shop):
    purchase = shop.buy()
    shop.unheard(purchase.reference)
    shop.provider.v1.payment_intents.cancel(purchase.reference)
    assert shop.cancel(purchase).json() == voided(purchase)
    view = shop.view(purchase.order_id)
    assert view["payment"] | {"status": "voided", "captured": 0, "released": 3800} == view["payment"]
    assert shop.ledger(purchase.reference).count("payment_intent.canceled") == 1
    assert shop.alerts(purchase.order_id) == []


def test_a_void_that_the_provider_refuses_leaves_the_order_canceled_and_a_person_alarmed(shop):
    purchase = shop.buy()
    shop.fault("cancel", "decline", reference=purchase.reference)
    answer = shop.cancel(purchase)
    assert_failed(purchase, answer)
    view = shop.view(purchase.order_id)
    assert (view["status"], view["payment"]["status"]) == ("canceled", "authorized")
    assert [entry["event"] for entry in view["timeline"]][-1] == "void_refused"
    assert_alarmed_once(shop, purchase, is_open=True)
    assert "payment_intent.canceled" not in shop.ledger(purchase.reference)
    assert shop.cancel(purchase).content == answer.content


def test_a_hold_that_was_captured_in_part_behind_our_back_leaves_rows_that_agree_or_an_open_alert(shop):
    reference = shop.authorize(payment_method_options={"card": {"request_multicapture": "if_available"}})
    registered = shop.register(shop.order(reference)).json()
    purchase = Purchase(registered["order_id"], registered["modification_token"], reference, registered["total"])
    shop.unheard(reference)
    shop.provider.v1.payment_intents.capture(reference, {"amount_to_capture": 1000, "final_capture": False})
    answer = shop.cancel(purchase)
    assert_failed(purchase, answer)
    assert shop.view(purchase.order_id)["status"] == "canceled"
    assert shop.ledger(reference)[-1] == "payment_intent.captured"
    assert_alarmed_once(shop, purchase, is_open=True)
