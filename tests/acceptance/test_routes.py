"""Routes: what is at no address, or not to be done there, is refused and not recorded."""

import pytest

from tests.problems import assert_problem, nothing_recorded


@pytest.mark.parametrize(
    "name",
    ["..%2F..", "%00", "a%00", "a%2Fb", "%2e%2e", ".hidden", "a" * 129, "a%20b", "a%0A", "%C3%A4", "%FF", "a'b", "a;b"],
    ids=lambda name: name[:10],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/orders/{}"),
        ("POST", "/store/orders/{}/cancel"),
        ("PUT", "/stock/{}"),
        ("GET", "/stock/{}"),
        ("GET", "/intents/{}"),
    ],
)
def test_nothing_is_found_under_a_bad_id(shop, method, path, name):
    caller = "customer" if method == "POST" else "service" if method == "PUT" else "admin"
    with nothing_recorded(shop):
        body = {"json": {"quantity": 1}} if method == "PUT" else {}
        answer = shop.http.request(method, path.format(name), headers=shop.bearer(caller), **body)
        assert_problem(answer, 404, code="not_found")


@pytest.mark.parametrize(
    "path", ["/", "/nope", "/orders/a/b", "/store/orders/ord_1", "/stock", "/api/admin", "/.env", "/%00"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_route_is_not_found(shop, method, path):
    with nothing_recorded(shop):
        assert_problem(shop.http.request(method, path, headers=shop.bearer("admin")), 404, code="not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/orders", "POST"),
        ("DELETE", "/orders", "POST"),
        ("PATCH", "/orders/ord_1", "GET"),
        ("DELETE", "/orders/ord_1", "GET"),
        ("GET", "/store/orders/ord_1/cancel", "POST"),
        ("PUT", "/store/orders/ord_1/cancel", "POST"),
        ("POST", "/stock/SKU-1", "PUT"),
        ("POST", "/intents/int_1", "GET"),
        ("POST", "/healthz", "GET"),
        ("DELETE", "/openapi.json", "GET"),
    ],
)
def test_another_method_is_not_allowed(shop, method, path, allowed):
    with nothing_recorded(shop):
        answer = shop.http.request(method, path, headers=shop.bearer("admin"))
        assert_problem(answer, 405, code="method_not_allowed")
        assert allowed in answer.headers["allow"]


def test_an_unheard_of_method_is_refused(shop):
    with nothing_recorded(shop):
        assert_problem(shop.http.request("BREW", "/orders", headers=shop.bearer("admin")), 400, 405, 501)
