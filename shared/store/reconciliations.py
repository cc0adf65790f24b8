"""Comparing payments with their provider: what we say, what is due to be looked up, and what we follow."""

from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, text

from shared.domain import payments
from shared.domain.alerts import parked
from shared.domain.orders import OrderStatus
from shared.domain.payments import (
    CAPTURE_TRANSITIONS,
    CaptureEvent,
    CaptureState,
    PaymentEvent,
    PaymentStatus,
    Provider,
)
from shared.domain.reconcile import Amounts, OurRefund, TheirRefund
from shared.domain.refunds import RefundState
from shared.domain.transitions import advance
from shared.ids import new_id
from shared.queues import Task


@dataclass(frozen=True, slots=True)
class Known:
    """A payment and what hangs on it, as our rows have them; amounts in minor units."""

    payment_id: str
    order_id: str
    provider: Provider
    reference: str
    order_status: OrderStatus
    #: Whether an edit is having more held.
    editing: bool
    #: What it is to bring.
    total: int
    currency: str
    status: PaymentStatus
    amounts: Amounts
    refunded: int
    refunding: int
    job_id: str | None
    job_state: CaptureState | None
    void_id: str | None
    #: Whether the task of its capture or void got no answer, or is not coming: somebody may have to send it.
    stuck: bool
    refunds: tuple[OurRefund, ...]
    #: Whether drift is on record.
    drifts: bool
    #: The causes of the alerts that are open.
    alarms: tuple[str, ...]


_FIND = text("SELECT id FROM payments WHERE provider = :provider AND reference = :reference")

_KNOWN = """
    SELECT p.id, p.order_id, p.provider, p.reference, p.status, p.currency, p.authorized, p.captured, p.released,
           p.refunded, p.refunding, p.amount AS total, o.status AS order_status, o.edit_status = 'editing' AS editing,
           j.id AS job_id, j.state AS job_state, v.id AS void_id,
           CASE p.status
               WHEN 'capturing' THEN j.last_error IS NOT NULL OR NOT EXISTS (
                   SELECT FROM outbox b WHERE b.subject = j.id AND b.task = 'capture.payment')
               WHEN 'voiding' THEN v.state = 'lapsing' OR v.last_error IS NOT NULL OR NOT EXISTS (
                   SELECT FROM outbox b WHERE b.subject = v.id AND b.task = 'void.payment')
               ELSE false
           END AS stuck,
           ARRAY(
               SELECT json_build_object('id', r.id, 'amount', r.amount, 'state', r.state,
                   'generation', r.generation, 'provider_id', r.provider_id,
                   'stuck', r.last_error IS NOT NULL OR NOT EXISTS (
                       SELECT FROM outbox b WHERE b.subject = r.id AND b.task = 'refund.payment'))
               FROM refunds r WHERE r.payment_id = p.id ORDER BY r.id
           ) AS refunds,
           EXISTS (SELECT FROM drift d WHERE d.payment_id = p.id AND d.resolved_at IS NULL) AS drifts,
           ARRAY(
               SELECT a.cause FROM alerts a WHERE a.order_id = p.order_id AND a.resolved_at IS NULL
               UNION SELECT a.cause FROM alerts a WHERE a.resolved_at IS NULL AND a.cause = ANY(ARRAY[
                   :parked_comparison || p.id, :parked_capture || j.id, :parked_void || v.id])
           ) AS alarms
    FROM payments p
    JOIN orders o ON o.id = p.order_id
    LEFT JOIN LATERAL (
        SELECT id, state, last_error FROM capture_jobs
        WHERE order_id = p.order_id AND payment_id = p.id ORDER BY id DESC LIMIT 1
    ) j ON true
    LEFT JOIN LATERAL (
        SELECT id, state, last_error FROM voids
        WHERE order_id = p.order_id AND payment_id = p.id ORDER BY id DESC LIMIT 1
    ) v ON true
    WHERE p.id = :id
"""

#: How the causes of what may be parked of a payment begin.
_PARKED = {
    "parked_comparison": parked(Task.COMPARE_PAYMENT, ""),
    "parked_capture": parked(Task.CAPTURE_PAYMENT, ""),
    "parked_void": parked(Task.VOID_PAYMENT, ""),
}

_READ = text(_KNOWN)

# The order's lock is taken first and alone; what is read with it would be as old as the wait for the lock.
_LOCK_ORDER = text("""
    SELECT o.id FROM payments p JOIN orders o ON o.id = p.order_id WHERE p.id = :id FOR NO KEY UPDATE OF o
""")

_READ_LOCKED = text(_KNOWN + "FOR NO KEY UPDATE OF p")

_FOLLOW = text("""
    WITH job AS (
        UPDATE capture_jobs SET state = :job_state, last_error = :job_error
        WHERE id = :job_id AND state = 'waiting'
    ), paid AS (
        UPDATE payments
        SET status = :status, authorized = :authorized, captured = :captured, released = :released
        WHERE id = :payment_id
    )
    UPDATE orders o SET status = 'captured'
    WHERE id = :order_id AND status = 'pending' AND :status = 'captured' AND NOT EXISTS (
        SELECT FROM payments p WHERE p.order_id = o.id AND p.id <> :payment_id AND p.amount > 0
            AND p.status NOT IN ('captured', 'partially_refunded', 'refunded')
    )
    RETURNING id
""")

# One caller at a time, and only while what was staged before is nearly done: however many wake up, or how often, the
# provider is asked at one pace.  Whatever may still move is looked at again after `every` seconds; what is at rest the
# more rarely the longer it has been so, and after `window` seconds no more, until its money moves again.
_TAKE = text("""
    WITH turn AS (
        SELECT id, greatest(free_at, now()) AS begins FROM pace
        WHERE id = 'reconciliation' AND free_at <= now() + make_interval(secs => :ahead)
        FOR UPDATE SKIP LOCKED
    ), taken AS (
        UPDATE payments p SET check_at = CASE
            WHEN p.status IN ('authorized', 'capturing', 'voiding') OR p.refunding > 0 OR EXISTS (
                SELECT FROM drift d WHERE d.payment_id = p.id AND d.resolved_at IS NULL
            ) THEN now() + make_interval(secs => :every)
            WHEN p.moved_at > now() - make_interval(secs => :window)
            THEN now() + greatest(make_interval(secs => :every), (now() - p.moved_at) / 2)
            END
        WHERE p.id = ANY(ARRAY(
            SELECT id FROM payments WHERE check_at <= now() AND EXISTS (SELECT FROM turn)
            ORDER BY check_at LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
        ))
        RETURNING p.id
    ), staged AS (
        INSERT INTO outbox (subject, task, due_at)
        SELECT taken.id, :task, turn.begins + make_interval(secs => :step * row_number() OVER (ORDER BY taken.id))
        FROM taken CROSS JOIN turn
        ON CONFLICT (subject, task) DO NOTHING
        RETURNING subject
    )
    UPDATE pace SET free_at = turn.begins + make_interval(secs => :step * (SELECT count(*) FROM staged))
    FROM turn WHERE pace.id = turn.id
""")

_ADOPT = text("""
    INSERT INTO refunds (id, order_id, payment_id, amount, source, actor, state, provider_id, settled_at)
    SELECT :id, p.order_id, p.id, :amount, 'provider', 'provider', :state, :provider_id,
           CASE WHEN :state = 'completed' THEN now() END
    FROM payments p
    WHERE p.id = :payment_id AND p.refunded + p.refunding + :amount <= p.captured
    ON CONFLICT (provider_id) DO NOTHING
    RETURNING id
""")


def find(connection: Connection, provider: Provider, reference: str) -> str | None:
    """Return the payment of this authorization; None when no order was registered with it."""
    payment_id: str | None = connection.execute(_FIND, {"provider": provider, "reference": reference}).scalar()
    return payment_id


def read(connection: Connection, payment_id: str) -> Known | None:
    """Return what our rows say of a payment."""
    return _known(connection.execute(_READ, {"id": payment_id} | _PARKED).one_or_none())


def lock(connection: Connection, payment_id: str) -> Known:
    """Lock a payment's order, then the payment, and return what our rows say of them."""
    connection.execute(_LOCK_ORDER, {"id": payment_id})
    known = _known(connection.execute(_READ_LOCKED, {"id": payment_id} | _PARKED).one())
    if known is None:
        raise LookupError(payment_id)
    return known


def take(connection: Connection, *, limit: int, rate: float, every: float, window: float) -> None:
    """Stage the comparison of up to `limit` payments that are due, spread out to `rate` a second over all callers.

    `every` and `window` are seconds: how often what may still move is compared, and for how long after its money has
    moved what is at rest.
    """
    values = {
        "limit": limit,
        "step": 1 / rate,
        "ahead": limit / rate / 2,
        "every": every,
        "window": window,
        "task": Task.COMPARE_PAYMENT,
    }
    connection.execute(_TAKE, values)


def follow_locked(connection: Connection, known: Known, event: PaymentEvent, amounts: Amounts) -> bool:
    """Write down what was done at the provider; returns whether the order counts as captured by that.

    A capture that was to come is done, or cannot be any more.  The caller holds the order's lock.
    """
    captured = event is PaymentEvent.CAPTURED_ELSEWHERE
    job_event = CaptureEvent.CAPTURED if captured else CaptureEvent.REFUSED
    moves_on = event is PaymentEvent.AUTHORIZATION_CHANGED
    values = {
        "job_id": None if moves_on else known.job_id,
        "job_state": advance(CAPTURE_TRANSITIONS, CaptureState.WAITING, job_event),
        "job_error": None if captured else str(event),
        "payment_id": known.payment_id,
        "order_id": known.order_id,
        "status": advance(payments.TRANSITIONS, known.status, event),
        "authorized": amounts.authorized,
        "captured": amounts.captured,
        "released": amounts.released,
    }
    return connection.execute(_FOLLOW, values).scalar() is not None


def adopt_locked(connection: Connection, known: Known, theirs: TheirRefund, state: RefundState) -> str | None:
    """Write down a refund that somebody made at the provider; returns its id here.

    None when it does not fit beside what we have given back and promised.  The caller holds the order's lock.
    """
    values = {
        "id": new_id("rfd"),
        "payment_id": known.payment_id,
        "amount": theirs.amount,
        "state": state,
        "provider_id": theirs.provider_id,
    }
    refund_id: str | None = connection.execute(_ADOPT, values).scalar()
    return refund_id


def _known(row: Row[Any] | None) -> Known | None:
    if row is None:
        return None
    return Known(
        payment_id=row.id,
        order_id=row.order_id,
        provider=Provider(row.provider),
        reference=row.reference,
        order_status=OrderStatus(row.order_status),
        editing=row.editing,
        total=row.total,
        currency=row.currency,
        status=PaymentStatus(row.status),
        amounts=Amounts(row.authorized, row.captured, row.released),
        refunded=row.refunded,
        refunding=row.refunding,
        job_id=row.job_id,
        job_state=CaptureState(row.job_state) if row.job_state else None,
        void_id=row.void_id,
        stuck=row.stuck,
        refunds=tuple(msgspec.convert(refund, OurRefund) for refund in row.refunds),
        drifts=row.drifts,
        alarms=tuple(sorted(row.alarms)),
    )
