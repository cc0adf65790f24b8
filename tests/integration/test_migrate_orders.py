"""`countermand migrate-orders`: what it decides, what it leaves to a person, and that it may end at any moment."""

import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from shared.store.migrate import upgrade
from tests.integration.sandbox_stripe.driver import Sandbox, sandbox
from tests.legacy import bring_over, migrate, migrating, read
from tests.shop import Shop, eventually, in_turn

#: Every column that two migrations of the same orders must write alike: all but ids and times of their own.
ROWS = {
    "orders": "*",
    "order_lines": "*",
    "payment_collections": "*",
    "payments": "order_id, provider, reference, status, currency, amount, authorized, captured, released, refunded,"
    " refunding, capture_before, incremental",
    "capture_jobs": "order_id, due_at, state, attempts, last_error",
    "timeline": "order_id, event, source, actor, data",
    "alerts": "split_part(cause, ':', 1), severity, title, order_id",
    "outbox": "task, split_part(subject, '_', 1), sweeps, breakages",
}

Rows = dict[str, Any]


@pytest.fixture
def url(empty_database: Callable[[str], str]) -> str:
    """A database with our schema and no rows, which no worker looks at."""
    url = empty_database(f"legacy_{uuid.uuid4().hex[:8]}")
    upgrade(url)
    return url


@pytest.fixture
def report(tmp_path: Path) -> Path:
    return tmp_path / "report.jsonl"


def rows(url: str) -> Rows:
    """All that a migration may write, in an order that does not depend upon ids."""
    statement = sql.SQL("SELECT {} FROM {}")
    with psycopg.connect(url) as db:
        found = {
            table: db.execute(statement.format(sql.SQL(columns), sql.Identifier(table)))
            for table, columns in ROWS.items()
        }
        return {table: sorted(found[table].fetchall(), key=repr) for table in found}


def every_row(url: str) -> Rows:
    """Every column of every table."""
    with psycopg.connect(url) as db:
        names = [name for (name,) in db.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        statement = sql.SQL("SELECT t::text FROM {} t ORDER BY 1")
        return {name: db.execute(statement.format(sql.Identifier(name))).fetchall() for name in names}


def migrated(url: str) -> int:
    """How many orders have a collection by now."""
    with psycopg.connect(url) as db:
        ((count,),) = db.execute("SELECT count(*) FROM payment_collections").fetchall()
    return int(count)


class TestWhatCannotBeDecided:
    def test_is_left_as_it_is_and_told(self, shop: Shop, url: str, report: Path) -> None:
        held = [shop.authorize() for _ in range(8)]
        foreign = shop.authorize(currency="eur")
        taken = shop.authorize()
        shop.provider.v1.payment_intents.capture(taken, {"amount_to_capture": 2000})
        unconfirmed = shop.provider.v1.payment_intents.create({"amount": 3800, "currency": "usd"}).id

        def said(reference: str | None = None, status: str | None = "authorized", **more: Any) -> dict[str, Any]:
            return {"payment_intent_id": reference, "payment_status": status} | more

        undecided = {
            bring_over(url, [said(held[0])]): "metadata_unreadable",
            bring_over(url, said(held[0], updated_total="many")): "metadata_unreadable",
            bring_over(url, said(held[0], updated_total=-1)): "metadata_unreadable",
            bring_over(url, said(held[1], status="whatever")): "payment_status_unknown",
            bring_over(url, {}): "no_payment_intent_id",
            bring_over(url, said("cus_1")): "no_payment_intent_id",
            bring_over(url, said(held[2])): "payment_of_another_order",
            bring_over(url, said(held[2])): "payment_of_another_order",
            bring_over(url, said(held[3]), units=3): "items_differ",
            bring_over(url, said("pi_nobody_knows")): "payment_not_found",
            bring_over(url, said(unconfirmed)): "not_authorized",
            bring_over(url, said(held[4], status="captured")): "payment_status_differs",
            bring_over(url, said(foreign)): "currency_differs",
            bring_over(url, said(held[5]), status="canceled"): "order_status_differs",
            bring_over(url, said(held[6], updated_total=3801), grace=-1): "above_authorization",
            bring_over(url, said(held[7], updated_total=0), grace=-1): "nothing_to_capture",
            bring_over(url, said(taken, status="captured")): "captured_amount_differs",
        }
        before = every_row(url)
        code, told = migrate(shop, url, report, "--schedule-captures")
        assert {order_id: line["reason"] for order_id, line in told.items()} == undecided
        assert {line["outcome"] for line in told.values()} == {"undecided"}
        assert code == 1
        assert every_row(url) == before

    def test_is_decided_when_it_was_mended(self, shop: Shop, url: str, report: Path) -> None:
        order_id = bring_over(url, {"payment_status": "authorized"})
        assert migrate(shop, url, report, "--schedule-captures")[0] == 1
        with psycopg.connect(url) as db:
            statement = "UPDATE orders SET metadata = metadata || jsonb_build_object('payment_intent_id', %s::text)"
            db.execute(statement, [shop.authorize()])
        code, told = migrate(shop, url, report, "--schedule-captures")
        assert (code, told[order_id]["outcome"]) == (0, "migrated")

    def test_has_a_payment_that_another_order_has_already(self, shop: Shop, url: str, report: Path) -> None:
        metadata = {"payment_intent_id": shop.authorize()}
        bring_over(url, metadata)
        assert migrate(shop, url, report, "--schedule-captures")[0] == 0
        order_id = bring_over(url, metadata)
        code, told = migrate(shop, url, report, "--schedule-captures")
        assert (code, told[order_id]["reason"]) == (1, "payment_of_another_order")

    def test_does_not_use_up_the_limit(self, shop: Shop, url: str, report: Path) -> None:
        for _ in range(3):
            bring_over(url, {})
        for _ in range(4):
            bring_over(url, {"payment_intent_id": shop.authorize()})
        for after in (2, 4):
            migrate(shop, url, report, "--schedule-captures", "--limit", "2")
            assert migrated(url) == after
        assert migrate(shop, url, report)[0] == 1


    def test_is_told_also_when_only_the_database_sees_it(self, shop: Shop, url: str, report: Path) -> None:
        orders = [bring_over(url, {"payment_intent_id": shop.authorize()}) for _ in range(2)]
        with psycopg.connect(url) as db:
            db.execute(f"ALTER TABLE payment_collections ADD CHECK (order_id <> '{orders[0]}')")
        _, told = migrate(shop, url, report, "--schedule-captures")
        assert [told[order_id]["reason"] for order_id in orders] == ["refused_by_database", None]


class TestAProviderThatDoesNotAnswer:
    def test_is_asked_again(self, shop: Shop, url: str, report: Path) -> None:
        reference = shop.authorize()
        order_id = bring_over(url, {"payment_intent_id": reference})
        shop.fault("retrieve", "rate_limit", reference=reference, times=2)
        code, told = migrate(shop, url, report, "--schedule-captures")
        assert (code, told[order_id]["outcome"]) == (0, "migrated")

    def test_leaves_the_order_to_the_next_run(self, shop: Shop, url: str, report: Path) -> None:
        reference = shop.authorize()
        order_id = bring_over(url, {"payment_intent_id": reference})
        shop.fault("retrieve", "error_500_before", reference=reference, times=-1)
        code, told = migrate(shop, url, report, "--schedule-captures")
        assert (code, told[order_id]["outcome"], told[order_id]["reason"]) == (1, "unanswered", None)
        shop.behave()
        assert migrate(shop, url, report, "--schedule-captures")[0] == 0

    def test_is_not_asked_about_thousands_of_orders(self, shop: Shop, url: str, report: Path) -> None:
        for _ in range(30):
            bring_over(url, {"payment_intent_id": f"pi_{uuid.uuid4().hex}"})
            bring_over(url, {})
        gone = "http://127.0.0.1:9"  # the discard port, where nobody listens
        code, told = migrate(shop, url, report, COUNTERMAND_STRIPE_API_BASE=gone)
        outcomes = Counter(line["outcome"] for line in told.values())
        assert (code, outcomes["unanswered"]) == (1, 24)


class TestTwoAtOnce:
    def test_migrate_every_order_once(self, shop: Shop, url: str, tmp_path: Path) -> None:
        for reference in in_turn(60, lambda _: shop.authorize()):
            bring_over(url, {"payment_intent_id": reference})
        with (
            migrating(shop, url, "--schedule-captures", "--report", str(tmp_path / "1")) as one,
            migrating(shop, url, "--schedule-captures", "--report", str(tmp_path / "2")) as two,
        ):
            errors = [one.communicate(timeout=60)[1], two.communicate(timeout=60)[1]]
        assert not any("Traceback" in error for error in errors)
        outcomes = Counter(told["outcome"] for name in ("1", "2") for told in read(tmp_path / name))
        assert outcomes["migrated"] == migrated(url) == 60


#: Of ten thousand orders every tenth has a PaymentIntent of its own, which takes some milliseconds to make, and each
#: of four runs as many to read.  The others cannot be decided, which takes nobody's answer.
MANY, ASKED = 10_000, 1_000

FILL = """
    INSERT INTO orders (id, kind, status, currency, total, shipping, email, fingerprint, placed_at, grace_until,
                        canceled_at, cancellation_source, metadata)
    SELECT 'ord_' || lpad(n::text, 6, '0'), 'retail', CASE mod(n, 40) WHEN 30 THEN 'canceled' ELSE 'pending' END,
           'USD', 3800, 500, 'ann@example.com', '', now(), now() + make_interval(mins => mod(n, 60) - 30),
           CASE mod(n, 40) WHEN 30 THEN now() END, CASE mod(n, 40) WHEN 30 THEN 'former' END,
           CASE mod(n, 10)
               WHEN 0 THEN jsonb_build_object(
                   'payment_intent_id', (%(references)s::text[])[n / 10],
                   'payment_status', (ARRAY['authorized', 'authorized', 'succeeded', 'canceled'])[mod(n, 40) / 10 + 1],
                   'updated_total', CASE mod(n, 20) WHEN 0 THEN to_jsonb(3800) ELSE to_jsonb('3800'::text) END)
               WHEN 1 THEN '[]'
               WHEN 2 THEN '"none"'
               WHEN 3 THEN '{"updated_total": -1}'
               ELSE '{"payment_status": "captured"}'
           END
    FROM generate_series(1, %(many)s) n
"""

LINES = """
    INSERT INTO order_lines (order_id, line, sku, quantity, unit_price, tax_rate, reserved)
    SELECT id, 1, 'TEE', 2, 1500, 0.10, 0 FROM orders;
"""


class TestTenThousandOrders:
    @pytest.fixture
    def provider(self, tmp_path: Path) -> Iterator[Sandbox]:
        """A stand-in of its own, that nobody listens to."""
        with sandbox(tmp_path / "stripe") as (provider, _):
            yield provider

    @pytest.fixture
    def twins(self, shop: Shop, provider: Sandbox, url: str) -> Iterator[list[str]]:
        """Two databases with the same ten thousand orders.

        Of every forty, two have money that is held, one has paid, one was canceled; thirty-six cannot be decided.
        """

        def intent(number: int) -> str:
            reference = provider.hold(amount=3800).id
            {2: provider.intents.capture, 3: provider.intents.cancel}.get(number % 4, str)(reference)
            return reference

        references = in_turn(ASKED + 1, intent)[1:]
        with psycopg.connect(url) as db:
            db.execute(FILL, {"references": references, "many": MANY})
            db.execute(LINES)
        name = url.partition("@/")[2].partition("?")[0]
        twin = f"{name}_twin"
        with psycopg.connect(shop.settings.database_url, autocommit=True) as db:
            copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            db.execute(copy.format(sql.Identifier(twin), sql.Identifier(name)))
            yield [url, url.replace(name, twin)]
            db.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(twin)))

    @pytest.mark.timeout(240)
    def test_end_the_same_when_it_is_interrupted(
        self, shop: Shop, provider: Sandbox, twins: list[str], tmp_path: Path
    ) -> None:
        whole, halting = twins
        asking = {"COUNTERMAND_STRIPE_API_BASE": provider.url}
        before = every_row(whole)
        _, foreseen = migrate(shop, whole, tmp_path / "dry", "--schedule-captures", "--dry-run", **asking)
        assert every_row(whole) == before, "a dry run changes no row"

        code, told = migrate(shop, whole, tmp_path / "whole", "--schedule-captures", **asking)
        assert told == foreseen, "a dry run foretells what will be done"
        assert code == 1
        reasons = Counter(line["reason"] for line in told.values())
        assert reasons == {None: ASKED, "metadata_unreadable": 3_000, "no_payment_intent_id": 6_000}
        assert migrated(whole) == ASKED

        report = tmp_path / "halting"
        halted = []
        for number, share in ((signal.SIGINT, 4), (signal.SIGKILL, 2)):
            options = ("--schedule-captures", "--report", str(report))
            with migrating(shop, halting, *options, environment=asking) as process:
                eventually(lambda: migrated(halting) > ASKED // share, 60)  # noqa: B023  # it ends within the block
                process.send_signal(number)
                output, errors = process.communicate(timeout=20)
            halted.append(migrated(halting))
            assert "Traceback" not in errors
            assert ("It ended early" in output, process.returncode) == (
                (True, 1) if number is signal.SIGINT else (False, -signal.SIGKILL)
            )
        assert halted == sorted(halted)
        assert halted[-1] < ASKED, "it was interrupted while there was something left"
        migrate(shop, halting, tmp_path / "rest", "--schedule-captures", **asking)
        assert rows(halting) == rows(whole)


def test_it_tells_how_it_goes_also_where_there_is_no_terminal(shop: Shop, url: str) -> None:
    bring_over(url, {"payment_intent_id": shop.authorize()})
    bring_over(url, {})
    with migrating(shop, url, "--schedule-captures") as process:
        output, errors = process.communicate(timeout=60)
    assert errors.splitlines()[-1].startswith("2 of 2 orders, 100%, ")
    assert [line.split() for line in output.splitlines()] == [
        ["migrated", "1"],
        ["undecided", "1"],
        ["unanswered", "0"],
        ["overtaken", "0"],
        ["no_payment_intent_id", "1"],
    ]


def test_it_says_how_it_is_used() -> None:
    command = [sys.executable, "-m", "sandbox.cli", "migrate-orders", "--help"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert all(option in told for option in ("--dry-run", "--schedule-captures", "--limit", "--report"))
