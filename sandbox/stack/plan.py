"""The plan of one start: which programs, on which ports, told what, and where they will be reached."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.stack import environment, programs
from sandbox.stack.layout import Layout
from sandbox.stack.options import StackOptions
from sandbox.stack.ports import LOOPBACK
from sandbox.stack.postgres import Postgres
from sandbox.stack.programs import Program, Room
from sandbox.stack.redis import Redis
from sandbox.stack.secrets import Secrets


@dataclass(frozen=True)
class Plan:
    """Everything that is decided before the first program starts."""

    programs: Mapping[str, Program]
    environment: Mapping[str, str]
    #: By the names of stack.json.
    urls: Mapping[str, str]

    def room(self, room: Room) -> list[Program]:
        """The programs of one room."""
        return [program for program in self.programs.values() if program.room is room]


def make(layout: Layout, options: StackOptions, run: Path, ports: Mapping[str, int], secrets: Secrets) -> Plan:
    """Decide everything, and make what the stores and programs need on disk."""
    postgres = Postgres(layout.data("pg"), run / "pg", secrets.postgres_password)
    redis = Redis(layout.data("redis"), run / "redis.sock") if options.broker == "redis" else None
    broker = redis.url if redis else options.broker
    postgres.prepare()
    for directory in (layout.data("redis"), layout.data("beat"), layout.data("flower"), run / "metrics"):
        directory.mkdir(exist_ok=True)
    chosen = {
        program.name: program
        for program in (
            *programs.stores(postgres, redis),
            *programs.outside(layout, ports, secrets if options.webhooks else None),
            *programs.mesh(layout, run, ports, broker, secrets.flower_password),
        )
        if program.wanted(options.only)
    }
    urls = {name: f"http://{LOOPBACK}:{port}" for name, port in ports.items() if name in chosen}
    if "mailbox" in chosen:
        urls["smtp"] = f"smtp://{LOOPBACK}:{ports['smtp']}"
    return Plan(
        chosen,
        environment.for_programs(options, ports, secrets, database=postgres.url, broker=broker),
        urls | {"postgres": postgres.url, "broker": broker},
    )
