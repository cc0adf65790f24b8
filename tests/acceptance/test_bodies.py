"""Bodies: what each route takes; anything else is refused, and not recorded."""

import json
import socket
import uuid
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.problems import assert_problem, nothing_recorded
from tests.shop import Shop

LIMIT = 64 * 1024

#: Bytes that are no JSON at all.
NOT_JSON = {
    "an open brace": b"{",
    "a word": b"order",
    "not UTF-8": b'{"currency": "\xff\xfe"}',
    "a NUL": b"\x00",
    "a NUL in a string": b'{"currency": "U\x00D"}',
    "a NUL between": b'{"currency":\x00 "USD"}',
    "two documents": b"{} {}",
    "too deep": b"[" * 60_000,
    "too deep in an unknown member": b'{"x":' * 10_000,
    "half a surrogate": b'{"email": "\\ud800@example.com"}',
    "NaN": b'{"shipping": NaN}',
    "white space": b"   ",
}


@pytest.mark.parametrize("content", NOT_JSON.values(), ids=NOT_JSON)
@pytest.mark.parametrize("route", ["order", "stock", "cancel"])
def test_what_is_not_json_is_refused_and_not_recorded(shop, route, content):
    with nothing_recorded(shop):
        answer = send(shop, route, content=content, headers={"Content-Type": "application/json"})
        assert_problem(answer, 400, 422)


def send(shop: Shop, route: str, *, headers: dict[str, Any], **body: Any):
    """Send a body to one of the routes that take one, with a credential that is good for it."""
    match route:
        case "order":
            return shop.http.post("/orders", headers=shop.bearer("service") | headers, **body)
        case "stock":
            return shop.http.put("/stock/SKU-1", headers=shop.bearer("service") | headers, **body)
        case _:
            return shop.http.post("/store/orders/ord_1/cancel", headers=shop.modification("ord_1") | headers, **body)


def changed(**changes: Any):
    return lambda body: body | changes


def line(**changes: Any):
    return lambda body: body | {"lines": [body["lines"][0] | changes]}


def address(**changes: Any):
    whole = {"name": "Ann", "line1": "1 Main St", "city": "Springfield", "postal_code": "12345", "country": "US"}
    return lambda body: body | {"address": whole | changes}


def without(name: str):
    return lambda body: {member: value for member, value in body.items() if member != name}


#: Registrations that are JSON, but not what the route takes.
WRONG = {
    **{f"no {name}": without(name) for name in ("currency", "email", "lines", "payment")},
    "an array": lambda body: [body],
    "null": lambda body: None,
    "an unknown member": changed(coupon="FREE"),
    "a misspelt member": changed(shiping=500),
    "an unknown member of a line": line(colour="red"),
    "an unknown member of the payment": changed(payment={"provider": "none", "status": "captured"}),
    "an unknown member of the address": address(planet="Earth"),
    "a status of its own": changed(status="captured"),
    "a total of its own": changed(total=1),
    "no lines": changed(lines=[]),
    "too many lines": lambda body: body | {"lines": body["lines"] * 201},
    "lines that are no list": lambda body: body | {"lines": body["lines"][0]},
    **{
        f"a quantity of {value!r:.20}": line(quantity=value)
        for value in ("2", 2.5, True, None, 0, -1, 100_001, 10**30, 1e300, [2])
    },
    **{f"a price of {value!r:.20}": line(unit_price=value) for value in ("15", 15.5, True, None, -1, 10**12, 10**40)},
    **{
        f"a tax rate of {value!r:.20}": line(tax_rate=value)
        for value in (0.1, "NaN", "sNaN", "Infinity", "-Infinity", "-0.1", "1.1", "0.123456", "ten", "", None, True)
    },
    "a tax rate of a huge exponent": line(tax_rate="1E+999999999"),
    "a tax rate of a tiny exponent": line(tax_rate="1E-999999999"),
    "a tax rate of very many digits": line(tax_rate="0." + "1" * 5000),
    **{f"shipping of {value!r:.20}": changed(shipping=value) for value in ("5", 5.5, -1, 10**12, 10**100, None)},
    **{
        f"a currency of {value!r}": changed(currency=value)
        for value in ("usd", "US", "USDX", "", "USD\n", "U\0D", "ÜSD", None, 840)
    },
    **{
        f"an email of {value!r:.30}": changed(email=value)
        for value in (
            "",
            "ann",
            "ann@",
            "@example.com",
            "ann@example.com\n",
            "ann@example.com\r\nBcc: eve@example.com",
            "ann\0@example.com",
            "ann bob@example.com",
            "ann@example.com,bob@example.com",
            "Ann <ann@example.com>",
            "änn@example.com",
            "a" * 250 + "@example.com",
            None,
            7,
        )
    },
    **{
        f"an order id of {value!r:.20}": changed(order_id=value)
        for value in (
            "",
            ".",
            "..",
            ".hidden",
            "a.",
            "a..b",
            "a:b",
            "a/b",
            "a b",
            "a\n",
            "a\0",
            "ä",
            "a%2Fb",
            "a" * 129,
            7,
            ["a"],
        )
    },
    **{f"a sku of {value!r:.20}": line(sku=value) for value in ("", "..", "a/b", "a\0", "a\n", "a" * 129, None, 7)},
    **{f"a customer of {value!r:.20}": changed(customer_id=value) for value in ("", "a\0", "a" * 129, 7)},
    **{
        f"a payment of {json.dumps(value)}": changed(payment=value)
        for value in (
            None,
            "stripe",
            {},
            {"provider": "barter"},
            {"provider": "stripe"},
            {"provider": "stripe", "reference": ""},
            {"provider": "stripe", "reference": "pi_\0"},
            {"provider": "stripe", "reference": "../refunds"},
            {"provider": "stripe", "reference": "pi_1?expand[]=customer"},
            {"provider": "none", "reference": "pi_1"},
            {"provider": "cod", "reference": "pi_1"},
        )
    },
    "a NUL in the address": address(name="Ann\0"),
    "a line break in the address": address(line1="1 Main St\nBcc"),
    "an empty name": address(name=""),
    "an endless name": address(name="a" * 201),
    "a country of three letters": address(country="USA"),
    "half a shipment": changed(shipment={"courier": "delhivery"}),
    **{
        f"a date of {value!r:.30}": changed(placed_at=value)
        for value in (
            "yesterday",
            "2026-11-21",
            "2026-11-21T10:00:00",
            "2026-02-30T10:00:00Z",
            "0001-01-01T00:00:00+14:00",
            10**30,
        )
    },
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_a_registration_that_is_not_what_the_route_takes_is_refused_and_not_recorded(shop, change):
    body = change(shop.order(None))
    with nothing_recorded(shop):
        assert_problem(shop.register(body), 422, 400)


@pytest.mark.parametrize(("quantity", "lines"), [(1, 2), (100_000, 200)])
def test_an_order_that_costs_more_than_can_be_counted_is_refused(shop, quantity, lines):
    line = {"sku": "TEE", "quantity": quantity, "unit_price": 999_999_999_999, "tax_rate": "1"}
    assert_problem(shop.register(shop.order(None, lines=[line] * lines)), 422)


#: Registrations at the edge of what is taken.
RIGHT = {
    "the longest order id": lambda body: body | {"order_id": uuid.uuid4().hex * 4},
    "an order id with every character": lambda body: body | {"order_id": f"A_0-b.{uuid.uuid4().hex}"},
    "an email with a plus": changed(email="ann+shop@mail.example.co.uk"),
    "a name of all the world": address(name="Žofia 李 🎉 O'Brien", line1="—"),
    "no tax": line(tax_rate="0"),
    "the highest tax": line(tax_rate="1.00000"),
    "two hundred lines": lambda body: body | {"lines": body["lines"] * 200},
    "one line with the most units": line(quantity=100_000),
    "the highest price": line(unit_price=999_999_999_499, quantity=1, tax_rate="0"),
    "a free order": lambda body: body | {"lines": [body["lines"][0] | {"unit_price": 0}], "shipping": 0},
    "a date with an offset": changed(placed_at="2026-01-01T10:00:00+05:45"),
    "a date of long ago": changed(placed_at="2020-02-29T00:00:00Z"),
    "nulls for what may be left out": changed(customer_id=None, address=None, shipment=None, placed_at=None),
}


@pytest.mark.parametrize("change", RIGHT.values(), ids=RIGHT)
def test_a_registration_at_the_edge_of_what_the_route_takes_is_taken(shop, change):
    body = change(shop.order(None))
    answer = shop.register(body)
    assert answer.status_code == 201, answer.text
    assert shop.view(body["order_id"])["total"] == answer.json()["total"]


@pytest.mark.parametrize(
    "quantity", ["1", 1.5, True, None, -1, 1_000_000_001, 10**30, [1]], ids=lambda value: f"{value!r:.20}"
)
def test_a_stock_level_that_is_not_what_the_route_takes_is_refused_and_not_recorded(shop, quantity):
    with nothing_recorded(shop):
        answer = send(shop, "stock", json={"quantity": quantity}, headers={})
        assert_problem(answer, 422, 400)


@pytest.mark.parametrize("body", [{"force": True}, [], None, "cancel", 1], ids=repr)
def test_a_cancel_takes_no_members(shop, body):
    with nothing_recorded(shop):
        assert_problem(send(shop, "cancel", content=json.dumps(body), headers=JSON), 422, 400)


JSON = {"Content-Type": "application/json"}


class TestTheSizeOfABody:
    @staticmethod
    def padded(shop: Shop, size: int) -> bytes:
        body = json.dumps(shop.order(None)).encode()
        return body[:-1] + b" " * (size - len(body)) + b"}"

    def test_may_be_64_kib(self, shop):
        assert send(shop, "order", content=self.padded(shop, LIMIT), headers=JSON).status_code == 201

    @pytest.mark.parametrize("size", [LIMIT + 1, 16 * LIMIT])
    def test_may_not_be_more(self, shop, size):
        with nothing_recorded(shop):
            answer = send(shop, "order", content=self.padded(shop, size), headers=JSON)
            assert_problem(answer, 413, code="body_too_large")

    def test_may_be_left_open(self, shop):
        body = self.padded(shop, LIMIT)
        answer = send(shop, "order", content=iter([body[:100], body[100:]]), headers=JSON)
        assert answer.request.headers["transfer-encoding"] == "chunked"
        assert answer.status_code == 201

    @pytest.mark.parametrize("size", [LIMIT + 1, 16 * LIMIT])
    def test_may_not_be_more_when_it_was_left_open(self, shop, size):
        body = self.padded(shop, size)
        with nothing_recorded(shop):
            answer = send(shop, "order", content=iter([body[:100], body[100:]]), headers=JSON)
            assert_problem(answer, 413, code="body_too_large")

    def test_is_refused_before_it_is_read(self, shop):
        """Nobody keeps the gateway busy with a body that it will not take: the answer comes before the body."""
        gateway = urlsplit(shop.urls["gateway"])
        head = [
            "POST /orders HTTP/1.1",
            f"Host: {gateway.netloc}",
            f"Authorization: {shop.bearer('service')['Authorization']}",
            "Content-Type: application/json",
            "Content-Length: 1000000000000",
        ]
        with nothing_recorded(shop), socket.create_connection((gateway.hostname, gateway.port), 20) as client:
            client.sendall("\r\n".join([*head, "", ""]).encode())
            assert client.recv(1000).startswith(b"HTTP/1.1 413 ")

    def test_of_a_cancel_is_bounded_too(self, shop):
        with nothing_recorded(shop):
            answer = send(shop, "cancel", content=b" " * LIMIT + b"{}", headers=JSON)
            assert_problem(answer, 413, code="body_too_large")


@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/xml", "json", "", None],
)
@pytest.mark.parametrize("route", ["order", "stock", "cancel"])
def test_another_media_type_is_refused_and_not_recorded(shop, route, media_type):
    with nothing_recorded(shop):
        headers = {} if media_type is None else {"Content-Type": media_type}
        answer = send(shop, route, content=b"{}", headers=headers)
        assert_problem(answer, 415, code="unsupported_media_type")
