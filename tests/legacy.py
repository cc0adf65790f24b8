"""Orders of a former system, as an import in SQL brings them over, and the command that migrates them."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from tests.shop import Shop

ROOT = Path(__file__).parents[1]

Told = dict[str, Any]

_ORDER = """
    INSERT INTO orders (id, kind, status, currency, total, shipping, email, fingerprint, placed_at, grace_until,
                        canceled_at, cancellation_source, metadata)
    VALUES (%(id)s, 'retail', %(status)s, 'USD', 3800, 500, 'ann@example.com', '', now(),
            now() + make_interval(secs => %(grace)s), CASE WHEN %(status)s = 'canceled' THEN now() END,
            CASE WHEN %(status)s = 'canceled' THEN 'former' END, %(metadata)s)
"""

_LINE = """
    INSERT INTO order_lines (order_id, line, sku, quantity, unit_price, tax_rate, reserved)
    VALUES (%(id)s, 1, 'TEE', %(units)s, 1500, 0.10, 0)
"""


def bring_over(url: str, metadata: Any, *, status: str = "pending", grace: float = 1800, units: int = 2) -> str:
    """Import an order of 33.00 of goods and 5.00 shipping, with so many seconds left of its hour; returns its id."""
    order_id = f"ord_{uuid.uuid4().hex}"
    values = {"id": order_id, "status": status, "grace": grace, "units": units, "metadata": Jsonb(metadata)}
    with psycopg.connect(url) as db:
        db.execute(_ORDER, values)
        db.execute(_LINE, values)
    return order_id


@contextmanager
def migrating(
    shop: Shop, url: str, *options: str, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run `countermand migrate-orders` on a database; it is dead when the block ends."""
    known = os.environ | shop.stack.environment() | {"COUNTERMAND_DATABASE_URL": url} | dict(environment or {})
    command = [sys.executable, "-m", "sandbox.cli", "migrate-orders", *options]
    with subprocess.Popen(
        command, cwd=ROOT, env=known, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def migrate(shop: Shop, url: str, report: Path, *options: str, **environment: str) -> tuple[int, dict[str, Told]]:
    """Run it to its end; returns its exit code and what its report says of each order."""
    report.unlink(missing_ok=True)
    with migrating(shop, url, "--report", str(report), *options, environment=environment) as process:
        _, errors = process.communicate(timeout=100)
        assert process.returncode in (0, 1), errors
        assert "Traceback" not in errors
        return process.returncode, {told["order_id"]: told for told in read(report)}


def read(report: Path) -> list[Told]:
    """The lines of a report."""
    return [msgspec.json.decode(line) for line in report.read_bytes().splitlines()]
