"""Orders of a former system: those without a payment collection, page by page, and the one that they are given."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, text

from shared.domain import totals
from shared.domain.edits import Line
from shared.domain.legacy import Legacy, Record
from shared.domain.orders import OrderStatus

#: Orders that are read together: some seconds of asking their provider.
PAGE = 200

#: Orders that are counted together: far below what a statement's time allows.
COUNTED = 5_000

# Every member as text: whatever a former system has written there, reading it breaks nothing.  What the planner may not
# turn into a look at a whole table stands behind a LIMIT.
_LEGACY = """
    SELECT o.id, o.status, o.currency, o.total, o.shipping, o.grace_until,
           jsonb_typeof(o.metadata) = 'object' AS readable,
           o.metadata ->> 'updated_total' AS updated_total,
           o.metadata ->> 'payment_status' AS payment_status,
           o.metadata ->> 'payment_intent_id' AS payment_intent_id,
           c.order_id IS NOT NULL AS migrated,
           b.id IS NOT NULL OR p.id IS NOT NULL AS shares_payment,
           ARRAY(
               SELECT json_build_object('line', l.line, 'sku', l.sku, 'quantity', l.quantity,
                   'unit_price', l.unit_price, 'tax_rate', l.tax_rate::text)
               FROM order_lines l WHERE l.order_id = o.id ORDER BY l.line
           ) AS lines
    FROM legacy o
    LEFT JOIN LATERAL (SELECT order_id FROM payment_collections WHERE order_id = o.id LIMIT 1) c ON true
    LEFT JOIN LATERAL (
        SELECT id FROM orders
        WHERE metadata IS NOT NULL AND metadata ->> 'payment_intent_id' = o.metadata ->> 'payment_intent_id'
            AND id <> o.id
        LIMIT 1
    ) b ON true
    LEFT JOIN LATERAL (
        SELECT id FROM payments WHERE provider = 'stripe' AND reference = o.metadata ->> 'payment_intent_id' LIMIT 1
    ) p ON true
"""

_PAGE = text(f"""
    WITH legacy AS (
        SELECT * FROM orders WHERE metadata IS NOT NULL AND id > :after ORDER BY id LIMIT {PAGE}
    ) {_LEGACY} ORDER BY o.id
""")

_ONE = text(f"WITH legacy AS (SELECT * FROM orders WHERE id = :id) {_LEGACY}")

_COUNT = text(f"""
    SELECT max(o.id) AS last, count(*) FILTER (WHERE c.order_id IS NULL) AS found
    FROM (SELECT id FROM orders WHERE metadata IS NOT NULL AND id > :after ORDER BY id LIMIT {COUNTED}) o
    LEFT JOIN LATERAL (SELECT order_id FROM payment_collections WHERE order_id = o.id LIMIT 1) c ON true
""")

_MIGRATE = text("""
    WITH stands AS (UPDATE orders SET status = :status WHERE id = :order_id AND status <> :status)
    INSERT INTO payment_collections (order_id, amount) VALUES (:order_id, :amount)
""")


@dataclass(frozen=True, slots=True)
class Page:
    """Some orders of a former system, oldest id first, and the id after which the next page begins."""

    orders: list[Legacy]
    last: str | None


def page(connection: Connection, after: str) -> Page:
    """Return the next orders without a collection; those that have one by now are passed over."""
    rows = connection.execute(_PAGE, {"after": after}).all()
    return Page([_legacy(row) for row in rows if not row.migrated], rows[-1].id if rows else None)


def count(connection: Connection) -> int:
    """Return how many orders have no collection."""
    after: str | None = ""
    found = 0
    while after is not None:
        row = connection.execute(_COUNT, {"after": after}).one()
        after, found = row.last, found + row.found
    return found


def read_locked(connection: Connection, order_id: str) -> Legacy | None:
    """Read an order again; None when it has a collection.  The caller holds the order's lock."""
    row = connection.execute(_ONE, {"id": order_id}).one()
    return None if row.migrated else _legacy(row)


def migrate_locked(connection: Connection, order_id: str, amount: int, status: OrderStatus) -> None:
    """Give an order its collection of `amount` minor units; its payment must follow in the same transaction."""
    connection.execute(_MIGRATE, {"order_id": order_id, "amount": amount, "status": status})


def _legacy(row: Row[Any]) -> Legacy:
    lines = [Line(**{**line, "tax_rate": Decimal(line["tax_rate"])}) for line in row.lines]
    return Legacy(
        id=row.id,
        status=OrderStatus(row.status),
        currency=row.currency,
        total=row.total,
        items_total=totals.total(lines, row.shipping),
        grace_until=row.grace_until,
        readable=row.readable,
        record=Record(row.updated_total, row.payment_status, row.payment_intent_id),
        shares_payment=row.shares_payment,
    )
