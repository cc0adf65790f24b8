"""Shipments: the parcels of orders, what their courier shows of them, and what it has told us.

A look is claimed by its shipment's row, so that many hints of one parcel cost one question; what a look has shown is
written under the order's lock where it is of consequence to the order, and else for a whole batch at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from shared.domain.orders import OrderStatus
from shared.domain.shipments import CANCEL_TRANSITIONS, CancelEvent, CancelState, Courier, ShipmentStatus, Tracked
from shared.domain.transitions import advance
from shared.queues import Task


@dataclass(frozen=True, slots=True)
class Parcel:
    """A shipment to look at, as it stood when the look began."""

    id: str
    order_id: str
    courier: Courier
    waybill: str
    status: ShipmentStatus
    status_type: str | None
    courier_status: str | None
    status_code: str | None
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

    def shows_the_same(self, tracked: Tracked) -> bool:
        """Whether a look shows what we know."""
        return (self.status_type, self.courier_status, self.status_code) == (
            tracked.status_type,
            tracked.status,
            tracked.code,
        )

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
class Cancelable:
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

_TAKEN = text("""
    SELECT id FROM shipments WHERE followed_by = :followed_by AND awb = :awb AND order_id <> :order_id
""")

_OF_ORDER = text("SELECT id, courier, awb, asked_at, canceled_at FROM shipments WHERE order_id = :order_id")

_FOLLOWED = text("""
    SELECT id FROM shipments WHERE order_id = :order_id AND followed_by IS NOT NULL
""")

_REMOVE = text("DELETE FROM shipments WHERE id = :id")

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
    s.id, s.order_id, s.followed_by AS courier, s.awb AS waybill, s.status, s.status_type, s.courier_status,
    s.status_code, s.status_at, s.picked_up, s.cancel_state, s.tracked_at,
    s.canceled_at, {_HEARD}
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
    RETURNING s.order_id, held.before, s.status AS after, s.courier_status AS word, held.word_before, s.id
""")

_UNKNOWN = text("""
    UPDATE shipments SET status = 'unknown', tracked_at = now(), looking_until = NULL
    WHERE id = :id AND status NOT IN ('delivered', 'canceled', 'returned')
    RETURNING id
""")

_TOUCH = text("UPDATE shipments SET tracked_at = now(), looking_until = NULL WHERE id = :id")

_TAKEN_BACK = text("""
    UPDATE shipments
    SET canceled_at = coalesce(canceled_at, now()), cancellation_reason = coalesce(cancellation_reason, :reason),
        canceled_before_pickup = coalesce(canceled_before_pickup, :before_pickup)
    WHERE id = :id
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

# A leaky bucket (the generic cell rate algorithm): so many a second over all processes, a few of them at once.
_ASK = text("""
    UPDATE pace SET free_at = greatest(free_at, now()) + make_interval(secs => :step)
    WHERE id = :courier AND free_at <= now() + make_interval(secs => :burst)
    RETURNING id
""")

_COUNT = text("""
    UPDATE pace SET free_at = greatest(free_at, now()) + make_interval(secs => :seconds) WHERE id = :courier
""")

_FREE_IN = text("SELECT extract(epoch FROM free_at - now())::float8 FROM pace WHERE id = :courier")

_HOLD_OFF = text("""
    UPDATE pace SET free_at = greatest(free_at, now() + make_interval(secs => :pause)) WHERE id = :courier
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


def is_taken(connection: Connection, order_id: str, courier: str, awb: str) -> bool:
    """Whether another order has this waybill of a courier that we follow."""
    values = {"followed_by": courier_of(courier), "awb": awb, "order_id": order_id}
    return connection.execute(_TAKEN, values).scalar() is not None


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


# Looks.


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

    shipment_id: str
    order_id: str
    before: ShipmentStatus
    after: ShipmentStatus
    #: The courier's own word.
    word: str


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
    return [
        Moved(row.id, row.order_id, ShipmentStatus(row.before), ShipmentStatus(row.after), row.word)
        for row in rows
        if (row.before, row.word_before) != (row.after, row.word)
    ]


def note_unknown_locked(connection: Connection, shipment_id: str) -> bool:
    """The courier does not know the waybill; False of a parcel at rest, which it may have forgotten."""
    return connection.execute(_UNKNOWN, {"id": shipment_id}).scalar() is not None


def touch_locked(connection: Connection, shipment_id: str) -> None:
    """A look is over that has shown nothing new."""
    connection.execute(_TOUCH, {"id": shipment_id})


def take_back_locked(connection: Connection, shipment_id: str, *, reason: str, before_pickup: bool) -> None:
    """Tracking shows that the parcel is canceled, or on its way back; what was seen first stays."""
    connection.execute(_TAKEN_BACK, {"id": shipment_id, "reason": reason, "before_pickup": before_pickup})


# The pace.


def may_ask(connection: Connection, courier: Courier, *, rate: float, burst: float) -> float | None:
    """Count one request to a courier; None, or the seconds after which there may be one.

    `rate` is requests a second over all processes, `burst` the seconds' worth of them that may come at once.
    """
    values = {"courier": courier, "step": 1 / rate, "burst": burst}
    if connection.execute(_ASK, values).scalar() is not None:
        return None
    return float(connection.execute(_FREE_IN, {"courier": courier}).scalar_one())


def count_questions(connection: Connection, courier: Courier, count: int, *, rate: float) -> None:
    """Count requests that belong to one that was let through: whoever comes next waits the longer."""
    connection.execute(_COUNT, {"courier": courier, "seconds": count / rate})


def hold_off(connection: Connection, courier: Courier, pause: float) -> None:
    """Let nobody ask a courier anything for `pause` seconds."""
    connection.execute(_HOLD_OFF, {"courier": courier, "pause": pause})


# Cancels of ours.


def cancelable(connection: Connection, shipment_id: str) -> Cancelable | None:
    """Return the shipment that its courier is to cancel; None when that is decided."""
    row = connection.execute(_CANCELABLE, {"id": shipment_id}).one_or_none()
    return Cancelable(row.id, row.order_id, Courier(row.courier), row.waybill) if row else None


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


def _parcel(row: Row[Any]) -> Parcel:
    return Parcel(
        id=row.id,
        order_id=row.order_id,
        courier=Courier(row.courier),
        waybill=row.waybill,
        status=ShipmentStatus(row.status),
        status_type=row.status_type,
        courier_status=row.courier_status,
        status_code=row.status_code,
        status_at=row.status_at,
        picked_up=row.picked_up,
        cancel_state=CancelState(row.cancel_state) if row.cancel_state else None,
        heard_at=row.heard_at,
        hinted_at=row.hinted_at,
        tracked_at=row.tracked_at,
        canceled_at=row.canceled_at,
    )
