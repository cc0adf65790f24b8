"""Databases beside the mesh's own one, for what is proved of the schema."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import sql

from shared.store.migrate import upgrade
from tests.shop import Shop


@pytest.fixture(scope="module")
def empty_database(shop: Shop) -> Iterator[Callable[[str], str]]:
    """Makes databases beside the mesh's own one, and drops them when the module is done; gives their URLs."""
    url = shop.settings.database_url
    made: list[str] = []

    def make(name: str) -> str:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        made.append(name)
        return url.replace("@/countermand?", f"@/{name}?")

    yield make
    with psycopg.connect(url, autocommit=True) as connection:
        for name in made:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def migrated(empty_database: Callable[[str], str]) -> str:
    """The URL of a database with our schema and no rows."""
    url = empty_database("walls")
    upgrade(url)
    return url


@pytest.fixture
def db(migrated: str) -> Iterator[psycopg.Connection]:
    """A transaction that is never committed."""
    with psycopg.connect(migrated) as connection:
        yield connection
        connection.rollback()
