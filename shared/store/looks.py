"""Looks: what a courier shows of shipments, and who looks.

A look is claimed by its shipment's row, so that many hints of one parcel cost one question; what a look has shown is
written under the order's lock where it is of consequence to the order, and else for a whole batch at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from shared.domain.orders import OrderStatus
from shared.domain.shipments import AT_REST, CancelState, Courier, ShipmentStatus, Tracked


@dataclass(frozen=True, slots=True)
class Parcel:
    """A shipment to look at, as it stood when the look began."""

    id: str
    order_id: str
    courier: Courier
    waybill: str
    status: ShipmentStatus
    status_at: datetime | None
    #: Whether the courier has or had it.
    picked_up: bool
    cancel_state: CancelState | None
    #: When the courier last told us anything of it, and when something new of that sounded as if it were canceled.
    heard_at: datetime | None
    hinted_at: datetime | None
    tracked_at: datetime | None
    #: Since when tracking shows that it is canceled, or comes back.
    canceled_at: datetime | None

    def is_newer_than(self, tracked: Tracked) -> bool:
        """Whether we know of a later moment than a look shows: somebody else has looked meanwhile."""
        return self.status_at is not None and tracked.at is not None and tracked.at < self.status_at


@dataclass(frozen=True, slots=True)
class Known:
    """A shipment and its order, read under the order's lock."""

    parcel: Parcel
    order_status: OrderStatus
    registered_at: datetime
    cancel_asked_at: datetime | None
    #: The causes of the alerts about it that are open.
    alarms: tuple[str, ...]


_HEARD_AT = text("""
    SELECT max(e.heard_at) FROM shipments s JOIN courier_events e ON e.courier = s.followed_by AND e.awb = s.awb
    WHERE s.id = :id
""")

_HEARD = """
    (SELECT max(heard_at) FROM courier_events e WHERE e.courier = s.followed_by AND e.awb = s.awb) AS heard_at,
    (SELECT max(received_at) FROM courier_events e
     WHERE e.courier = s.followed_by AND e.awb = s.awb AND e.hints) AS hinted_at
"""

_COLUMNS = f"""
    s.id, s.order_id, s.followed_by AS courier, s.awb AS waybill, s.status, s.status_at, s.picked_up,
    s.cancel_state, s.tracked_at, s.canceled_at, {_HEARD}
"""

# The one that is named, and whatever else is to be looked at anyhow: one question serves a whole batch.  Those at which
# somebody looks at this moment are left to them, since they look again for what was heard meanwhile.
_CLAIM = text(f"""
    WITH named AS (
        SELECT CAST(:id AS text) AS id UNION
        (SELECT subject FROM outbox WHERE task = 'courier.track' AND due_at <= now() + make_interval(secs => :patience)
         ORDER BY due_at LIMIT :others)
    ), free AS (
        SELECT s.id FROM shipments s WHERE s.id = ANY(ARRAY(SELECT id FROM named))
          AND s.followed_by = :courier AND (s.looking_until IS NULL OR s.looking_until <= now())
        ORDER BY s.id FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE shipments s SET looking_until = now() + make_interval(secs => :lease)
    WHERE s.id = ANY(ARRAY(SELECT id FROM free))
    RETURNING {_COLUMNS}
""")

_READ = text(f"""
    SELECT {_COLUMNS} FROM shipments s
    WHERE s.id = ANY(CAST(:ids AS text[])) AND s.followed_by IS NOT NULL
    ORDER BY s.id
""")

_KNOWN = text(f"""
    SELECT {_COLUMNS}, o.status AS order_status, s.registered_at, s.cancel_asked_at,
           ARRAY(SELECT a.cause FROM alerts a WHERE a.order_id = o.id AND a.resolved_at IS NULL) AS alarms
    FROM shipments s JOIN orders o ON o.id = s.order_id
    WHERE s.id = :id
    FOR NO KEY UPDATE OF s
""")

# What is of no consequence to an order: it moves on, or stands where it stood.
_NOTE = text("""
    WITH seen AS (
        SELECT * FROM unnest(
            CAST(:ids AS text[]), CAST(:statuses AS text[]), CAST(:types AS text[]), CAST(:words AS text[]),
            CAST(:codes AS text[]), CAST(:moments AS timestamptz[]), CAST(:picked_up AS boolean[])
        ) AS n (id, status, status_type, courier_status, status_code, status_at, picked_up)
    ), held AS (
        SELECT s.id, s.order_id, s.status AS before, s.courier_status AS word_before
        FROM shipments s JOIN seen USING (id)
        WHERE s.status_at IS NULL OR seen.status_at IS NULL OR seen.status_at >= s.status_at
        ORDER BY s.id FOR NO KEY UPDATE OF s
    )
    UPDATE shipments s
    SET status = seen.status, status_type = seen.status_type, courier_status = seen.courier_status,
        status_code = seen.status_code, status_at = coalesce(seen.status_at, s.status_at),
        picked_up = s.picked_up OR seen.picked_up, tracked_at = now(), looking_until = NULL
    FROM seen JOIN held USING (id)
    WHERE s.id = seen.id
    RETURNING s.order_id, held.before, s.status AS after, s.courier_status AS word, held.word_before
""")

_UNKNOWN = text("""
    UPDATE shipments SET status = 'unknown', tracked_at = now(), looking_until = NULL
    WHERE id = :id AND status <> ALL(CAST(:at_rest AS text[]))
    RETURNING id
""")

_ABANDON = text("""
    UPDATE shipments s SET status = 'abandoned'
    FROM (SELECT id, status FROM shipments WHERE id = ANY(CAST(:ids AS text[]))) former
    WHERE s.id = former.id AND s.registered_at <= now() - make_interval(secs => :window)
      AND s.status <> ALL(CAST(:at_rest AS text[]))
    RETURNING s.order_id, former.status AS before, s.status AS after, s.courier_status AS word
""")

_TOUCH = text("UPDATE shipments SET tracked_at = now(), looking_until = NULL WHERE id = :id")

_TAKEN_BACK = text("""
    UPDATE shipments
    SET canceled_at = coalesce(canceled_at, now()), cancellation_reason = coalesce(cancellation_reason, :reason),
        canceled_before_pickup = coalesce(canceled_before_pickup, :before_pickup)
    WHERE id = :id
""")


def claim(
    connection: Connection, shipment_id: str, courier: Courier, *, batch: int, patience: float, lease: float
) -> list[Parcel]:
    """Take a shipment to look at, and others that are due within `patience` seconds, `batch` of them in all.

    None of those at which somebody looks; after `lease` seconds nobody is taken to be looking any more.
    """
    values = {"id": shipment_id, "courier": courier, "others": batch - 1, "patience": patience, "lease": lease}
    return [_parcel(row) for row in connection.execute(_CLAIM, values)]


def read(connection: Connection, shipment_ids: Sequence[str]) -> list[Parcel]:
    """Return shipments as they stand."""
    return [_parcel(row) for row in connection.execute(_READ, {"ids": list(shipment_ids)})]


def read_locked(connection: Connection, shipment_id: str) -> Known | None:
    """Return a shipment with its order, whose lock the caller holds; None when another one took its place."""
    row = connection.execute(_KNOWN, {"id": shipment_id}).one_or_none()
    if row is None:
        return None
    return Known(
        parcel=_parcel(row),
        order_status=OrderStatus(row.order_status),
        registered_at=row.registered_at,
        cancel_asked_at=row.cancel_asked_at,
        alarms=tuple(row.alarms),
    )


def heard_at_locked(connection: Connection, shipment_id: str) -> datetime | None:
    """Return when the courier last told us anything of a parcel, whose row the caller has locked before."""
    found: datetime | None = connection.execute(_HEARD_AT, {"id": shipment_id}).scalar()
    return found


@dataclass(frozen=True, slots=True)
class Moved:
    """A shipment whose status changed."""

    order_id: str
    before: ShipmentStatus
    after: ShipmentStatus
    #: The courier's own word, when it has said any.
    word: str | None


def note(connection: Connection, seen: Sequence[tuple[str, Tracked]]) -> list[Moved]:
    """Write down what looks have shown, unless later ones have; returns those whose status changed."""
    if not seen:
        return []
    rows = connection.execute(
        _NOTE,
        {
            "ids": [shipment_id for shipment_id, _ in seen],
            "statuses": [str(tracked.meaning) for _, tracked in seen],
            "types": [tracked.status_type for _, tracked in seen],
            "words": [tracked.status for _, tracked in seen],
            "codes": [tracked.code for _, tracked in seen],
            "moments": [tracked.at for _, tracked in seen],
            "picked_up": [not tracked.before_pickup for _, tracked in seen],
        },
    )
    return [_moved(row) for row in rows if (row.before, row.word_before) != (row.after, row.word)]


def note_unknown_locked(connection: Connection, shipment_id: str) -> bool:
    """The courier does not know the waybill; False of a parcel at rest, which it may have forgotten."""
    return connection.execute(_UNKNOWN, {"id": shipment_id, "at_rest": list(AT_REST)}).scalar() is not None


def abandon(connection: Connection, shipment_ids: Sequence[str], window: float) -> list[Moved]:
    """Let syncs look no more at those of these that have not come to rest within `window` seconds; returns them."""
    values = {"ids": list(shipment_ids), "window": window, "at_rest": list(AT_REST)}
    rows = connection.execute(_ABANDON, values)
    return [_moved(row) for row in rows]


def touch_locked(connection: Connection, shipment_id: str) -> None:
    """A look is over that has shown nothing new."""
    connection.execute(_TOUCH, {"id": shipment_id})


def take_back_locked(connection: Connection, shipment_id: str, *, reason: str, before_pickup: bool) -> None:
    """Tracking shows that the parcel is canceled, or on its way back; what was seen first stays."""
    connection.execute(_TAKEN_BACK, {"id": shipment_id, "reason": reason, "before_pickup": before_pickup})


def _moved(row: Row[Any]) -> Moved:
    return Moved(row.order_id, ShipmentStatus(row.before), ShipmentStatus(row.after), row.word)


def _parcel(row: Row[Any]) -> Parcel:
    return Parcel(
        id=row.id,
        order_id=row.order_id,
        courier=Courier(row.courier),
        waybill=row.waybill,
        status=ShipmentStatus(row.status),
        status_at=row.status_at,
        picked_up=row.picked_up,
        cancel_state=CancelState(row.cancel_state) if row.cancel_state else None,
        heard_at=row.heard_at,
        hinted_at=row.hinted_at,
        tracked_at=row.tracked_at,
        canceled_at=row.canceled_at,
    )
