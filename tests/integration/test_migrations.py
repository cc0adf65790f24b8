"""Migrations: applied once, whoever comes first, and what stood in the rows before is carried over."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from psycopg.types.json import Jsonb

from shared.store import migrate
from shared.store.migrate import upgrade
from tests.integration.rows import a_payment, a_void, an_order, update
from tests.shop import Shop, eventually

ROOT = Path(__file__).parents[2]

#: The last schema in which an order's parcel was a column of the order.
BEFORE_COURIERS = "0009"


def test_a_schema_that_is_up_to_date_is_left_as_it_is(empty_database: Callable[[str], str]) -> None:
    url = empty_database("twice")
    upgrade(url)
    with psycopg.connect(url) as db:
        an_order(db)
    before = described(url)
    upgrade(url)
    assert described(url) == before
    with psycopg.connect(url) as db:
        assert db.execute("SELECT count(*) FROM orders").fetchone() == (1,)


def test_deployments_that_migrate_at_once_take_turns(shop: Shop, empty_database: Callable[[str], str]) -> None:
    url = empty_database("at_once")
    environment = shop.stack.environment() | {"COUNTERMAND_DATABASE_URL": url}
    command = [sys.executable, "-m", "sandbox.cli", "migrate"]
    with psycopg.connect(url) as slow:
        slow.execute("CREATE TABLE alembic_version (version_num text)")  # everybody's first step; now they all wait
        running = [subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.PIPE) for _ in range(4)]
        eventually(lambda: waiting(shop, "at_once") == len(running), 60)
        slow.rollback()
    outputs = [process.communicate()[1] for process in running]
    assert [process.returncode for process in running] == [0] * 4, outputs
    assert described(url) == described(shop.settings.database_url)


@pytest.fixture
def before_couriers(empty_database: Callable[[str], str], request: pytest.FixtureRequest) -> str:
    """The URL of a database with the schema before couriers, and no rows."""
    url = empty_database(request.node.name[-40:])
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    config.attributes["database_url"] = url
    command.upgrade(config, BEFORE_COURIERS)
    return url


def days_ago(days: int) -> str:
    """A moment before now."""
    return (datetime.now(UTC) - timedelta(days=days, hours=1)).isoformat()


def test_the_parcels_of_orders_become_shipments_and_a_waybill_is_followed_for_its_latest_order(
    before_couriers: str,
) -> None:
    parcels: dict[str, tuple[int, Any]] = {
        "ord_1": (5, {"courier": "Delhivery", "awb": "1"}),
        "ord_2": (3, {"courier": "delhivery", "awb": "1"}),
        "ord_3": (4, {"courier": "DELHIVERY", "awb": "1"}),
        "ord_4": (5, {"courier": "Delhivery", "awb": "2"}),
        "ord_5": (5, {"courier": "Blue Dart", "awb": "2"}),
        "ord_6": (4, {"courier": "Blue Dart", "awb": "2"}),
        "ord_7": (5, None),
    }
    with psycopg.connect(before_couriers) as db:
        for order_id, (days, parcel) in parcels.items():
            an_order(db, order_id=order_id, placed_at=days_ago(days), shipment=Jsonb(parcel))
        an_order(db, order_id="ord_8")
    upgrade(before_couriers)
    with psycopg.connect(before_couriers) as db:
        statement = "SELECT order_id, courier, awb, followed_by, status FROM shipments ORDER BY order_id"
        assert db.execute(statement).fetchall() == [
            ("ord_1", "Delhivery", "1", None, "registered"),
            ("ord_2", "delhivery", "1", "delhivery", "registered"),
            ("ord_3", "DELHIVERY", "1", None, "registered"),
            ("ord_4", "Delhivery", "2", "delhivery", "registered"),
            ("ord_5", "Blue Dart", "2", None, "registered"),
            ("ord_6", "Blue Dart", "2", None, "registered"),
        ]
        columns = "SELECT count(*) FROM information_schema.columns WHERE (table_name, column_name) = (%s, %s)"
        assert db.execute(columns, ["orders", "shipment"]).fetchone() == (0,)


def test_a_parcel_that_nobody_can_be_waiting_for_is_never_looked_up(before_couriers: str) -> None:
    with psycopg.connect(before_couriers) as db:
        for order_id, days in {"ord_1": 89, "ord_2": 100, "ord_3": -1}.items():
            parcel = Jsonb({"courier": "Delhivery", "awb": order_id})
            an_order(db, order_id=order_id, placed_at=days_ago(days), shipment=parcel)
    upgrade(before_couriers)
    with psycopg.connect(before_couriers) as db:
        statement = "SELECT order_id, status, extract(day FROM now() - asked_at)::int FROM shipments ORDER BY order_id"
        assert db.execute(statement).fetchall() == [
            ("ord_1", "registered", 89),
            ("ord_2", "abandoned", 100),
            ("ord_3", "registered", 0),
        ]


def test_of_two_orders_that_were_placed_at_once_one_has_the_waybill(before_couriers: str) -> None:
    with psycopg.connect(before_couriers) as db:
        for order_id in ("ord_2", "ord_1"):
            parcel = Jsonb({"courier": "Delhivery", "awb": "1"})
            an_order(db, order_id=order_id, placed_at="2026-01-01", shipment=parcel)
    upgrade(before_couriers)
    with psycopg.connect(before_couriers) as db:
        statement = "SELECT order_id FROM shipments WHERE followed_by IS NOT NULL"
        assert db.execute(statement).fetchall() == [("ord_1",)]


def test_who_canceled_an_order_is_named_as_the_client_contracts_do(before_couriers: str) -> None:
    sources = {"ord_1": "cancel", "ord_2": "admin", "ord_3": "former"}
    with psycopg.connect(before_couriers) as db:
        for order_id, source in sources.items():
            an_order(db, "canceled", order_id, cancellation_source=source)
    upgrade(before_couriers)
    with psycopg.connect(before_couriers) as db:
        found = dict(db.execute("SELECT id, cancellation_source FROM orders").fetchall())
    assert found == sources | {"ord_1": "customer"}


def test_a_void_that_is_under_way_goes_on(before_couriers: str) -> None:
    with psycopg.connect(before_couriers) as db:
        an_order(db)
        a_payment(db, "voiding")
        a_void(db)
    upgrade(before_couriers)
    with psycopg.connect(before_couriers) as db:
        update(db, "voids", "void_1", state="lapsing")
        update(db, "voids", "void_1", state="released", settled_at="now")


def waiting(shop: Shop, database: str) -> int:
    """How many sessions of a database wait for a lock."""
    statement = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
    ((count,),) = shop.sql(statement, database)
    return int(count)


def described(url: str) -> list[tuple[Any, ...]]:
    """Every column, constraint, index and trigger of a schema."""
    with psycopg.connect(url) as db:
        return db.execute("""
            SELECT table_name::text, column_name::text, data_type::text || is_nullable FROM information_schema.columns
                WHERE table_schema = 'public'
            UNION ALL SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
                WHERE connamespace = 'public'::regnamespace
            UNION ALL SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
            UNION ALL SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger
                WHERE NOT tgisinternal
            ORDER BY 1, 2, 3
        """).fetchall()
