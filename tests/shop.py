"""A shop, its shoppers and its operators: everything a test does to a mesh from outside, and all that it can see."""

import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import psycopg
import requests
import stripe

from sandbox.stack import Stack
from shared import settings, tokens
from shared.queues import Task
from shared.settings import Settings

stripe.enable_telemetry = False

Seen = TypeVar("Seen")

#: Seconds that the mesh may take for what it does at once, on a machine that is busy with other tests.
PATIENCE = 60.0


@dataclass(frozen=True)
class Purchase:
    """A registered order and what its shopper holds."""

    order_id: str
    token: str
    reference: str
    total: int


#: Asks for a hold that may be raised.
RAISABLE: dict[str, Any] = {"payment_method_options": {"card": {"request_incremental_authorization": "if_available"}}}


class Shop:
    """Speaks to one mesh over HTTP, and reads its rows, the provider's ledger and the mailbox."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.urls = stack.describe()
        self.settings: Settings = settings.load(stack.environment())
        self.http = httpx.Client(base_url=self.urls["gateway"], timeout=30, limits=httpx.Limits(max_connections=200))
        self.outside = httpx.Client(timeout=30)
        self._provider_session = requests.Session()
        self.provider = stripe.StripeClient(
            self.settings.stripe_api_key,
            base_addresses={"api": self.urls["stripe"]},
            http_client=stripe.RequestsClient(timeout=10, session=self._provider_session),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()
        self.outside.close()
        self._provider_session.close()

    # Credentials

    def bearer(self, role: str, subject: str = "shop", expires_in: int = 3600) -> dict[str, str]:
        """The header of a service, admin or customer."""
        token = tokens.mint(self.settings, role=role, subject=subject, order_id=None, expires_in=expires_in)
        return {"Authorization": f"Bearer {token}"}

    def modification(self, order_id: str, expires_in: int = 3600) -> dict[str, str]:
        """The header of a shopper with one order."""
        token = tokens.mint(self.settings, role="modification", subject=None, order_id=order_id, expires_in=expires_in)
        return {"x-modification-token": token}

    # What the shop does

    def authorize(self, amount: int = 3800, currency: str = "usd", **parameters: Any) -> str:
        """Hold an amount on a card at the provider, through its real SDK; returns the reference."""
        wish: Any = {
            "amount": amount,
            "currency": currency,
            "capture_method": "manual",
            "confirm": True,
            "payment_method": "pm_card_visa",
            "payment_method_types": ["card"],
        }
        intent = self.provider.v1.payment_intents.create(wish | parameters)
        assert intent.status == "requires_capture"
        return intent.id

    def order(self, reference: str | None, **changes: Any) -> dict[str, Any]:
        """A body for `POST /orders`: 33.00 of goods and 5.00 shipping."""
        payment = {"provider": "stripe", "reference": reference} if reference else {"provider": "none"}
        return {
            "order_id": f"ord_{uuid.uuid4().hex}",
            "currency": "USD",
            "email": "ann@example.com",
            "lines": [{"sku": "TEE", "quantity": 2, "unit_price": 1500, "tax_rate": "0.10"}],
            "shipping": 500,
            "payment": payment,
        } | changes

    def register(self, body: dict[str, Any], **headers: str) -> httpx.Response:
        """Register an order as the shop's back end."""
        return self.http.post("/orders", json=body, headers={**self.bearer("service"), **headers})

    def buy(self, amount: int = 3800, **changes: Any) -> Purchase:
        """Hold the money and register the order."""
        return self.bought(self.authorize(amount), **changes)

    def bought(self, reference: str, **changes: Any) -> Purchase:
        """Register the order whose money is held."""
        answer = self.register(self.order(reference, **changes))
        assert answer.status_code == 201, answer.text
        body = answer.json()
        return Purchase(body["order_id"], body["modification_token"], reference, body["total"])

    def buy_raisable(self, amount: int = 3800, **changes: Any) -> Purchase:
        """The same on a card on which more may be held later."""
        return self.bought(self.authorize(amount, **RAISABLE), **changes)

    def buy_overdue(self, **changes: Any) -> Purchase:
        """The same for an order whose grace period is over: its capture is due at once."""
        return self.buy(placed_at=self._an_hour_ago(), **changes)

    def overdue(self, reference: str) -> Purchase:
        """The same, with money that is held already."""
        body = self.register(self.order(reference, placed_at=self._an_hour_ago())).json()
        return Purchase(body["order_id"], body["modification_token"], reference, body["total"])

    def _an_hour_ago(self) -> str:
        return (datetime.now(UTC) - timedelta(seconds=self.settings.grace_period + 1)).isoformat()

    def buy_captured(self, amount: int = 3800, **changes: Any) -> Purchase:
        """Buy what is captured at once; its history begins with the capture of the mesh itself."""
        purchase = self.buy_overdue(amount=amount, **changes)
        eventually(lambda: self.view(purchase.order_id)["status"] == "captured")
        return purchase

    def hurry(self, purchase: Purchase) -> str:
        """Make an order's capture due now, with its grace period still open; returns the capture job.

        Outside tests the two end together.  Apart, they show that it is the capture job that refuses a cancel.
        """
        statement = "UPDATE capture_jobs SET due_at = now() WHERE order_id = %s RETURNING id"
        ((job_id,),) = self.sql(statement, purchase.order_id)
        return str(job_id)

    def remind(self, job_id: str) -> None:
        """Put the message of a capture job into the outbox, due now: the next sweep publishes it."""
        self.sql(
            "INSERT INTO outbox (subject, task, due_at) VALUES (%s, %s, now())"
            " ON CONFLICT (subject, task) DO UPDATE SET due_at = now() RETURNING subject",
            job_id,
            Task.CAPTURE_PAYMENT,
        )

    def reminders(self, job_id: str) -> int:
        """How many messages of a capture job stand in the outbox: none when it has acted upon them."""
        ((count,),) = self.sql("SELECT count(*) FROM outbox WHERE subject = %s", job_id)
        return int(count)

    def put_stock(self, sku: str, quantity: int) -> None:
        """Tell how many units can be sold."""
        answer = self.http.put(f"/stock/{sku}", json={"quantity": quantity}, headers=self.bearer("service"))
        assert answer.status_code == 200, answer.text

    def stock(self, sku: str) -> int:
        """Ask how many units can be sold."""
        quantity: int = self.http.get(f"/stock/{sku}", headers=self.bearer("service")).json()["quantity"]
        return quantity

    # What the shopper does

    def cancel(self, purchase: Purchase, **headers: str) -> httpx.Response:
        """Take the order back with its modification token."""
        return self.http.post(
            f"/store/orders/{purchase.order_id}/cancel",
            headers={"x-modification-token": purchase.token, **headers},
        )

    def add(self, purchase: Purchase, sku: str, quantity: int, **options: Any) -> httpx.Response:
        """Add units of an item to the order."""
        return self.edit(purchase, "items", {"sku": sku, "quantity": quantity}, **options)

    def set_quantity(self, purchase: Purchase, line: int, quantity: int, **options: Any) -> httpx.Response:
        """Change the units of a line of the order."""
        return self.edit(purchase, f"items/{line}", {"quantity": quantity}, **options)

    def edit(
        self, purchase: Purchase, what: str, body: dict[str, Any], *, dry_run: bool = False, **headers: str
    ) -> httpx.Response:
        """Change the order with its modification token, under a key of its own."""
        return self.http.post(
            f"/store/orders/{purchase.order_id}/{what}",
            json=body,
            params={"dry_run": "true"} if dry_run else {},
            headers={"x-modification-token": purchase.token, "Idempotency-Key": uuid.uuid4().hex, **headers},
        )

    # What operators do

    def cancel_by_operator(self, order_id: str, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
        """Take an order back as an operator."""
        headers = self.bearer("admin", "op_1") | (headers or {})
        return self.http.post(f"/api/admin/orders/{order_id}/cancel", json=body, headers=headers)

    def refund(self, order_id: str, key: str | None = None, **body: Any) -> httpx.Response:
        """Give an order's money back as an operator."""
        headers = self.bearer("admin", "op_1") | ({"Idempotency-Key": key} if key else {})
        return self.http.post(f"/api/admin/orders/{order_id}/refund", json=body, headers=headers)

    def retry(self, parked_id: str, reason: str = "looked into it") -> httpx.Response:
        """Put back to work what is parked, as an operator."""
        headers = self.bearer("admin", "op_1")
        return self.http.post(f"/api/admin/intents/{parked_id}/retry", json={"reason": reason}, headers=headers)

    # What everybody sees

    def view(self, order_id: str) -> dict[str, Any]:
        """The order, as an operator sees it."""
        answer = self.http.get(f"/orders/{order_id}", headers=self.bearer("admin"))
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def events(self, order_id: str) -> list[str]:
        """The names of the order's timeline, oldest first."""
        return [entry["event"] for entry in self.view(order_id)["timeline"]]

    def intent(self, location: str, headers: dict[str, str]) -> dict[str, Any]:
        """An intent, as whoever sends these headers sees it at the place that a 202 named."""
        answer = self.http.get(location, headers=headers)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def effects(self, reference: str) -> list[dict[str, Any]]:
        """Every effect at the provider on one payment, with its amount and idempotency key, oldest first."""
        answer = self.outside.get(f"{self.urls['stripe']}/_sandbox/ledger", params={"object": reference})
        found: list[dict[str, Any]] = answer.json()
        return found

    def ledger(self, reference: str) -> list[str]:
        """The names of these effects, e.g. `payment_intent.canceled`."""
        return [effect["operation"] for effect in self.effects(reference)]

    def requests_to_provider(self, reference: str) -> list[dict[str, Any]]:
        """Every request about one payment that reached the provider, also those without effect."""
        answer = self.outside.get(f"{self.urls['stripe']}/_sandbox/requests", params={"object": reference})
        found: list[dict[str, Any]] = answer.json()
        return found

    def mails(self, order_id: str) -> list[dict[str, Any]]:
        """The delivered e-mails that speak of an order: their Message-ID names it, and a repeat counts."""
        delivered = self.outside.get(f"{self.urls['mailbox']}/_sandbox/ledger").json()
        ids = [entry["seq"] for entry in delivered if order_id in (entry["message_id"] or "")]
        return [self.outside.get(f"{self.urls['mailbox']}/messages/{mail_id}").json() for mail_id in ids]

    def mails_to(self, address: str) -> list[dict[str, Any]]:
        """The delivered e-mails to one address."""
        found: list[dict[str, Any]] = self.outside.get(
            f"{self.urls['mailbox']}/messages", params={"to": address}
        ).json()
        return found

    def alerts(self, order_id: str) -> list[dict[str, Any]]:
        """The alerts about an order, oldest first, as `title`, `severity` and whether they are `open`."""
        rows = self.sql(
            "SELECT title, severity, resolved_at IS NULL FROM alerts WHERE order_id = %s ORDER BY id", order_id
        )
        return [{"title": title, "severity": severity, "open": is_open} for title, severity, is_open in rows]

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Read the mesh's own rows, or change some behind its back."""
        with psycopg.connect(self.settings.database_url) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def log(self, program: str) -> str:
        """What a program has logged, e.g. `worker-money`."""
        return (self.stack.root / "log" / f"{program}.log").read_text()

    def logged(self, programs: str, **members: Any) -> list[dict[str, Any]]:
        """The lines that hold these members, in the logs of all programs whose name starts like this."""
        logs = sorted((self.stack.root / "log").glob(f"{programs}*.log"))
        lines = (line for log in logs for line in log.read_text(errors="replace").splitlines())
        found = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [line for line in found if members.items() <= line.items()]

    # What the provider tells

    def sent(self, reference: str, *types: str) -> list[dict[str, Any]]:
        """The provider's events about one payment, as it sends them, oldest first; of these types, or of all."""
        found = self.provider.v1.events.list({"limit": 100}).auto_paging_iter()
        events = [json.loads(str(event)) for event in found]
        mine = [event for event in events if reference in _named(event["data"]["object"])]
        return [event for event in reversed(mine) if not types or event["type"] in types]

    def tell(self, event: dict[str, Any], *, secret: str | None = None, ago: float = 0.0) -> httpx.Response:
        """Send an event to the mesh as the provider does, signed so many seconds ago."""
        body = json.dumps(event)
        secret = secret or self.settings.stripe_webhook_secrets[-1]
        header = stripe.WebhookSignature.generate_signature_header(body, secret, int(time.time() - ago))
        return self.http.post("/webhooks/stripe", content=body, headers={"Stripe-Signature": header})

    def told(self, reference: str) -> list[tuple[str, str]]:
        """What the mesh has recorded of the provider's events about one payment: their types and states."""
        statement = "SELECT type, state FROM webhook_events WHERE reference = %s ORDER BY created, id"
        return [(type, state) for type, state in self.sql(statement, reference)]

    def webhooks_counted(self) -> dict[str, float]:
        """How many webhooks of Stripe the gateway counts, by what became of them."""
        metrics = self.http.get("/metrics").text
        found = re.findall(r'countermand_webhooks_total\{outcome="(\w+)",provider="stripe"\} (\S+)', metrics)
        return {outcome: float(count) for outcome, count in found}

    def has_followed(self, events: list[str]) -> bool:
        """Whether the mesh has recorded all these events of the provider, and looked at what they are about."""
        statement = "SELECT count(*) FROM webhook_events WHERE event_id = ANY(%s) AND state <> 'received'"
        return self.sql(statement, events) == [(len(events),)]

    @contextmanager
    def broken(self, table: str, when: str) -> Iterator[None]:
        """Within the block the database refuses a change of this table, as a bug of ours would make it do."""
        name = f"broken_{uuid.uuid4().hex}"
        self.sql(f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$")
        self.sql(f"CREATE TRIGGER {name} BEFORE UPDATE ON {table} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION {name}()")
        try:
            yield
        finally:
            self.sql(f"DROP TRIGGER {name} ON {table}")
            self.sql(f"DROP FUNCTION {name}")

    def unheard(self, reference: str) -> None:
        """Let no event about a payment arrive from now on."""
        self.fault("webhook", "lost", reference=reference, times=-1)

    def compare(self, reference: str) -> None:
        """Let the reconciliation of a payment be due now, and return when it has compared it."""
        statement = "UPDATE payments SET check_at = now() WHERE reference = %s RETURNING id"
        ((payment_id,),) = self.sql(statement, reference)
        eventually(lambda: self.sql("SELECT 1 FROM payments WHERE id = %s AND check_at > now()", payment_id))
        eventually(lambda: not self.sql("SELECT 1 FROM outbox WHERE subject = %s", payment_id))

    def drift(self, reference: str, state: str = "open") -> list[dict[str, Any]]:
        """Where the mesh and the provider disagree about a payment, as an operator sees it."""
        answer = self.http.get("/api/admin/drift", params={"state": state}, headers=self.bearer("admin"))
        assert answer.status_code == 200, answer.text
        return [each for each in answer.json()["drift"] if each["reference"] == reference]

    # Misbehaviour of the outside world

    def fault(
        self, operation: str, fault: str, *, reference: str | None = None, times: int = 1, seconds: float = 30
    ) -> None:
        """Make the provider misbehave; what it holds or delays is held for so many seconds."""
        order = {"operation": operation, "fault": fault, "times": times, "seconds": seconds}
        answer = self.outside.post(
            f"{self.urls['stripe']}/_sandbox/faults", json=order | ({"object": reference} if reference else {})
        )
        assert answer.status_code < 300, answer.text

    def slow_down(self, operation: str, milliseconds: float) -> None:
        """Let the provider take its time for an operation."""
        latency = {"operation": operation, "milliseconds": milliseconds}
        answer = self.outside.post(f"{self.urls['stripe']}/_sandbox/latency", json=latency)
        assert answer.status_code < 300, answer.text

    def happen(self, what: str, provider_id: str, **how: Any) -> dict[str, Any]:
        """Let something happen at the provider: a hold may `expire` or `shorten`, a refund `succeed` or `fail`.

        A cardholder may `dispute` a payment, and a dispute be `won` or `lost`.
        """
        answer = self.outside.post(f"{self.urls['stripe']}/_sandbox/{what}/{provider_id}", params=how)
        assert answer.status_code == 200, answer.text
        thing: dict[str, Any] = answer.json()
        return thing

    def behave(self) -> None:
        """Make the outside world behave again."""
        for stand_in in {"stripe", "razorpay", "delhivery", "mailbox"} & set(self.urls):
            self.outside.delete(f"{self.urls[stand_in]}/_sandbox/faults")
            self.outside.post(f"{self.urls[stand_in]}/_sandbox/latency", json={"milliseconds": 0})


def _named(thing: dict[str, Any]) -> tuple[Any, Any]:
    """The ids of an event's object, and of the payment that it belongs to."""
    return thing["id"], thing.get("payment_intent")


def eventually(look: Callable[[], Seen], within: float = PATIENCE) -> Seen:
    """Look again and again until what is seen is true; fails when it is not within so many seconds."""
    deadline = time.monotonic() + within
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {look}")
        time.sleep(0.05)  # between two looks, not instead of one


def at_once(count: int, act: Callable[[int], Seen]) -> list[Seen]:
    """Do something so many times at once, each with its number, all starting together; what each of them gave."""
    start = threading.Barrier(count)

    def one(number: int) -> Seen:
        start.wait()
        return act(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def in_turn(count: int, act: Callable[[int], Seen], at_a_time: int = 8) -> list[Seen]:
    """Do something so many times, each with its number, a few at a time; what each of them gave."""
    with ThreadPoolExecutor(at_a_time) as pool:
        return list(pool.map(act, range(count)))
