"""Migrations: applied once, whoever comes first."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from shared.store.migrate import upgrade
from tests.integration.rows import an_order
from tests.shop import Shop, eventually

ROOT = Path(__file__).parents[2]


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
