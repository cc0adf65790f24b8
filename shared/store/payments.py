"""Payments, capture jobs and voids: every move of money, as rows.

A void's and a capture job's idempotency key is derived from its id, so every attempt at it, by any worker, is one
operation to the provider.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from shared.domain.orders import OrderStatus
from shared.domain.payments import (
    CAPTURE_TRANSITIONS,
    TRANSITIONS,
    VOID_TRANSITIONS,
    CaptureEvent,
    CaptureState,
    PaymentEvent,
    PaymentStatus,
    Provider,
    VoidEvent,
    VoidState,
)
from shared.domain.transitions import advance


@dataclass(frozen=True, slots=True)
class NewPayment:
    """A payment as the provider described it; amounts in minor units."""

    id: str
    order_id: str
    provider: Provider
    reference: str | None
    status: PaymentStatus
    currency: str
    #: What it is to bring.
    amount: int
    authorized: int
    captured: int
    released: int
    capture_before: datetime | None
    #: Whether more may be held later.
    incremental: bool


@dataclass(frozen=True, slots=True)
class Hold:
    """A void to carry out."""

    void_id: str
    order_id: str
    payment_id: str
    provider: Provider
    reference: str
    #: Minor units; 0 of a payment that nobody has made, as far as we know.
    authorized: int
    attempts: int
    #: Whether it should have lapsed by itself a day ago.
    outlived: bool

    @property
    def idempotency_key(self) -> str:
        """One key for all attempts."""
        return f"void:{self.void_id}"


@dataclass(frozen=True, slots=True)
class Capture:
    """A capture job with its payment, read under the order's lock; `amount` and `authorized` in minor units."""

    job_id: str
    order_id: str
    payment_id: str
    provider: Provider
    reference: str
    state: CaptureState
    payment_status: PaymentStatus
    due: bool
    attempts: int
    amount: int
    authorized: int
    #: The edit that is under way: the capture waits for it.
    edit_id: str | None

    @property
    def idempotency_key(self) -> str:
        """One key for all attempts."""
        return f"capture:{self.job_id}"


_INSERT = text("""
    INSERT INTO payments (id, order_id, provider, reference, status, currency, amount, authorized, captured, released,
                          capture_before, incremental, check_at)
    VALUES (:id, :order_id, :provider, :reference, :status, :currency, :amount, :authorized, :captured, :released,
            :capture_before, :incremental,
            CASE WHEN CAST(:reference AS text) IS NOT NULL THEN now() + make_interval(secs => :check_after) END)
    ON CONFLICT (provider, reference) DO NOTHING
    RETURNING id
""")

_SCHEDULE = text("""
    INSERT INTO capture_jobs (id, order_id, payment_id, due_at)
    VALUES (:id, :order_id, :payment_id, coalesce(CAST(:due_at AS timestamptz), now()))
""")

_START_VOID = text("""
    WITH removed AS (
        UPDATE capture_jobs SET state = 'removed' WHERE payment_id = :payment_id AND state = 'waiting' RETURNING id
    ), voiding AS (
        UPDATE payments SET status = :status WHERE id = :payment_id
    )
    INSERT INTO voids (id, order_id, payment_id) VALUES (:void_id, :order_id, :payment_id)
    RETURNING (SELECT id FROM removed)
""")

_CLAIM_VOID = text("""
    SELECT v.id, v.order_id, v.payment_id, v.attempts, p.provider, p.reference, p.authorized,
           coalesce(p.capture_before < now() - interval '1 day', false) AS outlived
    FROM voids v JOIN payments p ON p.id = v.payment_id
    WHERE v.id = :id AND v.state IN ('requested', 'lapsing')
""")

_VOID_UNKNOWN = text("""
    UPDATE voids SET attempts = attempts + 1, last_error = :error WHERE id = :id AND state = 'requested'
    RETURNING attempts
""")

# Tells what it was; a statement's own view of a row is the one from before it.
_LAPSE = text("""
    UPDATE voids v SET state = :state, last_error = NULL
    FROM (SELECT id, state FROM voids WHERE id = :id) former
    WHERE v.id = former.id AND v.state IN ('requested', 'lapsing')
    RETURNING former.state
""")

_CAPTURE = text("""
    SELECT j.id, j.order_id, j.payment_id, j.state, j.attempts, j.due_at <= now() AS due, p.provider, p.reference,
           p.status AS payment_status, p.authorized, p.amount, e.id AS edit_id
    FROM capture_jobs j
    JOIN payments p ON p.id = j.payment_id
    LEFT JOIN order_edits e ON e.order_id = j.order_id AND e.state = 'authorizing'
    WHERE j.id = :id
    FOR NO KEY UPDATE OF p
""")

_JOB_ORDER = text("SELECT order_id FROM capture_jobs WHERE id = :id")

_START_CAPTURE = text("""
    WITH job AS (UPDATE capture_jobs SET state = 'active', attempts = attempts + 1 WHERE id = :job_id),
    locked AS (UPDATE orders SET edit_status = 'locked_for_capture' WHERE id = :order_id)
    UPDATE payments SET status = 'capturing' WHERE id = :payment_id
""")

_SETTLE_CAPTURE = text("""
    WITH job AS (UPDATE capture_jobs SET state = :state, last_error = :error WHERE id = :job_id),
    paid AS (
        UPDATE payments
        SET status = :status, captured = captured + :captured, released = released + :released,
            authorized = coalesce(CAST(:authorized AS bigint), authorized)
        WHERE id = :payment_id
    )
    UPDATE orders o
    SET edit_status = CASE WHEN EXISTS (
            SELECT FROM payments p WHERE p.order_id = o.id AND p.id <> :payment_id AND p.status = 'capturing'
        ) THEN o.edit_status ELSE 'open' END,
        status = CASE WHEN :status = 'captured' AND NOT EXISTS (
            SELECT FROM payments p WHERE p.order_id = o.id AND p.id <> :payment_id AND p.amount > 0
                AND p.status NOT IN ('captured', 'partially_refunded', 'refunded')
        ) AND o.status = 'pending' THEN 'captured' ELSE o.status END
    WHERE o.id = :order_id
    RETURNING o.status
""")

_NEXT = text("SELECT min(due_at) FROM capture_jobs WHERE order_id = :order_id AND state = 'waiting'")

_DUE = text("""
    SELECT id FROM capture_jobs WHERE order_id = :order_id AND state = 'waiting' AND due_at <= now()
""")

_CAPTURE_UNKNOWN = text("UPDATE capture_jobs SET last_error = :error WHERE id = :id AND state = 'active'")


def insert(connection: Connection, payment: NewPayment, check_after: float) -> bool:
    """Write a payment, to be compared with its provider in so many seconds; False when another order has it."""
    values: dict[str, object] = {name: getattr(payment, name) for name in NewPayment.__slots__}
    values["check_after"] = check_after
    return connection.execute(_INSERT, values).scalar() is not None


def schedule_capture(
    connection: Connection, job_id: str, order_id: str, payment_id: str, due_at: datetime | None = None
) -> None:
    """Say when a payment is to be captured: now, unless it is to be later."""
    values = {"id": job_id, "order_id": order_id, "payment_id": payment_id, "due_at": due_at}
    connection.execute(_SCHEDULE, values)


def start_void_locked(
    connection: Connection,
    order_id: str,
    payment_id: str,
    void_id: str,
    before: PaymentStatus = PaymentStatus.AUTHORIZED,
) -> str | None:
    """Request the release of what is held, whatever becomes of its order; returns the capture job that is removed.

    A payment that nobody has made yet is closed by it, so that nobody can make it.
    """
    status = advance(TRANSITIONS, before, PaymentEvent.VOID_STARTED)
    values = {"order_id": order_id, "payment_id": payment_id, "void_id": void_id}
    job_id: str | None = connection.execute(_START_VOID, values | {"status": status}).scalar_one()
    return job_id


def claim_void(connection: Connection, void_id: str) -> Hold | None:
    """Return the void to carry out; None when a twin has settled it.

    Takes no lock: two twins that call the provider at once do so under one key, which is one operation there.
    """
    row = connection.execute(_CLAIM_VOID, {"id": void_id}).one_or_none()
    if row is None:
        return None
    return Hold(
        void_id=row.id,
        order_id=row.order_id,
        payment_id=row.payment_id,
        provider=Provider(row.provider),
        reference=row.reference,
        authorized=row.authorized,
        attempts=row.attempts,
        outlived=row.outlived,
    )


def let_lapse_locked(connection: Connection, void_id: str) -> VoidState | None:
    """Nobody can release it: it is to lapse.  Returns how the void stood, None when a twin has settled it."""
    state = advance(VOID_TRANSITIONS, VoidState.REQUESTED, VoidEvent.LAPSING)
    former = connection.execute(_LAPSE, {"id": void_id, "state": state}).scalar()
    return VoidState(former) if former else None


def void_unknown_locked(connection: Connection, void_id: str, error: str) -> int | None:
    """Count an attempt without an answer; returns the attempts so far, None when a twin has settled the void."""
    attempts: int | None = connection.execute(_VOID_UNKNOWN, {"id": void_id, "error": error}).scalar()
    return attempts


def order_of_capture(connection: Connection, job_id: str) -> str | None:
    """Return the order of a capture job, so that its lock can be taken first."""
    order_id: str | None = connection.execute(_JOB_ORDER, {"id": job_id}).scalar()
    return order_id


def read_capture_locked(connection: Connection, job_id: str) -> Capture:
    """Read a capture job and its payment; the caller holds the order's lock."""
    row = connection.execute(_CAPTURE, {"id": job_id}).one()
    return Capture(
        job_id=row.id,
        order_id=row.order_id,
        payment_id=row.payment_id,
        provider=Provider(row.provider),
        reference=row.reference,
        state=CaptureState(row.state),
        payment_status=PaymentStatus(row.payment_status),
        due=row.due,
        attempts=row.attempts,
        amount=row.amount,
        authorized=row.authorized,
        edit_id=row.edit_id,
    )


def due_captures_locked(connection: Connection, order_id: str) -> list[str]:
    """Return the capture jobs of an order whose hour has come."""
    return list(connection.execute(_DUE, {"order_id": order_id}).scalars())


def captured_at_locked(connection: Connection, order_id: str) -> datetime:
    """Return when an order is to be captured."""
    due_at: datetime = connection.execute(_NEXT, {"order_id": order_id}).scalar_one()
    return due_at


def start_capture_locked(connection: Connection, capture: Capture) -> None:
    """Mark the job active and the payment capturing: from here on a cancel is too late."""
    advance(CAPTURE_TRANSITIONS, capture.state, CaptureEvent.STARTED)
    advance(TRANSITIONS, capture.payment_status, PaymentEvent.CAPTURE_STARTED)
    values = {"job_id": capture.job_id, "payment_id": capture.payment_id, "order_id": capture.order_id}
    connection.execute(_START_CAPTURE, values)


def settle_capture_locked(
    connection: Connection,
    capture: Capture,
    event: PaymentEvent,
    *,
    captured: int,
    released: int,
    authorized: int | None,
    error: str | None,
) -> OrderStatus:
    """Write the provider's answer down; the caller holds the order's lock and found the job active.

    `authorized` is what was held, when that was read.  Returns how the order stands by that: it is captured with the
    last of its payments.
    """
    after = advance(TRANSITIONS, PaymentStatus.CAPTURING, event)
    status = connection.execute(
        _SETTLE_CAPTURE,
        {
            "job_id": capture.job_id,
            "payment_id": capture.payment_id,
            "order_id": capture.order_id,
            "state": advance(
                CAPTURE_TRANSITIONS,
                CaptureState.ACTIVE,
                CaptureEvent.CAPTURED if after is PaymentStatus.CAPTURED else CaptureEvent.REFUSED,
            ),
            "status": after,
            "captured": captured,
            "released": released,
            "authorized": authorized,
            "error": error,
        },
    ).scalar_one()
    return OrderStatus(status)


def capture_unknown_locked(connection: Connection, job_id: str, error: str) -> None:
    """Note that an attempt got no answer; the job stays active and is tried again under the same key."""
    connection.execute(_CAPTURE_UNKNOWN, {"id": job_id, "error": error})
