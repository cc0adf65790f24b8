"""Intake: what the gateway takes in, what it refuses, and the answers that it keeps."""

import json
import socket
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.problems import assert_problem, nothing_recorded
from tests.shop import Shop, at_once, eventually

LIMIT = 64 * 1024


def key() -> dict[str, str]:
    return {"Idempotency-Key": uuid.uuid4().hex}


def put_stock(shop: Shop, sku: str, quantity: int, **headers: str):
    return shop.http.put(f"/stock/{sku}", json={"quantity": quantity}, headers={**shop.bearer("service"), **headers})


class TestTheSameKeyAgain:
    def test_gives_the_first_answer_byte_for_byte(self, shop):
        body, headers = shop.order(shop.authorize()), key()
        first, again = shop.register(body, **headers), shop.register(body, **headers)
        assert first.status_code == 201
        assert (again.status_code, again.content) == (201, first.content)
        assert again.headers["content-type"] == first.headers["content-type"]
        assert "idempotent-replayed" not in first.headers
        assert again.headers["idempotent-replayed"] == "true"

    def test_gives_the_first_answer_though_things_have_changed(self, shop):
        sku, headers = f"SKU-{uuid.uuid4().hex}", key()
        first = put_stock(shop, sku, 10, **headers)
        put_stock(shop, sku, 3)
        again = put_stock(shop, sku, 10, **headers)
        assert (again.status_code, again.content) == (200, first.content)
        assert again.headers["idempotent-replayed"] == "true"
        assert shop.stock(sku) == 3

    def test_gives_the_first_refusal_byte_for_byte(self, shop):
        purchase, headers = shop.buy_overdue(), key()
        first, again = shop.cancel(purchase, **headers), shop.cancel(purchase, **headers)
        assert first.status_code == 409
        assert (again.status_code, again.content) == (409, first.content)
        assert again.headers["content-type"] == "application/problem+json"
        assert again.headers["idempotent-replayed"] == "true"

    def test_gives_the_first_answer_to_an_order_that_was_registered_without_an_id(self, shop):
        body, headers = shop.order(shop.authorize()), key()
        del body["order_id"]
        first, again = shop.register(body, **headers), shop.register(body, **headers)
        assert first.status_code == 201, first.text
        assert (again.status_code, again.content) == (201, first.content)
        assert again.headers["idempotent-replayed"] == "true"

    def test_names_one_order_though_it_was_registered_without_an_id(self, shop):
        body, headers = shop.order(None), key()
        del body["order_id"]
        registered = shop.register(body, **headers).json()
        assert_problem(shop.register(body | {"shipping": 1}, **headers), 422, code="idempotency_key_reused")
        other = shop.register(body, **key()).json()
        assert other["order_id"] != registered["order_id"]

    def test_with_another_body_is_refused(self, shop):
        sku, headers = f"SKU-{uuid.uuid4().hex}", key()
        put_stock(shop, sku, 10, **headers)
        with nothing_recorded(shop):
            assert_problem(put_stock(shop, sku, 11, **headers), 422, code="idempotency_key_reused")
        assert shop.stock(sku) == 10

    def test_with_another_order_under_the_same_id_is_refused(self, shop):
        body, headers = shop.order(shop.authorize()), key()
        shop.register(body, **headers)
        assert_problem(shop.register(body | {"shipping": 400}, **headers), 422, code="idempotency_key_reused")

    def test_with_the_same_body_written_differently_is_the_same_request(self, shop):
        body, headers = shop.order(shop.authorize()), key()
        first = shop.register(body, **headers)
        backwards = json.dumps(dict(reversed(body.items())), indent=3)
        again = shop.http.post(
            "/orders",
            content=backwards,
            headers={**shop.bearer("service"), "Content-Type": "application/json; charset=utf-8", **headers},
        )
        assert (again.status_code, again.content) == (201, first.content)

    def test_may_come_bare_or_as_the_quoted_string_of_the_draft(self, shop):
        sku, name = f"SKU-{uuid.uuid4().hex}", uuid.uuid4().hex
        put_stock(shop, sku, 10, **{"Idempotency-Key": name})
        assert put_stock(shop, sku, 10, **{"Idempotency-Key": f'"{name}"'}).headers["idempotent-replayed"] == "true"

    def test_means_another_request_for_another_subject_or_actor(self, shop):
        headers = key()
        first, second = f"SKU-{uuid.uuid4().hex}", f"SKU-{uuid.uuid4().hex}"
        assert put_stock(shop, first, 1, **headers).json() == {"sku": first, "quantity": 1}
        assert put_stock(shop, second, 2, **headers).json() == {"sku": second, "quantity": 2}
        other = shop.http.put(
            f"/stock/{first}", json={"quantity": 7}, headers={**shop.bearer("service", "other"), **headers}
        )
        assert other.json() == {"sku": first, "quantity": 7}

    @pytest.mark.parametrize(
        "malformed", ["", '""', "a b", "x" * 256, "schlüssel", "tab\there"], ids=lambda value: value[:10] or "empty"
    )
    def test_must_be_printable_and_not_too_long(self, shop, malformed):
        headers = {"Idempotency-Key": malformed.encode("latin-1")}
        with nothing_recorded(shop):
            answer = put_stock(shop, "SKU-1", 1, **headers)
            assert_problem(answer, 400, code="idempotency_key_malformed")

    def test_may_be_255_characters_long(self, shop):
        sku = f"SKU-{uuid.uuid4().hex}"
        assert put_stock(shop, sku, 1, **{"Idempotency-Key": "~" * 255}).status_code == 200


class TestARequestWithoutAKey:
    def test_is_judged_afresh_when_the_one_before_has_ended(self, shop):
        sku = f"SKU-{uuid.uuid4().hex}"
        assert put_stock(shop, sku, 10).status_code == 200
        put_stock(shop, sku, 3)
        again = put_stock(shop, sku, 10)
        assert again.status_code == 200
        assert "idempotent-replayed" not in again.headers
        assert shop.stock(sku) == 10


class TestPrefer:
    def test_respond_async_is_answered_at_once_with_the_place_to_look(self, shop):
        purchase = shop.buy()
        answer = shop.cancel(purchase, Prefer="respond-async")
        assert answer.status_code == 202, answer.text
        assert answer.headers["preference-applied"] == "respond-async"
        assert answer.headers["location"] == f"/intents/{answer.json()['intent']}"
        assert answer.json()["state"] in ("accepted", "working")
        owner = {"x-modification-token": purchase.token}
        ended = eventually(lambda: (seen := shop.intent(answer.headers["location"], owner))["answer"] and seen)
        assert ended | {"operation": "cancel_order", "subject": purchase.order_id, "state": "done"} == ended
        assert ended["answer"] == {
            "status": 200,
            "body": {"order_id": purchase.order_id, "status": "canceled", "payment_action": "voided"},
        }

    @pytest.mark.parametrize("prefer", ["wait=1", "wait=0", "respond-async, wait=1", "handling=strict, Wait = 1"])
    def test_a_wait_that_is_over_is_answered_with_the_place_to_look(self, shop, prefer):
        purchase = shop.buy()
        shop.fault("cancel", "timeout_before", reference=purchase.reference)  # for longer than the client waits
        answer = shop.cancel(purchase, Prefer=prefer)
        assert answer.status_code == 202, answer.text
        intent = shop.intent(answer.headers["location"], shop.bearer("admin"))
        assert (intent["state"] in ("accepted", "working"), intent["answer"]) == (True, None)
        assert shop.cancel(purchase).status_code == 200
        ended = eventually(lambda: shop.intent(answer.headers["location"], shop.bearer("admin"))["answer"])
        assert ended["status"] == 200

    @pytest.mark.parametrize(
        "prefer", ["wait=20", "respond-async, wait=20", "wait=soon", "wait=-1", "wait=", "return=minimal"]
    )
    def test_an_outcome_within_the_wait_is_answered_with_it(self, shop, prefer):
        """RFC 7240, section 4.3: with respond-async, a wait says for how long the client would rather wait."""
        answer = shop.cancel(shop.buy(), Prefer=prefer)
        assert (answer.status_code, answer.json().get("payment_action")) == (200, "voided")

    def test_a_registration_that_was_not_waited_for_gives_the_same_answer_later(self, shop):
        body, headers = shop.order(shop.authorize()), key()
        accepted = shop.register(body, Prefer="respond-async", **headers)
        assert accepted.status_code == 202
        service = shop.bearer("service")
        ended = eventually(lambda: shop.intent(accepted.headers["location"], service)["answer"])
        again = shop.register(body, **headers)
        assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
        assert ended == {"status": 201, "body": again.json()}


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


class TestAnOrderThatSomebodyKeepsLocked:
    @pytest.mark.parametrize("table", ["orders", "payments", "capture_jobs"])
    def test_cannot_be_confirmed_uncaptured_and_is_canceled_as_soon_as_it_can(self, shop, table):
        purchase, headers = shop.buy(), key()
        column = "id" if table == "orders" else "order_id"
        with psycopg.connect(shop.settings.database_url) as session:
            session.execute(f"SELECT FROM {table} WHERE {column} = %s FOR UPDATE", [purchase.order_id])
            answer = shop.cancel(purchase, **headers)
            assert_problem(answer, 503, code="capture_unconfirmed")
            assert int(answer.headers["retry-after"]) > 0
            intent = shop.intent(answer.headers["location"], {"x-modification-token": purchase.token})
            assert (intent["state"], intent["answer"]) == ("accepted", None)
            assert shop.view(purchase.order_id)["status"] == "pending"
            session.rollback()
        view = eventually(lambda: (seen := shop.view(purchase.order_id))["payment"]["status"] == "voided" and seen)
        assert view["status"] == "canceled"
        answer = shop.cancel(purchase, **headers)
        assert (answer.status_code, answer.json()["payment_action"]) == (200, "voided")
        assert shop.ledger(purchase.reference).count("payment_intent.canceled") == 1

    def test_is_not_canceled_when_its_hour_is_over_before_it_is_free(self, shop):
        purchase = shop.buy()
        with psycopg.connect(shop.settings.database_url) as session:
            session.execute("SELECT FROM orders WHERE id = %s FOR UPDATE", [purchase.order_id])
            assert_problem(shop.cancel(purchase), 503, code="capture_unconfirmed")
            session.execute(
                "UPDATE orders SET grace_until = now() - interval '1 second' WHERE id = %s", [purchase.order_id]
            )
            session.commit()
        assert_problem(shop.cancel(purchase), 409, code="late_cancel")
        assert shop.view(purchase.order_id)["status"] == "pending"

    def test_leaves_a_caller_without_a_key_to_join_the_request_that_is_kept(self, shop):
        purchase = shop.buy()
        with psycopg.connect(shop.settings.database_url) as session:
            session.execute("SELECT FROM orders WHERE id = %s FOR UPDATE", [purchase.order_id])
            answers = at_once(2, lambda _: shop.cancel(purchase))
            answers.append(shop.cancel(purchase))
            for answer in answers:
                assert_problem(answer, 503, code="capture_unconfirmed")
            assert len({answer.headers["location"] for answer in answers}) == 1
            session.rollback()
        assert shop.cancel(purchase).json()["payment_action"] == "voided"
