"""Shipments: the parcels by which orders go out, what their courier tells of them, and what we ask of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from shared.domain.shipments import CANCEL_TRANSITIONS, CancelEvent, CancelState, Courier
from shared.domain.transitions import advance
from shared.queues import Task


@dataclass(frozen=True, slots=True)
class Present:
    """The parcel by which an order goes out, for now."""

    id: str
    courier: str
    awb: str
    #: When the shop asked for it.
    asked_at: datetime
    #: Whether tracking shows that it is canceled, or comes back.
    is_canceled: bool

    def is_same(self, courier: str, awb: str) -> bool:
        """Whether that is this parcel, however its courier is spelled."""
        return self.awb == awb and self.courier.lower() == courier.lower()


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """A shipment that its courier is to cancel."""

    id: str
    order_id: str
    courier: Courier
    waybill: str


_REGISTER = text("""
    INSERT INTO shipments (id, order_id, courier, awb, followed_by, asked_at)
    VALUES (:id, :order_id, :courier, :awb, :followed_by, :asked_at)
    ON CONFLICT (followed_by, awb) WHERE followed_by IS NOT NULL DO NOTHING
    RETURNING id
""")

_OF_ORDER = text("SELECT id, courier, awb, asked_at, canceled_at FROM shipments WHERE order_id = :order_id")

_FOLLOWED = text("""
    SELECT id FROM shipments WHERE order_id = :order_id AND followed_by IS NOT NULL
""")

_REMOVE = text("DELETE FROM shipments WHERE id = :id")

# The parcel's row is shared with nobody who writes a look down: they see what was heard, or it is heard after them.
_RECORD = text("""
    WITH heard AS (
        INSERT INTO courier_events (fingerprint, courier, awb, status_type, status, code, at, hints)
        VALUES (:fingerprint, :courier, :waybill, :status_type, :status, :code, :at, :hints)
        ON CONFLICT (fingerprint) DO UPDATE SET times = courier_events.times + 1, heard_at = now()
        RETURNING times = 1 OR NOT :is_dated AS is_news
    ), parcel AS (
        SELECT s.id FROM shipments s WHERE s.followed_by = :courier AND s.awb = :waybill FOR SHARE
    ), staged AS (
        INSERT INTO outbox (subject, task, due_at)
        SELECT parcel.id, :task, now() + make_interval(secs => :patience)
        FROM parcel CROSS JOIN heard WHERE heard.is_news
        ON CONFLICT (subject, task) DO UPDATE SET due_at = least(outbox.due_at, excluded.due_at)
        RETURNING subject
    )
    SELECT heard.is_news, staged.subject FROM heard LEFT JOIN staged ON true
""")

_CANCELABLE = text("""
    SELECT id, order_id, followed_by AS courier, awb AS waybill FROM shipments
    WHERE id = :id AND cancel_state = 'requested'
""")

_CANCEL_UNKNOWN = text("""
    UPDATE shipments SET cancel_attempts = cancel_attempts + 1, cancel_error = :error
    WHERE id = :id AND cancel_state = 'requested'
    RETURNING cancel_attempts
""")

_SETTLE_CANCEL = text("""
    UPDATE shipments SET cancel_state = :after, cancel_error = :error WHERE id = :id AND cancel_state = :before
    RETURNING id
""")


def register(
    connection: Connection, shipment_id: str, order_id: str, courier: str, awb: str, asked_at: datetime
) -> bool:
    """Write an order's parcel down, as the shop asked for at that moment; it is followed at a courier of ours.

    False when another order has this waybill.
    """
    values = {"id": shipment_id, "order_id": order_id, "courier": courier, "awb": awb, "asked_at": asked_at}
    return connection.execute(_REGISTER, values | {"followed_by": courier_of(courier)}).scalar() is not None


def courier_of(name: str) -> Courier | None:
    """Return the courier that a shop means, when we follow it."""
    return next((courier for courier in Courier if courier == name.lower()), None)


def of_order_locked(connection: Connection, order_id: str) -> Present | None:
    """Return the parcel by which an order goes out."""
    row = connection.execute(_OF_ORDER, {"order_id": order_id}).one_or_none()
    return Present(row.id, row.courier, row.awb, row.asked_at, row.canceled_at is not None) if row else None


def followed(connection: Connection, order_id: str) -> str | None:
    """Return the shipment of an order, when its courier is followed."""
    found: str | None = connection.execute(_FOLLOWED, {"order_id": order_id}).scalar()
    return found


def remove_locked(connection: Connection, shipment_id: str) -> None:
    """Forget a parcel in whose place another one goes out; the timeline keeps its waybill."""
    connection.execute(_REMOVE, {"id": shipment_id})


# What the courier tells.


def record(connection: Connection, values: dict[str, Any], patience: float) -> tuple[bool, str | None]:
    """Write down what a courier has pushed, once, and stage the look at its parcel.

    Returns whether it is news, and the shipment to look at; None when no order has this waybill.
    """
    row = connection.execute(_RECORD, values | {"task": Task.TRACK_SHIPMENT, "patience": patience}).first()
    return (row.is_news, row.subject) if row else (False, None)


# Cancels of ours.


def cancelable(connection: Connection, shipment_id: str) -> CancelRequest | None:
    """Return the shipment that its courier is to cancel; None when that is decided."""
    row = connection.execute(_CANCELABLE, {"id": shipment_id}).one_or_none()
    return CancelRequest(row.id, row.order_id, Courier(row.courier), row.waybill) if row else None


def cancel_unknown_locked(connection: Connection, shipment_id: str, error: str) -> int | None:
    """Count an attempt without an answer; returns the attempts so far, None when it is decided."""
    attempts: int | None = connection.execute(_CANCEL_UNKNOWN, {"id": shipment_id, "error": error}).scalar()
    return attempts


def settle_cancel_locked(
    connection: Connection, shipment_id: str, before: CancelState, event: CancelEvent, error: str | None = None
) -> bool:
    """Write down how far our request to cancel has come; False when a twin has done so."""
    values = {"id": shipment_id, "before": before, "after": advance(CANCEL_TRANSITIONS, before, event), "error": error}
    return connection.execute(_SETTLE_CANCEL, values).scalar() is not None
