"""What Razorpay tells us: taken in once, and never believed further than that there is something to look at."""

import hashlib
import hmac
import json
import uuid
from typing import Any

import pytest

from tests.conftest import NEXT_SECRET
from tests.depot import PRICE, Depot, Parcel
from tests.problems import assert_problem
from tests.shop import at_once, eventually

#: The payload of an event about a refund.
REFUND = {
    "payload": {
        "payment": {"entity": {"id": "pay_SandboxNobody1"}},
        "refund": {"entity": {"id": "rfnd_SandboxNobody", "payment_id": "pay_SandboxNobody1"}},
    }
}


def event_of(reference: str, type: str = "payment.captured", **payload: Any) -> dict[str, Any]:
    """An event in Razorpay's form about a payment, whatever has become of it."""
    payment = {"id": reference, "entity": "payment", "status": "captured", "email": "asha@example.com"}
    return {
        "entity": "event",
        "account_id": "acc_Sandbox",
        "event": type,
        "contains": ["payment"],
        "payload": {"payment": {"entity": payment}} | payload,
        "created_at": 1_790_000_000,
    }


def event_id() -> str:
    return f"evt_{uuid.uuid4().hex}"


def told(depot: Depot, name: str) -> list[tuple[Any, ...]]:
    """What is on record of an event."""
    return depot.shop.sql("SELECT type, state FROM webhook_events WHERE event_id = %s", name)


def send(depot: Depot, body: bytes, **headers: Any) -> Any:
    return depot.shop.http.post("/webhooks/razorpay", content=body, headers=headers)


def signed(depot: Depot, body: bytes) -> str:
    return hmac.new(depot.shop.settings.razorpay_webhook_secrets[-1].encode(), body, hashlib.sha256).hexdigest()


# The door.


def test_while_the_secret_is_changed_events_pass_under_either(depot):
    for secret in (depot.shop.settings.razorpay_webhook_secrets[-1], NEXT_SECRET):
        name = event_id()
        answer = depot.tell(event_of("pay_SandboxNobody1"), name, secret)
        assert (answer.status_code, answer.json()) == (200, {"received": True})
        eventually(lambda name=name: told(depot, name) == [("payment.captured", "ignored")])


@pytest.mark.parametrize("signature", [None, "", "0" * 64, "nonsense", "\u00e4"], ids=repr)
def test_an_event_without_its_signature_is_refused_logged_and_not_recorded(depot, signature):
    name, body = event_id(), json.dumps(event_of("pay_SandboxNobody1")).encode()
    refusal = {"event": "webhook_refused", "provider": "razorpay", "code": "bad_signature"}
    before = len(depot.shop.logged("gateway", **refusal))
    headers = {} if signature is None else {"X-Razorpay-Signature": signature.encode()}
    assert_problem(send(depot, body, **headers, **{"x-razorpay-event-id": name}), 400, code="bad_signature")
    assert told(depot, name) == []
    eventually(lambda: len(depot.shop.logged("gateway", **refusal)) == before + 1)


def test_an_event_that_somebody_else_signed_or_changed_is_refused_and_not_recorded(depot):
    name, event = event_id(), event_of("pay_SandboxNobody1")
    assert_problem(depot.tell(event, name, "whsec_somebody_else"), 400, code="bad_signature")
    signature = signed(depot, json.dumps(event).encode())
    changed = json.dumps(event_of("pay_SandboxNobody2")).encode()
    headers = {"X-Razorpay-Signature": signature, "x-razorpay-event-id": name}
    assert_problem(send(depot, changed, **headers), 400, code="bad_signature")
    assert told(depot, name) == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"entity": "event", "event": "refund.failed"}'], ids=repr)
def test_what_is_signed_and_no_event_is_refused_and_not_recorded(depot, body):
    name = event_id()
    headers = {"X-Razorpay-Signature": signed(depot, body), "x-razorpay-event-id": name}
    assert_problem(send(depot, body, **headers), 400, code="malformed")
    assert told(depot, name) == []


def test_an_event_without_an_id_beside_it_is_refused(depot):
    body = json.dumps(event_of("pay_SandboxNobody1")).encode()
    assert_problem(send(depot, body, **{"X-Razorpay-Signature": signed(depot, body)}), 400, code="malformed")


def test_an_event_is_recorded_once_however_often_and_fast_it_comes(depot):
    name, event = event_id(), event_of("pay_SandboxNobody1")
    answers = at_once(8, lambda _: depot.tell(event, name))
    answers += [depot.tell(event, name), depot.tell(event | {"event": "refund.failed"} | REFUND, name)]
    assert {answer.status_code for answer in answers} == {200}
    eventually(lambda: told(depot, name) == [("payment.captured", "ignored")])


def test_of_an_event_nothing_is_kept_that_names_people(depot):
    name = event_id()
    depot.tell(event_of("pay_SandboxNobody1"), name)
    ((row,),) = depot.shop.sql("SELECT to_json(e)::text FROM webhook_events e WHERE event_id = %s", name)
    assert "asha" not in row
    assert json.loads(row)["reference"] == "pay_SandboxNobody1"


# What it says.


@pytest.mark.parametrize("type", ["payment.captured", "payment.authorized", "refund.processed", "refund.failed"])
def test_what_an_event_says_is_not_believed(depot, type):
    parcel = depot.paid()
    before = depot.shop.view(parcel.order_id)
    name = event_id()
    refund = {"refund": {"entity": {"id": "rfnd_SandboxNobody", "payment_id": parcel.reference, "amount": PRICE}}}
    assert depot.tell(event_of(str(parcel.reference), type, **refund), name).status_code == 200
    eventually(lambda: told(depot, name) == [(type, "done")])
    assert depot.shop.view(parcel.order_id) == before


def test_what_we_did_ourselves_is_told_and_changes_nothing(depot):
    parcel = depot.paid()
    depot.shop.refund(parcel.order_id)
    eventually(lambda: heard(depot, parcel) >= {"payment.captured", "refund.created", "refund.processed"})
    assert depot.shop.events(parcel.order_id) == [
        "order_registered",
        "shipment_registered",
        "capture_started",
        "payment_captured",
        "order_captured",
        "refund_initiated",
        "refund_started",
        "refund_completed",
        "payment_refunded",
    ]
    assert depot.alarms(parcel) == {}


def test_an_event_that_comes_twice_and_out_of_order_has_one_effect(depot):
    parcel = depot.held()
    depot.misbehave("razorpay", "webhook", "twice", parcel.reference, times=-1)
    depot.at_the_dashboard("capture", parcel.reference, PRICE)
    depot.at_the_dashboard("refund", parcel.reference, 1000)
    eventually(lambda: depot.shop.view(parcel.order_id)["payment"]["refunded"] == 1000)
    old = event_id()
    depot.tell(event_of(str(parcel.reference), "payment.authorized"), old)
    eventually(lambda: told(depot, old) == [("payment.authorized", "done")])
    view = depot.shop.view(parcel.order_id)
    assert view["payment"] | {"status": "partially_refunded", "captured": PRICE, "refunded": 1000} == view["payment"]
    assert [refund["amount"] for refund in view["refunds"]] == [1000]
    names = depot.shop.events(parcel.order_id)
    assert sorted(set(names)) == sorted(names)


def test_a_refund_that_fails_after_it_was_done_is_reopened_and_told_to_the_desk(depot):
    parcel = depot.paid()
    depot.shop.refund(parcel.order_id)
    refund = depot.refunded(parcel)
    depot.happen("razorpay", "fail", refund["provider_id"])
    depot.refunded(parcel, "failed")
    assert depot.shop.view(parcel.order_id)["payment"]["status"] == "captured"
    assert depot.alarms(parcel) == {"refund_failed": True}
    eventually(lambda: [mail for mail in depot.shop.mails(parcel.order_id) if "desk@" in str(mail["to"])])
    eventually(lambda: depot.shop.refund(parcel.order_id).status_code == 200)
    assert depot.refunds(parcel) == [PRICE, PRICE]
    assert depot.shop.view(parcel.order_id)["payment"]["refunded"] == PRICE


def heard(depot: Depot, parcel: Parcel) -> set[str]:
    """The types of the events about a payment that were followed."""
    statement = "SELECT type FROM webhook_events WHERE reference = %s AND state = 'done'"
    return {type for (type,) in depot.shop.sql(statement, parcel.reference)}
