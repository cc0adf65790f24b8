"""Events, delivered signed until they are taken."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import razorpay
from razorpay.errors import SignatureVerificationError

from tests.integration.sandbox_process import running
from tests.integration.sandbox_razorpay.driver import Sandbox, sandbox
from tests.shop import eventually

SECRET = "webhook-secret"


class Delivery(NamedTuple):
    """One event as it arrived."""

    id: str
    signature: str
    body: str

    def verified(self, secret: str = SECRET) -> Any:
        """The event, its signature verified as Razorpay's SDK does."""
        razorpay.Client().utility.verify_webhook_signature(self.body, self.signature, secret)
        return json.loads(self.body)


class Receiver:
    """A webhook endpoint; it answers with the statuses it was given first, and then with 200."""

    def __init__(self) -> None:
        self.received: queue.Queue[Delivery] = queue.Queue()
        self.statuses: list[int] = []
        receiver = self

        class Endpoint(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                event_id, signature = self.headers["x-razorpay-event-id"], self.headers["X-Razorpay-Signature"]
                receiver.received.put(Delivery(event_id, signature, body))
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
        self.url = f"http://127.0.0.1:{self._server.server_port}/webhooks/razorpay"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next(self) -> Delivery:
        return self.received.get(timeout=5)

    def named(self, count: int) -> Mapping[str, Any]:
        """The next so many events, verified, by their name; their order means nothing."""
        events = [self.next().verified() for _ in range(count)]
        return {event["event"]: event for event in events}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    listening = Receiver()
    yield listening
    listening.close()


def hook(receiver: Receiver, *more: str) -> tuple[str, ...]:
    return ("--webhook-url", receiver.url, "--webhook-secret", SECRET, *more)


@pytest.fixture
def listened(receiver: Receiver, tmp_path: Path) -> Iterator[Sandbox]:
    with sandbox(tmp_path, *hook(receiver)) as (box, _):
        yield box


def owed_nothing(box: Sandbox) -> bool:
    return eventually(lambda: not box.tell("GET", "webhooks")["owed"], within=5)


def test_what_happens_to_a_payment_is_told_signed(listened: Sandbox, receiver: Receiver) -> None:
    payment = listened.pay()
    event = receiver.next().verified()
    assert (event["entity"], event["event"], event["contains"]) == ("event", "payment.authorized", ["payment"])
    assert event["account_id"].startswith("acc_")
    assert abs(event["created_at"] - time.time()) < 60
    assert event["payload"] == {"payment": {"entity": payment}}
    captured = listened.capture(payment["id"])
    event = receiver.next().verified()
    assert (event["event"], event["payload"]["payment"]["entity"]) == ("payment.captured", captured)
    listened.pay(status="failed")
    assert receiver.next().verified()["event"] == "payment.failed"
    assert owed_nothing(listened)


def test_what_happens_to_a_refund_is_told_with_its_payment(listened: Sandbox, receiver: Receiver) -> None:
    payment = listened.paid()
    receiver.named(2)
    refund = listened.refund(payment)
    events = receiver.named(2)
    assert set(events) == {"refund.created", "refund.processed"}
    processed = events["refund.processed"]
    assert processed["contains"] == ["payment", "refund"]
    assert processed["payload"]["refund"]["entity"] == refund
    assert processed["payload"]["payment"]["entity"] == listened.fetch(payment)
    assert events["refund.created"]["payload"]["refund"]["entity"]["status"] == "pending"
    listened.tell("POST", f"fail/{refund['id']}")
    failed = receiver.next().verified()
    assert (failed["event"], failed["payload"]["payment"]["entity"]["amount_refunded"]) == ("refund.failed", 0)


def test_a_lapse_is_told_as_a_refund_of_a_payment_that_was_never_captured(
    listened: Sandbox, receiver: Receiver
) -> None:
    payment = listened.pay()["id"]
    receiver.next()
    refund = listened.tell("POST", f"lapse/{payment}")
    events = receiver.named(2)
    assert set(events) == {"refund.created", "refund.processed"}
    for event in events.values():
        assert event["payload"]["refund"]["entity"]["id"] == refund["id"]
        told = event["payload"]["payment"]["entity"]
        assert (told["id"], told["status"], told["captured"]) == (payment, "refunded", False)
    assert owed_nothing(listened)
    assert receiver.received.empty()


def test_a_signature_fits_its_body_and_its_secret_only(listened: Sandbox, receiver: Receiver) -> None:
    listened.pay()
    delivery = receiver.next()
    assert delivery.signature == delivery.signature.lower()
    with pytest.raises(SignatureVerificationError):
        delivery.verified("another-secret")
    with pytest.raises(SignatureVerificationError):
        delivery._replace(body=delivery.body.replace("10000", "10001")).verified()


def test_an_event_is_delivered_until_it_is_taken_under_one_id(listened: Sandbox, receiver: Receiver) -> None:
    receiver.statuses = [500]
    listened.pay()
    assert receiver.next() == receiver.next()
    assert owed_nothing(listened)
    listened.pay(status="failed")
    listened.pay(status="failed")
    assert receiver.next().id != receiver.next().id


def test_an_event_can_be_sent_twice(listened: Sandbox, receiver: Receiver) -> None:
    listened.arm("webhook", "twice")
    listened.pay()
    assert receiver.next() == receiver.next()


def test_an_event_can_be_late(listened: Sandbox, receiver: Receiver) -> None:
    listened.arm("webhook", "late", seconds=0.3)
    started = time.monotonic()
    listened.pay()
    receiver.next()
    assert time.monotonic() - started >= 0.3


def test_an_event_can_be_overtaken(listened: Sandbox, receiver: Receiver) -> None:
    listened.arm("webhook", "out_of_order", object="payment.authorized")
    listened.paid()
    assert [receiver.next().verified()["event"] for _ in range(2)] == ["payment.captured", "payment.authorized"]


def test_an_event_can_be_lost(listened: Sandbox, receiver: Receiver) -> None:
    listened.arm("webhook", "lost", object="payment.authorized")
    listened.paid()
    assert receiver.next().verified()["event"] == "payment.captured"
    assert owed_nothing(listened)
    assert receiver.received.empty()


def test_a_disturbance_can_be_for_all_that_belongs_to_one_payment(listened: Sandbox, receiver: Receiver) -> None:
    payment = listened.paid()
    receiver.named(2)
    listened.arm("webhook", "lost", object=payment, times=-1)
    listened.refund(payment)
    assert owed_nothing(listened)
    assert receiver.received.empty()


def test_what_is_owed_is_delivered_after_a_restart(receiver: Receiver, tmp_path: Path) -> None:
    with sandbox(tmp_path, *hook(receiver)) as (box, process):
        box.arm("webhook", "late", seconds=30)
        payment = box.pay()["id"]
        (owed,) = box.tell("GET", "webhooks")["owed"]
        assert process.end() == 0
    with sandbox(tmp_path, *hook(receiver)) as (box, _):
        delivery = receiver.next()
        assert delivery.id == owed
        assert delivery.verified()["payload"]["payment"]["entity"]["id"] == payment
        assert owed_nothing(box)


def test_only_the_events_that_the_endpoint_enabled_are_sent(receiver: Receiver, tmp_path: Path) -> None:
    with sandbox(tmp_path, *hook(receiver, "--webhook-events", "refund.processed,refund.failed")) as (box, _):
        box.refund(box.paid())
        assert receiver.next().verified()["event"] == "refund.processed"
        assert owed_nothing(box)
        assert receiver.received.empty()


def test_of_two_secrets_the_first_signs(receiver: Receiver, tmp_path: Path) -> None:
    with sandbox(tmp_path, *hook(receiver, "--webhook-secret", "former-secret")) as (box, _):
        box.pay()
        assert receiver.next().verified(SECRET)["event"] == "payment.authorized"


def test_the_secret_can_stand_in_the_environment(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAZORPAY_WEBHOOK_SECRET", "secret-of-the-environment")
    with sandbox(tmp_path, "--webhook-url", receiver.url) as (box, _):
        box.pay()
        assert receiver.next().verified("secret-of-the-environment")["event"] == "payment.authorized"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--webhook-url", "http://127.0.0.1:1/"),
        ("--webhook-secret", SECRET),
        ("--webhook-url", "http://192.0.2.1/", "--webhook-secret", SECRET),
    ],
)
def test_an_endpoint_needs_a_secret_and_is_on_loopback(
    tmp_path: Path, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAZORPAY_WEBHOOK_SECRET", raising=False)
    with running("sandbox.razorpay", "--port", "0", "--data", str(tmp_path), *arguments) as refused:
        assert refused.addresses == []
        assert refused.process.wait(timeout=10) != 0
