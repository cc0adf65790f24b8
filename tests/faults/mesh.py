"""A whole mesh to be broken: its processes killed and stopped, its broker and its Postgres taken away and given back."""

import contextlib
import os
import signal
import socket
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
from redis import Redis

from sandbox.stack import Stack
from shared.broker import celery_app
from shared.queues import Queue, Task
from tests.shop import Purchase, Shop, eventually
from workers.groups import GROUPS

#: Seconds that a mesh may take to come back after a fault, on a machine that is busy with other things.
RECOVERY = 60.0

#: Seconds that a stand-in holds a request: far longer than a test needs to kill whoever waits for the answer.
HELD = 600.0

#: Kombu's keys for messages that were delivered and not acknowledged yet.
UNACKED = ("unacked", "unacked_index")


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


class Mesh(Shop):
    """A shop on a mesh of its own, and every way to hurt that mesh."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack)
        self.celery = celery_app(self.settings)
        self.sockets = Path(self.urls["broker"].removeprefix("redis+socket://")).parent
        self.redis = self._redis(self.sockets / "redis.sock")

    def __exit__(self, *raised: Any) -> None:
        self.celery.close()
        self.redis.close()
        super().__exit__(*raised)

    # What is bought

    def sell(self, **changes: Any) -> Sale:
        """Sell two of ten units of a new SKU."""
        return self._sold(self.buy, **changes)

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

    def intent(self, intent_id: str) -> dict[str, Any]:
        """An intent, as an operator sees it."""
        answer = self.http.get(f"/intents/{intent_id}", headers=self.bearer("admin"))
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def answer_of(self, intent_id: str, within: float = RECOVERY) -> dict[str, Any]:
        """The answer that an intent ends with: its status and body."""
        answer: dict[str, Any] = eventually(lambda: self.intent(intent_id)["answer"], within)
        return answer

    def sell_unanswered(self) -> str:
        """Register an order whose capture is due, and wait for nothing; returns the intent's id."""
        placed_at = datetime.now(UTC) - timedelta(seconds=self.settings.grace_period + 1)
        body = self.order(self.authorize(), placed_at=placed_at.isoformat())
        answer = self.register(body, Prefer="respond-async")
        assert answer.status_code == 202, answer.text
        intent: str = answer.json()["intent"]
        return intent

    def is_ready(self) -> bool:
        """Whether every process of the gateway takes requests, as far as fresh connections reach them."""
        try:
            return all(httpx.get(f"{self.urls['gateway']}/readyz").status_code == 200 for _ in range(8))
        except httpx.TransportError:
            return False

    def eventually_answered(self, ask: Callable[[], httpx.Response]) -> httpx.Response:
        """Ask as a client does that honours 503: again, until the answer is another one."""

        def answer() -> httpx.Response | None:
            answered = ask()
            return None if answered.status_code == 503 else answered

        found: httpx.Response = eventually(answer, RECOVERY)
        return found

    # What a person finds

    def alerts(self, order_id: str) -> list[tuple[str, str]]:
        """The alerts about an order: how severe, and whether the matter is still open."""
        return self.sql(
            "SELECT severity, CASE WHEN resolved_at IS NULL THEN 'open' ELSE 'resolved' END FROM alerts"
            " WHERE order_id = %s ORDER BY opened_at",
            order_id,
        )

    def email(self, sale: Sale) -> tuple[str, int]:
        """The state of the one e-mail about an order, and how often it was tried."""
        (row,) = self.sql("SELECT state, attempts FROM emails WHERE order_id = %s", sale.order_id)
        return row

    def expire_lease(self, sale: Sale) -> None:
        """Let the time pass that an e-mail stays in the hands of a worker that died."""
        self.sql(
            "UPDATE emails SET claimed_at = claimed_at - interval '1 hour' WHERE order_id = %s AND state = 'sending'"
            " RETURNING id",
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

    def letters(self, sale: Sale) -> list[dict[str, Any]]:
        """Every e-mail that was delivered to this order's shopper."""
        answer = self.outside.get(f"{self.urls['mailbox']}/messages", params={"to": sale.email})
        found: list[dict[str, Any]] = answer.json()
        return found

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

    # Its broker

    def publish(self, messages: Sequence[tuple[str, str]]) -> None:
        """Publish these messages (task, subject), whoever may want them or not."""
        with self.celery.producer_or_acquire() as producer:
            for task, subject in messages:
                self.celery.send_task(task, (subject,), producer=producer)

    def publish_and_wait(self, messages: Sequence[tuple[str, str]]) -> None:
        """Publish these messages, and return when each of them has been acted upon."""
        self.redis.delete(*UNACKED)  # what a killed worker once took is not one of ours
        before = self._begun()
        self.publish(messages)
        wanted = Counter(task for task, _ in messages)
        eventually(lambda: not wanted - (self._begun() - before) and not self._under_way(), RECOVERY)

    def _begun(self) -> Counter[str]:
        """How often each task was begun since the workers started."""
        told = eventually(lambda: self._told_by_all("stats"), RECOVERY)
        return sum((Counter(statistics["total"]) for statistics in told.values()), Counter())

    def _under_way(self) -> bool:
        """Whether a worker is at a task, but for beat's."""
        told = eventually(lambda: self._told_by_all("active"), RECOVERY)
        return any(task["name"] != Task.SWEEP_OUTBOX for tasks in told.values() for task in tasks)

    def _told_by_all(self, what: str) -> dict[str, Any]:
        """What every worker says of itself; nothing when one of them did not answer."""
        replies = getattr(self.celery.control.inspect(limit=len(GROUPS), timeout=5), what)() or {}
        return replies if len(replies) == len(GROUPS) else {}

    def waiting_messages(self, queue: Queue) -> int:
        """How many messages a queue holds."""
        return int(self.redis.llen(queue))

    def lose_messages(self, queue: Queue) -> int:
        """Drop whatever a queue holds; returns how many messages that were."""
        return int(self.redis.eval("local n = redis.call('LLEN', KEYS[1]); redis.call('DEL', KEYS[1]); return n", 1, queue))

    def workers_that_consume(self) -> set[str]:
        """The groups whose worker answers through the broker."""
        return {name.partition("@")[0] for reply in self.celery.control.ping(timeout=1) for name in reply}

    @contextmanager
    def nobody_consumes(self, queue: Queue) -> Iterator[None]:
        """Let messages pile up in a queue until the block ends."""
        (group,) = (name for name, group in GROUPS.items() if queue in group.queues)
        node = [f"{group}@{socket.gethostname()}"]
        control = self.celery.control
        eventually(lambda: control.cancel_consumer(queue, destination=node, reply=True, timeout=5))
        eventually(lambda: queue not in self._consumed(node))
        try:
            yield
        finally:
            eventually(lambda: control.add_consumer(queue, destination=node, reply=True, timeout=5))

    def _consumed(self, node: list[str]) -> set[str]:
        """The queues that a worker consumes."""
        told = eventually(lambda: self.celery.control.inspect(node, timeout=5).active_queues())
        return {queue["name"] for queues in told.values() for queue in queues}

    @contextmanager
    def broker_takes_nothing(self) -> Iterator[None]:
        """Keep every message in the hands of whoever publishes it, until the block ends.

        A publisher that dies meanwhile has published nothing: the broker drops what a closed connection had sent.
        """
        self.redis.execute_command("CLIENT PAUSE", int(HELD * 1000), "WRITE")
        try:
            yield
        finally:
            for _ in range(2):  # when it answers the second one, it has noticed every connection closed before the first
                self.redis.ping()
            self.redis.execute_command("CLIENT UNPAUSE")

    @contextmanager
    def broker_unreachable(self) -> Iterator[None]:
        """Cut every connection to the broker and refuse new ones; its messages are still there when it returns."""
        with _hidden(self.sockets / "redis.sock") as behind:
            client = self._redis(behind)
            client.execute_command("CLIENT KILL", "TYPE", "normal", "SKIPME", "yes")
            client.close()
            yield

    def _redis(self, path: Path) -> "Redis[str]":
        return Redis(unix_socket_path=str(path), decode_responses=True)

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
        return bool(self.sql("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))

    def forget_everything(self) -> None:
        """Empty every table, also those that refuse it."""
        with psycopg.connect(self.settings.database_url) as connection:
            connection.execute("SET session_replication_role = replica")  # no trigger fires
            connection.execute("TRUNCATE orders, stock, intents, outbox CASCADE")

    @contextmanager
    def postgres_unreachable(self) -> Iterator[None]:
        """Cut every connection to Postgres and refuse new ones until the block ends."""
        with psycopg.connect(self.settings.database_url, autocommit=True) as connection:
            with _hidden(self.sockets / "pg" / ".s.PGSQL.5432"):
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
                )
                yield


@contextmanager
def _hidden(path: Path) -> Iterator[Path]:
    """Move a socket out of its clients' sight until the block ends; yields where it can be reached meanwhile."""
    behind = path.with_name(path.name + ".hidden")
    path.rename(behind)
    try:
        yield behind
    finally:
        behind.rename(path)


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
