"""Who may look at orders, intents and stock."""

import uuid

import pytest

from tests.problems import assert_problem
from tests.shop import eventually


class TestAnOrder:
    @pytest.mark.parametrize("who", ["shopper", "customer", "service", "admin"])
    def test_is_shown_to_whoever_may_see_it(self, shop, who):
        purchase = shop.buy(customer_id="cus_1")
        headers = {"x-modification-token": purchase.token} if who == "shopper" else shop.bearer(who, "cus_1")
        answer = shop.http.get(f"/orders/{purchase.order_id}", headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.json()["order_id"] == purchase.order_id

    def test_does_not_show_where_its_shopper_is_reached(self, shop):
        address = f"{uuid.uuid4().hex}@example.com"
        assert address not in str(shop.view(shop.buy(email=address).order_id))

    @pytest.mark.parametrize("owner", ["cus_1", None])
    def test_is_not_shown_to_another_customer(self, shop, owner):
        purchase = shop.buy(**({"customer_id": owner} if owner else {}))
        for subject in (f"cus_{uuid.uuid4().hex}", "None", "null", ""):
            answer = shop.http.get(f"/orders/{purchase.order_id}", headers=shop.bearer("customer", subject))
            assert_problem(answer, 403, code="not_yours")

    def test_that_is_asked_for_by_another_customer_is_logged_as_an_ownership_violation(self, shop):
        purchase, thief = shop.buy(customer_id="cus_1"), f"cus_{uuid.uuid4().hex}"
        shop.http.get(f"/orders/{purchase.order_id}", headers=shop.bearer("customer", thief))
        eventually(lambda: shop.logged("gateway", event="ownership_violation", actor=f"customer:{thief}"))

    def test_is_not_shown_to_the_shopper_of_another_order(self, shop):
        purchase, other = shop.buy(), shop.buy()
        answer = shop.http.get(f"/orders/{purchase.order_id}", headers={"x-modification-token": other.token})
        assert_problem(answer, 403, code="not_yours")
        (violation,) = eventually(
            lambda: shop.logged("gateway", event="ownership_violation", order_id=purchase.order_id)
        )
        assert violation["actor"] == f"modification:{other.order_id}"

    def test_is_not_shown_to_strangers(self, shop):
        assert_problem(shop.http.get(f"/orders/{shop.buy().order_id}"), 401, code="unauthorized")

    def test_that_nobody_registered_is_not_found(self, shop):
        answer = shop.http.get(f"/orders/ord_{uuid.uuid4().hex}", headers=shop.bearer("admin"))
        assert_problem(answer, 404, code="not_found")


class TestAnIntent:
    def test_is_shown_to_whoever_asked_for_it_and_to_operators(self, shop):
        purchase = shop.buy()
        location = shop.cancel(purchase, Prefer="respond-async").headers["location"]
        for headers in ({"x-modification-token": purchase.token}, shop.bearer("admin")):
            assert shop.intent(location, headers)["subject"] == purchase.order_id

    def test_is_not_shown_to_anybody_else(self, shop):
        purchase, other = shop.buy(customer_id="cus_1"), shop.buy()
        location = shop.cancel(purchase, Prefer="respond-async").headers["location"]
        for headers in (
            {"x-modification-token": other.token},
            shop.bearer("customer", "cus_1"),
            shop.bearer("customer", purchase.order_id),
            shop.bearer("service"),
        ):
            assert_problem(shop.http.get(location, headers=headers), 403, code="not_yours")

    def test_is_not_shown_to_strangers(self, shop):
        location = shop.cancel(shop.buy(), Prefer="respond-async").headers["location"]
        assert_problem(shop.http.get(location), 401, code="unauthorized")

    def test_that_nobody_submitted_is_not_found(self, shop):
        answer = shop.http.get(f"/intents/int_{uuid.uuid4().hex}", headers=shop.bearer("admin"))
        assert_problem(answer, 404, code="not_found")

    def test_shows_its_stored_refusal(self, shop):
        purchase = shop.buy_overdue()
        accepted = shop.cancel(purchase, Prefer="respond-async")
        owner = {"x-modification-token": purchase.token}
        intent = eventually(lambda: (seen := shop.intent(accepted.headers["location"], owner))["answer"] and seen)
        assert (intent["state"], intent["answer"]["status"]) == ("refused", 409)
        assert intent["answer"]["body"]["code"] == "late_cancel"


class TestStock:
    def test_is_shown_to_the_back_end_and_to_operators(self, shop):
        shop.put_stock("SKU-SEEN", 3)
        for role in ("service", "admin"):
            answer = shop.http.get("/stock/SKU-SEEN", headers=shop.bearer(role))
            assert answer.json() == {"sku": "SKU-SEEN", "quantity": 3}

    def test_is_not_shown_to_shoppers_or_strangers(self, shop):
        shopper = {"x-modification-token": shop.buy().token}
        for headers in (shop.bearer("customer", "cus_1"), shopper):
            assert_problem(shop.http.get("/stock/SKU-SEEN", headers=headers), 403, code="forbidden")
        assert_problem(shop.http.get("/stock/SKU-SEEN"), 401, code="unauthorized")

    def test_that_nobody_told_us_of_is_not_found(self, shop):
        answer = shop.http.get(f"/stock/SKU-{uuid.uuid4().hex}", headers=shop.bearer("service"))
        assert_problem(answer, 404, code="not_found")
