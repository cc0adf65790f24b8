"""The story in the terminal: an order that is taken back, one that is captured, and ten photo finishes.

A shop and its shoppers act over HTTP, and at the provider through its real SDK.  What is told with a check mark was
looked up in the provider's ledger, the mailbox or the order itself; what does not hold is told as untrue, and the demo
exits with 1.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
import psycopg
import requests
import stripe

from sandbox.cli import ROOT
from sandbox.stack import Stack, StackOptions
from shared import money, settings, tokens
from shared.broker import Publisher, celery_app
from shared.queues import Task
from shared.store.outbox import Message

SHIRT = {"quantity": 2, "unit_price": 1500, "tax_rate": "0.10"}
SHIPPING = 500
PRICE = 3800  # two shirts with their tax, and shipping
#: A payment's whole history at the provider, when each thing happened once.
CANCELED = ["created", "authorized", "canceled"]
CAPTURED = ["created", "authorized", "captured"]

FINISHES = 10
#: Seconds from one finish to the next, and by how much more each pair starts before its hour ends.
INTERVAL = 0.2
HEAD_START = 0.004
#: Seconds that something may take beyond the next sweep of the outbox.
PATIENCE = 15.0
#: What a temporary stack leaves out.
PROGRAMS = ("stores", "outside", "gateway", "workers", "beat")

Seen = TypeVar("Seen")


def main(root: Path = ROOT) -> int:
    """Tell it on the stack that runs in `root`, or on a temporary one; 1 when something told is not true."""
    story = Story()
    try:
        with _stack(root, story) as stack, Shop(stack) as shop:
            ann(shop, story)
            bob(shop, story)
            photo_finish(shop, story)
    except KeyboardInterrupt:
        return 130
    except (httpx.HTTPError, stripe.StripeError, psycopg.Error) as error:
        story.claim(f"the stack answers: {error}", False)
    return story.end()


# The scenes


def ann(shop: Shop, story: Story) -> None:
    """An order is registered, and taken back in its grace period."""
    story.scene("Ann buys two shirts")
    sku = f"SHIRT-{uuid.uuid4().hex[:6]}"
    shop.put_stock(sku, 10)
    bought = shop.buy(sku, placed_at=datetime.now(UTC))
    story.tell(f"her bank holds {shop.price()} for PaymentIntent {bought.reference}")
    story.tell(f"POST /orders registers {bought.order_id}: hers to take back until {bought.grace_until:%H:%M:%S} UTC")
    story.claim("2 of the shop's 10 shirts are hers", shop.stock(sku) == 8)

    story.scene("Ann changes her mind")
    answer = watch(shop, story, bought)
    expected = {"order_id": bought.order_id, "status": "canceled", "payment_action": "voided"}
    told = f"{answer['status']} {json.dumps(answer['body'])}"
    story.claim(f"the answer: {told}", answer == {"status": 200, "body": expected})
    story.claim(f"Stripe's own ledger: {shop.ledger_text(bought)}", shop.ledger(bought) == CANCELED)
    story.claim("all 10 shirts can be sold again", shop.stock(sku) == 10)
    mails = eventually(lambda: shop.mails(bought), within=PATIENCE) or []
    story.claim(f"one mail to Ann: {', '.join(mail['subject'] for mail in mails) or 'none'}", len(mails) == 1)
    again = shop.cancel(bought)
    story.claim(f"asked again, the same: {again.status_code} {again.text}", again.json() == expected)
    story.claim("and nothing moved twice", shop.ledger(bought) == CANCELED and shop.stock(sku) == 10)
    story.tell("her order's timeline:")
    for entry in shop.view(bought)["timeline"]:
        story.detail(f"{entry['at'][11:23]}  {entry['event']:<18} {entry['source']:<9} {entry['actor'].split(':')[0]}")


def watch(shop: Shop, story: Story, bought: Purchase) -> dict[str, Any]:
    """Cancel, and look at the intent until it has its answer."""
    began = time.monotonic()
    accepted = shop.cancel(bought, Prefer="respond-async").raise_for_status()
    location = accepted.headers["location"]
    story.tell(f"POST /store/orders/{bought.order_id}/cancel: {accepted.status_code}, look at {location}")
    seen = ""
    while True:
        intent: dict[str, Any] = shop.gateway.get(location, headers=bought.credential).json()
        if intent["state"] != seen:
            seen = intent["state"]
            story.detail(f"{(time.monotonic() - began) * 1000:5.0f} ms  {seen}")
        if intent["answer"] or time.monotonic() - began > PATIENCE:
            return intent["answer"] or {"status": None, "body": None}


def bob(shop: Shop, story: Story) -> None:
    """Nobody takes an order back: when its hour is over it is captured."""
    story.scene("Nobody cancels Bob's order, and its hour is over")
    began = time.monotonic()
    bought = shop.buy("SHIRT", placed_at=datetime.now(UTC) - timedelta(seconds=shop.settings.grace_period))
    story.tell(f"{bought.order_id} waits for beat, which looks every {shop.settings.sweep_every:g} s for what is due")
    eventually(lambda: shop.settled(bought), within=shop.settings.sweep_every + PATIENCE)
    story.claim(f"captured after {time.monotonic() - began:.1f} s", shop.standing(bought) == ("captured", "captured"))
    story.claim(f"Stripe's own ledger: {shop.ledger_text(bought)}", shop.ledger(bought) == CAPTURED)
    late = shop.cancel(bought)
    told = f"{late.status_code} {late.json().get('code')}: {late.json().get('message')}"
    story.claim(f"a cancel that comes now gets {told}", late.status_code == 409 and "late_cancel" in told)


def photo_finish(shop: Shop, story: Story) -> None:
    """Cancel and capture start together as the hour ends; exactly one wins, and the ledger agrees."""
    story.scene(f"Photo finish: cancel and capture start together, {FINISHES} times")
    story.tell("both start as the order's hour ends, or a little earlier; whoever is second finds it settled")
    first = datetime.now(UTC) + timedelta(seconds=3 - shop.settings.grace_period)
    runners = [
        Runner(shop.buy("SHIRT", placed_at=first + timedelta(seconds=number * INTERVAL)), number * HEAD_START)
        for number in range(FINISHES)
    ]
    with ThreadPoolExecutor(FINISHES) as pool:
        answers = list(pool.map(lambda runner: race(shop, runner), runners))
    patience = shop.settings.sweep_every + PATIENCE
    eventually(lambda: all(shop.settled(runner.bought) for runner in runners), within=patience)
    story.tell("")
    story.tell("  early   the shopper is told   the order is   Stripe's ledger says")
    fair = [finish(shop, story, runner, answer) for runner, answer in zip(runners, answers, strict=True)]
    story.tell("")
    story.claim("each time exactly one won, and the provider agrees", all(fair))


def race(shop: Shop, runner: Runner) -> httpx.Response:
    """Send the cancel and the capture's message, which is beat's to send otherwise, at the same moment."""
    job = shop.capture_job(runner.bought)
    line = threading.Barrier(2)

    def capture() -> None:
        line.wait()
        shop.publisher.publish([Message(Task.CAPTURE_PAYMENT, job)])

    other = threading.Thread(target=capture)
    other.start()
    start = runner.bought.grace_until.timestamp() - runner.head_start
    time.sleep(max(0.0, start - time.time()))
    line.wait()
    answer = shop.cancel(runner.bought)
    other.join()
    return answer


def finish(shop: Shop, story: Story, runner: Runner, answer: httpx.Response) -> bool:
    """Tell how one race ended; whether what the shopper was told, the rows and the ledger say the same."""
    status, payment = shop.standing(runner.bought)
    body = answer.json()
    told = f"{answer.status_code} {body.get('payment_action') or body.get('code')}"
    early = f"{runner.head_start * 1000:.0f} ms"
    story.tell(f"  {early:>5}   {told:<19}   {status:<12}   {shop.ledger_text(runner.bought)}")
    return (told, status, payment, shop.ledger(runner.bought)) in (
        ("200 voided", "canceled", "voided", CANCELED),
        ("409 late_cancel", "captured", "captured", CAPTURED),
    )


# Those who act, and what they see


@dataclass(frozen=True)
class Purchase:
    """A registered order and what its shopper holds."""

    order_id: str
    reference: str
    grace_until: datetime
    token: str

    @property
    def credential(self) -> dict[str, str]:
        """The header that lets its bearer take this order back."""
        return {"x-modification-token": self.token}


@dataclass(frozen=True)
class Runner:
    """A purchase whose cancel and capture start `head_start` seconds before its hour ends."""

    bought: Purchase
    head_start: float


class Shop:
    """A shop on one running stack, with its shoppers; it also reads the provider's ledger and the mailbox."""

    def __init__(self, stack: Stack) -> None:
        self.urls = stack.describe()
        self.settings = settings.load(stack.environment())
        self.gateway = httpx.Client(base_url=self.urls["gateway"], timeout=30, trust_env=False)
        self.outside = httpx.Client(timeout=30, trust_env=False)
        self.publisher = Publisher(celery_app(self.settings))
        self._session = requests.Session()
        self._session.trust_env = False
        stripe.enable_telemetry = False
        self._stripe = stripe.StripeClient(
            self.settings.stripe_api_key,
            base_addresses={"api": self.urls["stripe"]},
            http_client=stripe.RequestsClient(timeout=10, session=self._session),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for client in (self.gateway, self.outside, self._session):
            client.close()

    def price(self) -> str:
        """What an order costs, for people to read."""
        return money.text(PRICE, "USD")

    def buy(self, sku: str, placed_at: datetime) -> Purchase:
        """Hold the money at the provider and register the order."""
        held = self._stripe.v1.payment_intents.create(
            {
                "amount": PRICE,
                "currency": "usd",
                "capture_method": "manual",
                "confirm": True,
                "payment_method": "pm_card_visa",
                "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            }
        )
        order = {
            "order_id": f"ord_demo_{uuid.uuid4().hex[:10]}",
            "currency": "USD",
            "email": "ann@example.com",
            "lines": [{"sku": sku, **SHIRT}],
            "shipping": SHIPPING,
            "payment": {"provider": "stripe", "reference": held.id},
            "placed_at": placed_at.isoformat(),
        }
        answer = self.gateway.post("/orders", json=order, headers=self._bearer("service")).raise_for_status().json()
        grace_until = datetime.fromisoformat(answer["grace_until"])
        return Purchase(answer["order_id"], held.id, grace_until, answer["modification_token"])

    def cancel(self, bought: Purchase, **headers: str) -> httpx.Response:
        """Take the order back with its modification token."""
        return self.gateway.post(f"/store/orders/{bought.order_id}/cancel", headers={**bought.credential, **headers})

    def put_stock(self, sku: str, quantity: int) -> None:
        """Tell how many units can be sold."""
        answer = self.gateway.put(f"/stock/{sku}", json={"quantity": quantity}, headers=self._bearer("service"))
        answer.raise_for_status()

    def stock(self, sku: str) -> int:
        """Ask how many units can be sold."""
        answer = self.gateway.get(f"/stock/{sku}", headers=self._bearer("service"))
        return int(answer.raise_for_status().json()["quantity"])

    def view(self, bought: Purchase) -> dict[str, Any]:
        """The order, as its shopper sees it."""
        answer = self.gateway.get(f"/orders/{bought.order_id}", headers=bought.credential).raise_for_status()
        seen: dict[str, Any] = answer.json()
        return seen

    def standing(self, bought: Purchase) -> tuple[str, str]:
        """The status of the order and of its payment."""
        seen = self.view(bought)
        return seen["status"], seen["payment"]["status"]

    def settled(self, bought: Purchase) -> bool:
        """Whether nothing more will happen to the order's money."""
        return self.standing(bought)[1] in ("captured", "voided")

    def ledger(self, bought: Purchase) -> list[str]:
        """What happened to the payment at the provider, in order: `created`, `authorized`, `canceled`..."""
        return [entry["operation"].rpartition(".")[2] for entry in self._ledger(bought)]

    def ledger_text(self, bought: Purchase) -> str:
        """The same for people to read, without the creation."""
        entries = [(entry["operation"].rpartition(".")[2], entry["amount"]) for entry in self._ledger(bought)]
        return ", ".join(f"{what} {money.text(amount, 'USD')}" for what, amount in entries if what != "created")

    def mails(self, bought: Purchase) -> list[dict[str, Any]]:
        """The delivered mails about the order."""
        messages: list[dict[str, Any]] = self.outside.get(f"{self.urls['mailbox']}/messages").json()
        return [message for message in messages if bought.order_id in message["subject"]]

    def capture_job(self, bought: Purchase) -> str:
        """The id of the order's capture job, which is what a message to the capture queue carries."""
        with psycopg.connect(self.settings.database_url) as connection:
            row = connection.execute("SELECT id FROM capture_jobs WHERE order_id = %s", [bought.order_id]).fetchone()
        return str(row[0]) if row else ""

    def _ledger(self, bought: Purchase) -> list[dict[str, Any]]:
        address = f"{self.urls['stripe']}/_sandbox/ledger"
        entries: list[dict[str, Any]] = self.outside.get(address, params={"object": bought.reference}).json()
        return entries

    def _bearer(self, role: str) -> dict[str, str]:
        token = tokens.mint(self.settings, role=role, subject="demo", order_id=None, expires_in=600)
        return {"Authorization": f"Bearer {token}"}


class Story:
    """What is told, and whether it was true; in colours when a terminal shows it."""

    def __init__(self) -> None:
        self._coloured = sys.stdout.isatty()
        self._scenes = 0
        self._untrue = 0
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="replace")  # a terminal without a check mark must not end the story

    def scene(self, title: str) -> None:
        """Begin the next scene."""
        self._scenes += 1
        self._print(f"\n{self._paint(f'{self._scenes}. {title}', '1')}")

    def tell(self, line: str) -> None:
        """Tell what happens."""
        self._print(f"   {line}".rstrip())

    def detail(self, line: str) -> None:
        """Tell it in a low voice."""
        self._print(self._paint(f"      {line}", "2"))

    def claim(self, line: str, holds: bool) -> None:
        """Tell what is seen to be true, or that it is not."""
        self._untrue += not holds
        mark = self._paint("✓", "32") if holds else self._paint("✗ NOT TRUE:", "1;31")
        self._print(f" {mark} {line}")

    def end(self) -> int:
        """The last line, and the exit code."""
        told = "Not all of this was true." if self._untrue else "All of this was looked up, and it was true."
        self._print(f"\n{self._paint(told, '1;31' if self._untrue else '1;32')}")
        return 1 if self._untrue else 0

    def _paint(self, text: str, code: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._coloured else text

    def _print(self, line: str) -> None:
        print(line, flush=True)


@contextmanager
def _stack(root: Path, story: Story) -> Iterator[Stack]:
    """The running stack, or a temporary one."""
    running = Stack(root)
    if running.is_running():
        yield running
        return
    story.tell("No stack is running: starting a temporary one, which takes some seconds.")
    with (
        tempfile.TemporaryDirectory(prefix="countermand-demo-") as directory,
        Stack(Path(directory), StackOptions(only=PROGRAMS)) as temporary,
    ):
        yield temporary


def eventually(look: Callable[[], Seen], within: float) -> Seen | None:
    """Look again and again until what is seen is true; None when it is not within so many seconds."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        seen = look()
        if seen:
            return seen
        time.sleep(0.05)  # between two looks
    return None
