"""The pace of those who are asked: however many wake up, and however often, nobody is asked faster than allowed."""

from collections.abc import Iterator
from itertools import pairwise

import psycopg
import pytest
from psycopg import sql

from shared.db import Database
from shared.domain.shipments import Courier
from shared.store import pace, reconciliations
from shared.store.migrate import upgrade
from tests.shop import Shop, at_once

RATE, LIMIT, DUE = 5.0, 20, 70

#: Of a courier: so slow that no question comes to be allowed while the test runs.
SLOWLY, BURST, AT_ONCE = 0.01, 500.0, 6

FILL_ORDERS = """
    INSERT INTO orders (id, kind, status, currency, total, shipping, email, fingerprint, placed_at, grace_until)
        SELECT 'ord_' || n, 'retail', 'pending', 'USD', 1, 0, 'e', '', now(), now() FROM generate_series(1, %s) n
"""
FILL_PAYMENTS = """
    WITH collections AS (INSERT INTO payment_collections SELECT id, 1 FROM orders)
    INSERT INTO payments (id, order_id, provider, reference, status, currency, amount, authorized, check_at)
        SELECT 'pay_' || id, id, 'stripe', 'pi_' || id, 'authorized', 'USD', 1, 1, now() FROM orders
"""

#: Seconds from now until each comparison that is staged, in their order.
STAGED = """
    SELECT extract(epoch FROM due_at - now())::float8 FROM outbox WHERE task = 'webhook.compare' ORDER BY due_at
"""


@pytest.fixture
def database(shop: Shop) -> Iterator[Database]:
    """A database in which nobody's beat wakes anybody, with payments that are due to be compared."""
    url = shop.settings.database_url
    ours = url.replace("@/countermand?", "@/pace?")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE pace")
    upgrade(ours)
    with psycopg.connect(ours) as connection:
        connection.execute(FILL_ORDERS, (DUE,))
        connection.execute(FILL_PAYMENTS)
    database = Database(ours, pool_size=10)
    yield database
    database.close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier("pace")))


def take(database: Database) -> None:
    with database.statement() as connection:
        reconciliations.take(connection, limit=LIMIT, rate=RATE, every=3600, window=86400)


def staged(database: Database) -> list[float]:
    with database.statement() as connection:
        return list(connection.exec_driver_sql(STAGED).scalars())


def let_pass(database: Database, seconds: float) -> None:
    """Move the clock of the pace on."""
    with database.statement() as connection:
        connection.exec_driver_sql("UPDATE pace SET free_at = free_at - make_interval(secs => %s)", (seconds,))


def test_ten_beats_at_once_stage_no_more_than_one_and_spread_it_out(database: Database) -> None:
    at_once(10, lambda _: take(database))
    found = staged(database)
    assert len(found) == LIMIT
    assert all(0.15 < after - before < 0.25 for before, after in pairwise(found))


def test_wake_ups_that_had_piled_up_go_on_where_the_steps_end(database: Database) -> None:
    for _ in range(5):
        take(database)
    assert len(staged(database)) == LIMIT
    let_pass(database, LIMIT / RATE * 0.6)  # most of what was staged is done by now
    for _ in range(5):
        take(database)
    assert len(staged(database)) == 2 * LIMIT


def test_every_payment_has_its_turn_and_is_not_taken_again_before_it_is_due(database: Database) -> None:
    for _ in range(10):
        take(database)
        let_pass(database, 3600)
    assert len(staged(database)) == DUE


def ask(database: Database) -> float | None:
    with database.statement() as connection:
        return pace.seconds_until_turn(connection, Courier.DELHIVERY, rate=SLOWLY, burst=BURST)


def rest(database: Database, seconds: float) -> None:
    with database.statement() as connection:
        pace.hold_off(connection, Courier.DELHIVERY, seconds)


def test_ten_workers_at_once_ask_a_courier_no_more_than_a_burst_allows(database: Database) -> None:
    waits = [wait for each in at_once(10, lambda _: [ask(database) for _ in range(2)]) for wait in each]
    assert waits.count(None) == AT_ONCE
    assert all(0 < wait <= 2.1 / SLOWLY for wait in waits if wait is not None)


def test_a_courier_is_asked_once_more_for_each_step_that_passes(database: Database) -> None:
    while ask(database) is None:
        pass
    let_pass(database, 2.5 / SLOWLY)
    assert [ask(database) is None for _ in range(3)] == [True, True, False]


def test_nobody_asks_a_courier_that_has_turned_one_of_us_away_until_its_pause_is_over(database: Database) -> None:
    rest(database, BURST + 30)
    rest(database, BURST + 10)  # a shorter one ends no longer one
    wait = ask(database)
    assert wait is not None
    assert 25 < wait - 1 / SLOWLY < 31
    let_pass(database, 31)
    assert ask(database) is None
