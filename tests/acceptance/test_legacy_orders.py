"""Orders of a former system: seen as it left them, changed by nobody, and like all others once they are migrated."""

import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.legacy import bring_over, migrate
from tests.shop import Purchase, Shop, eventually

NOBODY_KNOWS = {"authorized": None, "captured": None, "released": None, "refunded": None}


def brought_over(shop: Shop, metadata: Any, **how: Any) -> Purchase:
    """An order of a former system, with a token for its shopper."""
    order_id = bring_over(shop.settings.database_url, metadata, **how)
    token = shop.modification(order_id)["x-modification-token"]
    return Purchase(order_id, token, metadata.get("payment_intent_id", "") if isinstance(metadata, dict) else "", 3800)


def migrated(shop: Shop, tmp_path: Path, **how: Any) -> Purchase:
    """The same with its money held, migrated."""
    purchase = brought_over(shop, {"payment_intent_id": shop.authorize(), "payment_status": "requires_capture"}, **how)
    _, report = migrate(shop, shop.settings.database_url, tmp_path / "report", "--schedule-captures")
    assert report[purchase.order_id]["outcome"] == "migrated", report[purchase.order_id]
    return purchase


class TestALegacyOrder:
    @pytest.mark.parametrize(
        ("metadata", "total", "status"),
        [
            ({"updated_total": 2150, "payment_status": "requires_capture"}, 2150, "requires_capture"),
            ({"updated_total": "2150", "payment_status": "captured"}, 2150, "captured"),
            ({"updated_total": 0}, 0, "unknown"),
            ({"payment_status": "succeeded", "added_items": '[{"sku": "TEE"}]'}, 3800, "succeeded"),
            ({}, 3800, "unknown"),
        ],
    )
    def test_is_shown_as_its_former_system_left_it(self, shop, metadata, total, status):
        purchase = brought_over(shop, metadata | {"payment_intent_id": "pi_former"})
        order = shop.view(purchase.order_id)
        assert (order["total"], order["timeline"], order["refunds"]) == (total, [], [])
        assert order["payment"] == {"provider": "stripe", "reference": "pi_former", "status": status} | NOBODY_KNOWS
        assert order["lines"][0]["sku"] == "TEE"

    @pytest.mark.parametrize(
        "metadata",
        [[], "text", 7, None, True, ["updated_total"]]
        + [{"updated_total": said, "payment_status": said, "payment_intent_id": said} for said in (None, True, {}, [])]
        + [{"updated_total": said} for said in (-1, 21.5, 10**400, "many", "1" * 5000, 1e300)],
        ids=lambda metadata: repr(metadata)[:40],
    )
    def test_is_shown_whatever_its_metadata_says(self, shop, metadata):
        order = shop.view(brought_over(shop, metadata).order_id)
        assert (order["total"], order["payment"]["status"]) == (3800, "unknown")
        assert (order["payment"]["provider"], order["payment"]["reference"]) == (None, None)

    def test_is_shown_to_its_shopper_and_to_nobody_else(self, shop):
        purchase = brought_over(shop, {"updated_total": 2150})
        path = f"/orders/{purchase.order_id}"
        assert shop.http.get(path, headers=shop.modification(purchase.order_id)).json()["total"] == 2150
        assert shop.http.get(path, headers=shop.modification("ord_other")).status_code == 403

    @pytest.mark.parametrize("what", ["cancel", "cancel_by_operator", "refund", "edit", "address"])
    def test_is_changed_by_nobody(self, shop, what):
        purchase = brought_over(shop, {"payment_intent_id": shop.authorize(), "payment_status": "authorized"})
        key = uuid.uuid4().hex
        before = shop.view(purchase.order_id)
        address = {"name": "Ann", "line1": "1", "city": "S", "postal_code": "1", "country": "US"}
        ask = {
            "cancel": lambda: shop.cancel(purchase, **{"Idempotency-Key": key}),
            "cancel_by_operator": lambda: shop.cancel_by_operator(purchase.order_id, {"Idempotency-Key": key}),
            "refund": lambda: shop.refund(purchase.order_id, key),
            "edit": lambda: shop.set_quantity(purchase, 1, 1, **{"Idempotency-Key": key}),
            "address": lambda: shop.edit(purchase, "address", address, **{"Idempotency-Key": key}),
        }[what]
        answers = [ask(), ask()]
        assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(409, "legacy_order")] * 2
        assert answers[1].headers["Idempotent-Replayed"] == "true"
        assert shop.view(purchase.order_id) == before
        intents = shop.sql("SELECT id, state FROM intents WHERE subject = %s", purchase.order_id)
        assert [state for _, state in intents] == ["refused"]
        assert shop.sql("SELECT 1 FROM outbox WHERE subject = %s", intents[0][0]) == []
        assert "payment_intent.canceled" not in shop.ledger(purchase.reference)

    def test_keeps_its_id_to_itself(self, shop):
        purchase = brought_over(shop, {})
        answer = shop.register(shop.order(shop.authorize(), order_id=purchase.order_id))
        assert (answer.status_code, answer.json()["code"]) == (409, "order_conflict")


class TestAMigratedOrder:
    def test_is_shown_with_its_amounts_and_its_history(self, shop, tmp_path):
        order = shop.view(migrated(shop, tmp_path).order_id)
        assert (order["status"], order["total"], order["payment"]["status"]) == ("pending", 3800, "authorized")
        assert (order["payment"]["authorized"], order["payment"]["captured"]) == (3800, 0)
        assert [(entry["event"], entry["source"]) for entry in order["timeline"]] == [
            ("order_migrated", "migrate-orders")
        ]

    def test_is_edited(self, shop, tmp_path):
        purchase = migrated(shop, tmp_path)
        body = shop.set_quantity(purchase, 1, 1).json()
        assert (body["total"], body["payment_action"]) == (2150, "partial_capture")

    def test_is_canceled_and_its_money_released(self, shop, tmp_path):
        purchase = migrated(shop, tmp_path)
        assert shop.cancel(purchase).json()["payment_action"] == "voided"
        assert "payment_intent.canceled" in shop.ledger(purchase.reference)

    def test_is_captured_when_its_hour_is_over(self, shop, tmp_path):
        purchase = migrated(shop, tmp_path)
        shop.set_quantity(purchase, 1, 1)
        shop.remind(shop.hurry(purchase))
        eventually(lambda: shop.view(purchase.order_id)["status"] == "captured")
        assert shop.view(purchase.order_id)["payment"]["captured"] == 2150

    def test_is_captured_at_once_when_its_hour_is_over_already(self, shop, tmp_path):
        purchase = migrated(shop, tmp_path, grace=-60)
        eventually(lambda: shop.view(purchase.order_id)["status"] == "captured")

    def test_that_was_paid_is_refunded(self, shop, tmp_path):
        reference = shop.authorize()
        shop.provider.v1.payment_intents.capture(reference)
        purchase = brought_over(shop, {"payment_intent_id": reference, "payment_status": "succeeded"})
        migrate(shop, shop.settings.database_url, tmp_path / "report")
        assert shop.events(purchase.order_id) == ["order_migrated", "order_captured"]
        answer = shop.refund(purchase.order_id, uuid.uuid4().hex, amount=10)
        assert answer.status_code == 200, answer.text
        assert shop.view(purchase.order_id)["payment"]["refunded"] == 1000

    def test_whose_money_somebody_has_given_back_shows_that(self, shop, tmp_path):
        reference = shop.authorize()
        shop.provider.v1.payment_intents.capture(reference)
        shop.provider.v1.refunds.create({"payment_intent": reference, "amount": 800})
        purchase = brought_over(shop, {"payment_intent_id": reference, "payment_status": "partially_refunded"})
        migrate(shop, shop.settings.database_url, tmp_path / "report")
        eventually(lambda: shop.view(purchase.order_id)["payment"]["status"] == "partially_refunded")
        assert shop.view(purchase.order_id)["refunds"][0]["amount"] == 800

    def test_is_left_to_a_person_while_nobody_says_that_its_money_may_be_taken(self, shop, tmp_path):
        purchase = brought_over(shop, {"payment_intent_id": shop.authorize()}, grace=-60)
        code, report = migrate(shop, shop.settings.database_url, tmp_path / "report")
        assert (code, report[purchase.order_id]["reason"]) == (1, "capture_not_scheduled")
        assert shop.view(purchase.order_id)["timeline"] == []
