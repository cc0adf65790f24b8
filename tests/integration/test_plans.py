"""No statement reads a whole table."""

import importlib
import json
import pkgutil
import re
from collections.abc import Callable, Iterator

import psycopg
import pytest
from sqlalchemy import TextClause

import shared.store
from shared.store.migrate import upgrade
from tests.integration.rows import Row

#: Rows in each table; enough that reading them all is never the cheapest way.
MANY = 20_000

FILL = """
    INSERT INTO orders (id, kind, status, currency, total, shipping, email, fingerprint, placed_at, grace_until,
                        metadata)
        SELECT 'ord_' || n, 'retail', 'pending', 'USD', 1, 0, 'e', '', now(), now(),
               jsonb_build_object('payment_intent_id', 'pi_ord_' || n) FROM generate_series(1, {many}) n;
    INSERT INTO order_lines SELECT id, 1, 'SKU' || id, 1, 1, 0, 1 FROM orders;
    INSERT INTO stock SELECT 'SKU' || id, 1 FROM orders;
    INSERT INTO payment_collections SELECT id, 1 FROM orders;
    INSERT INTO payments (id, order_id, provider, reference, status, currency, amount, authorized)
        SELECT 'pay_' || id, id, 'stripe', 'pi_' || id, 'authorized', 'USD', 1, 1 FROM orders;
    INSERT INTO capture_jobs (id, order_id, payment_id, due_at)
        SELECT 'cap_' || id, order_id, id, now() FROM payments;
    INSERT INTO voids (id, order_id, payment_id) SELECT 'void_' || id, order_id, id FROM payments;
    INSERT INTO refunds (id, order_id, payment_id, amount, source, actor, state, last_error, settled_at)
        SELECT 'rfd_' || id, order_id, id, 1, 's', 'a', 'failed', 'e', now() FROM payments;
    INSERT INTO intents (id, operation, subject, actor, idempotency_key, fingerprint, payload)
        SELECT 'int_' || id, 'cancel_order', id, 'a', nullif(length(id) % 2, 0), '', '{{}}' FROM orders;
    INSERT INTO intents (id, operation, subject, actor, fingerprint, payload, state, awaits, answer_status, answer_body,
                         ended_at)
        SELECT 'int_of_' || id, 'cancel_booking', id, 'a', '', '{{}}', 'done', 'rfd_' || id, 200, '{{}}', now()
        FROM orders;
    INSERT INTO order_edits (id, order_id, intent_id, state, before, after, total_before, total_after, payment_id,
                             authorize, money)
        SELECT 'edit_' || id, id, 'int_' || id, 'authorizing', '{{}}', '{{}}', 1, 2, 'pay_' || id, 2, 'increment'
        FROM orders;
    INSERT INTO policies SELECT 'policy_' || id, 1, '{{}}' FROM orders;
    INSERT INTO bookings SELECT id, 'h', 'n', 'e', now(), now() + interval '1 day', 'z', now(), 'policy_' || id, 1
        FROM orders;
    INSERT INTO guest_tokens (id, hash, kid, order_id, actions, expires_at)
        SELECT 'gtk_' || id, sha256(id::bytea), 'k', id, '{{view}}', now() FROM orders;
    INSERT INTO guest_cancellations (id, order_id, intent_id, token_id, reason, priced_at, paid, fee, refund, rule,
                                     description, was, approved)
        SELECT 'gcn_' || id, id, 'int_' || id, 'gtk_' || id, 'r', now(), 1, 0, 1, 'free', 'd', 'pending', false
        FROM orders;
    INSERT INTO shipments (id, order_id, courier, awb, followed_by, tracked_at)
        SELECT 'shp_' || id, id, 'Delhivery', id, 'delhivery', now() FROM orders;
    INSERT INTO courier_events (fingerprint, courier, awb, hints)
        SELECT sha256(id::bytea), 'delhivery', id, false FROM orders;
    INSERT INTO syncs (id, intent_id, state, ended_at) SELECT 'sync_' || id, 'int_' || id, 'done', now() FROM orders;
    INSERT INTO sync_batches (id, sync_id, shipment_ids, state, results)
        SELECT 'batch_' || id, 'sync_' || id, ARRAY['shp_' || id], 'done', '[]' FROM orders;
    INSERT INTO outbox SELECT id, 'void.payment', now() + interval '1 hour' FROM voids;
    INSERT INTO outbox SELECT id, 'courier.track', now() + interval '1 hour' FROM shipments;
    INSERT INTO emails (id, order_id, cause, template, recipient, context)
        SELECT 'mail_' || id, id, id, 't', 'r', '{{}}' FROM orders;
    INSERT INTO timeline (order_id, event, source, actor, data) SELECT id, 'e', 's', 'a', '{{}}' FROM orders;
    INSERT INTO alerts (id, cause, severity, title, order_id) SELECT 'alr_' || id, id, 'warning', 't', id FROM orders;
    INSERT INTO webhook_events (id, provider, event_id, type, concern, reference, created, livemode)
        SELECT 'whe_' || id, 'stripe', 'evt_' || id, 't', 'payment', id, now(), false FROM orders;
    INSERT INTO drift (id, payment_id, order_id, kind, ours, theirs)
        SELECT 'drift_' || id, id, order_id, 'hold', '{{}}', '{{}}' FROM payments;
    UPDATE payments SET check_at = now() + interval '1 hour';
    INSERT INTO pace SELECT id FROM orders;
    VACUUM ANALYZE;
"""


def statements() -> dict[str, str]:
    """Every SQL statement of `shared.store`, by its name."""
    found = {}
    for module in pkgutil.iter_modules(shared.store.__path__):
        if not module.ispkg and module.name != "migrate":
            for name, value in vars(importlib.import_module(f"shared.store.{module.name}")).items():
                if isinstance(value, TextClause):
                    found[f"{module.name}.{name}"] = value.text
    return found


@pytest.fixture(scope="module")
def filled(empty_database: Callable[[str], str]) -> str:
    """The URL of a database with many rows in every table."""
    url = empty_database("filled")
    upgrade(url)
    with psycopg.connect(url, autocommit=True) as db:
        for statement in FILL.format(many=MANY).split(";\n"):
            db.execute(statement)
    return url


def test_there_are_statements_to_be_planned() -> None:
    assert len(statements()) > 25


@pytest.mark.parametrize("name", statements())
def test_no_statement_reads_a_whole_table(filled: str, name: str) -> None:
    names: dict[str, int] = {}
    numbered = re.sub(
        r"(?<!:):([a-z_]+)", lambda found: f"${names.setdefault(found[1], len(names) + 1)}", statements()[name]
    )
    with psycopg.connect(filled) as db:
        ((plan,),) = db.execute(f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {numbered}").fetchall()
    nodes = list(walked(plan[0]["Plan"]))
    whole = [node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"]
    unbounded = [node["Index Name"] for node in nodes if "Index Name" in node and "Index Cond" not in node]
    assert not whole, json.dumps(plan, indent=1)
    assert unbounded == [], json.dumps(plan, indent=1)


def walked(plan: Row) -> Iterator[Row]:
    """A plan's node and all below it, but for rows that are taken from the front of an index, up to a limit."""
    yield plan
    for below in plan.get("Plans", []):
        if plan["Node Type"] != "Limit" or "Index Name" not in below or "Filter" in below:
            yield from walked(below)
