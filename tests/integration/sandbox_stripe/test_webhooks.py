"""Events, delivered signed until they are taken; and disputes, which only they tell of."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import stripe

from tests.integration.sandbox_stripe.driver import Sandbox, sandbox
from tests.shop import eventually

SECRET = "whsec_sandbox"


class Receiver:
    """A webhook endpoint; it answers with the statuses it was given first, and then with 200."""

    def __init__(self) -> None:
        self.received: queue.Queue[tuple[bytes, str]] = queue.Queue()
        self.statuses: list[int] = []
        receiver = self

        class Endpoint(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                payload = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.put((payload, self.headers["Stripe-Signature"]))
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
        self.url = f"http://127.0.0.1:{self._server.server_port}/webhooks/stripe"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next(self, client: stripe.StripeClient) -> stripe.Event:
        """The next event, its signature verified as Stripe's SDK does."""
        payload, signature = self.received.get(timeout=5)
        return client.construct_event(payload, signature, SECRET)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    listening = Receiver()
    yield listening
    listening.close()


@pytest.fixture
def listened(receiver: Receiver, tmp_path: Path) -> Iterator[Sandbox]:
    with sandbox(tmp_path, "--webhook-url", receiver.url, "--webhook-secret", SECRET) as (box, _):
        yield box


def owed_nothing(box: Sandbox) -> bool:
    return eventually(lambda: not box.tell("GET", "webhooks")["owed"], within=5)


def test_every_event_is_delivered_signed(listened: Sandbox, receiver: Receiver) -> None:
    intent = listened.hold()
    held = [receiver.next(listened.client) for _ in range(3)]
    assert {event.type for event in held} == {
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.amount_capturable_updated",
    }
    listened.intents.cancel(intent.id, {}, {"idempotency_key": "void-1"})
    event = receiver.next(listened.client)
    assert event.type == "payment_intent.canceled"
    assert event.request is not None
    assert event.request.idempotency_key == "void-1"
    assert event.data.object["id"] == intent.id
    assert listened.events.retrieve(event.id).to_dict() == event.to_dict()
    assert owed_nothing(listened)


def test_an_event_is_delivered_until_it_is_taken(listened: Sandbox, receiver: Receiver) -> None:
    receiver.statuses = [500]
    listened.intents.create({"amount": 1000, "currency": "usd"})
    first, second = receiver.next(listened.client), receiver.next(listened.client)
    assert first.id == second.id
    assert owed_nothing(listened)


def test_an_event_can_be_sent_twice(listened: Sandbox, receiver: Receiver) -> None:
    listened.arm("webhook", "twice")
    listened.intents.create({"amount": 1000, "currency": "usd"})
    assert receiver.next(listened.client).id == receiver.next(listened.client).id


def test_an_event_can_be_late(listened: Sandbox, receiver: Receiver) -> None:
    listened.arm("webhook", "late", seconds=0.3)
    started = time.monotonic()
    listened.intents.create({"amount": 1000, "currency": "usd"})
    receiver.next(listened.client)
    assert time.monotonic() - started >= 0.3


def test_an_event_can_be_overtaken(listened: Sandbox, receiver: Receiver) -> None:
    listened.arm("webhook", "out_of_order", object="payment_intent.created")
    intent = listened.intents.create({"amount": 1000, "currency": "usd"})
    listened.intents.cancel(intent.id)
    types = [receiver.next(listened.client).type for _ in range(2)]
    assert types == ["payment_intent.canceled", "payment_intent.created"]


def test_what_is_owed_is_delivered_after_a_restart(receiver: Receiver, tmp_path: Path) -> None:
    hook = ("--webhook-url", receiver.url, "--webhook-secret", SECRET)
    with sandbox(tmp_path, *hook) as (box, process):
        box.arm("webhook", "late", seconds=30)
        box.intents.create({"amount": 1000, "currency": "usd"})
        assert process.end() == 0
    with sandbox(tmp_path, *hook) as (box, _):
        assert receiver.next(box.client).type == "payment_intent.created"
        assert owed_nothing(box)


def test_an_event_can_be_given_up(listened: Sandbox, receiver: Receiver) -> None:
    listened.arm("webhook", "lost", object="payment_intent.created")
    intent = listened.intents.create({"amount": 1000, "currency": "usd"})
    listened.intents.cancel(intent.id)
    assert receiver.next(listened.client).type == "payment_intent.canceled"
    assert owed_nothing(listened)


def test_a_disturbance_can_be_for_all_that_belongs_to_one_payment(listened: Sandbox, receiver: Receiver) -> None:
    intent = listened.intents.create({"amount": 1000, "currency": "usd"})
    assert receiver.next(listened.client).type == "payment_intent.created"
    listened.arm("webhook", "lost", object=intent.id, times=-1)
    listened.intents.confirm(intent.id, {"payment_method": "pm_card_visa"})  # tells of its charge, too
    assert owed_nothing(listened)
    assert receiver.received.empty()


def test_only_the_events_that_the_endpoint_enabled_are_sent(receiver: Receiver, tmp_path: Path) -> None:
    hook = ("--webhook-url", receiver.url, "--webhook-secret", SECRET, "--webhook-events", "payment_intent.canceled")
    with sandbox(tmp_path, *hook) as (box, _):
        intent = box.intents.create({"amount": 1000, "currency": "usd"})
        box.intents.cancel(intent.id)
        event = receiver.next(box.client)
        assert (event.type, event.pending_webhooks) == ("payment_intent.canceled", 1)
        assert [event.pending_webhooks for event in box.events.list({"type": "payment_intent.created"})] == [0]
        assert owed_nothing(box)
        assert receiver.received.empty()


def test_while_its_secret_is_rolled_an_event_is_signed_with_both(receiver: Receiver, tmp_path: Path) -> None:
    hook = ("--webhook-url", receiver.url, "--webhook-secret", SECRET, "--webhook-secret", "whsec_next")
    with sandbox(tmp_path, *hook) as (box, _):
        box.intents.create({"amount": 1000, "currency": "usd"})
        payload, signature = receiver.received.get(timeout=5)
        for secret in (SECRET, "whsec_next"):
            assert box.client.construct_event(payload, signature, secret).type == "payment_intent.created"


@pytest.mark.parametrize("end", ["won", "lost"])
def test_a_cardholder_can_dispute_captured_money(listened: Sandbox, receiver: Receiver, end: str) -> None:
    intent = listened.hold()
    listened.intents.capture(intent.id)
    dispute = listened.tell("POST", f"dispute/{intent.id}")
    assert (dispute["amount"], dispute["status"], dispute["payment_intent"]) == (1000, "needs_response", intent.id)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        listened.refunds.create({"payment_intent": intent.id})
    assert refused.value.code == "charge_disputed"
    listened.tell("POST", f"{end}/{dispute['id']}")
    assert listened.client.v1.disputes.retrieve(dispute["id"]).status == end
    types = [receiver.next(listened.client).type for _ in range(8 if end == "lost" else 9)]
    assert sorted(type for type in types if "dispute" in type) == sorted(
        ["charge.dispute.created", "charge.dispute.funds_withdrawn", "charge.dispute.closed"]
        + (["charge.dispute.funds_reinstated"] if end == "won" else [])
    )
    assert [e["operation"] for e in listened.tell("GET", f"ledger?object={intent.id}")][-2:] == [
        "dispute.created",
        f"dispute.{end}",
    ]


def test_money_that_was_never_captured_cannot_be_disputed(box: Sandbox) -> None:
    intent = box.hold()
    answer = box.http.post(f"{box.url}/_sandbox/dispute/{intent.id}")
    assert answer.status_code == 400
