"""What is parked is put back to work by an operator, with a reason, and ends as if it had never been given up."""

import uuid
from contextlib import AbstractContextManager

import psycopg
import pytest

from tests.problems import assert_problem
from tests.shop import Purchase, Shop, eventually

FOR_EVER = -1


def give_up(shop: Shop, table: str, purchase: Purchase) -> str:
    """Let the next attempt of an order's void, refund or capture be its last one; returns the row."""
    limit = shop.settings.retry_limit
    statement = f"UPDATE {table} SET attempts = %s WHERE order_id = %s RETURNING id"  # noqa: S608  # of our own tables
    ((subject,),) = shop.sql(statement, limit, purchase.order_id)
    eventually(lambda: parked(shop, subject) == [True])
    eventually(lambda: shop.reminders(subject) == 0)
    return str(subject)


def parked(shop: Shop, subject: str) -> list[bool]:
    """Whether the alerts about this being parked are open, oldest first."""
    rows = shop.sql("SELECT resolved_at IS NULL FROM alerts WHERE cause LIKE %s ORDER BY id", f"parked:%:{subject}")
    return [is_open for (is_open,) in rows]


def silence(shop: Shop, operation: str, reference: str) -> None:
    """Let the provider say nothing about a payment until it behaves again."""
    for one in (operation, "retrieve"):
        shop.fault(one, "drop_before", reference=reference, times=FOR_EVER)


def assert_retried(shop: Shop, purchase: Purchase, task: str, subject: str) -> None:
    """The operator's words stand in the timeline."""
    (entry,) = [entry for entry in shop.view(purchase.order_id)["timeline"] if entry["event"] == "retried"]
    assert entry["actor"] == "admin:op_1"
    assert entry["data"] == {"reason": "looked into it", "retried": [{"task": task, "subject": subject}]}


def test_a_parked_refund_goes_on_and_moves_its_money_once(shop):
    purchase = shop.buy_captured()
    shop.fault("refund", "drop_after", reference=purchase.reference)
    silence(shop, "refund", purchase.reference)
    headers = shop.bearer("admin", "op_1") | {"Prefer": "respond-async"}
    accepted = shop.http.post(f"/api/admin/orders/{purchase.order_id}/refund", json={}, headers=headers).json()
    eventually(lambda: any(refund["error"] for refund in shop.view(purchase.order_id)["refunds"]))
    refund_id = give_up(shop, "refunds", purchase)
    shop.behave()
    answer = shop.retry(accepted["intent"])
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"id": accepted["intent"], "retried": [{"task": "refund.payment", "id": refund_id}]}
    eventually(lambda: shop.view(purchase.order_id)["payment"]["status"] == "refunded")
    assert shop.ledger(purchase.reference).count("refund.created") == 1
    assert parked(shop, refund_id) == [False]
    assert_retried(shop, purchase, "refund.payment", refund_id)
    assert_problem(shop.retry(accepted["intent"]), 409, code="not_parked")


def test_a_parked_void_goes_on_by_its_own_id(shop):
    purchase = shop.buy()
    silence(shop, "cancel", purchase.reference)
    assert shop.cancel(purchase).json()["payment_action"] == "void_failed"
    void_id = give_up(shop, "voids", purchase)
    shop.behave()
    assert shop.retry(void_id).status_code == 200
    eventually(lambda: shop.view(purchase.order_id)["payment"]["status"] == "voided")
    assert shop.ledger(purchase.reference).count("payment_intent.canceled") == 1
    assert parked(shop, void_id) == [False]
    assert_retried(shop, purchase, "void.payment", void_id)
    assert not any(alert["open"] for alert in shop.alerts(purchase.order_id))


@pytest.mark.parametrize("named", ["the capture", "the request"])
def test_a_parked_capture_goes_on_and_what_waited_for_it_too(shop, named):
    reference = shop.authorize()
    shop.fault("capture", "drop_after", reference=reference)
    body = shop.order(reference)
    registered = shop.register(body).json()
    purchase = Purchase(registered["order_id"], registered["modification_token"], reference, registered["total"])
    shop.fault("retrieve", "drop_before", reference=reference, times=FOR_EVER)
    shop.remind(shop.hurry(purchase))
    eventually(lambda: shop.view(purchase.order_id)["payment"]["status"] == "capturing")
    headers = shop.bearer("admin", "op_1") | {"Prefer": "respond-async"}
    accepted = shop.http.post(f"/api/admin/orders/{purchase.order_id}/cancel", json={}, headers=headers)
    intent_id = accepted.json()["intent"]
    job_id = give_up(shop, "capture_jobs", purchase)
    eventually(lambda: state_of(shop, intent_id) == "parked")
    assert shop.reminders(intent_id) == 0
    assert_problem(shop.refund(purchase.order_id), 500, code="parked")  # it would wait behind the same capture
    shop.behave()
    assert shop.retry(job_id if named == "the capture" else intent_id).status_code == 200
    eventually(lambda: state_of(shop, intent_id) == "done")
    answer = shop.intent(accepted.headers["location"], shop.bearer("admin"))["answer"]
    assert answer["body"]["data"]["refundDetails"]["status"] == "completed"
    assert shop.ledger(reference)[2:] == ["payment_intent.captured", "refund.created"]
    assert parked(shop, job_id) == [False]


@pytest.mark.usefixtures("breaks_on_purpose")
def test_a_parked_intent_gets_its_answer_after_all(shop):
    reference = shop.authorize()
    shop.fault("retrieve", "drop_before", reference=reference, times=FOR_EVER)
    body, key = shop.order(reference), {"Idempotency-Key": uuid.uuid4().hex}
    accepted = shop.register(body, Prefer="respond-async", **key)
    intent_id = accepted.json()["intent"]
    limit = shop.settings.retry_limit
    eventually(lambda: shop.sql("SELECT 1 FROM outbox WHERE subject = %s AND breakages > 0", intent_id))
    shop.sql("UPDATE outbox SET breakages = %s WHERE subject = %s", limit, intent_id)
    problem = eventually(lambda: shop.intent(accepted.headers["location"], shop.bearer("admin"))["answer"])
    assert (problem["status"], problem["body"]["code"]) == (500, "parked")
    assert_problem(shop.register(body, **key), 500, code="parked")
    assert parked(shop, intent_id) == [True]

    shop.behave()
    assert shop.retry(intent_id).json()["retried"] == [{"task": "register.order", "id": intent_id}]
    eventually(lambda: shop.intent(accepted.headers["location"], shop.bearer("admin"))["state"] == "done")
    answer = shop.register(body, **key)
    assert (answer.status_code, answer.headers["idempotent-replayed"]) == (201, "true")
    assert shop.view(body["order_id"])["status"] == "pending"
    assert parked(shop, intent_id) == [False]


def test_what_is_not_parked_or_unknown_is_refused_and_only_operators_may(shop):
    purchase = shop.buy()
    intent_id = shop.cancel(purchase, Prefer="respond-async").json()["intent"]
    eventually(lambda: shop.view(purchase.order_id)["payment"]["status"] == "voided")
    assert_problem(shop.retry(intent_id), 409, code="not_parked")
    assert_problem(shop.retry(f"int_{uuid.uuid4().hex}"), 404, code="not_found")
    assert_problem(shop.retry(intent_id, reason=""), 422, code="invalid")
    path = f"/api/admin/intents/{intent_id}/retry"
    for headers in (shop.bearer("service"), {"x-modification-token": purchase.token}):
        assert_problem(shop.http.post(path, json={"reason": "please"}, headers=headers), 403, code="forbidden")


def no_refund_completes(shop: Shop, purchase: Purchase) -> AbstractContextManager[None]:
    """Let the database refuse to write down that a refund of this order was made."""
    return shop.broken("refunds", f"NEW.state = 'completed' AND NEW.order_id = '{purchase.order_id}'")


def park_refund(shop: Shop, purchase: Purchase, amount: int) -> tuple[str, str]:
    """Ask for a part of the money, which is made at the provider but breaks here; returns the intent and the refund."""
    return park_request(shop, purchase, {"Idempotency-Key": uuid.uuid4().hex}, amount=amount)


def park_request(shop: Shop, purchase: Purchase, headers: dict[str, str], **body: int) -> tuple[str, str]:
    """The same for any request."""
    headers = shop.bearer("admin", "op_1") | {"Prefer": "respond-async"} | headers
    path = f"/api/admin/orders/{purchase.order_id}/refund"
    intent_id = shop.http.post(path, json=body, headers=headers).json()["intent"]
    awaited = "SELECT i.awaits FROM intents i JOIN outbox b ON b.subject = i.awaits WHERE i.id = %s AND b.breakages > 0"
    ((refund_id,),) = eventually(lambda: shop.sql(awaited, intent_id))
    shop.sql("UPDATE outbox SET breakages = 99, due_at = now() WHERE subject = %s", refund_id)
    eventually(lambda: parked(shop, refund_id) == [True])
    assert state_of(shop, intent_id) == "parked"
    return intent_id, str(refund_id)


def state_of(shop: Shop, intent_id: str) -> str:
    """How far an intent has come."""
    return str(shop.intent(f"/intents/{intent_id}", shop.bearer("admin"))["state"])


@pytest.mark.usefixtures("breaks_on_purpose")
def test_a_parked_intent_whose_refund_went_on_by_itself_is_answered_and_pays_once(shop):
    purchase = shop.buy_captured()
    with no_refund_completes(shop, purchase):
        intent_id, refund_id = park_refund(shop, purchase, 10)
    shop.compare(purchase.reference)  # what the provider shows wakes the refund
    eventually(lambda: shop.view(purchase.order_id)["refunds"][0]["status"] == "completed")
    answer = shop.retry(intent_id)
    assert answer.status_code == 200, answer.text
    eventually(lambda: state_of(shop, intent_id) == "done")
    given = shop.intent(f"/intents/{intent_id}", shop.bearer("admin"))["answer"]["body"]["data"]["refund"]
    assert (given["refundId"], given["amount"], given["status"]) == (refund_id, 10, "completed")
    assert shop.ledger(purchase.reference).count("refund.created") == 1
    assert shop.view(purchase.order_id)["payment"]["refunded"] == 1000
    assert_problem(shop.retry(intent_id), 409, code="not_parked")


@pytest.mark.usefixtures("breaks_on_purpose")
def test_a_refund_and_its_intent_retried_one_after_the_other_pay_once(shop):
    purchase = shop.buy_captured()
    with no_refund_completes(shop, purchase):
        intent_id, refund_id = park_refund(shop, purchase, 10)
    shop.unheard(purchase.reference)
    assert shop.retry(refund_id).status_code == 200
    assert shop.retry(intent_id).status_code == 200
    eventually(lambda: state_of(shop, intent_id) == "done")
    assert [one["refund_id"] for one in shop.view(purchase.order_id)["refunds"]] == [refund_id]
    assert shop.ledger(purchase.reference).count("refund.created") == 1


@pytest.mark.usefixtures("breaks_on_purpose")
def test_a_parked_intent_is_retried_with_its_own_refund_and_no_other(shop):
    purchase = shop.buy_captured()
    shop.unheard(purchase.reference)
    with no_refund_completes(shop, purchase):
        one, first = park_refund(shop, purchase, 10)
        other, second = park_refund(shop, purchase, 5)
    assert shop.retry(first).status_code == 200
    eventually(lambda: parked(shop, first) == [False])
    assert shop.retry(one).json() == {"id": one, "retried": []}
    eventually(lambda: state_of(shop, one) == "done")
    assert (state_of(shop, other), parked(shop, second)) == ("parked", [True])
    assert shop.retry(other).json()["retried"] == [{"task": "refund.payment", "id": second}]
    eventually(lambda: state_of(shop, other) == "done")
    assert shop.ledger(purchase.reference).count("refund.created") == 2


def test_one_intent_cannot_promise_two_refunds_whatever_the_rules_say(shop):
    purchase = shop.buy_captured()
    shop.refund(purchase.order_id, key=uuid.uuid4().hex, amount=10)
    copy = (
        "INSERT INTO refunds (id, order_id, payment_id, amount, source, actor, intent_id)"
        " SELECT id || 'b', order_id, payment_id, amount, source, actor, intent_id FROM refunds WHERE order_id = %s"
    )
    with pytest.raises(psycopg.errors.UniqueViolation):
        shop.sql(copy, purchase.order_id)
    again = "UPDATE intents SET state = 'accepted' WHERE subject = %s AND operation = 'refund_order'"
    with pytest.raises(psycopg.errors.CheckViolation):
        shop.sql(again, purchase.order_id)


@pytest.mark.usefixtures("breaks_on_purpose")
def test_a_parked_intent_whose_repetition_is_under_way_is_left_to_it(shop):
    purchase = shop.buy_captured()
    shop.unheard(purchase.reference)
    headers = shop.bearer("admin", "op_1") | {"Prefer": "respond-async"}
    path = f"/api/admin/orders/{purchase.order_id}/refund"
    with no_refund_completes(shop, purchase):
        intent_id, refund_id = park_request(shop, purchase, {})
    repeated = shop.http.post(path, json={}, headers=headers).json()["intent"]
    eventually(lambda: state_of(shop, repeated) == "working")
    assert_problem(shop.retry(intent_id), 409, code="already_running")
    assert shop.retry(refund_id).status_code == 200
    eventually(lambda: state_of(shop, repeated) == "done")
    assert shop.retry(intent_id).status_code == 200
    eventually(lambda: state_of(shop, intent_id) == "done")
    assert shop.ledger(purchase.reference).count("refund.created") == 1


@pytest.mark.usefixtures("breaks_on_purpose")
def test_a_parked_webhook_event_is_followed_after_all(shop):
    purchase = shop.buy_captured()
    shop.unheard(purchase.reference)
    (event,) = shop.sent(purchase.reference, "payment_intent.amount_capturable_updated")
    name = f"evt_{uuid.uuid4().hex}"
    claim = {"id": shop.happen("dispute", purchase.reference)["id"], "object": "dispute"}
    claim |= {"payment_intent": purchase.reference}
    broken = "SELECT subject FROM outbox JOIN webhook_events w ON w.id = subject WHERE event_id = %s AND breakages > 0"
    with shop.broken("webhook_events", f"NEW.event_id = '{name}' AND NEW.state = 'done'"):
        shop.tell(event | {"id": name, "type": "charge.dispute.created", "data": {"object": claim}})
        ((event_id,),) = eventually(lambda: shop.sql(broken, name))
        shop.sql("UPDATE outbox SET breakages = 99, due_at = now() WHERE subject = %s", event_id)
        eventually(lambda: parked(shop, event_id) == [True])
    answer = shop.retry(event_id)
    assert answer.status_code == 200, answer.text
    assert answer.json()["retried"] == [{"task": "webhook.process", "id": event_id}]
    eventually(lambda: shop.sql("SELECT 1 FROM webhook_events WHERE id = %s AND state = 'done'", event_id))
    assert parked(shop, event_id) == [False]
    assert_retried(shop, purchase, "webhook.process", event_id)
    assert any("disputes" in alert["title"] for alert in shop.alerts(purchase.order_id))
