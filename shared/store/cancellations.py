"""Cancellations: an order and all that hangs on it change in one statement, under the order's lock."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, CursorResult, text

from shared.domain import orders, payments
from shared.domain.alerts import ABOUT_MONEY, parked
from shared.domain.orders import CancellationRefund, OrderEvent, OrderStatus
from shared.domain.payments import CaptureEvent, CaptureState, PaymentEvent, PaymentStatus, VoidState
from shared.domain.transitions import advance
from shared.providers.ports import Authorization
from shared.queues import Task
from shared.store.emails import NewEmail
from shared.store.intents import Bell
from shared.store.orders import HeldOrder
from shared.store.payments import Hold
from shared.store.stock import RESTOCK

_CANCEL = (
    """
    WITH canceled AS (
        UPDATE orders SET status = :order_status, canceled_at = now(), cancellation_source = :source,
                          cancellation_refund = :refund
        WHERE id = :order_id
    ), notice AS (
        INSERT INTO emails (id, order_id, cause, template, recipient, context)
        VALUES (:email_id, :order_id, :cause, :template, :recipient, CAST(:context AS jsonb))
        ON CONFLICT (cause, template, recipient) DO NOTHING
    ), parcel AS (
        UPDATE shipments SET cancel_state = 'requested', cancel_asked_at = now() WHERE id = CAST(:shipment_id AS text)
    ), """
    + RESTOCK
)

_RESTOCKED = "SELECT sku, units FROM restocked"

_CANCEL_ONLY = text(_CANCEL + _RESTOCKED)

_CANCEL_AND_VOID = text(
    _CANCEL
    + """
    , removed AS (
        UPDATE capture_jobs SET state = :job_state WHERE order_id = :order_id AND state = 'waiting'
    ), voiding AS (
        UPDATE payments SET status = :payment_status WHERE id = ANY(CAST(:payment_ids AS text[]))
    ), working AS (
        UPDATE intents SET state = 'working' WHERE id = :intent_id
    ), requested AS (
        INSERT INTO voids (id, order_id, payment_id)
        SELECT void_id, :order_id, payment_id
        FROM unnest(CAST(:void_ids AS text[]), CAST(:payment_ids AS text[])) AS v (void_id, payment_id)
    )
"""
    + _RESTOCKED
)

_SETTLE_VOID = text("""
    WITH settled AS (
        UPDATE voids SET state = :void_state, attempts = attempts + 1, last_error = :error, settled_at = now()
        WHERE id = :void_id AND state IN ('requested', 'lapsing')
        RETURNING payment_id, order_id
    ), latest AS (
        SELECT DISTINCT ON (v.payment_id) v.state, v.last_error
        FROM voids v WHERE v.order_id = :order_id AND v.payment_id <> :payment_id
        ORDER BY v.payment_id, v.id DESC
    ), others AS (
        SELECT count(*) FILTER (WHERE state = 'requested' AND last_error IS NULL) AS awaited,
               count(*) FILTER (
                   WHERE state NOT IN ('released', 'lapsing')
                       AND (state <> 'requested' OR last_error IS NOT NULL)) AS failed
        FROM latest
    ), held AS (
        SELECT FROM payments p
        WHERE p.order_id = :order_id AND p.id <> :payment_id AND p.status NOT IN ('voided', 'refunded')
    ), paid AS (
        UPDATE payments SET
            status = :payment_status,
            authorized = coalesce(CAST(:authorized AS bigint), authorized),
            captured = coalesce(CAST(:captured AS bigint), captured),
            released = CASE WHEN :payment_status = 'voided' THEN coalesce(CAST(:authorized AS bigint), authorized)
                            ELSE coalesce(CAST(:released AS bigint), released) END
        WHERE id IN (SELECT payment_id FROM settled)
    ), resolved AS (
        UPDATE alerts SET resolved_at = now() WHERE resolved_at IS NULL AND (
            cause = :parked OR order_id = :order_id AND split_part(cause, ':', 1) = ANY(CAST(:resolves AS text[]))
                AND NOT EXISTS (SELECT FROM held)
        )
    ), answered AS (
        UPDATE intents
        SET state = 'done', answer_status = 200, ended_at = now(), hindrance = NULL,
            answer_body = CASE WHEN (SELECT failed FROM others) = 0 THEN :answer ELSE :otherwise END
        WHERE subject IN (SELECT order_id FROM settled) AND operation = 'cancel_order' AND state = 'working'
            AND (:void_state <> 'released' OR (SELECT awaited FROM others) = 0)
        RETURNING id, waiters
    )
    SELECT answered.id, answered.waiters, EXISTS (
        SELECT FROM intents i
        WHERE i.subject = settled.order_id AND i.state = 'working'
          AND i.operation IN ('cancel_order_by_operator', 'cancel_order_by_courier', 'refund_order')
    ) AS operators
    FROM settled LEFT JOIN answered ON true
""")

_PROMISE_REFUND = text("""
    UPDATE orders SET cancellation_refund = 'full' WHERE id = :id AND status = 'canceled'
""")


@dataclass(frozen=True, slots=True)
class SettledVoid:
    """Who is to be told of a void that has just ended."""

    bells: list[Bell]
    #: Whether operators wait for it as well.
    operators: bool


def cancel_locked(
    connection: Connection,
    order_id: str,
    status: OrderStatus,
    source: str,
    notice: NewEmail,
    refund: CancellationRefund = CancellationRefund.NONE,
    shipment_id: str | None = None,
) -> dict[str, int]:
    """Take back an order in this status whose money nobody holds; `notice` tells its shopper.

    `refund` says what becomes of money that was captured; a refund of all of it stands in the same transaction.
    `shipment_id` is its parcel, when the courier is to be asked to cancel that.
    Answers the units that went back to stock, by SKU.  Keep it late in its transaction: a popular SKU's row is hot.
    """
    values = _canceled(order_id, status, source, notice, shipment_id) | {"refund": refund}
    return _restocked(connection.execute(_CANCEL_ONLY, values))


def cancel_and_void_locked(
    connection: Connection, held: HeldOrder, source: str, notice: NewEmail, intent_id: str, void_ids: Sequence[str]
) -> dict[str, int]:
    """The same for an order whose money is held: nothing is captured any more, and its voids will end the intent.

    `void_ids` are as many as there are payments held.
    """
    values = {
        **_canceled(held.id, held.order.status, source, notice, held.shipment_id),
        "intent_id": intent_id,
        "void_ids": list(void_ids),
        "payment_ids": held.held,
        "payment_status": advance(payments.TRANSITIONS, held.order.payment_status, PaymentEvent.VOID_STARTED),
        "job_state": advance(payments.CAPTURE_TRANSITIONS, CaptureState.WAITING, CaptureEvent.CANCELED),
    }
    return _restocked(connection.execute(_CANCEL_AND_VOID, values))


def settle_void_locked(
    connection: Connection,
    hold: Hold,
    event: PaymentEvent,
    after: VoidState,
    *,
    found: Authorization | None,
    error: str | None,
    answer: str,
    otherwise: str,
) -> SettledVoid | None:
    """Write the provider's answer down, once, and end every cancel that waits for it with 200 and `answer`.

    Another payment of the order whose void is under way is waited for, unless this one has failed; one whose void has
    failed makes the answer `otherwise`.
    `after` is the void's last state; `found` is what the hold came to, when that is not what our rows say.
    The alert about the void being parked goes away, and all that are about the money, when it is back.  Returns who is
    to be told; None when a twin settled the void.
    """
    rows = connection.execute(
        _SETTLE_VOID,
        {
            "void_id": hold.void_id,
            "payment_id": hold.payment_id,
            "void_state": after,
            "payment_status": advance(payments.TRANSITIONS, PaymentStatus.VOIDING, event),
            "authorized": found.authorized if found else None,
            "captured": found.captured if found else None,
            "released": found.released if found else None,
            "error": error,
            "answer": answer,
            "otherwise": otherwise,
            "order_id": hold.order_id,
            "resolves": list(ABOUT_MONEY) if event in payments.BRINGS_BACK else [],
            "parked": parked(Task.VOID_PAYMENT, hold.void_id),
        },
    ).all()
    if not rows:
        return None
    return SettledVoid([Bell(row.id, row.waiters) for row in rows if row.id], rows[0].operators)


def promise_refund_locked(connection: Connection, order_id: str) -> None:
    """The order was canceled as if it were free, and its money turns out to be captured: all of it is refunded."""
    connection.execute(_PROMISE_REFUND, {"id": order_id})


def _canceled(
    order_id: str, status: OrderStatus, source: str, notice: NewEmail, shipment_id: str | None
) -> dict[str, object]:
    return {
        "order_id": order_id,
        "order_status": advance(orders.TRANSITIONS, status, OrderEvent.CANCELED),
        "source": source,
        "refund": CancellationRefund.NONE,
        "email_id": notice.id,
        "cause": notice.cause,
        "template": notice.template,
        "recipient": notice.recipient,
        "context": notice.context,
        "shipment_id": shipment_id,
    }


def _restocked(rows: CursorResult[Any]) -> dict[str, int]:
    return {row.sku: int(row.units) for row in rows}
