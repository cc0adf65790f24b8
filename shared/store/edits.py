"""Edits of orders: what the shopper wants changed, and the orders, lines, collections and payments that follow.

Everything here is read and written under the order's lock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, text

from shared.domain import collection, edits
from shared.domain.edits import (
    TRANSITIONS,
    Editable,
    EditEvent,
    EditState,
    Hold,
    Line,
    MoneyAction,
    Plan,
    Unavailable,
)
from shared.domain.intents import IntentState, Operation
from shared.domain.orders import OrderKind, OrderStatus
from shared.domain.payments import CaptureState, PaymentStatus, Provider
from shared.domain.transitions import advance
from shared.errors import LegacyOrder, NotFound
from shared.requests import ItemChange, NewItem
from shared.store import stock


@dataclass(frozen=True, slots=True)
class HeldEdit:
    """An order locked for an edit, with the intent that asks for it; amounts in minor units."""

    id: str
    #: None: it was brought over from a former system, and has no payment collection yet.
    order: Editable | None
    email: str
    address: Any
    intent_id: str
    intent_state: IntentState
    operation: Operation
    actor: str
    payload: Any
    #: The edit that the order is waiting for.
    in_flight: str | None


@dataclass(frozen=True, slots=True)
class NewEdit:
    """One change of an order: `before` and `after` as they are shown in its timeline; amounts in minor units."""

    id: str
    order_id: str
    intent_id: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    total_before: int
    total_after: int


@dataclass(frozen=True, slots=True)
class Raise:
    """An edit for which more is to be held; amounts in minor units."""

    id: str
    order_id: str
    intent_id: str
    actor: str
    state: EditState
    payment_id: str
    provider: Provider
    reference: str
    #: Whether the order is as it was judged: pending, its payments held.
    stands: bool
    before: dict[str, Any]
    after: dict[str, Any]
    sku: str | None
    units: int
    total_before: int
    total_after: int
    #: The sum to be held by the payment; or beside it, by one of its own.
    authorize: int
    money: MoneyAction
    attempts: int
    email: str
    currency: str
    #: Whether it has ended less than some seconds ago.
    just_settled: bool
    #: Whether a call of an attempt before may be under way.
    calling: bool
    #: Whether the next look decides: the provider was asked often enough, or the order cannot wait any longer, since
    #: its hour is over or somebody wants its money back.
    decides: bool

    @property
    def idempotency_key(self) -> str:
        """One key for all attempts."""
        return f"{self.money}:{self.id}"


# The order's lock is taken first and alone; what is read with it would be as old as the wait for the lock.
_LOCK = text("""
    SELECT o.id FROM intents i JOIN orders o ON o.id = i.subject WHERE i.id = :intent_id FOR NO KEY UPDATE OF o
""")

_READ = text("""
    SELECT o.id, o.kind, o.status, o.customer_id, o.grace_until, o.currency, o.shipping, o.email, o.address,
           c.amount AS total, e.id AS in_flight,
           ARRAY(
               SELECT json_build_object('payment_id', p.id, 'provider', p.provider, 'status', p.status,
                   'amount', p.amount, 'authorized', p.authorized,
                   'incremental', p.incremental, 'capture_state', j.state)
               FROM payments p
               LEFT JOIN capture_jobs j ON j.payment_id = p.id AND j.state IN ('waiting', 'active', 'done')
               WHERE p.order_id = o.id ORDER BY p.id
           ) AS payments,
           ARRAY(
               SELECT json_build_object('line', l.line, 'sku', l.sku, 'quantity', l.quantity,
                   'unit_price', l.unit_price, 'tax_rate', l.tax_rate::text)
               FROM order_lines l WHERE l.order_id = o.id ORDER BY l.line
           ) AS lines
    FROM orders o
    LEFT JOIN payment_collections c ON c.order_id = o.id
    LEFT JOIN order_edits e ON e.order_id = o.id AND e.state = 'authorizing'
    WHERE o.id = :order_id
""")

_INTENT = text("SELECT state, operation, actor, payload FROM intents WHERE id = :id")

_INSERT = text("""
    INSERT INTO order_edits (id, order_id, intent_id, state, before, after, total_before, total_after, settled_at)
    VALUES (:id, :order_id, :intent_id, 'done', CAST(:before AS jsonb), CAST(:after AS jsonb), :total_before,
            :total_after, now())
""")

_START = text("""
    WITH editing AS (UPDATE orders SET edit_status = 'editing' WHERE id = :order_id),
    working AS (UPDATE intents SET state = 'working', awaits = :id WHERE id = :intent_id)
    INSERT INTO order_edits (id, order_id, intent_id, state, before, after, total_before, total_after, payment_id,
                             authorize, money, sku, units)
    VALUES (:id, :order_id, :intent_id, 'authorizing', CAST(:before AS jsonb), CAST(:after AS jsonb), :total_before,
            :total_after, :payment_id, :authorize, :money, :sku, :units)
""")

_ORDER = text("SELECT order_id FROM order_edits WHERE id = :id")

_RAISE = text("""
    SELECT e.id, e.order_id, e.intent_id, i.actor, e.state, e.payment_id, p.provider, p.reference,
           o.status = 'pending' AND p.status = 'authorized' AND NOT EXISTS (
               SELECT FROM payments t
               WHERE t.order_id = o.id AND t.status NOT IN ('authorized', 'voiding', 'voided')
           ) AS stands, e.before, e.after, e.sku, e.units, e.total_before,
           e.total_after, e.authorize, e.money, e.attempts,
           o.email, o.currency,
           coalesce(e.settled_at > now() - make_interval(secs => :late), false) AS just_settled,
           coalesce(e.asked_at > now() - make_interval(secs => :call_lasts), false) AS calling,
           e.attempts > 0 AND (
               e.attempts >= :asked OR now() >= o.grace_until OR EXISTS (
                   SELECT FROM capture_jobs j
                   WHERE j.payment_id = e.payment_id AND j.state = 'waiting' AND j.due_at <= now()
               ) OR EXISTS (
                   SELECT FROM intents w WHERE w.subject = e.order_id AND w.state = 'accepted'
                       AND w.operation IN
                           ('cancel_order', 'cancel_order_by_operator', 'cancel_order_by_courier', 'refund_order')
               )
           ) AS decides
    FROM order_edits e
    JOIN payments p ON p.id = e.payment_id
    JOIN orders o ON o.id = e.order_id
    JOIN intents i ON i.id = e.intent_id
    WHERE e.id = :id
    FOR NO KEY UPDATE OF p
""")

_CLAIM = text("""
    UPDATE order_edits SET attempts = attempts + 1, asked_at = CASE WHEN :asks THEN now() END WHERE id = :id
""")

_UNANSWERED = text("""
    UPDATE order_edits
    SET asked_at = CASE WHEN attempts = :attempt THEN NULL ELSE asked_at END, last_error = :error
    WHERE id = :id
""")

_SETTLE = text("""
    WITH opened AS (UPDATE orders SET edit_status = 'open' WHERE id = :order_id AND edit_status = 'editing')
    UPDATE order_edits
    SET state = :state, last_error = coalesce(:error, last_error), units = 0, asked_at = NULL, settled_at = now()
    WHERE id = :id AND state = 'authorizing'
""")

_BESIDE = text("""
    UPDATE order_edits
    SET money = 'second_payment', authorize = total_after - :authorized, attempts = 0, asked_at = NULL,
        last_error = NULL
    WHERE id = :id AND state = 'authorizing'
""")

_EXHAUSTED = text("UPDATE payments SET incremental = false WHERE id = :payment_id")

_ADDRESS = text("UPDATE orders SET address = CAST(:address AS jsonb) WHERE id = :order_id")

_ITEM = text("""
    INSERT INTO order_lines (order_id, line, sku, quantity, unit_price, tax_rate, reserved)
    VALUES (:order_id, :line, :sku, :quantity, :unit_price, :tax_rate, :units)
    ON CONFLICT (order_id, line) DO UPDATE
        SET quantity = excluded.quantity,
            reserved = least(order_lines.reserved + excluded.reserved, excluded.quantity)
""")

_RAISED = text("UPDATE payments SET authorized = greatest(authorized, :authorized) WHERE id = :payment_id")

_HOLDS = text("""
    SELECT id, CASE WHEN status = 'authorized' THEN authorized ELSE 0 END AS held
    FROM payments WHERE order_id = :order_id ORDER BY id
""")

_TOTAL = text("""
    WITH collection AS (UPDATE payment_collections SET amount = :total WHERE order_id = :order_id)
    UPDATE payments p SET amount = s.amount
    FROM unnest(CAST(:payment_ids AS text[]), CAST(:amounts AS bigint[])) AS s (id, amount) WHERE p.id = s.id
""")


def lock_for_intent(connection: Connection, intent_id: str) -> HeldEdit | None:
    """Lock the order an intent is about, and read all that an edit must know; None when there is no such order."""
    order_id = connection.execute(_LOCK, {"intent_id": intent_id}).scalar()
    if order_id is None:
        return None
    row = connection.execute(_READ, {"order_id": order_id}).one()
    intent = connection.execute(_INTENT, {"id": intent_id}).one()
    return HeldEdit(
        id=order_id,
        order=_editable(row),
        email=row.email,
        address=row.address,
        intent_id=intent_id,
        intent_state=IntentState(intent.state),
        operation=Operation(intent.operation),
        actor=intent.actor,
        payload=intent.payload,
        in_flight=row.in_flight,
    )


def editable(connection: Connection, order_id: str) -> Editable:
    """Return what the rules need to know of an order.  Raises `NotFound` or `LegacyOrder`."""
    row = connection.execute(_READ, {"order_id": order_id}).one_or_none()
    if row is None:
        raise NotFound("There is no such order")
    order = _editable(row)
    if order is None:
        raise LegacyOrder
    return order


def plan(connection: Connection, order: Editable, wish: NewItem | ItemChange, unavailable: Unavailable) -> Plan:
    """Return what a change of an item would come to.  Raises a `Problem` when it may not be.

    `unavailable` says what is done when the holds cannot be raised.
    """
    if isinstance(wish, NewItem):
        return edits.add(order, wish.sku, wish.quantity, stock.price(connection, wish.sku), unavailable)
    return edits.set_quantity(order, wish.line, wish.quantity, unavailable)


def insert_locked(connection: Connection, edit: NewEdit) -> None:
    """Write down an edit that is done."""
    connection.execute(_INSERT, _values(edit))


def start_locked(connection: Connection, edit: NewEdit, plan: Plan, units: int) -> None:
    """Stage an edit for which more is to be held; `units` were taken from stock for it.

    The order is `editing` from here on, and the edit's outcome ends its intent.
    """
    values = {
        "payment_id": plan.payment_id,
        "authorize": plan.authorize,
        "money": plan.money,
        "sku": plan.after.sku,
        "units": units,
    }
    connection.execute(_START, _values(edit) | values)


def order_of(connection: Connection, edit_id: str) -> str | None:
    """Return the order of an edit, so that its lock can be taken first."""
    order_id: str | None = connection.execute(_ORDER, {"id": edit_id}).scalar()
    return order_id


def read_locked(connection: Connection, edit_id: str, *, call_lasts: float, asked: int, late: float) -> Raise:
    """Read an edit with its payment; the caller holds the order's lock.

    A call that began more than `call_lasts` seconds ago is over; the provider is asked `asked` times at the most; an
    edit has just been settled for `late` seconds.
    """
    values = {"id": edit_id, "call_lasts": call_lasts, "asked": asked, "late": late}
    row = connection.execute(_RAISE, values).one()
    return Raise(
        **{
            **row._mapping,
            "state": EditState(row.state),
            "provider": Provider(row.provider),
            "money": MoneyAction(row.money),
        }
    )


def claim_locked(connection: Connection, edit: Raise) -> None:
    """Count an attempt; unless it only decides, the provider may hold more from here on."""
    connection.execute(_CLAIM, {"id": edit.id, "asks": not edit.decides})


def unanswered_locked(connection: Connection, edit: Raise, attempt: int, error: str) -> None:
    """Note that an attempt is over, and that nobody knows what came of it; a later one may still be under way."""
    advance(TRANSITIONS, edit.state, EditEvent.UNANSWERED)
    connection.execute(_UNANSWERED, {"id": edit.id, "attempt": attempt, "error": error})


def settle_locked(connection: Connection, edit: Raise, event: EditEvent, error: str | None) -> None:
    """Write the outcome down, and open the order again."""
    state = advance(TRANSITIONS, EditState.AUTHORIZING, event)
    values = {"id": edit.id, "order_id": edit.order_id, "state": state, "error": error}
    connection.execute(_SETTLE, values)


def exhaust_locked(connection: Connection, payment_id: str) -> None:
    """No more can be held by raising this payment's hold."""
    connection.execute(_EXHAUSTED, {"payment_id": payment_id})


def go_beside_locked(connection: Connection, edit: Raise) -> None:
    """Have what is missing held by a payment of its own, since the hold cannot be raised."""
    held = sum(row.held for row in connection.execute(_HOLDS, {"order_id": edit.order_id}))
    connection.execute(_BESIDE, {"id": edit.id, "authorized": held})


def set_address_locked(connection: Connection, order_id: str, address: Any) -> None:
    """The goods go somewhere else."""
    connection.execute(_ADDRESS, {"order_id": order_id, "address": msgspec.json.encode(address).decode()})


def set_item_locked(connection: Connection, order_id: str, line: Mapping[str, Any], units: int) -> None:
    """Write a line as it is from now on, with so many units more that were taken from stock for it.

    What it had reserved beyond its quantity must have gone back to stock before.
    """
    connection.execute(_ITEM, {**line, "order_id": order_id, "units": units})


def raise_locked(connection: Connection, payment_id: str, authorized: int) -> None:
    """So many minor units are held by a payment from now on."""
    connection.execute(_RAISED, {"payment_id": payment_id, "authorized": authorized})


def set_total_locked(connection: Connection, order_id: str, total: int) -> list[str]:
    """The order costs `total` minor units from now on; each payment brings its share, the oldest first.

    Returns the payments that are to bring nothing any more.
    """
    rows = connection.execute(_HOLDS, {"order_id": order_id}).all()
    is_held = any(row.held for row in rows)
    amounts = collection.shares(total, [row.held for row in rows]) if is_held else [total]
    values = {"order_id": order_id, "total": total, "payment_ids": [row.id for row in rows], "amounts": amounts}
    connection.execute(_TOTAL, values)
    return [row.id for row, amount in zip(rows, amounts, strict=True) if row.held and not amount]


def _editable(row: Row[Any]) -> Editable | None:
    if row.total is None:
        return None
    return Editable(
        kind=OrderKind(row.kind),
        status=OrderStatus(row.status),
        customer_id=row.customer_id,
        grace_until=row.grace_until,
        currency=row.currency,
        shipping=row.shipping,
        total=row.total,
        provider=Provider(row.payments[0]["provider"]),
        payment_status=collection.status(
            [(PaymentStatus(payment["status"]), payment["amount"]) for payment in row.payments], capturable=True
        ),
        holds=tuple(
            Hold(
                payment["payment_id"],
                payment["authorized"],
                payment["incremental"],
                CaptureState(payment["capture_state"]) if payment["capture_state"] else None,
            )
            for payment in row.payments
            if payment["status"] == PaymentStatus.AUTHORIZED
        ),
        lines=tuple(Line(**{**line, "tax_rate": Decimal(line["tax_rate"])}) for line in row.lines),
    )


def _values(edit: NewEdit) -> dict[str, Any]:
    return {
        "id": edit.id,
        "order_id": edit.order_id,
        "intent_id": edit.intent_id,
        "before": msgspec.json.encode(edit.before).decode(),
        "after": msgspec.json.encode(edit.after).decode(),
        "total_before": edit.total_before,
        "total_after": edit.total_after,
    }
