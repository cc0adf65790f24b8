"""Seed 0: the acceptance criteria of the cancel in the grace period, spoken over HTTP to real processes."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from tests.problems import assert_problem, assert_untouched
from tests.shop import Purchase, Shop, eventually

LATE = {"code": "late_cancel", "message": "Order already processed"}
PARTIAL = {"code": "partial_capture", "message": "Cannot cancel partially captured order"}


def new_sku(shop: Shop, quantity: int) -> str:
    sku = f"SKU-{uuid.uuid4().hex}"
    shop.put_stock(sku, quantity)
    return sku


def line(sku: str, quantity: int = 2) -> dict:
    return {"sku": sku, "quantity": quantity, "unit_price": 1500, "tax_rate": "0.10"}


class TestAnOrderThatIsCanceledInTime:
    def test_is_answered_to_the_letter_of_the_contract(self, shop):
        purchase = shop.buy()
        answer = shop.cancel(purchase)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        assert answer.json() == {"order_id": purchase.order_id, "status": "canceled", "payment_action": "voided"}

    def test_holds_no_money_any_more_at_the_provider(self, shop):
        purchase = shop.buy()
        shop.cancel(purchase)
        effect = shop.effects(purchase.reference)[-1]
        assert (effect["operation"], effect["amount"]) == ("payment_intent.canceled", 3800)
        intent = shop.provider.v1.payment_intents.retrieve(purchase.reference)
        assert (intent.status, intent.amount_capturable, intent.amount_received) == ("canceled", 0, 0)
        assert intent.cancellation_reason == "requested_by_customer"

    def test_is_voided_with_one_request_under_a_key_of_ours(self, shop):
        purchase = shop.buy()
        shop.cancel(purchase)
        (request,) = [r for r in shop.requests_to_provider(purchase.reference) if r["operation"] == "cancel"]
        (void_id,) = shop.sql("SELECT id FROM voids WHERE order_id = %s", purchase.order_id)[0]
        assert request["idempotency_key"] == f"void:{void_id}"

    def test_returns_its_units_to_the_stock(self, shop):
        tee, cap = new_sku(shop, 10), new_sku(shop, 5)
        purchase = shop.buy(amount=8600, lines=[line(tee, 2), line(cap, 1), line(tee, 1)])
        assert (shop.stock(tee), shop.stock(cap)) == (7, 4)
        shop.cancel(purchase)
        assert (shop.stock(tee), shop.stock(cap)) == (10, 5)

    def test_is_told_to_its_shopper_once_as_text_and_as_html(self, shop):
        address = f"{uuid.uuid4().hex}@example.com"
        purchase = shop.buy(email=address)
        shop.cancel(purchase)
        (mail,) = eventually(lambda: shop.mails_to(address))
        assert mail["message_id"] == f"<{purchase.order_id}.order_canceled.v1@countermand.example>"
        assert mail["to"] == [address]
        assert mail["subject"] == f"Your order {purchase.order_id} is canceled"
        for body in (mail["text"], mail["html"]):
            assert purchase.order_id in body
            assert "38.00 USD" in body
        assert "<h1" in mail["html"]
        assert "<" not in mail["text"]

    def test_is_explained_by_its_timeline(self, shop):
        sku = new_sku(shop, 10)
        purchase = shop.buy(lines=[line(sku)])
        shop.cancel(purchase)
        timeline = shop.view(purchase.order_id)["timeline"]
        assert all(entry.keys() == {"at", "event", "source", "actor", "data"} for entry in timeline)
        assert [entry["at"] for entry in timeline] == sorted(entry["at"] for entry in timeline)
        told = {entry["event"]: entry for entry in timeline}
        assert list(told) == ["order_registered", "order_canceled", "void_started", "payment_voided"]
        assert told["order_registered"]["actor"] == "service:shop"
        canceled = told["order_canceled"]
        assert (canceled["source"], canceled["actor"]) == ("cancel", f"modification:{purchase.order_id}")
        assert canceled["data"] == {"from": "pending", "to": "canceled", "restocked": {sku: 2}}
        (void_id,) = shop.sql("SELECT id FROM voids WHERE order_id = %s", purchase.order_id)[0]
        assert told["payment_voided"]["data"] == {"void_id": void_id, "reference": purchase.reference}

    def test_shows_what_became_of_it(self, shop):
        sku = new_sku(shop, 10)
        shipment = {"courier": "delhivery", "awb": "1234567890123"}
        purchase = shop.buy(lines=[line(sku)], shipment=shipment, customer_id="cus_1")
        shop.cancel(purchase)
        view = shop.view(purchase.order_id)
        assert {name: view[name] for name in ("order_id", "kind", "status", "currency", "total", "refunds")} == {
            "order_id": purchase.order_id,
            "kind": "retail",
            "status": "canceled",
            "currency": "USD",
            "total": 3800,
            "refunds": [],
        }
        assert view["payment"] == {
            "provider": "stripe",
            "reference": purchase.reference,
            "status": "voided",
            "authorized": 3800,
            "captured": 0,
            "released": 3800,
            "refunded": 0,
        }
        assert view["shipment"] | shipment == view["shipment"]
        assert view["cancellation_source"] == "customer"
        (shown,) = view["lines"]
        assert (shown["sku"], shown["quantity"], shown["unit_price"]) == (sku, 2, 1500)

    def test_is_never_captured_afterwards(self, shop):
        """The capture's message comes all the same, and its job finds the order canceled and aborts."""
        purchase = shop.buy()
        shop.cancel(purchase)
        job_id = shop.hurry(purchase)
        shop.remind(job_id)
        eventually(lambda: not shop.reminders(job_id))  # the job has acted upon its message
        assert shop.sql("SELECT state FROM capture_jobs WHERE id = %s", job_id) == [("removed",)]
        assert [r["operation"] for r in shop.requests_to_provider(purchase.reference)].count("capture") == 0
        assert shop.view(purchase.order_id)["status"] == "canceled"
        assert "capture_started" not in shop.events(purchase.order_id)

    def test_is_answered_the_same_when_it_is_canceled_again(self, shop):
        sku = new_sku(shop, 10)
        purchase = shop.buy(lines=[line(sku)], customer_id="cus_again")
        first = shop.cancel(purchase)
        again = [
            shop.cancel(purchase),
            shop.cancel(purchase, **{"Idempotency-Key": uuid.uuid4().hex}),
            shop.http.post(
                f"/store/orders/{purchase.order_id}/cancel", headers=shop.bearer("customer", "cus_again"), json={}
            ),
        ]
        assert [(answer.status_code, answer.content) for answer in again] == [(200, first.content)] * 3
        assert shop.ledger(purchase.reference).count("payment_intent.canceled") == 1
        assert shop.stock(sku) == 10
        assert len(eventually(lambda: shop.mails(purchase.order_id))) == 1
        assert shop.events(purchase.order_id).count("order_canceled") == 1


class TestAnOrderForWhichNobodyHoldsMoney:
    @pytest.mark.parametrize("provider", ["none", "cod"])
    def test_is_canceled_with_payment_action_none(self, shop, provider):
        sku = new_sku(shop, 10)
        body = shop.order(None, payment={"provider": provider}, lines=[line(sku)])
        registered = shop.register(body).json()
        purchase = Purchase(registered["order_id"], registered["modification_token"], "", registered["total"])
        for _ in range(2):
            answer = shop.cancel(purchase)
            assert answer.status_code == 200
            assert answer.json() == {"order_id": purchase.order_id, "status": "canceled", "payment_action": "none"}
        assert shop.stock(sku) == 10
        assert len(eventually(lambda: shop.mails(purchase.order_id))) == 1
        assert shop.view(purchase.order_id)["payment"]["status"] == "unpaid"
        assert shop.events(purchase.order_id) == ["order_registered", "order_canceled"]


class TestAnOrderThatIsTooLateToCancel:
    @pytest.mark.parametrize("provider", ["none", "cod"])
    def test_is_refused_when_its_grace_period_is_over(self, shop, provider):
        """No money is held and no capture runs: the hour alone decides."""
        sku = new_sku(shop, 10)
        placed_at = datetime.now(UTC) - timedelta(seconds=shop.settings.grace_period)
        body = shop.order(None, payment={"provider": provider}, placed_at=placed_at.isoformat(), lines=[line(sku)])
        registered = shop.register(body).json()
        answer = shop.cancel(Purchase(registered["order_id"], registered["modification_token"], "", 0))
        assert_problem(answer, 409, **LATE)
        assert shop.view(registered["order_id"])["status"] == "pending"
        assert shop.stock(sku) == 8

    def test_is_refused_when_its_grace_period_is_over_though_its_capture_job_still_waits(self, shop):
        purchase = shop.buy()
        shop.sql(
            "UPDATE orders SET grace_until = now() - interval '1 second' WHERE id = %s RETURNING id", purchase.order_id
        )
        assert_problem(shop.cancel(purchase), 409, **LATE)
        assert_untouched(shop, purchase)
        assert shop.sql("SELECT state FROM capture_jobs WHERE order_id = %s", purchase.order_id) == [("waiting",)]

    @pytest.mark.parametrize("fault", ["timeout_before", "timeout_after"])
    def test_is_refused_while_its_capture_job_is_active_even_within_the_hour(self, shop, fault):
        sku = new_sku(shop, 10)
        purchase = shop.buy(lines=[line(sku)])
        shop.fault("capture", fault, reference=purchase.reference)
        shop.remind(shop.hurry(purchase))
        eventually(lambda: [r for r in shop.requests_to_provider(purchase.reference) if r["fault"] == fault])
        assert_problem(shop.cancel(purchase), 409, **LATE)
        eventually(lambda: shop.view(purchase.order_id)["status"] == "captured")
        assert_problem(shop.cancel(purchase), 409, **LATE)
        assert shop.ledger(purchase.reference).count("payment_intent.captured") == 1
        assert "payment_intent.canceled" not in shop.ledger(purchase.reference)
        assert shop.stock(sku) == 8
        assert shop.mails(purchase.order_id) == []

    def test_is_refused_when_its_capture_job_is_done_even_within_the_hour(self, shop):
        purchase = shop.buy()
        shop.remind(shop.hurry(purchase))
        eventually(lambda: shop.view(purchase.order_id)["status"] == "captured")
        assert shop.sql("SELECT state FROM capture_jobs WHERE order_id = %s", purchase.order_id) == [("done",)]
        assert_problem(shop.cancel(purchase), 409, **LATE)
        assert shop.ledger(purchase.reference)[-1] == "payment_intent.captured"
        assert shop.mails(purchase.order_id) == []

    def test_is_refused_when_it_was_captured_at_the_provider_before_it_was_registered(self, shop):
        reference = shop.authorize()
        shop.provider.v1.payment_intents.capture(reference)
        registered = shop.register(shop.order(reference)).json()
        assert shop.view(registered["order_id"])["status"] == "captured"
        purchase = Purchase(registered["order_id"], registered["modification_token"], reference, 3800)
        assert_problem(shop.cancel(purchase), 409, **LATE)
        assert shop.ledger(reference)[-1] == "payment_intent.captured"

    def test_is_refused_a_second_time_in_the_same_words(self, shop):
        purchase = shop.buy_overdue()
        first = shop.cancel(purchase)
        assert_problem(first, 409, **LATE)
        assert shop.cancel(purchase).content == first.content

    def test_is_refused_to_its_signed_in_customer_too(self, shop):
        purchase = shop.buy_overdue(customer_id="cus_late")
        answer = shop.http.post(
            f"/store/orders/{purchase.order_id}/cancel", headers=shop.bearer("customer", "cus_late")
        )
        assert_problem(answer, 409, **LATE)


class TestAPartiallyCapturedOrder:
    @pytest.mark.parametrize("final", [False, True])
    def test_cannot_be_canceled(self, shop, final):
        reference = shop.authorize(payment_method_options={"card": {"request_multicapture": "if_available"}})
        shop.provider.v1.payment_intents.capture(reference, {"amount_to_capture": 1000, "final_capture": final})
        sku = new_sku(shop, 10)
        registered = shop.register(shop.order(reference, lines=[line(sku)])).json()
        purchase = Purchase(registered["order_id"], registered["modification_token"], reference, 3800)
        view = shop.view(purchase.order_id)
        assert (view["payment"]["status"], view["payment"]["captured"]) == ("partially_captured", 1000)
        for _ in range(2):
            assert_problem(shop.cancel(purchase), 422, **PARTIAL)
        assert shop.view(purchase.order_id)["status"] == "pending"
        assert shop.ledger(reference)[-1] == "payment_intent.captured"
        assert shop.stock(sku) == 8


class TestAnOrderThatNobodyCancels:
    def test_is_captured_for_its_total_when_its_hour_is_over_and_what_is_left_is_released(self, shop):
        sku = new_sku(shop, 10)
        placed_at = datetime.now(UTC) - timedelta(seconds=shop.settings.grace_period - 3)
        purchase = shop.buy(amount=5000, placed_at=placed_at.isoformat(), lines=[line(sku)])
        assert purchase.total == 3800
        view = eventually(lambda: (v := shop.view(purchase.order_id))["status"] == "captured" and v)
        assert view["payment"] | {"captured": 3800, "released": 1200, "status": "captured"} == view["payment"]
        effect = shop.effects(purchase.reference)[-1]
        assert (effect["operation"], effect["amount"]) == ("payment_intent.captured", 3800)
        intent = shop.provider.v1.payment_intents.retrieve(purchase.reference)
        assert (intent.status, intent.amount_received, intent.amount_capturable) == ("succeeded", 3800, 0)
        assert [entry["event"] for entry in view["timeline"]] == [
            "order_registered",
            "capture_started",
            "payment_captured",
            "order_captured",
        ]
        started = datetime.fromisoformat(view["timeline"][1]["at"])
        assert started >= placed_at + timedelta(seconds=shop.settings.grace_period)
        assert shop.stock(sku) == 8
        assert shop.mails(purchase.order_id) == []

    def test_is_not_captured_before_its_hour_is_over_however_often_its_message_comes(self, shop):
        purchase = shop.buy()
        (job_id,) = shop.sql("SELECT id FROM capture_jobs WHERE order_id = %s", purchase.order_id)[0]
        for _ in range(3):
            shop.remind(job_id)
            # The sweep puts the message off by at least a patience whenever it has published it.
            eventually(lambda: shop.sql("SELECT 1 FROM outbox WHERE subject = %s AND due_at > now()", job_id))
        other = shop.buy()
        shop.remind(shop.hurry(other))
        eventually(lambda: shop.view(other.order_id)["status"] == "captured")
        assert_untouched(shop, purchase)
        assert shop.cancel(purchase).json()["payment_action"] == "voided"

    @pytest.mark.parametrize("fault", ["timeout_before", "timeout_after", "drop_before", "drop_after"])
    def test_is_captured_with_one_effect_though_the_provider_left_us_without_an_answer(self, shop, fault):
        purchase = shop.buy()
        shop.fault("capture", fault, reference=purchase.reference)
        shop.remind(shop.hurry(purchase))
        view = eventually(lambda: (v := shop.view(purchase.order_id))["status"] == "captured" and v)
        assert view["payment"]["captured"] == 3800
        assert shop.ledger(purchase.reference).count("payment_intent.captured") == 1
        requests = shop.requests_to_provider(purchase.reference)
        captures = [request for request in requests if request["operation"] == "capture"]
        assert captures[0]["fault"] == fault
        assert len({request["idempotency_key"] for request in captures}) == 1
        assert requests[-1]["seq"] > captures[0]["seq"], "what became of it was asked for"
        assert not [alert for alert in shop.alerts(purchase.order_id) if alert["open"]]
