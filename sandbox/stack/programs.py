"""The programs of a stack, as data: what each is started with, when it is ready, and how it is asked to stop."""

import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from sandbox.stack.layout import Layout
from sandbox.stack.ports import LOOPBACK
from sandbox.stack.postgres import Postgres
from sandbox.stack.readiness import Probe, http
from sandbox.stack.redis import Redis
from sandbox.stack.secrets import Secrets
from sandbox.stack.workers import answers_ping
from shared.providers.razorpay_webhooks import CONCERNS as RAZORPAY_EVENTS
from shared.providers.stripe_webhooks import CONCERNS as STRIPE_EVENTS
from workers.groups import GROUPS


class Room(StrEnum):
    """Programs that start together; the rooms start in this order and stop in the opposite one."""

    STORES = "stores"  # what the others keep their state in
    OUTSIDE = "outside"  # stand-ins for the outside world
    MESH = "mesh"  # the gateway, the workers, and what watches them


@dataclass(frozen=True, kw_only=True)
class Program:
    """One supervised program."""

    name: str
    room: Room
    command: list[str]
    is_ready: Probe
    environment: Mapping[str, str] = field(default_factory=dict)
    #: What it is called together with others of its kind.
    family: str = ""
    #: What asks it to finish what it does and end, and the seconds it gets for that.
    stop_signal: str = "TERM"
    stop_seconds: int = 10

    def wanted(self, only: Collection[str]) -> bool:
        """Whether a choice of programs, families and rooms names this one; an empty choice names all."""
        return not only or not {self.name, self.room, self.family}.isdisjoint(only)


def stores(postgres: Postgres, redis: Redis | None) -> list[Program]:
    """Postgres, and Redis unless the broker runs elsewhere."""
    # SIGINT is Postgres' fast shutdown: sessions are ended, everything is written, nothing needs recovery.
    found = [
        Program(
            name="postgres",
            room=Room.STORES,
            command=postgres.command(),
            is_ready=postgres.is_ready,
            stop_signal="INT",
            stop_seconds=30,
        )
    ]
    if redis:
        found.append(Program(name="redis", room=Room.STORES, command=redis.command(), is_ready=redis.is_ready))
    return found


def outside(layout: Layout, ports: Mapping[str, int], secrets: Secrets | None) -> list[Program]:
    """The stand-ins for the outside world, which tell the gateway what happens there when there are secrets."""
    mailbox, smtp = ports["mailbox"], ports["smtp"]
    return [
        *(_told(name, layout, ports, secrets) for name in TELLING),
        Program(
            name="mailbox",
            room=Room.OUTSIDE,
            command=_python(
                *("sandbox.mailbox", "--smtp-port", str(smtp), "--http-port", str(mailbox)),
                *("--data", str(layout.data("mailbox"))),
            ),
            is_ready=http(mailbox, "/_sandbox/health"),
        ),
    ]


@dataclass(frozen=True)
class Telling:
    """How a stand-in is told where to tell what happens: its options, and the variable that holds its secret."""

    option: str
    path: str
    variable: str
    secret: str
    #: The types that it sends; empty sends all.
    events: Collection[str] = ()


#: The stand-ins that tell the gateway what happens.
TELLING: Mapping[str, Telling] = {
    "stripe": Telling(
        "--webhook-url", "/webhooks/stripe", "STRIPE_WEBHOOK_SECRET", "stripe_webhook_secret", STRIPE_EVENTS
    ),
    "razorpay": Telling(
        "--webhook-url", "/webhooks/razorpay", "RAZORPAY_WEBHOOK_SECRET", "razorpay_webhook_secret", RAZORPAY_EVENTS
    ),
    "delhivery": Telling(
        "--push-url", "/api/shipping/delhivery/webhook", "DELHIVERY_PUSH_SECRET", "delhivery_push_secret"
    ),
}


def _told(name: str, layout: Layout, ports: Mapping[str, int], secrets: Secrets | None) -> Program:
    telling, where = TELLING[name], ("--port", str(ports[name]), "--data", str(layout.data(name)))
    told = (telling.option, f"http://{LOOPBACK}:{ports['gateway']}{telling.path}") if secrets else ()
    events = ("--webhook-events", ",".join(telling.events)) if secrets and telling.events else ()
    return Program(
        name=name,
        room=Room.OUTSIDE,
        command=_python(f"sandbox.{name}", *where, *told, *events),
        is_ready=http(ports[name], "/_sandbox/health"),
        environment={telling.variable: getattr(secrets, telling.secret)} if secrets else {},
    )


def mesh(layout: Layout, run: Path, ports: Mapping[str, int], broker: str, flower_password: str) -> list[Program]:
    """The gateway, one worker a group, beat, and Flower."""
    gateway, flower = ports["gateway"], ports["flower"]
    return [
        Program(
            name="gateway",
            room=Room.MESH,
            command=_python(
                *("gunicorn", "--config", "python:gateway.serving", "--bind", f"{LOOPBACK}:{gateway}"),
                "gateway.wsgi:application",
            ),
            is_ready=http(gateway, "/readyz"),
            environment={"PROMETHEUS_MULTIPROC_DIR": str(run / "metrics")},
        ),
        *(
            Program(
                name=f"worker-{group}",
                room=Room.MESH,
                family="workers",
                command=_python("workers", group),
                is_ready=answers_ping(group, broker),
            )
            for group in GROUPS
        ),
        Program(
            name="beat",
            room=Room.MESH,
            command=_celery("beat", "--schedule", str(layout.data("beat") / "schedule"), "--pidfile="),
            is_ready=lambda: True,  # nobody can ask it; that it stays up is watched
        ),
        Program(
            name="flower",
            room=Room.MESH,
            command=_celery(
                *("flower", f"--address={LOOPBACK}", f"--port={flower}"),
                *("--persistent=True", f"--db={layout.data('flower') / 'state'}"),
            ),
            is_ready=http(flower, "/healthcheck"),
            environment={"FLOWER_BASIC_AUTH": f"operator:{flower_password}"},
        ),
    ]


def _python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def _celery(*arguments: str) -> list[str]:
    return _python("celery", "-A", "workers.app:app", *arguments)
