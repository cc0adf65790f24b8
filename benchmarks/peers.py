"""The processes that are measured: our own stack, and the bare peers beside it on the same stores and stand-ins."""

import shutil
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import psycopg
from psycopg import sql
from redis import Redis

from benchmarks.books import VOID, Books, Effect, redis_at
from benchmarks.client import LOOPBACK
from benchmarks.processes import Program
from sandbox.stack import Stack, StackOptions
from sandbox.stack.leftovers import MARK
from sandbox.stack.ports import reserved
from sandbox.stack.readiness import http
from sandbox.stack.workers import answers_ping
from shared import settings
from shared.db import Database
from shared.queues import QUEUE_OF, Task
from shared.settings import Settings
from workers.groups import GROUPS

#: Everything but Flower: it only watches, and costs whatever an operator's browser asks of it.
MEASURED = ("stores", "outside", "gateway", "workers", "beat")

#: The stores and the stand-ins that every peer burns CPU in.
OUTSIDE = ("postgres", "redis", "stripe", "mailbox")

#: The stand-ins that keep a ledger of what they were asked to do.
STAND_INS = ("stripe", "razorpay", "delhivery")

#: The three hops.
HOPS = frozenset(QUEUE_OF[task] for task in (Task.CANCEL_ORDER, Task.VOID_PAYMENT, Task.SEND_EMAIL))

#: The bare chain's own number space in the same Redis: its queues have the same names as ours.
BARE_DATABASE = 1


@dataclass(frozen=True)
class Mesh:
    """Our stack as it runs."""

    stack: Stack
    environment: Mapping[str, str]
    pids: Mapping[str, int]

    @cached_property
    def settings(self) -> Settings:
        """What its programs were told."""
        return settings.load(self.environment)

    @cached_property
    def database(self) -> Database:
        """Its rows."""
        return Database(self.settings.database_url, pool_size=4)

    @cached_property
    def broker(self) -> Redis:
        """Its messages."""
        return redis_at(self.settings.broker_url)

    @cached_property
    def books(self) -> Books:
        """The ledgers of its outside world."""
        return self.books_of(VOID)

    def books_of(self, effect: Effect) -> Books:
        """The ledgers, of which another effect is counted."""
        return Books({name: self.port(name) for name in (*STAND_INS, "mailbox")}, effect)

    @cached_property
    def gateway(self) -> int:
        """The port of its gateway."""
        return self.port("gateway")

    def port(self, name: str) -> int:
        """The port of a program."""
        return int(self.stack.describe()[name].rpartition(":")[2])


@dataclass(frozen=True)
class Bare:
    """A bare peer as it runs."""

    settings: Settings
    gateway: int
    pids: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def broker(self) -> Redis:
        """Its messages."""
        return redis_at(self.settings.broker_url)


@contextmanager
def mesh(
    only: Collection[str] = MEASURED,
    environment: Mapping[str, str] = MappingProxyType({}),
    postgres: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Mesh]:
    """Run our stack in a directory of its own, with additional settings, and leave nothing behind."""
    root = Path(tempfile.mkdtemp(prefix="countermand-bench-"))
    try:
        if postgres:
            _set_before_start(root, postgres)
        with Stack(root, StackOptions(only=only, environment=environment, webhooks=False)) as stack:
            running = Mesh(stack, stack.environment(), stack.pids())
            yield running
            running.database.close()
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _set_before_start(root: Path, settings: Mapping[str, str]) -> None:
    """Write settings that Postgres reads only when it starts."""
    with (
        Stack(root, StackOptions(only=("stores",), migrate=False)) as stack,
        psycopg.connect(stack.describe()["postgres"], autocommit=True) as connection,
    ):
        for name, value in settings.items():
            connection.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), value))


@contextmanager
def bare_chain(beside: Mesh) -> Iterator[Bare]:
    """Run the bare chain: as many gateway processes as ours, and a worker for each of our groups with a hop in it."""
    broker = f"{beside.settings.broker_url}?virtual_host={BARE_DATABASE}"
    groups = [name for name, group in GROUPS.items() if HOPS & set(group.queues)]
    with _bare(beside, broker, "benchmarks.bare_chain:application") as (running, environment), ExitStack() as started:
        workers = {
            f"worker-{name}": started.enter_context(
                Program(
                    [sys.executable, "-m", "benchmarks.bare_chain", name],
                    environment,
                    beside.stack.root / "log" / f"bare-{name}.log",
                )
            )
            for name in groups
        }
        for name in groups:
            workers[f"worker-{name}"].wait_until(answers_ping(f"bare-{name}", broker))
        pids = {name: program.pid for name, program in workers.items()}
        yield Bare(running.settings, running.gateway, {**running.pids, **pids})


@contextmanager
def bare_handler(beside: Mesh) -> Iterator[Bare]:
    """Run the handler that makes one INSERT and publishes one message that nobody takes."""
    broker = f"{beside.settings.broker_url}?virtual_host={BARE_DATABASE}"
    with _bare(beside, broker, "benchmarks.bare_handler:application") as (running, _):
        yield running


@contextmanager
def _bare(beside: Mesh, broker: str, application: str) -> Iterator[tuple[Bare, Mapping[str, str]]]:
    """Serve a bare WSGI application on the gateway's own gunicorn settings."""
    environment = {
        **beside.environment,
        "COUNTERMAND_BROKER_URL": broker,
        MARK: str(beside.stack.root),  # so that the stack ends it too, should this process be killed
    }
    with reserved(["gateway"], {}) as ports:
        port = ports["gateway"]
        command = [
            *(sys.executable, "-m", "gunicorn", "--config", "python:gateway.serving"),
            *("--bind", f"{LOOPBACK}:{port}", application),
        ]
        program = Program(command, environment, beside.stack.root / "log" / "bare-gateway.log")
    with program:
        program.wait_until(http(port, "/healthz"))
        outside = {name: beside.pids[name] for name in OUTSIDE}
        yield Bare(settings.load(environment), port, {"gateway": program.pid, **outside}), environment
