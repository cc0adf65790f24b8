"""A shopper changes an order in its grace period; the payment collection says what it costs, the capture takes that."""

import uuid
from typing import Any

import pytest

from tests.shop import Purchase, Shop, at_once, eventually, in_turn

#: 15.00 with ten percent of tax.
TEE = 1650

ADDRESS = {"name": "Ann", "line1": "Elm Street 1", "city": "Springwood", "postal_code": "12345", "country": "US"}


@pytest.fixture
def mug(shop: Shop) -> str:
    """A SKU of which ten can be sold, for 8.00 and a tax of five percent: 8.40."""
    return priced(shop, 10)


def priced(shop: Shop, quantity: int) -> str:
    sku = f"MUG-{uuid.uuid4().hex[:8]}"
    body = {"quantity": quantity, "price": {"amount": 800, "currency": "USD"}, "tax_rate": "0.05"}
    assert shop.http.put(f"/stock/{sku}", json=body, headers=shop.bearer("service")).status_code == 200
    return sku


def payment(shop: Shop, purchase: Purchase) -> dict[str, Any]:
    found: dict[str, Any] = shop.view(purchase.order_id)["payment"]
    return found


def captured(shop: Shop, purchase: Purchase) -> dict[str, Any]:
    """The payment when its hour is over and its money taken."""
    shop.remind(shop.hurry(purchase))
    return eventually(lambda: (found := payment(shop, purchase))["status"] == "captured" and found)


def edits(shop: Shop, purchase: Purchase) -> list[dict[str, Any]]:
    """The edits in the order's timeline, oldest first."""
    return [entry["data"] for entry in shop.view(purchase.order_id)["timeline"] if entry["event"] == "order_edited"]


class TestAnItem:
    def test_of_another_kind_is_added_at_its_price_and_more_is_held(self, shop, mug):
        purchase = shop.buy_raisable()
        answer = shop.add(purchase, mug, 2)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert (body["total"], body["payment_action"]) == (3800 + 1680, "increment")
        assert body["lines"][1] == {
            "line": 2,
            "sku": mug,
            "quantity": 2,
            "unit_price": 800,
            "tax_rate": "0.05000",
        }
        assert shop.stock(mug) == 8
        assert payment(shop, purchase)["authorized"] == 5480
        assert captured(shop, purchase)["captured"] == 5480

    def test_that_the_order_has_is_added_at_the_price_of_its_line(self, shop):
        purchase = shop.buy_raisable()
        body = shop.add(purchase, "TEE", 1).json()
        assert body["total"] == 3800 + TEE
        assert [(line["line"], line["quantity"]) for line in body["lines"]] == [(1, 3)]

    def test_is_raised_in_quantity(self, shop):
        purchase = shop.buy_raisable()
        body = shop.set_quantity(purchase, 1, 4).json()
        assert body["total"] == 3800 + 2 * TEE
        assert payment(shop, purchase)["authorized"] == 3800 + 2 * TEE

    def test_is_lowered_in_quantity_and_the_capture_releases_the_rest(self, shop):
        purchase = shop.buy()
        body = shop.set_quantity(purchase, 1, 1).json()
        assert (body["total"], body["payment_action"]) == (3800 - TEE, "partial_capture")
        assert shop.ledger(purchase.reference)[-1] == "payment_intent.authorized"  # the provider was not asked
        found = captured(shop, purchase)
        assert (found["captured"], found["released"], found["authorized"]) == (3800 - TEE, TEE, 3800)

    def test_is_removed_and_its_stock_returns(self, shop, mug):
        purchase = shop.buy_raisable()
        shop.add(purchase, mug, 3)
        body = shop.set_quantity(purchase, 2, 0).json()
        assert body["total"] == 3800
        assert [line["sku"] for line in body["lines"]] == ["TEE"]
        assert shop.stock(mug) == 10
        assert captured(shop, purchase)["captured"] == 3800

    def test_that_was_removed_keeps_its_number_for_itself(self, shop, mug):
        purchase = shop.buy_raisable()
        shop.add(purchase, mug, 1)
        shop.set_quantity(purchase, 2, 0)
        assert [line["line"] for line in shop.add(purchase, mug, 1).json()["lines"]] == [1, 3]
        assert shop.set_quantity(purchase, 2, 0).status_code == 404

    def test_that_is_the_last_is_not_removed(self, shop):
        purchase = shop.buy()
        answer = shop.set_quantity(purchase, 1, 0)
        assert (answer.status_code, answer.json()["code"]) == (409, "last_item")
        assert shop.view(purchase.order_id)["total"] == 3800

    def test_without_a_price_is_refused(self, shop):
        purchase = shop.buy_raisable()
        answer = shop.add(purchase, "UNHEARD-OF", 1)
        assert (answer.status_code, answer.json()["code"]) == (422, "no_price")

    def test_that_is_out_of_stock_is_refused(self, shop, mug):
        purchase = shop.buy_raisable()
        answer = shop.add(purchase, mug, 11)
        assert (answer.status_code, answer.json()["code"]) == (409, "out_of_stock")
        assert shop.stock(mug) == 10
        assert shop.view(purchase.order_id)["total"] == 3800

    def test_that_is_added_needs_a_key(self, shop, mug):
        purchase = shop.buy_raisable()
        headers = {"x-modification-token": purchase.token}
        body = {"sku": mug, "quantity": 1}
        answer = shop.http.post(f"/store/orders/{purchase.order_id}/items", json=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_required")

    def test_that_is_added_again_under_the_same_key_is_added_once(self, shop, mug):
        purchase = shop.buy_raisable()
        key = {"Idempotency-Key": uuid.uuid4().hex}
        answers = [shop.add(purchase, mug, 1, **key) for _ in range(3)]
        assert len({answer.text for answer in answers}) == 1
        assert shop.stock(mug) == 9


class TestTheHold:
    def test_stays_as_it_was_when_its_issuer_declines(self, shop, mug):
        purchase = shop.buy_raisable()
        shop.fault("increment", "decline", reference=purchase.reference)
        answer = shop.add(purchase, mug, 1)
        assert (answer.status_code, answer.json()["code"]) == (402, "authorization_declined")
        order = shop.view(purchase.order_id)
        assert (order["total"], order["edit_status"], order["payment"]["authorized"]) == (3800, "open", 3800)
        assert shop.stock(mug) == 10
        assert captured(shop, purchase)["captured"] == 3800

    def test_is_not_asked_to_be_raised_on_a_card_that_does_not_allow_it(self, shop, mug):
        purchase = shop.buy()
        answer = shop.add(purchase, mug, 1)
        assert (answer.status_code, answer.json()["code"]) == (409, "increment_unavailable")
        assert shop.stock(mug) == 10

    def test_that_was_raised_ten_times_is_raised_no_more(self, shop):
        purchase = shop.buy_raisable()
        for units in range(3, 13):
            assert shop.set_quantity(purchase, 1, units).status_code == 200
        answer = shop.set_quantity(purchase, 1, 13)
        assert (answer.status_code, answer.json()["code"]) == (409, "increment_unavailable")
        assert shop.view(purchase.order_id)["total"] == 500 + 12 * TEE

    def test_is_raised_once_when_the_answer_is_lost(self, shop, mug):
        purchase = shop.buy_raisable()
        shop.fault("increment", "timeout_after", reference=purchase.reference)
        assert shop.add(purchase, mug, 1).status_code == 200
        assert shop.ledger(purchase.reference).count("payment_intent.incremented") == 1
        assert payment(shop, purchase)["authorized"] == 3800 + 840

    def test_that_gets_no_answer_leaves_the_order_as_it_was(self, shop, mug):
        purchase = shop.buy_raisable()
        shop.fault("increment", "error_500_before", reference=purchase.reference, times=-1)
        answer = shop.add(purchase, mug, 1, Prefer="wait=30")
        assert (answer.status_code, answer.json()["code"]) == (502, "edit_unanswered")
        order = shop.view(purchase.order_id)
        assert (order["total"], order["edit_status"]) == (3800, "open")
        assert shop.stock(mug) == 10

    def test_that_is_large_enough_is_not_raised(self, shop):
        purchase = shop.buy(amount=9000)
        body = shop.set_quantity(purchase, 1, 3).json()
        assert (body["total"], body["payment_action"]) == (3800 + TEE, "partial_capture")
        assert captured(shop, purchase)["captured"] == 3800 + TEE


class TestAnAddress:
    def test_is_changed_without_a_word_to_the_provider(self, shop):
        purchase = shop.buy()
        answer = shop.edit(purchase, "address", ADDRESS)
        assert answer.status_code == 200, answer.text
        assert shop.view(purchase.order_id)["address"] == ADDRESS | dict.fromkeys(("line2", "state", "phone"))
        assert edits(shop, purchase)[0]["address"] == ["city", "country", "line1", "name", "postal_code"]
        assert shop.requests_to_provider(purchase.reference)[-1]["operation"] == "retrieve"

    def test_that_is_the_same_changes_nothing(self, shop):
        purchase = shop.buy(address=ADDRESS)
        assert shop.edit(purchase, "address", ADDRESS).status_code == 200
        assert edits(shop, purchase) == []


class TestAnEdit:
    def test_is_in_the_timeline_with_before_and_after_and_mailed_with_the_new_total(self, shop):
        email = f"{uuid.uuid4().hex}@example.com"
        purchase = shop.buy(email=email)
        shop.set_quantity(purchase, 1, 1)
        (edit,) = edits(shop, purchase)
        assert (edit["before"]["quantity"], edit["after"]["quantity"]) == (2, 1)
        assert (edit["total_before"], edit["total"]) == (3800, 3800 - TEE)
        (mail,) = eventually(lambda: shop.mails_to(email))
        assert "21.50 USD" in mail["text"]

    def test_to_what_the_order_is_already_changes_nothing(self, shop):
        purchase = shop.buy()
        answer = shop.set_quantity(purchase, 1, 2)
        assert (answer.status_code, answer.json()["payment_action"]) == (200, "none")
        assert edits(shop, purchase) == []

    def test_of_an_order_that_is_paid_on_delivery_asks_nobody(self, shop):
        body = shop.order(None, payment={"provider": "cod"})
        answer = shop.register(body).json()
        purchase = Purchase(answer["order_id"], answer["modification_token"], "", answer["total"])
        found = shop.set_quantity(purchase, 1, 3).json()
        assert (found["total"], found["payment_action"]) == (3800 + TEE, "none")

    @pytest.mark.parametrize("how", ["canceled", "captured", "over"])
    def test_of_an_order_that_is_not_open_any_more_is_refused(self, shop, how):
        purchase = shop.buy_captured() if how == "captured" else shop.buy_overdue() if how == "over" else shop.buy()
        if how == "canceled":
            shop.cancel(purchase)
        for answer in (shop.set_quantity(purchase, 1, 1), shop.edit(purchase, "address", ADDRESS)):
            assert (answer.status_code, answer.json()["code"]) == (409, "late_edit")

    def test_by_somebody_else_is_refused(self, shop):
        purchase, other = shop.buy(customer_id="cus_a"), shop.buy()
        for headers in (shop.modification(other.order_id), shop.bearer("customer", "cus_b")):
            path = f"/store/orders/{purchase.order_id}/items/1"
            answer = shop.http.post(path, json={"quantity": 1}, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "not_yours")

    def test_of_nothing_is_not_found(self, shop):
        purchase = shop.buy()
        assert shop.set_quantity(purchase, 7, 1).status_code == 404
        assert shop.set_quantity(purchase, "one", 1).status_code == 404


class TestTwoAtOnce:
    def test_are_both_applied(self, shop, mug):
        purchase = shop.buy_raisable()
        answers = at_once(2, lambda n: shop.add(purchase, mug, 1) if n else shop.set_quantity(purchase, 1, 3))
        assert [answer.status_code for answer in answers] == [200, 200]
        order = shop.view(purchase.order_id)
        assert order["total"] == 3800 + TEE + 840
        assert order["payment"]["authorized"] == order["total"]
        assert shop.stock(mug) == 9

    @pytest.mark.timeout(120)
    def test_are_both_paid_for_however_long_the_provider_takes(self, shop):
        """Both need more to be held: the second waits for the first, and names the sum of both."""
        sku = priced(shop, 100)

        def run(_: int) -> None:
            purchase = shop.buy_raisable()
            answers = at_once(2, lambda n: shop.add(purchase, "TEE" if n else sku, 1, Prefer="wait=30"))
            assert [answer.status_code for answer in answers] == [200, 200], [answer.text for answer in answers]
            order = shop.view(purchase.order_id)
            assert order["total"] == order["payment"]["authorized"] == 3800 + TEE + 840
            sums = [each["amount"] for each in shop.effects(purchase.reference) if "incremented" in each["operation"]]
            assert sums in ([3800 + TEE, 3800 + TEE + 840], [3800 + 840, 3800 + TEE + 840])

        shop.slow_down("increment", 300)
        in_turn(20, run, at_a_time=5)
        assert shop.stock(sku) == 80


class TestADryRun:
    @pytest.mark.parametrize(
        ("what", "body", "total", "money"),
        [
            ("items", {"sku": "TEE", "quantity": 1}, 3800 + TEE, "increment"),
            ("items/1", {"quantity": 1}, 3800 - TEE, "partial_capture"),
            ("items/1", {"quantity": 2}, 3800, "none"),
            ("address", ADDRESS, 3800, "none"),
        ],
    )
    def test_tells_what_would_happen_and_changes_no_row(self, shop, what, body, total, money):
        purchase = shop.buy_raisable()
        before = rows(shop, purchase)
        answer = shop.edit(purchase, what, body, dry_run=True)
        assert answer.status_code == 200, answer.text
        assert answer.json() == {
            "order_id": purchase.order_id,
            "dry_run": True,
            "currency": "USD",
            "total_before": 3800,
            "total": total,
            "authorized": 3800,
            "payment_action": money,
        }
        assert rows(shop, purchase) == before

    @pytest.mark.parametrize(
        ("what", "body", "code"),
        [
            ("items/1", {"quantity": 0}, "last_item"),
            ("items", {"sku": "UNHEARD-OF", "quantity": 1}, "no_price"),
            ("items/9", {"quantity": 1}, "not_found"),
            ("items/1", {"quantity": 3}, "increment_unavailable"),
        ],
    )
    def test_is_refused_as_the_edit_would_be(self, shop, what, body, code):
        purchase = shop.buy()
        asked = shop.edit(purchase, what, body, dry_run=True)
        done = shop.edit(purchase, what, body)
        assert asked.json()["code"] == done.json()["code"] == code
        assert asked.status_code == done.status_code

    def test_of_what_is_out_of_stock_is_refused(self, shop, mug):
        purchase = shop.buy_raisable()
        assert shop.add(purchase, mug, 11, dry_run=True).json()["code"] == "out_of_stock"


def rows(shop: Shop, purchase: Purchase) -> list[tuple[Any, ...]]:
    """Every row about the order, by table, with the transaction that wrote it last; others have theirs meanwhile."""
    return shop.sql(
        """
        WITH mine AS (SELECT %s::text AS id)
        SELECT 'orders', t.xmin::text FROM orders t JOIN mine USING (id)
        UNION ALL SELECT 'intents', t.xmin::text FROM intents t JOIN mine ON t.subject = mine.id
        UNION ALL SELECT 'lines', t.xmin::text FROM order_lines t JOIN mine ON t.order_id = mine.id
        UNION ALL SELECT 'edits', t.xmin::text FROM order_edits t JOIN mine ON t.order_id = mine.id
        UNION ALL SELECT 'collections', t.xmin::text FROM payment_collections t JOIN mine ON t.order_id = mine.id
        UNION ALL SELECT 'payments', t.xmin::text FROM payments t JOIN mine ON t.order_id = mine.id
        UNION ALL SELECT 'timeline', t.xmin::text FROM timeline t JOIN mine ON t.order_id = mine.id
        UNION ALL SELECT 'emails', t.xmin::text FROM emails t JOIN mine ON t.order_id = mine.id
        ORDER BY 1, 2
        """,
        purchase.order_id,
    )
