"""What Stripe tells us: taken in once, and never believed further than that there is something to look at."""

import copy
import json
import threading
import uuid
from typing import Any

import pytest
import stripe

from shared.db import Database
from shared.providers.ports import Dispute, DisputeStatus
from shared.queues import Queue
from tests.conftest import NEXT_SECRET
from tests.problems import assert_problem
from tests.shop import Purchase, Shop, at_once, eventually
from workers import dispute
from workers.base import Work

SUCCEEDED = "payment_intent.succeeded"
CANCELED = "payment_intent.canceled"


def events_recorded(shop: Shop) -> int:
    ((count,),) = shop.sql("SELECT count(*) FROM webhook_events")
    return int(count)


def settled(shop: Shop, purchase: Purchase, *types: str) -> bool:
    """Whether these events about a payment have arrived and none waits to be followed."""
    told = shop.told(purchase.reference)
    return set(types) <= {type for type, _ in told} and "received" not in {state for _, state in told}


@pytest.fixture
def event() -> dict[str, Any]:
    """An event in Stripe's form, about a payment that nobody knows."""
    return {
        "id": f"evt_{uuid.uuid4().hex}",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": 1_790_000_000,
        "livemode": False,
        "type": SUCCEEDED,
        "data": {"object": {"id": "pi_unknown", "object": "payment_intent", "receipt_email": "ann@example.com"}},
    }


# The door.


@pytest.mark.parametrize("ago", [301, 3600, -301, -3600])
def test_an_event_that_is_too_old_or_comes_from_the_future_is_refused_and_not_recorded(shop, event, ago):
    before = events_recorded(shop)
    assert_problem(shop.tell(event, ago=ago), 400, code="bad_signature")
    assert events_recorded(shop) == before


@pytest.mark.parametrize("ago", [290, -290])
def test_a_clock_may_be_some_minutes_off_either_way(shop, event, ago):
    assert shop.tell(event, ago=ago).status_code == 200


@pytest.mark.parametrize(
    "header", [None, "", "t=1,v1=1", "t=,v1=", "nonsense", "v1=" + "0" * 64, "t=1700000000,v1=\u00e4"], ids=repr
)
def test_an_event_without_a_signature_is_refused_and_not_recorded(shop, event, header):
    before = events_recorded(shop)
    headers = {} if header is None else {"Stripe-Signature": header.encode()}
    answer = shop.http.post("/webhooks/stripe", content=json.dumps(event), headers=headers)
    assert_problem(answer, 400, code="bad_signature")
    assert events_recorded(shop) == before


def test_an_event_that_somebody_else_signed_or_changed_is_refused_and_not_recorded(shop, event):
    before = events_recorded(shop)
    assert_problem(shop.tell(event, secret="whsec_somebody_else"), 400, code="bad_signature")
    assert_problem(shop.tell(event, secret=shop.settings.stripe_api_key), 400, code="bad_signature")
    secret = shop.settings.stripe_webhook_secrets[-1]
    header = stripe.WebhookSignature.generate_signature_header(json.dumps(event), secret)
    changed = json.dumps(event).replace("pi_unknown", "pi_another")
    answer = shop.http.post("/webhooks/stripe", content=changed, headers={"Stripe-Signature": header})
    assert_problem(answer, 400, code="bad_signature")
    assert events_recorded(shop) == before


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b"[]", b'"evt_1"', b'{"id": "evt_1", "object": "event"}'])
def test_what_is_signed_and_no_event_is_refused_and_not_recorded(shop, body):
    before = events_recorded(shop)
    secret = shop.settings.stripe_webhook_secrets[-1]
    header = stripe.WebhookSignature.generate_signature_header(body.decode(), secret)
    answer = shop.http.post("/webhooks/stripe", content=body, headers={"Stripe-Signature": header})
    assert_problem(answer, 400, code="malformed")
    assert events_recorded(shop) == before


def test_a_body_without_end_is_refused(shop):
    answer = shop.http.post("/webhooks/stripe", content=b" " * (shop.settings.webhook_body_limit + 1))
    assert_problem(answer, 413, code="body_too_large")


def test_while_the_secret_is_rolled_events_pass_under_either(shop, event):
    assert shop.tell(event).status_code == 200
    assert shop.tell(event | {"id": f"evt_{uuid.uuid4().hex}"}, secret=NEXT_SECRET).status_code == 200


def test_an_event_is_recorded_once_however_often_and_fast_it_comes(shop, event):
    answers = at_once(8, lambda _: shop.tell(event))
    answers += [shop.tell(event), shop.tell(event | {"type": CANCELED})]
    assert [(answer.status_code, answer.json()) for answer in answers] == [(200, {"received": True})] * 10
    assert shop.sql("SELECT type FROM webhook_events WHERE event_id = %s", event["id"]) == [(SUCCEEDED,)]


def test_of_an_event_nothing_is_kept_that_names_people(shop, event):
    shop.tell(event)
    ((row,),) = shop.sql("SELECT to_json(e)::text FROM webhook_events e WHERE event_id = %s", event["id"])
    assert "ann" not in row
    assert json.loads(row)["reference"] == "pi_unknown"


def test_an_event_about_somebody_elses_payment_is_ignored(shop, event):
    shop.tell(event)
    statement = "SELECT 1 FROM webhook_events WHERE event_id = %s AND state = 'ignored'"
    eventually(lambda: shop.sql(statement, event["id"]))


def test_an_event_of_no_use_is_taken_in_whatever_it_is_about(shop, event):
    coupon = {"id": "25 % OFF", "object": "coupon"}
    assert shop.tell(event | {"type": "coupon.created", "data": {"object": coupon}}).status_code == 200
    statement = "SELECT state, object_id FROM webhook_events WHERE event_id = %s"
    assert shop.sql(statement, event["id"]) == [("ignored", None)]


def test_an_event_of_no_use_is_recorded_and_nobody_is_sent(shop, event):
    assert shop.tell(event | {"type": "customer.created"}).status_code == 200
    ((event_id, state),) = shop.sql("SELECT id, state FROM webhook_events WHERE event_id = %s", event["id"])
    assert state == "ignored"
    assert shop.sql("SELECT 1 FROM outbox WHERE subject = %s", event_id) == []


def test_webhooks_are_counted_by_what_became_of_them(shop, event):
    before = shop.webhooks_counted()
    shop.tell(event)
    shop.tell(event)
    shop.tell(event, ago=9999)
    shop.tell(event | {"id": f"evt_{uuid.uuid4().hex}", "type": "customer.created"})
    after = shop.webhooks_counted()
    assert {outcome: after[outcome] - before.get(outcome, 0) for outcome in ("duplicate", "refused", "ignored")} == {
        "duplicate": 1,
        "refused": 1,
        "ignored": 1,
    }
    assert after["recorded"] > before.get("recorded", 0)


# What our own tasks do is told as well, and changes nothing.


def test_what_we_did_ourselves_is_told_and_changes_nothing(shop):
    purchase = shop.buy_overdue()
    eventually(lambda: settled(shop, purchase, SUCCEEDED))
    assert shop.events(purchase.order_id) == [
        "order_registered",
        "capture_started",
        "payment_captured",
        "order_captured",
    ]
    canceled = shop.buy()
    shop.cancel(canceled)
    eventually(lambda: settled(shop, canceled, CANCELED))
    assert shop.events(canceled.order_id) == ["order_registered", "order_canceled", "void_started", "payment_voided"]
    assert shop.alerts(purchase.order_id) == shop.alerts(canceled.order_id) == []


def test_a_capture_that_is_told_before_its_own_answer_counts_once(shop):
    reference = shop.authorize()
    shop.fault("capture", "timeout_after", reference=reference)
    purchase = shop.overdue(reference)
    eventually(lambda: settled(shop, purchase, SUCCEEDED))
    view = shop.view(purchase.order_id)  # its answer is still awaited, or has just been given up
    assert view["payment"] | {"status": "capturing", "captured": 0, "released": 0} == view["payment"]
    view = eventually(lambda: (seen := shop.view(purchase.order_id))["payment"]["status"] == "captured" and seen)
    assert (view["status"], view["payment"]["captured"]) == ("captured", purchase.total)
    assert shop.ledger(reference).count("payment_intent.captured") == 1
    assert [name for name in shop.events(purchase.order_id) if name != "capture_unanswered"] == [
        "order_registered",
        "capture_started",
        "payment_captured",
        "order_captured",
    ]


def test_a_void_that_is_told_before_its_own_answer_counts_once(shop):
    purchase = shop.buy()
    shop.fault("cancel", "timeout_after", reference=purchase.reference)
    shopper = threading.Thread(target=shop.cancel, args=(purchase,))
    shopper.start()
    eventually(lambda: settled(shop, purchase, CANCELED))
    assert shop.view(purchase.order_id)["payment"]["status"] == "voiding"
    shopper.join()
    eventually(lambda: shop.view(purchase.order_id)["payment"]["status"] == "voided")
    assert shop.ledger(purchase.reference).count("payment_intent.canceled") == 1
    assert [name for name in shop.events(purchase.order_id) if name != "void_unanswered"] == [
        "order_registered",
        "order_canceled",
        "void_started",
        "payment_voided",
    ]


# Twice, late, out of order.


def test_an_event_that_comes_twice_has_one_effect(shop):
    purchase = shop.buy()
    shop.fault("webhook", "twice", reference=purchase.reference, times=-1)
    shop.provider.v1.payment_intents.capture(purchase.reference)
    eventually(lambda: settled(shop, purchase, SUCCEEDED))
    (event,) = shop.sent(purchase.reference, SUCCEEDED)
    assert shop.tell(event).status_code == 200
    # Stripe may also tell the same thing under another id.
    shop.tell(event | {"id": f"evt_{uuid.uuid4().hex}"})
    eventually(lambda: [type for type, _ in shop.told(purchase.reference)].count(SUCCEEDED) == 2)
    eventually(lambda: settled(shop, purchase, SUCCEEDED))
    assert shop.events(purchase.order_id) == ["order_registered", "payment_captured_elsewhere", "order_captured"]
    assert len(shop.alerts(purchase.order_id)) == 1
    assert shop.view(purchase.order_id)["payment"]["captured"] == 3800


def test_an_event_that_comes_late_is_followed_when_it_comes(shop):
    purchase = shop.buy()
    shop.fault("webhook", "late", reference=purchase.reference, seconds=1.5)
    shop.provider.v1.payment_intents.cancel(purchase.reference)
    assert shop.view(purchase.order_id)["payment"]["status"] == "authorized"
    eventually(lambda: shop.view(purchase.order_id)["payment"]["status"] == "voided")


def test_events_out_of_order_come_to_the_same_as_in_order(shop):
    purchase = shop.buy()
    shop.fault("webhook", "out_of_order", reference=purchase.reference)  # the first one waits for another
    shop.provider.v1.payment_intents.capture(purchase.reference)
    refund = shop.provider.v1.refunds.create({"payment_intent": purchase.reference, "amount": 1000})
    eventually(lambda: settled(shop, purchase, SUCCEEDED, "refund.created", "charge.refunded"))
    view = shop.view(purchase.order_id)
    assert view["payment"] | {"status": "partially_refunded", "captured": 3800, "refunded": 1000} == view["payment"]
    statement = "SELECT amount, provider_id FROM refunds WHERE order_id = %s"
    assert shop.sql(statement, purchase.order_id) == [(1000, refund.id)]
    names = shop.events(purchase.order_id)
    assert sorted(set(names)) == sorted(names)


def test_an_old_event_does_not_turn_anything_back(shop):
    purchase = shop.buy()
    (held,) = shop.sent(purchase.reference, "payment_intent.amount_capturable_updated")
    shop.provider.v1.payment_intents.capture(purchase.reference)
    eventually(lambda: settled(shop, purchase, SUCCEEDED))
    before = shop.view(purchase.order_id)
    lying = copy.deepcopy(held) | {"id": f"evt_{uuid.uuid4().hex}"}
    assert lying["data"]["object"]["status"] == "requires_capture"
    shop.tell(lying)
    eventually(lambda: settled(shop, purchase, lying["type"]))
    assert shop.view(purchase.order_id) == before


def test_what_an_event_says_is_not_believed(shop):
    purchase = shop.buy()
    (held,) = shop.sent(purchase.reference, "payment_intent.amount_capturable_updated")
    lying = copy.deepcopy(held) | {"id": f"evt_{uuid.uuid4().hex}", "type": SUCCEEDED}
    lying["data"]["object"] |= {"status": "succeeded", "amount_received": 3800, "amount_capturable": 0}
    shop.tell(lying)
    eventually(lambda: settled(shop, purchase, SUCCEEDED))
    assert shop.view(purchase.order_id)["payment"]["status"] == "authorized"
    assert shop.events(purchase.order_id) == ["order_registered"]


def test_an_event_that_breaks_its_task_again_and_again_is_parked_with_an_alert(shop, breaks_on_purpose, event):
    statement = "SELECT id FROM webhook_events WHERE event_id = %s AND state = 'parked'"
    with shop.broken("webhook_events", f"NEW.event_id = '{event['id']}' AND NEW.state = 'ignored'"):
        shop.tell(event)
        ((event_id,),) = eventually(lambda: shop.sql(statement, event["id"]), 90)
    ((severity,),) = shop.sql("SELECT severity FROM alerts WHERE cause = %s", f"parked:webhook.process:{event_id}")
    assert severity == "critical"
    assert shop.sql("SELECT 1 FROM outbox WHERE subject = %s", event_id) == []


# Disputes.


def about_dispute(event: dict[str, Any], reference: str) -> dict[str, Any]:
    """An event about a dispute that the provider does not show."""
    claim = {"id": f"du_{uuid.uuid4().hex}", "object": "dispute", "payment_intent": reference}
    return event | {"type": "charge.dispute.created", "data": {"object": claim}}


def test_a_dispute_that_the_provider_does_not_show_is_told_to_a_person(shop, event):
    purchase = shop.buy()
    shop.tell(about_dispute(event, purchase.reference))
    eventually(lambda: settled(shop, purchase, "charge.dispute.created"))
    title = f"Order {purchase.order_id}: the provider tells of a dispute and does not show it (resource_missing)"
    assert shop.alerts(purchase.order_id) == [{"title": title, "severity": "critical", "open": True}]
    statement = "SELECT state FROM webhook_events WHERE event_id = %s"
    assert shop.sql(statement, event["id"]) == [("done",)]


def test_a_dispute_that_is_told_before_its_order_is_registered_is_followed_after(shop, event):
    reference = shop.authorize()
    shop.tell(about_dispute(event, reference))
    due = "SELECT b.due_at FROM webhook_events e JOIN outbox b ON b.subject = e.id WHERE e.event_id = %s"
    first = shop.sql(due, event["id"])
    eventually(lambda: shop.sql(due, event["id"]) != first)  # it has been looked at, and nobody knew the payment
    order_id = shop.register(shop.order(reference)).json()["order_id"]
    eventually(lambda: shop.alerts(order_id))


def test_a_dispute_about_somebody_elses_payment_is_ignored_in_the_end(shop, event):
    shop.tell(about_dispute(event, "pi_unknown"))
    statement = "SELECT 1 FROM webhook_events WHERE event_id = %s AND state = 'ignored'"
    eventually(lambda: shop.sql(statement, event["id"]))


@pytest.mark.parametrize("end", ["won", "lost"])
def test_a_dispute_that_was_read_before_its_end_and_is_followed_after_changes_nothing(shop, end):
    purchase = shop.buy()
    ((payment_id,),) = shop.sql("SELECT id FROM payments WHERE reference = %s", purchase.reference)
    database = Database(shop.settings.database_url, 1)
    reference = f"du_{uuid.uuid4().hex}"
    for status in (DisputeStatus(end), DisputeStatus.OPEN):
        with database.transaction() as connection:
            work = Work(connection)
            dispute.follow(work, payment_id, Dispute(reference, status, 3800, "USD"), Queue.WEBHOOK)
            work.close(shop.settings.patience)
    database.close()
    assert shop.events(purchase.order_id)[-1] == f"dispute_{end}"
    assert [alert["open"] for alert in shop.alerts(purchase.order_id)] == ([] if end == "won" else [True])


@pytest.mark.parametrize("end", ["won", "lost"])
def test_a_dispute_is_told_to_a_person_and_so_is_its_end(shop, end):
    purchase = shop.buy_overdue()
    eventually(lambda: shop.view(purchase.order_id)["status"] == "captured")
    claim = shop.happen("dispute", purchase.reference)
    (alert,) = eventually(lambda: shop.alerts(purchase.order_id))
    title = f"Order {purchase.order_id}: the cardholder disputes 38.00 USD (answer it at the provider)"
    assert alert == {"title": title, "severity": "critical", "open": True}
    shop.happen(end, claim["id"])
    eventually(lambda: not shop.alerts(purchase.order_id)[0]["open"])
    eventually(lambda: settled(shop, purchase, "charge.dispute.closed"))
    assert [alert["open"] for alert in shop.alerts(purchase.order_id)] == ([False] if end == "won" else [False, True])
    # The first event comes once more, and late: the dispute is over.
    (opened,) = shop.sent(purchase.reference, "charge.dispute.created")
    shop.tell(opened | {"id": f"evt_{uuid.uuid4().hex}"})
    eventually(lambda: [type for type, _ in shop.told(purchase.reference)].count("charge.dispute.created") == 2)
    eventually(lambda: settled(shop, purchase, "charge.dispute.created"))
    assert shop.events(purchase.order_id)[-2:] == ["dispute_opened", f"dispute_{end}"]
    assert shop.view(purchase.order_id)["payment"]["status"] == "captured"
