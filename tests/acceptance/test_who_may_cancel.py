"""Who may cancel: the shopper of an order with its token or signed in, and nobody else."""

import base64
import json
import time
import uuid

import jwt
import pytest

from tests.problems import assert_problem, assert_untouched
from tests.shop import Purchase, Shop, eventually


def intents_about(shop: Shop, order_id: str) -> int:
    return shop.sql("SELECT count(*) FROM intents WHERE subject = %s AND operation = 'cancel_order'", order_id)[0][0]


class TestWhoMayCancel:
    def test_a_signed_in_customer_cancels_an_order_of_their_own(self, shop):
        purchase = shop.buy(customer_id="cus_own")
        answer = shop.http.post(f"/store/orders/{purchase.order_id}/cancel", headers=shop.bearer("customer", "cus_own"))
        assert answer.status_code == 200, answer.text
        assert answer.json()["payment_action"] == "voided"
        assert shop.view(purchase.order_id)["timeline"][1]["actor"] == "customer:cus_own"

    @pytest.mark.parametrize("owner", ["cus_owner", None])
    def test_a_signed_in_customer_may_not_cancel_the_order_of_another(self, shop, owner):
        purchase = shop.buy(**({"customer_id": owner} if owner else {}))
        answer = shop.http.post(
            f"/store/orders/{purchase.order_id}/cancel", headers=shop.bearer("customer", "cus_thief")
        )
        assert_problem(answer, 403, code="not_yours")
        assert_untouched(shop, purchase)
        (intent_id,) = shop.sql(
            "SELECT id FROM intents WHERE subject = %s AND actor = 'customer:cus_thief'", purchase.order_id
        )[0]
        eventually(lambda: shop.logged("worker", event="ownership_violation", intent_id=intent_id))

    def test_the_token_of_another_order_is_refused_and_logged(self, shop):
        purchase, other = shop.buy(), shop.buy()
        answer = shop.http.post(
            f"/store/orders/{purchase.order_id}/cancel", headers={"x-modification-token": other.token}
        )
        assert_problem(answer, 403, code="not_yours")
        assert_untouched(shop, purchase)
        assert_untouched(shop, other)
        assert intents_about(shop, purchase.order_id) == 0
        (violation,) = eventually(
            lambda: shop.logged("gateway", event="ownership_violation", order_id=purchase.order_id)
        )
        assert violation["actor"] == f"modification:{other.order_id}"

    @pytest.mark.parametrize("role", ["service", "admin"])
    def test_the_back_end_and_operators_do_not_come_through_this_door(self, shop, role):
        purchase = shop.buy()
        answer = shop.http.post(f"/store/orders/{purchase.order_id}/cancel", headers=shop.bearer(role))
        assert_problem(answer, 403, code="forbidden")
        assert_untouched(shop, purchase)

    def test_nobody_cancels_without_a_token(self, shop):
        purchase = shop.buy()
        answer = shop.http.post(f"/store/orders/{purchase.order_id}/cancel")
        assert_problem(answer, 401, code="unauthorized")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert_untouched(shop, purchase)
        assert intents_about(shop, purchase.order_id) == 0

    def test_an_expired_token_is_refused(self, shop):
        purchase = shop.buy()
        headers = shop.modification(purchase.order_id, expires_in=-1)
        answer = shop.http.post(f"/store/orders/{purchase.order_id}/cancel", headers=headers)
        assert_problem(answer, 401, code="unauthorized")
        assert_untouched(shop, purchase)
        assert intents_about(shop, purchase.order_id) == 0

    @pytest.mark.parametrize(
        "forgery",
        [
            "wrong signature",
            "unsigned",
            "unknown key",
            "no key named",
            "wrong audience",
            "no audience",
            "no expiry",
            "no order",
            "bent payload",
        ],
    )
    def test_a_forged_token_is_refused(self, shop, forgery):
        purchase = shop.buy()
        token = forge(shop, purchase, forgery)
        answer = shop.http.post(f"/store/orders/{purchase.order_id}/cancel", headers={"x-modification-token": token})
        assert_problem(answer, 401, code="unauthorized")
        assert_untouched(shop, purchase)
        assert intents_about(shop, purchase.order_id) == 0

    def test_the_forger_of_these_tests_can_also_make_a_good_token(self, shop):
        purchase = shop.buy()
        answer = shop.http.post(
            f"/store/orders/{purchase.order_id}/cancel",
            headers={"x-modification-token": forge(shop, purchase, "none at all")},
        )
        assert answer.status_code == 200

    @pytest.mark.parametrize(
        "token",
        [
            "nonsense",
            "a.b.c",
            "..",
            "\xff\xfe",
            base64.urlsafe_b64encode(b"[" * 5000).decode() + ".e30.e30",
            base64.urlsafe_b64encode(b'{"alg":"HS256","kid":["development"]}').decode() + ".e30.e30",
            base64.urlsafe_b64encode(b'{"alg":["HS256"],"kid":"development"}').decode() + ".e30.e30",
            base64.urlsafe_b64encode(b'"HS256"').decode() + ".e30.e30",
        ],
        ids=[
            "word",
            "dots",
            "empty parts",
            "not ASCII",
            "deep header",
            "kid of a list",
            "alg of a list",
            "bare string",
        ],
    )
    @pytest.mark.parametrize("header", ["x-modification-token", "authorization"])
    def test_a_malformed_token_is_refused(self, shop, token, header):
        value = token if header == "x-modification-token" else f"Bearer {token}"
        answer = shop.http.post("/store/orders/ord_1/cancel", headers={header: value.encode("latin-1")})
        assert_problem(answer, 401, code="unauthorized")

    def test_tokens_do_not_pass_in_each_others_header(self, shop):
        purchase = shop.buy(customer_id="cus_1")
        path = f"/store/orders/{purchase.order_id}/cancel"
        bearer = shop.bearer("customer", "cus_1")["Authorization"].removeprefix("Bearer ")
        assert_problem(shop.http.post(path, headers={"x-modification-token": bearer}), 401)
        assert_problem(shop.http.post(path, headers={"Authorization": f"Bearer {purchase.token}"}), 401)
        assert_untouched(shop, purchase)

    def test_an_unknown_order_is_not_found(self, shop):
        order_id = f"ord_{uuid.uuid4().hex}"
        for headers in (shop.modification(order_id), shop.bearer("customer", "cus_1")):
            answer = shop.http.post(f"/store/orders/{order_id}/cancel", headers=headers)
            assert_problem(answer, 404, code="not_found")


def forge(shop: Shop, purchase: Purchase, forgery: str) -> str:
    """A token of this order that is good but for one thing."""
    claims = {"aud": "order-modification", "order_id": purchase.order_id, "exp": int(time.time()) + 600}
    kid, key = next(iter(shop.settings.jwt_keys.items()))
    algorithm, headers = shop.settings.jwt_algorithm, {"kid": kid}
    match forgery:
        case "wrong signature":
            key = "x" * 64
        case "unsigned":
            key, algorithm = None, "none"
        case "unknown key":
            headers["kid"] = "stolen"
        case "no key named":
            headers = {}
        case "wrong audience":
            claims["aud"] = "countermand"
        case "no audience":
            del claims["aud"]
        case "no expiry":
            del claims["exp"]
        case "no order":
            del claims["order_id"]
    token = jwt.encode(claims, key, algorithm=algorithm, headers=headers)
    if forgery == "bent payload":
        head, _, signature = token.split(".")
        bent = base64.urlsafe_b64encode(json.dumps(claims | {"exp": claims["exp"] + 1}).encode()).decode().rstrip("=")
        token = ".".join((head, bent, signature))
    return token
