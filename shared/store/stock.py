"""Stock: the units of each SKU that can still be sold.

Rows are locked in the order of their SKUs, so that two orders with the same goods never wait for each other in a ring.
"""

from sqlalchemy import Connection, text

_SET = text("""
    INSERT INTO stock (sku, quantity) VALUES (:sku, :quantity)
    ON CONFLICT (sku) DO UPDATE SET quantity = excluded.quantity
""")

_READ = text("SELECT quantity FROM stock WHERE sku = :sku")

_RESERVE = text("""
    WITH wanted AS (
        SELECT sku, sum(quantity) AS units FROM order_lines WHERE order_id = :order_id GROUP BY sku
    ), held AS MATERIALIZED (
        SELECT sku, units FROM stock JOIN wanted USING (sku) ORDER BY sku FOR NO KEY UPDATE OF stock
    ), taken AS (
        UPDATE stock SET quantity = stock.quantity - held.units FROM held WHERE stock.sku = held.sku RETURNING stock.sku
    )
    UPDATE order_lines SET reserved = quantity WHERE order_id = :order_id AND sku IN (SELECT sku FROM taken)
""")

#: Common table expressions that return the units an order still holds, exactly once, when its lock is held; of
#: `restocked` the SKUs and units that went back can be selected.
RESTOCK = """
    reserved AS (
        SELECT sku, sum(reserved) AS units FROM order_lines WHERE order_id = :order_id AND reserved > 0 GROUP BY sku
    ), cleared AS (
        UPDATE order_lines SET reserved = 0 WHERE order_id = :order_id AND reserved > 0
    ), held AS MATERIALIZED (
        SELECT sku, units FROM stock JOIN reserved USING (sku) ORDER BY sku FOR NO KEY UPDATE OF stock
    ), restocked AS (
        UPDATE stock SET quantity = stock.quantity + held.units FROM held WHERE stock.sku = held.sku
        RETURNING stock.sku, held.units
    )
"""


def put(connection: Connection, sku: str, quantity: int) -> None:
    """Set how many units can be sold."""
    connection.execute(_SET, {"sku": sku, "quantity": quantity})


def read(connection: Connection, sku: str) -> int | None:
    """Return how many units can be sold; None for a SKU whose stock nobody told us."""
    quantity: int | None = connection.execute(_READ, {"sku": sku}).scalar()
    return quantity


def reserve_locked(connection: Connection, order_id: str) -> None:
    """Take an order's units out of stock.  Lines whose SKU has no stock row stay unreserved."""
    connection.execute(_RESERVE, {"order_id": order_id})
