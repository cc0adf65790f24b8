"""`countermand`: start and stop the embedded stack, bring a schema and its orders up to date, make development tokens.

Every command imports what it needs when it runs, so that help and tokens come at once.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from sandbox.stack import Stack

#: Where the stack of this source tree lives.
ROOT = Path(__file__).resolve().parents[1] / ".countermand"

#: What asks `countermand up` to stop: Ctrl-C, a supervisor, a closed terminal.
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

ROLES = ("service", "admin", "customer", "modification")


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.command(arguments))
    except _expected_errors() as error:
        print(f"countermand: {error}", file=sys.stderr)
        return 1


def up(arguments: argparse.Namespace) -> int:
    """Start the stack, and unless detached keep it until somebody asks it to stop."""
    from sandbox.stack import AlreadyRunning, Stack
    from sandbox.stack.options import from_environment

    for number in STOPPING:
        signal.signal(number, _stop_once)
    began = time.monotonic()
    stack = Stack(arguments.root, from_environment(os.environ, detached=arguments.detach), report=_say)
    try:
        stack.start()
    except AlreadyRunning:
        _announce(stack, "Countermand is running already; `make down` stops it.")
        return 0
    except KeyboardInterrupt:  # what had started is stopped
        _say("Countermand has stopped.")
        return 0
    try:
        _announce(stack, f"Countermand is ready after {time.monotonic() - began:.1f} s.")
        if arguments.detach:
            _say("`make down` stops it.")
            return 0
        _say("Ctrl-C stops it.")
        stack.wait()
    except KeyboardInterrupt:
        _say("Stopping Countermand")
    stack.stop()
    _say("Countermand has stopped.")
    return 0


def down(arguments: argparse.Namespace) -> int:
    """Stop the stack, or whatever is left of it."""
    from sandbox.stack import Stack

    Stack(arguments.root).stop()
    _say("Countermand is not running.")
    return 0


def clean(arguments: argparse.Namespace) -> int:
    """Stop the stack and remove its data."""
    down(arguments)
    shutil.rmtree(arguments.root)
    _say(f"{arguments.root} is gone.")
    return 0


def status(arguments: argparse.Namespace) -> int:
    """Print the programs that run, and where they are reached; 3 when the stack is not running (as LSB has it)."""
    from sandbox.stack import Stack

    stack = Stack(arguments.root)
    if not stack.is_running():
        _say("Countermand is not running.")
        return 3
    described = stack.describe()
    for name, pid in described["pids"].items():
        _say(f"  {name:<16} pid {pid}")
    _say("")
    for name, url in described.items():
        if name != "pids":
            _say(f"  {name:<16} {url}")
    return 0


def migrate(arguments: argparse.Namespace) -> int:
    """Bring the schema of COUNTERMAND_DATABASE_URL up to date."""
    from shared.settings import load
    from shared.store.migrate import upgrade

    upgrade(load().database_url)
    return 0


def migrate_orders(arguments: argparse.Namespace) -> int:
    """Give orders of a former system their payment collections (docs/legacy-orders.md).

    What cannot be decided stays as it is. Ctrl-C ends it after what is begun, and the next run goes on from there.
    Exits with 0 when every order was migrated, else with 1.
    """
    from threading import Event

    from shared.settings import load
    from shared.store import legacy
    from workers.mesh import Mesh
    from workers.migrate_orders import Choice, Silent, migrate
    from workers.migration_report import Progress, Report

    stopping = Event()
    _stop_by(stopping.set)
    mesh = Mesh(load())
    choice = Choice(
        dry_run=arguments.dry_run, schedule_captures=arguments.schedule_captures, limit=arguments.limit
    )
    with mesh.database.statement() as connection:
        progress = Progress(sys.stderr, legacy.count(connection))
    with arguments.report.open("ab") if arguments.report else contextlib.nullcontext() as lines:
        report = Report(lines)
        try:
            for told in migrate(mesh, choice, stopping):
                report.add(told)
                progress.step()
        except Silent as silence:
            stopping.set()
            _say(str(silence))
        finally:
            progress.end()
            _say(*report.summary())
    if stopping.is_set():
        _say("It ended early; the next run goes on from here.")
    return 0 if report.is_clean and not stopping.is_set() else 1


def demo(arguments: argparse.Namespace) -> int:
    """Show on the running stack what the mesh does."""
    from sandbox.demo import main as tell

    return tell(arguments.root)


def token(arguments: argparse.Namespace) -> int:
    """Print one JWT, signed with the development key of the running stack."""
    from sandbox.stack import Stack, StackError
    from shared import tokens
    from shared.settings import load

    given = {} if "COUNTERMAND_JWT_KEYS" in os.environ else Stack(arguments.root).environment()
    settings = load({**given, **os.environ})
    if settings.profile == "production":
        raise StackError("development tokens are not made in the production profile")
    subject, order, seconds = arguments.sub, arguments.order, arguments.expires_in
    print(tokens.mint(settings, role=arguments.role, subject=subject, order_id=order, expires_in=seconds))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="countermand", description="Takes orders back, and never moves money twice.")
    parser.add_argument("--root", type=Path, default=ROOT, help="where the stack keeps its data (default: %(default)s)")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(run: Callable[[argparse.Namespace], int], summary: str) -> argparse.ArgumentParser:
        added = commands.add_parser(run.__name__.replace("_", "-"), help=summary, description=run.__doc__)
        added.set_defaults(command=run)
        return added

    command(up, "start everything on this machine").add_argument(
        "--detach", action="store_true", help="return once everything is ready, and leave it running"
    )
    command(down, "stop everything")
    command(clean, "stop everything and wipe its data")
    command(status, "show what runs")
    command(migrate, "bring the schema of COUNTERMAND_DATABASE_URL up to date")
    migrated = command(migrate_orders, "give orders of a former system their payment collections")
    migrated.add_argument("--dry-run", action="store_true", help="change no row; the report is the same")
    migrated.add_argument(
        "--schedule-captures",
        action="store_true",
        help="also migrate pending orders whose money is only held, and have it taken when their grace period is over",
    )
    migrated.add_argument("--limit", type=_positive, metavar="N", help="migrate at most so many orders")
    migrated.add_argument("--report", type=Path, metavar="FILE", help="append a line of JSON for each order")
    command(demo, "show what the mesh does, on the running stack")
    made = command(token, "print a development token")
    made.add_argument("role", choices=ROLES, help="who the bearer is")
    made.add_argument("--sub", metavar="ID", help="the operator or the customer")
    made.add_argument("--order", metavar="ID", help="the order of a modification token")
    made.add_argument("--expires-in", type=int, default=3600, metavar="SECONDS", help="default: %(default)s")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _expected_errors() -> tuple[type[Exception], ...]:
    """Errors whose message says everything; imported only when one was raised."""
    from sandbox.stack import StackError
    from shared.errors import Unavailable
    from shared.settings import SettingsError
    from shared.tokens import TokenError

    return StackError, SettingsError, TokenError, Unavailable


def _stop_once(number: int, frame: FrameType | None) -> None:
    """Interrupt once; what follows is bounded, and nothing may interrupt it."""
    for each in STOPPING:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def _stop_by(end: Callable[[], None]) -> None:
    """End what is begun when asked to, and at once when asked again."""

    def ask(number: int, frame: FrameType | None) -> None:
        for each in STOPPING:
            signal.signal(each, signal.SIG_DFL)
        end()

    for number in STOPPING:
        signal.signal(number, ask)


def _announce(stack: Stack, headline: str) -> None:
    from sandbox import samples

    urls = stack.describe()
    _say("", headline, "", *(f"  {name:<10} {url}" for name, url in urls.items() if name != "pids"))
    _say(f"  (Flower asks for operator, password {stack.secrets().flower_password})", "")
    try:
        order, booking, parcel = samples.register(urls["gateway"], urls["delhivery"], stack.environment())
        _say("Take a sample order back, or a sample booking:", "", f"  {order}", "", f"  {booking}", "")
        _say("Or let the parcel of a sample order come back:", "", f"  {parcel}", "")
    except samples.REFUSALS as error:
        _say(f"The sample orders could not be registered: {error}", "")


def _say(*lines: str) -> None:
    """Print; a terminal that was closed must not keep the stack from stopping."""
    with contextlib.suppress(OSError):
        print(*lines, sep="\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
