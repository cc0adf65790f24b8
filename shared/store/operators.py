"""Operators' intents: what they ask for, and the void or refund whose first outcome will answer them.

Everything here is read and written under the order's lock.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from shared.domain.intents import IntentState, Operation
from shared.domain.payments import VoidState
from shared.domain.refunds import RefundState


@dataclass(frozen=True, slots=True)
class Request:
    """One request of an operator."""

    state: IntentState
    payload: Any
    #: Whether its sender gave it an idempotency key.
    keyed: bool


@dataclass(frozen=True, slots=True)
class Asking:
    """An intent that waits."""

    intent_id: str
    operation: Operation


@dataclass(frozen=True, slots=True)
class LatestVoid:
    """The void of an order that is under way, else its latest."""

    id: str
    state: VoidState
    #: Whether there is one of which an attempt was made whose outcome is not known, or that only time can end.
    unanswered: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """How a refund or a void has ended, one of the two; `amount` in minor units of `currency`."""

    amount: int
    currency: str
    refund: RefundState | None
    void: VoidState | None


_OPERATORS = "('cancel_order_by_operator', 'cancel_order_by_courier', 'refund_order')"

_REQUEST = text("SELECT state, payload, idempotency_key IS NOT NULL AS keyed FROM intents WHERE id = :id")

_AWAIT = text("""
    UPDATE intents SET state = 'working', awaits = :awaits WHERE id = :id AND state IN ('accepted', 'working')
""")

_AWAIT_INSTEAD = text(f"""
    UPDATE intents SET awaits = :instead
    WHERE subject = :order_id AND operation IN {_OPERATORS} AND state IN ('working', 'parked') AND awaits = :awaits
""")

_AWAITING = text(f"""
    SELECT id, operation FROM intents
    WHERE subject = :order_id AND operation IN {_OPERATORS} AND state = 'working' AND awaits = :awaits
    ORDER BY id
""")

_HELD_BACK = text("""
    SELECT id, operation FROM intents
    WHERE subject = :order_id AND state = 'accepted' AND operation IN
        ('cancel_order', 'cancel_order_by_operator', 'cancel_order_by_courier', 'refund_order', 'cancel_booking',
         'add_item', 'set_quantity', 'set_address')
    ORDER BY id
""")

_ENDED = text("""
    SELECT r.amount, p.currency, r.state AS refund, NULL AS void FROM refunds r JOIN payments p ON p.id = r.payment_id
    WHERE r.id = :id AND r.state IN ('completed', 'failed')
    UNION ALL
    SELECT p.authorized, p.currency, NULL, v.state FROM voids v JOIN payments p ON p.id = v.payment_id
    WHERE v.id = :id AND v.state NOT IN ('requested', 'lapsing')
""")

_RUNNING_VOID = text("""
    SELECT id FROM voids WHERE order_id = :order_id AND id <> :but AND state = 'requested' AND last_error IS NULL
    ORDER BY id LIMIT 1
""")

_LATEST_VOID = text("""
    SELECT id, state, bool_or(state = 'lapsing' OR state = 'requested' AND last_error IS NOT NULL) OVER () AS unanswered
    FROM voids WHERE order_id = :order_id
    ORDER BY state IN ('requested', 'lapsing') DESC, id DESC LIMIT 1
""")

_REQUESTED_VOIDS = text("""
    SELECT id FROM voids WHERE order_id = :order_id AND state IN ('requested', 'lapsing') ORDER BY id
""")

# Of each payment that is to bring something its latest void.
_VOIDS = text("""
    SELECT DISTINCT ON (p.id) v.id, v.state, p.authorized
    FROM payments p JOIN voids v ON v.order_id = p.order_id AND v.payment_id = p.id
    WHERE p.order_id = :order_id AND p.amount > 0
    ORDER BY p.id, v.id DESC
""")


def running_void_locked(connection: Connection, order_id: str, but: str) -> str | None:
    """Return another void of an order that has no outcome yet."""
    found: str | None = connection.execute(_RUNNING_VOID, {"order_id": order_id, "but": but}).scalar()
    return found


def request(connection: Connection, intent_id: str) -> Request:
    """Return what an intent asks for."""
    row = connection.execute(_REQUEST, {"id": intent_id}).one()
    return Request(IntentState(row.state), row.payload, row.keyed)


def await_outcome_locked(connection: Connection, intent_id: str, awaits: str) -> None:
    """The first outcome of this void or refund will end the intent."""
    connection.execute(_AWAIT, {"id": intent_id, "awaits": awaits})


def await_instead_locked(connection: Connection, order_id: str, awaits: str, instead: str) -> None:
    """What one void or refund was to answer, another one will."""
    connection.execute(_AWAIT_INSTEAD, {"order_id": order_id, "awaits": awaits, "instead": instead})


def awaiting_locked(connection: Connection, order_id: str, awaits: str) -> list[Asking]:
    """Return who waits for this void or refund."""
    rows = connection.execute(_AWAITING, {"order_id": order_id, "awaits": awaits})
    return [Asking(row.id, Operation(row.operation)) for row in rows]


def held_back_locked(connection: Connection, order_id: str) -> list[Asking]:
    """Return who could not be judged yet: the order's money was being taken, or more of it held."""
    rows = connection.execute(_HELD_BACK, {"order_id": order_id})
    return [Asking(row.id, Operation(row.operation)) for row in rows]


def ended(connection: Connection, awaited: str) -> Ended | None:
    """Return how this refund or void has ended; None while it has not."""
    row = connection.execute(_ENDED, {"id": awaited}).one_or_none()
    if row is None:
        return None
    refund, void = row.refund and RefundState(row.refund), row.void and VoidState(row.void)
    return Ended(row.amount, row.currency, refund, void)


def latest_void_locked(connection: Connection, order_id: str) -> LatestVoid | None:
    """Return the void of an order that is under way, else its latest."""
    row = connection.execute(_LATEST_VOID, {"order_id": order_id}).one_or_none()
    return LatestVoid(row.id, VoidState(row.state), row.unanswered) if row else None


def requested_voids(connection: Connection, order_id: str) -> list[str]:
    """Return an order's voids that are under way."""
    return list(connection.execute(_REQUESTED_VOIDS, {"order_id": order_id}).scalars())


def voids_locked(connection: Connection, order_id: str) -> list[tuple[VoidState, int]]:
    """Return how the latest void of each payment of an order stands, and how many minor units it is about."""
    rows = connection.execute(_VOIDS, {"order_id": order_id})
    return [(VoidState(row.state), row.authorized) for row in rows]
