"""The rig: one order and all that happens to it, with the test in the place of the broker, the clock and the kill."""

import contextlib
import random
import uuid
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from typing import Any, Self

import psycopg
import pytest
import requests
import stripe
import structlog
from celery import Celery
from falcon.testing import Result, TestClient
from psycopg.rows import dict_row
from psycopg.sql import SQL, Composed, Identifier

from gateway.app import create_app
from gateway.waiting import Doorbell
from shared import tokens
from shared.db import Database
from shared.queues import Task
from shared.settings import Settings
from shared.store.outbox import Message
from tests.faults import world
from tests.faults.harness import edges
from tests.faults.harness.boundaries import Boundaries, Process
from tests.faults.harness.hooks import Hook
from tests.faults.harness.standins import StandIns
from tests.faults.harness.transport import Transport
from tests.shop import RAISABLE

#: Marks what somebody did at the provider's own dashboard, which has no key of ours.
DASHBOARD = "dashboard:"

#: Seconds beyond the moment at which a message is due: what it is about may be due a few milliseconds later.
SLACK = 1.0

#: So often may time pass until nothing is due: far more than any story needs, far less than for ever.
ROUNDS = 400

SKU = "TEE"

#: What can be added to an order, for 8.00 and a tax of five percent.
MUG = "MUG"

#: What the shop once told of its stock, before anything was sold, as `register.stock` writes it.
STOCKED = """
    WITH told AS (
        INSERT INTO intents
            (id, operation, subject, actor, fingerprint, payload, state, answer_status, answer_body, ended_at)
        SELECT 'int_' || sku, 'set_stock', sku, 'service:shop', '', '{"quantity": 10}', 'done', 200, '{}', now()
        FROM unnest(ARRAY[%(sku)s, %(mug)s]) AS sku
    )
    INSERT INTO stock (sku, quantity, unit_price, currency, tax_rate)
    VALUES (%(sku)s, 10, NULL, NULL, NULL), (%(mug)s, 10, 800, 'USD', 0.05)
"""


@dataclass(frozen=True)
class Request:
    """What a client asks of the gateway; sent again it is the same request, under the same key."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any = None
    key: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True)
class Sale:
    """An order of two units, and the money that is held for it."""

    order_id: str
    reference: str
    customer: str
    #: What the shop tells of it.
    body: dict[str, Any] = field(hash=False)


#: What begins an operation.
Start = Request | Hook | Message


class Rig:
    """The mesh in this process: its gateway, its tasks, its rows, and the outside world."""

    def __init__(self, settings: Settings, stand_ins: StandIns, celery: Celery) -> None:
        self.settings = settings
        self.stand_ins = stand_ins
        self.celery = celery
        #: What beat wakes.
        self.beat: dict[str, Any] = celery.conf.beat_schedule
        self.transport = Transport()
        self.boundaries = Boundaries()
        self.locks = edges.Locks()
        self.wires = edges.Wires(stand_ins.urls)
        #: Whether a message is delivered again whose process was killed; a broker may lose it as well.
        self.redelivers = True
        #: Every request a client has sent, and whether it was answered: those that were not are sent again.
        self.asked: dict[str, Request] = {}
        self.unanswered: list[Request | Hook] = []
        self.log: list[Any] = []
        self.deadlocks = 0
        #: The last row of each record of the scenarios before.
        self._seen = dict.fromkeys(world.RECORDS, 0)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        from workers.base import Worker
        from workers.mesh import Mesh

        self.mesh = Mesh(self.settings)
        self._gateway_database = Database(self.settings.database_url, pool_size=4)
        for database in (self.mesh.database, self._gateway_database):
            self._open.enter_context(edges.watched_database(database, self.locks))
        self.monitor = self._open.enter_context(
            psycopg.connect(
                self.settings.database_url, autocommit=True, row_factory=dict_row, options="-c timezone=UTC"
            )
        )
        patch = self._open.enter_context(pytest.MonkeyPatch.context())
        patch.setattr("workers.base.mesh", lambda: self.mesh)
        patch.setattr(Worker, "_publisher", self.transport)
        self._open.enter_context(self.wires.watched())
        self._gateway = TestClient(
            create_app(self.settings, self._gateway_database, self.transport, Doorbell(self.celery))  # type: ignore[arg-type]
        )
        session = self._open.enter_context(requests.Session())
        self.provider = stripe.StripeClient(
            self.settings.stripe_api_key,
            base_addresses={"api": self.settings.stripe_api_base},
            http_client=stripe.RequestsClient(timeout=30, session=session),
        ).v1
        self.log = self._open.enter_context(structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]))
        self.reset()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def reset(self) -> None:
        """Begin a new scenario: no rows, no messages, nobody to be killed, and an outside world that behaves."""
        self.behave()
        with self.monitor.transaction():
            self.monitor.execute("SET LOCAL session_replication_role = replica")  # no trigger fires
            self.monitor.execute(self._forget_rows)
            self.monitor.execute(STOCKED, {"sku": SKU, "mug": MUG})
        self.transport.lose_everything()
        self.transport.rung.clear()
        self.locks.hasty = False
        self.boundaries.forget()
        self.redelivers = True
        self.asked, self.unanswered = {}, []
        self.log.clear()
        self.deadlocks = 0
        self.stand_ins.forget_holds()
        for record, rows in self._records().items():
            self._seen[record] = max((row["seq"] for row in rows), default=self._seen[record])
        random.seed(0)  # of the pauses' jitter

    def behave(self) -> None:
        """Let the outside world behave again."""
        self.stand_ins.behave()
        self.wires.behave()
        self.transport.away = False

    # What clients do

    def bearer(self, role: str, subject: str = "shop") -> dict[str, str]:
        """The header of a service, admin or customer."""
        token = tokens.mint(self.settings, role=role, subject=subject, order_id=None, expires_in=10**6)
        return {"Authorization": f"Bearer {token}"}

    def modification(self, sale: Sale) -> dict[str, str]:
        """The header of the shopper with this order."""
        role = "modification"
        token = tokens.mint(self.settings, role=role, subject=None, order_id=sale.order_id, expires_in=10**6)
        return {"x-modification-token": token}

    def offer(self, amount: int = 3800) -> Sale:
        """Hold money for two of the ten units, and more if that is asked for; nothing is registered yet."""
        order_id = f"ord_{uuid.uuid4().hex}"
        wish: Any = {
            "amount": amount,
            "currency": "usd",
            "capture_method": "manual",
            "confirm": True,
            "payment_method": "pm_card_visa",
            "payment_method_types": ["card"],
            **RAISABLE,
        }
        reference = self.provider.payment_intents.create(wish).id
        body = {
            "order_id": order_id,
            "currency": "USD",
            "email": "ann@example.com",
            "customer_id": "cus_1",
            "lines": [{"sku": SKU, "quantity": 2, "unit_price": 1500, "tax_rate": "0.10"}],
            "shipping": 500,
            "payment": {"provider": "stripe", "reference": reference},
        }
        return Sale(order_id, reference, "cus_1", body)

    def ask(self, request: Request | Hook, process: Process | None = None) -> Result | None:
        """Send a request or an event, and wait for nothing but its acceptance; None when the gateway died over it."""
        if isinstance(request, Request):
            self.asked[request.key] = request
            name = f"{request.method} {request.path.rpartition('/')[2]}"
        else:
            name = request.type
        process = process or Process(name, self.boundaries)
        answer = None
        with process.running():
            answer = self._send(request)
        self._bury(process)
        if answer is None or answer.status_code == 503:
            self.unanswered.append(request)
        return answer

    def ask_again(self, request: Request) -> Result:
        """Repeat a request, as a client does who wants to know its answer."""
        return self._send(request)

    def _send(self, request: Request | Hook) -> Result:
        if isinstance(request, Hook):
            headers = request.headers(self.settings)
            answer = self._gateway.simulate_post(request.path, headers=headers, body=request.body)
            assert answer.status_code in (200, 503), answer.text
            return answer
        headers = request.headers | {"Idempotency-Key": request.key, "Prefer": "respond-async"}
        return self._gateway.simulate_request(request.method, request.path, headers=headers, json=request.body)

    def start(self, start: Start) -> None:
        """Send a request or an event, or put a message first in the line."""
        if isinstance(start, Message):
            self.transport.messages.insert(0, start)
        else:
            self.ask(start)

    def at_dashboard(self, sale: Sale, what: str, parameters: dict[str, Any]) -> None:
        """Let somebody `capture`, `cancel` or `refund` at the provider's dashboard, which may refuse."""
        key: Any = {"idempotency_key": f"{DASHBOARD}{uuid.uuid4().hex}"}
        wish: Any = {"payment_intent": sale.reference, **parameters}
        with contextlib.suppress(stripe.StripeError):
            if what == "refund":
                self.provider.refunds.create(wish, key)
            else:
                getattr(self.provider.payment_intents, what)(sale.reference, parameters, key)

    # What the broker and beat do

    def deliver_all(self) -> None:
        """Deliver the messages in their order until there are none left, also those that follow."""
        while self.transport.messages:
            self.deliver()

    def deliver(self, place: int = 0) -> None:
        """Hand the message at this place of the line to a worker; killed over it, it is delivered again, or lost."""
        message = self.transport.take(place)
        if not self.run(message) and self.redelivers:
            self.transport.messages.append(message)

    def run(self, message: Message, process: Process | None = None) -> bool:
        """Run the task that a message asks for; False when its process was killed."""
        process = process or Process(message.task, self.boundaries)
        return self._survives(process, message.task, (message.subject,) if message.subject else ())

    def wake(self) -> None:
        """Do everything that beat does at its times."""
        for entry in self.beat.values():
            process = Process(f"beat's {entry['task']}", self.boundaries)
            self._survives(process, entry["task"], tuple(entry.get("args", ())))

    def _survives(self, process: Process, task: str, arguments: tuple[Any, ...]) -> bool:
        with process.running():
            self.celery.tasks[task](*arguments)
        self._bury(process)
        return not process.is_dead

    def _bury(self, process: Process) -> None:
        """Return when Postgres has noticed that a process was killed; it takes it a millisecond."""
        busy = "SELECT FROM pg_stat_activity WHERE pid = %s AND state <> 'idle'"
        while process.is_dead and process.backends and self.sql(busy, process.backends[-1]):
            pass

    # What time does

    def pass_time(self, seconds: float) -> None:
        """Let time pass: every moment in the rows, and every idempotency key, lies further back."""
        with self.monitor.transaction():
            self.monitor.execute("SET LOCAL session_replication_role = replica")
            self.monitor.execute(self._age_rows, {"seconds": seconds})
        self.stand_ins.pass_time(seconds)

    def hurry(self, sale: Sale) -> None:
        """Make the capture of an order due with its grace period still open.

        Outside tests the two end together.  Apart, a cancel and a capture can meet in every way.
        """
        self.monitor.execute("UPDATE capture_jobs SET due_at = now() WHERE order_id = %s", [sale.order_id])
        self.monitor.execute(
            "UPDATE outbox SET due_at = now() WHERE subject IN (SELECT id FROM capture_jobs WHERE order_id = %s)",
            [sale.order_id],
        )

    def next_due(self) -> float | None:
        """Seconds until the next message of the outbox is due; None when there is none."""
        ((seconds,),) = (row.values() for row in self.query("SELECT min(due_at) - now() AS wait FROM outbox"))
        return None if seconds is None else max(0.0, seconds.total_seconds())

    def settle(self) -> None:
        """Repeat unanswered requests, deliver, sweep, let time pass: until nothing is due, or for very long."""
        for _ in range(ROUNDS):
            asked, self.unanswered = self.unanswered, []
            for request in asked:
                self.ask(request)
            self.deliver_all()
            self.wake()
            due = self.next_due()
            if not self.transport.messages and not self.unanswered:
                if due is None:
                    return
                self.pass_time(due + SLACK)

    def compare(self) -> None:
        """Let the payment's next comparison with its provider come, and all that follows from it."""
        wait = self.value("SELECT check_at - now() FROM payments")
        if wait is not None:
            self.pass_time(max(0.0, wait.total_seconds()) + SLACK)
            self.settle()

    # What a person sees

    def query(self, statement: str, values: Any = None) -> list[dict[str, Any]]:
        """Read the mesh's own rows."""
        return self.monitor.execute(statement, values).fetchall()

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """The same as tuples, with each value an argument of its own."""
        return [tuple(row.values()) for row in self.query(statement, values or None)]

    def value(self, statement: str, *values: Any) -> Any:
        """The one value that a statement reads; None when there is no row."""
        row = self.monitor.execute(statement, values).fetchone()
        return next(iter(row.values())) if row else None

    def outboxed(self, task: Task) -> Message | None:
        """A message of the outbox for this task, taken out of the broker's line."""
        subject = self.value("SELECT subject FROM outbox WHERE task = %s ORDER BY subject LIMIT 1", task)
        if subject is None:
            return None
        self.transport.take_all(task, subject)
        return Message(task, subject)

    def look(self) -> world.World:
        """Everything there is to compare: rows, and what the outside world has on record."""
        records = self._records()
        asked = records["stripe", "requests"]
        ours = [each for each in asked if not (each["idempotency_key"] or "").startswith(DASHBOARD)]
        return world.world(world.rows(self.monitor), records | {("stripe", "requests"): ours})

    def _records(self) -> dict[tuple[str, str], list[dict[str, Any]]]:
        """What the outside world has on record of this scenario."""
        return {record: self.stand_ins.record(*record, since) for record, since in self._seen.items()}

    @cached_property
    def _tables(self) -> dict[str, list[str]]:
        """Every table of the mesh with its columns that hold a moment."""
        rows = self.query(
            """
            SELECT t.table_name, array_remove(array_agg(c.column_name::text), NULL) AS moments
            FROM information_schema.tables t LEFT JOIN information_schema.columns c
                ON c.table_schema = t.table_schema AND c.table_name = t.table_name
                AND c.data_type = 'timestamp with time zone'
            WHERE t.table_schema = 'public' AND t.table_name <> 'alembic_version'
            GROUP BY t.table_name ORDER BY t.table_name
            """
        )
        return {row["table_name"]: row["moments"] for row in rows}

    @cached_property
    def _forget_rows(self) -> Composed:
        deletes = [SQL("DELETE FROM {}").format(Identifier(table)) for table in self._tables if table != "pace"]
        return SQL("; ").join([*deletes, SQL("UPDATE pace SET free_at = now()")])

    @cached_property
    def _age_rows(self) -> Composed:
        back = SQL("{0} = {0} - make_interval(secs => %(seconds)s)")
        updates = [
            SQL("{} AS (UPDATE {} SET {})").format(
                Identifier(f"aged_{table}"),
                Identifier(table),
                SQL(", ").join(back.format(Identifier(moment)) for moment in moments),
            )
            for table, moments in self._tables.items()
            if moments
        ]
        return SQL("WITH {} SELECT").format(SQL(", ").join(updates))
