"""Intake: which requests are one and the same, and the answers that it keeps."""

import json
import uuid

import psycopg
import pytest

from tests.acceptance.keys import key
from tests.problems import assert_problem, nothing_recorded
from tests.shop import Shop, at_once, eventually


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
