"""Registering: what the shop is told, and which orders and payments are taken."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.acceptance.keys import key
from tests.problems import assert_problem, nothing_recorded
from tests.shop import Shop, at_once


class TestRegistering:
    def test_answers_what_the_shop_must_know(self, shop):
        placed_at = datetime.now(UTC).replace(microsecond=0)
        body = shop.order(shop.authorize(), placed_at=placed_at.isoformat())
        answer = shop.register(body)
        assert answer.status_code == 201
        registered = answer.json()
        assert registered.keys() == {"order_id", "status", "total", "currency", "grace_until", "modification_token"}
        assert (registered["order_id"], registered["status"]) == (body["order_id"], "pending")
        assert (registered["total"], registered["currency"]) == (3800, "USD")
        grace_until = datetime.fromisoformat(registered["grace_until"])
        assert grace_until == placed_at + timedelta(seconds=shop.settings.grace_period)

    def test_schedules_the_capture_for_the_end_of_the_grace_period(self, shop):
        purchase = shop.buy()
        ((due_at, grace_until, state),) = shop.sql(
            "SELECT j.due_at, o.grace_until, j.state FROM capture_jobs j JOIN orders o ON o.id = j.order_id"
            " WHERE o.id = %s",
            purchase.order_id,
        )
        assert (due_at, state) == (grace_until, "waiting")

    def test_gives_an_order_without_an_id_one_of_ours(self, shop):
        body = shop.order(shop.authorize())
        del body["order_id"]
        registered = shop.register(body).json()
        assert registered["order_id"].startswith("ord_")
        assert shop.view(registered["order_id"])["total"] == 3800

    def test_again_is_answered_200_with_the_same(self, shop):
        sku = f"SKU-{uuid.uuid4().hex}"
        shop.put_stock(sku, 10)
        lines = [{"sku": sku, "quantity": 2, "unit_price": 1500, "tax_rate": "0.10"}]
        body = shop.order(shop.authorize(), lines=lines)
        first, again = shop.register(body), shop.register(body)
        assert (first.status_code, again.status_code) == (201, 200)
        assert again.content == first.content
        assert shop.stock(sku) == 8
        assert shop.events(body["order_id"]) == ["order_registered"]

    def test_fifty_times_at_once_makes_one_order(self, shop):
        sku = f"SKU-{uuid.uuid4().hex}"
        shop.put_stock(sku, 10)
        lines = [{"sku": sku, "quantity": 2, "unit_price": 1500, "tax_rate": "0.10"}]
        body = shop.order(shop.authorize(), lines=lines)
        keys = [key() if number % 2 else {} for number in range(50)]
        answers = at_once(50, lambda number: shop.register(body, **keys[number]))
        assert {answer.status_code for answer in answers} <= {200, 201}, [answer.text for answer in answers]
        assert len({answer.content for answer in answers}) == 1
        assert shop.stock(sku) == 8
        assert shop.events(body["order_id"]) == ["order_registered"]

    def test_another_order_under_the_same_id_is_a_conflict(self, shop):
        body = shop.order(shop.authorize())
        shop.register(body)
        for other in (body | {"shipping": 400}, shop.order(shop.authorize()) | {"order_id": body["order_id"]}):
            assert_problem(shop.register(other), 409, code="order_conflict")
        assert shop.view(body["order_id"])["total"] == 3800

    def test_another_order_with_the_same_payment_is_a_conflict(self, shop):
        sku = f"SKU-{uuid.uuid4().hex}"
        shop.put_stock(sku, 10)
        purchase = shop.buy()
        lines = [{"sku": sku, "quantity": 2, "unit_price": 1500, "tax_rate": "0.10"}]
        other = shop.order(purchase.reference, lines=lines)
        assert_problem(shop.register(other), 409, code="payment_conflict")
        assert_problem(shop.http.get(f"/orders/{other['order_id']}", headers=shop.bearer("admin")), 404)
        assert shop.stock(sku) == 10

    def test_many_orders_with_one_payment_at_once_gives_it_to_one_of_them(self, shop):
        reference = shop.authorize()
        answers = at_once(10, lambda _: shop.register(shop.order(reference)))
        assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9
        assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"payment_conflict"}

    def test_outlives_a_provider_that_does_not_answer_at_first(self, shop):
        reference = shop.authorize()
        shop.fault("retrieve", "drop_before", reference=reference)
        answer = shop.register(shop.order(reference))
        assert answer.status_code == 201, answer.text

    @pytest.mark.parametrize(
        "payment",
        ["unknown", "not confirmed", "declined", "canceled", "expired", "in another currency", "too little"],
    )
    def test_a_payment_that_cannot_carry_the_order_is_refused(self, shop, payment):
        body = shop.order(unusable(shop, payment))
        first = shop.register(body)
        assert_problem(first, 422, code="payment_unusable")
        assert_problem(shop.http.get(f"/orders/{body['order_id']}", headers=shop.bearer("admin")), 404)
        usable = shop.register(body | {"payment": {"provider": "stripe", "reference": shop.authorize()}})
        assert usable.status_code == 201, "a refused registration does not take the order's id"

    def test_a_hold_of_exactly_the_total_is_enough(self, shop):
        assert shop.register(shop.order(shop.authorize(3800))).status_code == 201

    @pytest.mark.parametrize("ahead", [61, 60 * 24 * 365, "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-12:00"])
    def test_an_order_that_is_placed_more_than_an_hour_ahead_is_refused(self, shop, ahead):
        if isinstance(ahead, int):
            ahead = (datetime.now(UTC) + timedelta(minutes=ahead)).isoformat()
        assert_problem(shop.register(shop.order(shop.authorize(), placed_at=ahead)), 422)

    def test_an_order_may_be_placed_a_little_ahead(self, shop):
        placed_at = (datetime.now(UTC) + timedelta(minutes=50)).isoformat()
        assert shop.register(shop.order(shop.authorize(), placed_at=placed_at)).status_code == 201

    @pytest.mark.parametrize("role", ["customer", "admin"])
    def test_is_for_the_back_end_of_the_shop_alone(self, shop, role):
        with nothing_recorded(shop):
            for answer in (
                shop.http.post("/orders", json=shop.order(None), headers=shop.bearer(role)),
                shop.http.put("/stock/SKU-1", json={"quantity": 1}, headers=shop.bearer(role)),
            ):
                assert_problem(answer, 403, code="forbidden")

    def test_is_not_for_strangers(self, shop):
        with nothing_recorded(shop):
            for answer in (
                shop.http.post("/orders", json=shop.order(None)),
                shop.http.put("/stock/SKU-1", json={"quantity": 1}),
            ):
                assert_problem(answer, 401, code="unauthorized")


def unusable(shop: Shop, payment: str) -> str:
    """The reference of a payment that cannot carry an order of 38.00 USD, for this reason."""
    intents = shop.provider.v1.payment_intents
    manual: Any = {"amount": 3800, "currency": "usd", "capture_method": "manual", "payment_method_types": ["card"]}
    match payment:
        case "unknown":
            return f"pi_{uuid.uuid4().hex}"
        case "not confirmed":
            return intents.create(manual).id
        case "declined":
            reference = intents.create(manual | {"payment_method": "pm_card_visa"}).id
            shop.fault("confirm", "decline", reference=reference)
            with pytest.raises(Exception, match="declined"):
                intents.confirm(reference)
            return reference
        case "canceled":
            return intents.cancel(shop.authorize()).id
        case "expired":
            reference = shop.authorize()
            assert shop.outside.post(f"{shop.urls['stripe']}/_sandbox/expire/{reference}").status_code == 200
            return reference
        case "in another currency":
            return shop.authorize(currency="eur")
        case _:
            return shop.authorize(3799)
