"""Write the pages of this directory that repeat the code: states.md and settings.md.

`.venv/bin/python docs/generate.py` writes them; tests/unit/test_docs.py fails when they are out of date.
"""

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import EnumType, StrEnum
from pathlib import Path
from types import ModuleType
from typing import Any

from msgspec.structs import fields

from sandbox.stack.options import PORTS
from shared import settings
from shared.domain import edits, emails, intents, orders, payments, refunds, settling, shipments, webhooks
from shared.domain.edits import EditState
from shared.domain.emails import EmailState
from shared.domain.intents import IntentState
from shared.domain.orders import OrderStatus
from shared.domain.payments import CaptureState, PaymentStatus, VoidState
from shared.domain.refunds import RefundState
from shared.domain.settling import CancellationState
from shared.domain.shipments import CancelState
from shared.domain.webhooks import WebhookState
from shared.settings import PREFIX, Settings

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Machine:
    """One noun's table of transitions, the module where it stands, and the states in which a row is born."""

    title: str
    module: ModuleType
    table: Mapping[tuple[Any, Any], Any]
    born: tuple[StrEnum, ...]

    @property
    def states(self) -> type[StrEnum]:
        """All states, in the order of the code."""
        return type(self.born[0])


MACHINES = (
    Machine("Intents", intents, intents.TRANSITIONS, born=(IntentState.ACCEPTED,)),
    # Registered with a payment that was captured before, an order is born captured.
    Machine("Orders", orders, orders.TRANSITIONS, born=(OrderStatus.PENDING, OrderStatus.CAPTURED)),
    Machine(
        "Payments",
        payments,
        payments.TRANSITIONS,
        born=(
            PaymentStatus.UNPAID,
            PaymentStatus.AUTHORIZED,
            PaymentStatus.CAPTURED,
            PaymentStatus.PARTIALLY_CAPTURED,
            PaymentStatus.VOIDED,  # of an order of a former system, which released it
        ),
    ),
    Machine("Capture jobs", payments, payments.CAPTURE_TRANSITIONS, born=(CaptureState.WAITING,)),
    Machine("Voids", payments, payments.VOID_TRANSITIONS, born=(VoidState.REQUESTED,)),
    Machine("Refunds", refunds, refunds.TRANSITIONS, born=(RefundState.INITIATED,)),
    Machine("Guest cancellations", settling, settling.TRANSITIONS, born=(CancellationState.SETTLING,)),
    Machine("Edits", edits, edits.TRANSITIONS, born=(EditState.AUTHORIZING, EditState.DONE)),
    Machine("Webhook events", webhooks, webhooks.TRANSITIONS, born=(WebhookState.RECEIVED, WebhookState.IGNORED)),
    Machine("Cancels of shipments", shipments, shipments.CANCEL_TRANSITIONS, born=(CancelState.REQUESTED,)),
    Machine("E-mails", emails, emails.TRANSITIONS, born=(EmailState.PENDING,)),
)

STATES_HEAD = """\
# States

Every noun that moves has one table of transitions in `shared/domain/`; one function, `advance()`, applies them all.
The database repeats the tables as triggers (`shared/store/migrations/`): a change of state that is not drawn here is
refused there too. Written by `docs/generate.py` from those tables and the comments beside them.
"""

SETTINGS_HEAD = """\
# Settings

The gateway, the workers, beat and Flower read the same settings from the environment, once, when they start
(`shared/settings.py`). One that is missing or malformed ends the process with a message that names it. Written by
`docs/generate.py` from the fields and the comments of that file.
"""

STACK_HEAD = """\
## The embedded stack

`make up` decides most settings itself (`sandbox/stack/environment.py`); every other `COUNTERMAND_*` variable of its own
environment is passed on to the programs. It also reads:

| variable | meaning |
|---|---|
"""

#: Meanings of settings that have no comment in the code, where their name and their default say it.
PLAIN: Mapping[str, str] = {
    "database_url": "Postgres, as a `postgresql://` URL.",
    "broker_url": "Redis (`redis://`, `redis+socket://`) or RabbitMQ (`amqp://`), as a kombu URL.",
    "profile": "`embedded` allows development tokens.",
    "jwt_algorithm": "The only algorithm that tokens are signed and verified with.",
    "stripe_api_key": "The secret or restricted key of the Stripe account.",
    "razorpay_key_id": "The id of the key of the Razorpay account.",
    "razorpay_key_secret": "Its secret.",
    "delhivery_api_key": "The token of the Delhivery account.",
    "delhivery_auto_sync_enabled": "Whether beat has shipments looked up by itself.",
    "smtp_host": "The server that takes our e-mails.",
    "smtp_port": "Its port.",
    "smtp_start_tls": "Whether the connection must be encrypted before anything is sent.",
    "smtp_timeout": "How long each step of the SMTP conversation may take.",
    "mail_from": "The sender of our e-mails; its domain ends their Message-IDs.",
    "gateway_processes": "How many gunicorn processes serve the gateway.",
    "retry_ceiling": "The longest pause between two attempts.",
}

UNITS: Mapping[str, str] = {
    "str": "text",
    "int": "whole number",
    "bool": "`true` or `false`",
    "Positive": "seconds",
    "Rate": "a second",
    "Count": "whole number",
    "Keys": "JSON object",
    "Secrets": "texts, separated by commas",
    "Cron": "crontab",
    "Annotated[int, msgspec.Meta(ge=1, le=5000)]": "whole number to 5000",
}


def states() -> str:
    """Return docs/states.md."""
    return "\n".join([STATES_HEAD, *(_machine(machine) for machine in MACHINES)])


def settings_page() -> str:
    """Return docs/settings.md."""
    rows = "\n".join(_setting(name, annotation) for name, annotation in _annotations())
    ports = "\n".join(f"| `{variable}` | a port, `{name}`; unset: a free one |" for name, variable in PORTS.items())
    return (
        f"{SETTINGS_HEAD}\n| variable | value | default | meaning |\n|---|---|---|---|\n{rows}\n\n"
        f"{STACK_HEAD}{ports}\n"
        "| `GATEWAY_PROCESSES` | how many gunicorn processes serve the gateway |\n"
        "| `BROKER_URL` | a broker that runs elsewhere, instead of the embedded Redis |\n"
        "| `DETACH` | set: return once everything is ready, and leave it running |\n"
    )


PAGES: Mapping[str, Callable[[], str]] = {"states.md": states, "settings.md": settings_page}


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (HERE / name).write_text(page())


# States


def _machine(machine: Machine) -> str:
    meanings = [f"| `{state}` | {_words(machine.states, state)} |" for state in machine.states]
    path = str(machine.module.__name__).replace(".", "/") + ".py"
    return "\n".join(
        [
            f"## {machine.title}",
            "",
            f"{_first_line(machine.states)} (`{path}`)",
            "",
            "```mermaid",
            *_diagram(machine),
            "```",
            "",
            "| state | meaning |",
            "|---|---|",
            *meanings,
            "",
        ]
    )


def _diagram(machine: Machine) -> Iterator[str]:
    """The lines of one mermaid state diagram; events between the same two states share an arrow."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (before, event), after in machine.table.items():
        arrows.setdefault((before, after), []).append(event)
    yield "stateDiagram-v2"
    for state in machine.born:
        yield f"    [*] --> {state}"
    for (before, after), events in arrows.items():
        yield f"    {before} --> {after}: {' / '.join(events)}"
    for state in machine.states:
        if all(before != state or after == state for before, after in arrows):
            yield f"    {state} --> [*]"


def _words(enumeration: type[StrEnum], member: StrEnum) -> str:
    """The comment beside a member in the code, or its name in plain words."""
    comment = re.search(rf'^ +{member.name} = "[^"]*"  # (.+)$', inspect.getsource(enumeration), re.MULTILINE)
    return comment[1] if comment else member.value.replace("_", " ")


def _first_line(thing: Any) -> str:
    return (inspect.getdoc(thing) or "").splitlines()[0]


# Settings


def _annotations() -> Iterator[tuple[str, str]]:
    """The name and the annotation of each setting, in the order of the code."""
    for statement in _settings_class().body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            yield statement.target.id, ast.unparse(statement.annotation)


def _settings_class() -> ast.ClassDef:
    tree = ast.parse(inspect.getsource(settings))
    return next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == Settings.__name__)


def _setting(name: str, annotation: str) -> str:
    shape = getattr(settings, annotation, None)
    of_literal = re.findall(r"'(\w+)'", annotation)
    choices = list(shape) if isinstance(shape, EnumType) else of_literal
    value = " or ".join(f"`{choice}`" for choice in choices) or UNITS[annotation]
    return f"| `{PREFIX}{name.upper()}` | {value} | {_default(name)} | {meaning(name)} |"


def meaning(name: str) -> str:
    """What a setting is for: the `#:` lines above it in the code, else our own words."""
    lines = inspect.getsource(Settings).splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith(f"    {name}: "))
    above = lines[:place]
    comment: list[str] = []
    while above and (line := above.pop().strip()).startswith("#:"):
        comment.insert(0, line.removeprefix("#:").strip())
    return " ".join(comment) or PLAIN[name]


def _default(name: str) -> str:
    field = next(field for field in fields(Settings) if field.name == name)
    if field.required:
        return "required"
    if field.default in ("", ()):
        return "empty"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    shown = f"{field.default:.12g}" if isinstance(field.default, float) else str(field.default)
    return f"`{shown}`"


if __name__ == "__main__":
    main()
