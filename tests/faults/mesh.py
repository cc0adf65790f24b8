"""A whole mesh to be broken: its processes killed and stopped, its stores taken away and given back."""

import contextlib
import os
import signal
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg

from sandbox.stack import Stack
from tests.faults.broker import Broker
from tests.faults.sockets import hidden
from tests.shop import Purchase, Shop, eventually

#: Seconds that a mesh may take to come back after a fault, on a machine that is busy with other things.
RECOVERY = 60.0

#: Seconds that a stand-in holds a request: far longer than a test needs to kill whoever waits for the answer.
HELD = 600.0


@dataclass(frozen=True)
class Sale:
    """An order of two units of a SKU of its own, out of ten; its shopper's address is its own too."""

    purchase: Purchase
    sku: str
    email: str

    @property
    def order_id(self) -> str:
        """The order's id."""
        return self.purchase.order_id

    @property
    def reference(self) -> str:
        """The payment's name at its provider."""
        return self.purchase.reference


class Patient(httpx.HTTPTransport):
    """Comes back when it is told to: each process of the gateway may find its connections dead once."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request until it is not answered with 503."""

        def answer() -> httpx.Response | None:
            response = super(Patient, self).handle_request(request)
            if response.status_code != 503:
                return response
            response.close()
            return None

        found: httpx.Response = eventually(answer, RECOVERY)
        return found


class Mesh(Shop):
    """A shop on a mesh of its own, and every way to hurt that mesh."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack)
        self._hasty = self.http
        self.http = httpx.Client(base_url=self.urls["gateway"], timeout=30, transport=Patient())
        self.broker = Broker(self.settings)
        self.database_socket = Path(parse_qs(urlsplit(self.settings.database_url).query)["host"][0]) / ".s.PGSQL.5432"

    def __exit__(self, *raised: Any) -> None:
        self.broker.close()
        self._hasty.close()
        super().__exit__(*raised)

    @contextmanager
    def hasty(self) -> Iterator[None]:
        """Take every answer as it is, also a 503, until the block ends."""
        patient, self.http = self.http, self._hasty
        try:
            yield
        finally:
            self.http = patient

    # What is bought

    def sell(self, **changes: Any) -> Sale:
        """Sell two of ten units of a new SKU."""
        return self._sold(self.buy, **changes)

    def sell_raisable(self) -> Sale:
        """The same on a card on which more may be held later."""
        return self._sold(self.buy_raisable)

    def sell_overdue(self, *faults: tuple[str, str]) -> Sale:
        """The same with the grace period over: capture starts at once, and meets these faults of the provider."""

        def buy(**order: Any) -> Purchase:
            reference = self.authorize()
            for operation, fault in faults:
                self.misbehave("stripe", operation, fault, reference)
            placed_at = datetime.now(UTC) - timedelta(seconds=self.settings.grace_period + 1)
            answer = self.register(self.order(reference, placed_at=placed_at.isoformat(), **order))
            assert answer.status_code == 201, answer.text
            body = answer.json()
            return Purchase(body["order_id"], body["modification_token"], reference, body["total"])

        return self._sold(buy)

    def _sold(self, buy: Any, **changes: Any) -> Sale:
        sku, email = f"SKU-{uuid.uuid4().hex}", f"{uuid.uuid4().hex}@example.com"
        self.put_stock(sku, 10)
        line = {"sku": sku, "quantity": 2, "unit_price": 1500, "tax_rate": "0.10"}
        return Sale(buy(**({"lines": [line], "email": email} | changes)), sku, email)

    def start_cancel(self, sale: Sale, **headers: str) -> str:
        """Ask for the cancel and wait for nothing; returns the intent's id."""
        answer = self.cancel(sale.purchase, Prefer="respond-async", **headers)
        assert answer.status_code == 202, answer.text
        intent: str = answer.json()["intent"]
        return intent

    def answer_so_far(self, intent_id: str) -> dict[str, Any] | None:
        """The answer of an intent, its status and body, as an operator sees it; None when it has not ended."""
        answer: dict[str, Any] | None = self.intent(f"/intents/{intent_id}", self.bearer("admin"))["answer"]
        return answer

    def answer_of(self, intent_id: str) -> dict[str, Any]:
        """The answer that an intent ends with."""
        answer: dict[str, Any] = eventually(lambda: self.answer_so_far(intent_id), RECOVERY)
        return answer

    def sell_unanswered(self) -> str:
        """Register an order whose capture is due, and wait for nothing; returns the intent's id."""
        placed_at = datetime.now(UTC) - timedelta(seconds=self.settings.grace_period + 1)
        body = self.order(self.authorize(), placed_at=placed_at.isoformat())
        answer = self.register(body, Prefer="respond-async")
        assert answer.status_code == 202, answer.text
        intent: str = answer.json()["intent"]
        return intent

    # What a person finds

    def email(self, sale: Sale) -> tuple[str, int]:
        """The state of the one e-mail about an order, and how often it was tried."""
        (row,) = self.sql("SELECT state, attempts FROM emails WHERE order_id = %s", sale.order_id)
        return row

    def expire_lease(self, sale: Sale) -> None:
        """Let the time pass that an e-mail stays in the hands of a worker that died."""
        self.sql(
            "UPDATE emails SET claimed_at = claimed_at - interval '1 hour' WHERE order_id = %s AND state = 'sending'",
            sale.order_id,
        )

    # The outside world

    def misbehave(self, stand_in: str, operation: str, fault: str, subject: str, times: int = 1) -> None:
        """Arm a fault for one payment or one recipient; a request that it holds is held until `behave`."""
        order = {"operation": operation, "fault": fault, "object": subject, "times": times, "seconds": HELD}
        answer = self.outside.post(f"{self.urls[stand_in]}/_sandbox/faults", json=order)
        assert answer.status_code == 200, answer.text

    def has_met_its_fault(self, stand_in: str) -> bool:
        """Whether every fault of a stand-in has befallen as many requests as it was armed for."""
        return self.outside.get(f"{self.urls[stand_in]}/_sandbox/faults").json() == []

    def is_held_at_provider(self, sale: Sale, operation: str) -> bool:
        """Whether a request about this payment has reached the provider and waits there for its answer."""
        requests = self.requests_to_provider(sale.reference)
        return any(request["operation"] == operation and request["status"] is None for request in requests)

    # Its processes

    def kill(self, program: str) -> None:
        """End a program and its children by SIGKILL; returns when they are dead."""
        doomed = _family(self.stack.pids()[program])
        for pid in doomed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        eventually(lambda: not any(_is_alive(pid) for pid in doomed))

    @contextmanager
    def frozen(self, program: str) -> Iterator[None]:
        """Stop a program and its children where they are, and let them go on when the block ends."""
        family = _family(self.stack.pids()[program])
        for pid in family:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in family:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    # Its Postgres

    @contextmanager
    def order_locked(self, sale: Sale) -> Iterator[psycopg.Connection]:
        """Hold an order's lock, as a twin's transaction does; let go by the connection's rollback."""
        with psycopg.connect(self.settings.database_url) as connection:
            connection.execute("SELECT FROM orders WHERE id = %s FOR NO KEY UPDATE", (sale.order_id,))
            yield connection
            connection.rollback()

    def somebody_waits_for_a_lock(self) -> bool:
        """Whether a transaction waits for another one's lock."""
        return bool(self.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))

    def forget_everything(self) -> None:
        """Empty every table, also those that refuse it."""
        with psycopg.connect(self.settings.database_url) as connection:
            connection.execute("SET session_replication_role = replica")  # no trigger fires
            connection.execute("SET deadlock_timeout = '1min'")  # a worker that locks rows meanwhile gives way
            connection.execute("TRUNCATE orders, stock, intents, outbox, webhook_events, courier_events CASCADE")

    @contextmanager
    def postgres_unreachable(self) -> Iterator[None]:
        """Cut every connection to Postgres and refuse new ones until the block ends."""
        others = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        with psycopg.connect(self.settings.database_url, autocommit=True) as connection, hidden(self.database_socket):
            connection.execute(f"SELECT pg_terminate_backend(pid) {others}")
            eventually(lambda: not connection.execute(f"SELECT pid {others}").fetchall())
            yield


def _family(pid: int) -> set[int]:
    """A process and all its descendants."""
    parents = {int(entry.name): _status(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    family = {pid}
    while more := {child for child, (_, parent) in parents.items() if parent in family} - family:
        family |= more
    return family


def _is_alive(pid: int) -> bool:
    """Whether a process still runs; one that only waits to be reaped has closed everything."""
    return _status(pid)[0] not in "ZX"


def _status(pid: int) -> tuple[str, int]:
    """A process' state and parent (proc_pid_stat(5)); that of a process which is gone is X."""
    try:
        state, parent, *_ = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "X", 0
    return state, int(parent)
