"""Stock: the units of each SKU that can still be sold.

Rows are locked in the order of their SKUs, so that two orders with the same goods never wait for each other in a ring.
"""

from dataclasses import asdict

from sqlalchemy import Connection, text

from shared.domain.edits import Price

_SET = text("""
    INSERT INTO stock (sku, quantity, unit_price, currency, tax_rate)
    VALUES (:sku, :quantity, :unit_price, :currency, :tax_rate)
    ON CONFLICT (sku) DO UPDATE
        SET quantity = excluded.quantity, unit_price = coalesce(excluded.unit_price, stock.unit_price),
            currency = coalesce(excluded.currency, stock.currency),
            tax_rate = coalesce(excluded.tax_rate, stock.tax_rate)
""")

_PRICE = text("SELECT unit_price, currency, tax_rate FROM stock WHERE sku = :sku AND unit_price IS NOT NULL")

_TAKE = text("""
    UPDATE stock SET quantity = quantity - :units WHERE sku = :sku AND quantity >= :units RETURNING sku
""")

_RETURN = text("UPDATE stock SET quantity = quantity + :units WHERE sku = :sku")

_RETURN_EXCESS = text("""
    WITH excess AS (
        SELECT sku, reserved - :quantity AS units FROM order_lines
        WHERE order_id = :order_id AND line = :line AND reserved > :quantity
    ), shrunk AS (
        UPDATE order_lines SET reserved = :quantity
        WHERE order_id = :order_id AND line = :line AND reserved > :quantity
    )
    UPDATE stock SET quantity = stock.quantity + excess.units FROM excess WHERE stock.sku = excess.sku
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


def put(connection: Connection, sku: str, quantity: int, price: Price | None) -> None:
    """Set how many units can be sold, and what one of them costs; without a price the one before stays."""
    values = {"unit_price": None, "currency": None, "tax_rate": None} if price is None else asdict(price)
    connection.execute(_SET, {"sku": sku, "quantity": quantity, **values})


def price(connection: Connection, sku: str) -> Price | None:
    """Return what one unit costs today; None when nobody told us."""
    row = connection.execute(_PRICE, {"sku": sku}).one_or_none()
    return Price(row.unit_price, row.currency, row.tax_rate) if row else None


def read(connection: Connection, sku: str) -> int | None:
    """Return how many units can be sold; None for a SKU whose stock nobody told us."""
    quantity: int | None = connection.execute(_READ, {"sku": sku}).scalar()
    return quantity


def reserve_locked(connection: Connection, order_id: str) -> None:
    """Take an order's units out of stock.  Lines whose SKU has no stock row stay unreserved."""
    connection.execute(_RESERVE, {"order_id": order_id})


def lacks(connection: Connection, sku: str, units: int) -> bool:
    """Whether there are fewer units than these; of a SKU whose stock nobody told us there are always enough."""
    left = read(connection, sku)
    return left is not None and left < units


def take_locked(connection: Connection, sku: str, units: int) -> int | None:
    """Take units out of stock for an order; returns how many, 0 of a SKU whose stock nobody told us.

    None when there are not so many.
    """
    if connection.execute(_TAKE, {"sku": sku, "units": units}).scalar() is not None:
        return units
    return 0 if read(connection, sku) is None else None


def give_back_locked(connection: Connection, sku: str, units: int) -> None:
    """Return units that were taken for a line that is not to be."""
    connection.execute(_RETURN, {"sku": sku, "units": units})


def shrink_locked(connection: Connection, order_id: str, line: int, quantity: int) -> None:
    """Return what a line holds beyond its new quantity."""
    connection.execute(_RETURN_EXCESS, {"order_id": order_id, "line": line, "quantity": quantity})
