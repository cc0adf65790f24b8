"""Refunds: captured money on its way back, a row for each; the payment follows them by trigger.

The provider's idempotency key is made of the row's id and its generation.  Attempts whose outcome is unknown share one;
the generation moves on only when the attempts before it are known to have failed.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from shared.domain import collection
from shared.domain.payments import PaymentEvent, PaymentStatus, Provider
from shared.domain.refunds import TRANSITIONS, Balance, RefundEvent, RefundState, payment_event
from shared.domain.transitions import advance
from shared.providers.ports import RefundTag


@dataclass(frozen=True, slots=True)
class NewRefund:
    """Money that is promised to the shopper: `amount` in minor units of the order's currency."""

    id: str
    order_id: str
    payment_id: str
    amount: int
    #: The operator's own words; never logged.
    reason: str | None
    source: str
    actor: str
    #: The intent that promises it; None when it is made instead of a void, or for a guest.
    intent_id: str | None
    #: What its idempotency keys begin with, when that is fixed by who asks for it.
    key: str | None


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund to carry out, read under the order's lock."""

    id: str
    order_id: str
    payment_id: str
    provider: Provider
    reference: str
    amount: int
    currency: str
    #: Who is told of it.
    email: str
    state: RefundState
    generation: int
    attempts: int
    provider_id: str | None
    #: How the attempt before ended, when its outcome is not known.
    last_error: str | None
    #: What its idempotency keys begin with, when that is fixed by who asked for it.
    key: str | None
    #: Whether the cooldown after an attempt that failed is over.
    due: bool
    #: Whether an attempt was made under the key of this generation.
    asked: bool
    #: Seconds for which the key surely means the same operation to the provider; none are left when it is negative.
    key_lives: float

    @property
    def tag(self) -> RefundTag:
        """What it carries to the provider."""
        return RefundTag(self.id, self.generation)

    @property
    def idempotency_key(self) -> str:
        """One key for all attempts of one generation."""
        if self.key and self.generation == 1:
            return self.key
        return f"{self.key or f'refund:{self.id}'}:{self.generation}"

    @property
    def may_be_there(self) -> bool:
        """Whether the provider was asked for it before, under this key or a former one."""
        return self.asked or self.generation > 1

    def started(self) -> "Refund":
        """The refund as it stands when this attempt has begun."""
        return replace(self, state=RefundState.PROCESSING, attempts=self.attempts + 1)

    def is_news(self, event: RefundEvent) -> bool:
        """Whether nothing of the kind has happened since it was promised."""
        return self.last_error is None if event is RefundEvent.UNANSWERED else self.provider_id is None


@dataclass(frozen=True, slots=True)
class Shown:
    """A refund as people see it."""

    refund_id: str
    payment_id: str
    amount: int
    status: RefundState
    reason: str | None
    source: str
    attempts: int
    last_attempt_at: datetime | None
    error: str | None
    provider_id: str | None
    initiated_at: datetime
    settled_at: datetime | None

    @property
    def has_outcome(self) -> bool:
        """Whether the provider's first answer, or its lack, is known."""
        return self.error is not None or self.provider_id is not None


@dataclass(frozen=True, slots=True)
class Part:
    """One of the refunds that a request has promised; `amount` in minor units."""

    id: str
    amount: int
    state: RefundState
    #: Whether its first attempt has no outcome yet.
    unknown: bool


_INSERT = text("""
    INSERT INTO refunds (id, order_id, payment_id, amount, reason, source, actor, intent_id, key)
    VALUES (:id, :order_id, :payment_id, :amount, :reason, :source, :actor, :intent_id,
            CAST(:key AS text) || CASE WHEN EXISTS (SELECT FROM refunds WHERE key = :key) THEN ':' || :id ELSE '' END)
""")

_OF_ORDER = text("""
    SELECT id AS refund_id, payment_id, amount, state AS status, reason, source, attempts, last_attempt_at,
           last_error AS error, provider_id, initiated_at, settled_at
    FROM refunds WHERE order_id = :order_id ORDER BY id
""")

_BALANCE = text("""
    SELECT p.id, p.provider, p.status, p.currency, p.amount, c.amount AS total, o.shipping, p.authorized, p.captured,
           p.refunded, p.refunding, EXISTS (
               SELECT FROM capture_jobs j WHERE j.payment_id = p.id AND j.state IN ('waiting', 'active')
           ) AS capturable
    FROM payments p JOIN orders o ON o.id = p.order_id JOIN payment_collections c ON c.order_id = o.id
    WHERE p.order_id = :order_id
    ORDER BY p.id
""")

_TOGETHER = text("""
    SELECT r.id, r.amount, r.state, r.last_error IS NULL AND r.provider_id IS NULL AS unknown
    FROM refunds r WHERE r.order_id = :order_id AND r.intent_id = (SELECT intent_id FROM refunds WHERE id = :id)
    ORDER BY r.id
""")

_ORDER = text("SELECT order_id FROM refunds WHERE id = :id")

_READ = text("""
    SELECT r.id, r.order_id, r.payment_id, p.provider, p.reference, r.amount, p.currency, o.email, r.state,
           r.generation, r.attempts,
           r.provider_id, r.last_error, r.key, r.key_since IS NOT NULL AS asked,
           r.state <> 'initiated' OR r.last_attempt_at IS NULL
               OR r.last_attempt_at <= now() - make_interval(secs => :cooldown) AS due,
           :key_lifetime - extract(epoch FROM now() - coalesce(r.key_since, now()))::float8 AS key_lives
    FROM refunds r JOIN payments p ON p.id = r.payment_id JOIN orders o ON o.id = r.order_id
    WHERE r.id = :id
    FOR NO KEY UPDATE OF p
""")

_START = text("""
    UPDATE refunds
    SET state = :state, attempts = attempts + 1, last_attempt_at = now(), key_since = coalesce(key_since, now())
    WHERE id = :id
""")

_RETRY = text("""
    UPDATE refunds
    SET state = :state, generation = generation + 1, key_since = NULL, provider_id = NULL, last_error = NULL,
        settled_at = NULL, reason = :reason, actor = :actor, intent_id = :intent_id
    WHERE id = :id
""")

_RENEW_KEY = text("""
    UPDATE refunds SET generation = generation + 1, key_since = NULL
    WHERE id = :id AND generation = :generation AND state = 'processing' AND provider_id IS NULL
    RETURNING id
""")

_NOTE = text("""
    UPDATE refunds
    SET last_error = coalesce(:error, last_error), provider_id = coalesce(:provider_id, provider_id),
        attempts = CASE WHEN :is_answered THEN greatest(attempts - 1, 1) ELSE attempts END
    WHERE id = :id AND generation = :generation AND state = 'processing'
    RETURNING id
""")

_SETTLE = text("""
    UPDATE refunds
    SET state = :after, last_error = :error, provider_id = coalesce(:provider_id, provider_id), settled_at = now()
    WHERE id = :id AND generation = :generation AND state = :before
    RETURNING payment_id
""")

_SUMS = text("""
    SELECT amount AS total, captured, refunded FROM payments WHERE id = :payment_id
""")


def insert_locked(connection: Connection, refund: NewRefund) -> None:
    """Promise money to the shopper; the payment's sum of promises grows with it.

    A `key` that another refund has is followed by this one's id: it is another operation.
    """
    connection.execute(_INSERT, {name: getattr(refund, name) for name in NewRefund.__slots__})


def of_order(connection: Connection, order_id: str) -> list[Shown]:
    """Return an order's refunds, oldest first."""
    rows = connection.execute(_OF_ORDER, {"order_id": order_id})
    return [Shown(**{**row._mapping, "status": RefundState(row.status)}) for row in rows]


def balance_locked(connection: Connection, order_id: str) -> Balance:
    """Return how an order's payments stand together; the caller holds the order's lock."""
    rows = connection.execute(_BALANCE, {"order_id": order_id}).all()
    held = [row for row in rows if row.status != PaymentStatus.VOIDED] or rows
    return Balance(
        provider=Provider(rows[0].provider),
        status=collection.status(
            [(PaymentStatus(row.status), row.amount) for row in rows],
            capturable=any(row.capturable for row in rows if row.status == PaymentStatus.AUTHORIZED),
        ),
        currency=rows[0].currency,
        total=rows[0].total,
        shipping=rows[0].shipping,
        authorized=sum(row.authorized for row in held),
        captured=sum(row.captured for row in rows),
        refunded=sum(row.refunded for row in rows),
        refunding=sum(row.refunding for row in rows),
        lefts={row.id: row.captured - row.refunded - row.refunding for row in rows},
    )


def sums_locked(connection: Connection, payment_id: str) -> PaymentEvent:
    """Return what the sum of a payment's refunds says of it now."""
    sums = connection.execute(_SUMS, {"payment_id": payment_id}).one()
    return payment_event(sums.total, sums.captured, sums.refunded)


def together_locked(connection: Connection, order_id: str, refund_id: str) -> list[Part]:
    """Return the refunds that one request has promised, this one among them; none when nobody asked for it."""
    rows = connection.execute(_TOGETHER, {"order_id": order_id, "id": refund_id})
    return [Part(row.id, row.amount, RefundState(row.state), row.unknown) for row in rows]


def order_of(connection: Connection, refund_id: str) -> str | None:
    """Return the order of a refund, so that its lock can be taken first."""
    order_id: str | None = connection.execute(_ORDER, {"id": refund_id}).scalar()
    return order_id


def read_locked(connection: Connection, refund_id: str, key_lifetime: float, cooldown: float) -> Refund:
    """Read a refund with its payment; the caller holds the order's lock.

    `key_lifetime` and `cooldown` are seconds: for how long a key means the same operation to the provider, and how long
    a refund that failed is left alone.
    """
    values = {"id": refund_id, "key_lifetime": key_lifetime, "cooldown": cooldown}
    return _refund(connection.execute(_READ, values).one())


def start_locked(connection: Connection, refund: Refund) -> None:
    """Count an attempt; from here on the refund may have reached the provider under its key."""
    state = advance(TRANSITIONS, refund.state, RefundEvent.STARTED)
    connection.execute(_START, {"id": refund.id, "state": state})


def retry_locked(connection: Connection, refund_id: str, reason: str | None, actor: str, intent_id: str | None) -> None:
    """Promise the money of a refund that failed once more, under its next key, for whoever wants it now."""
    state = advance(TRANSITIONS, RefundState.FAILED, RefundEvent.RETRIED)
    values = {"id": refund_id, "state": state, "reason": reason, "actor": actor, "intent_id": intent_id}
    connection.execute(_RETRY, values)


def renew_key_locked(connection: Connection, refund: Refund) -> bool:
    """Go on to the next key, since nothing came of the last one and the provider may have forgotten it.

    False when a twin did so, or found out more.
    """
    values = {"id": refund.id, "generation": refund.generation}
    return connection.execute(_RENEW_KEY, values).scalar() is not None


def note_locked(
    connection: Connection, refund: Refund, provider_id: str | None, error: str | None, *, is_answered: bool
) -> bool:
    """Note what is known of an attempt whose outcome is not; False when a twin knows more.

    An attempt that `is_answered` does not count: the provider is there, and takes its time.
    """
    values = {"id": refund.id, "generation": refund.generation, "provider_id": provider_id, "error": error}
    return connection.execute(_NOTE, values | {"is_answered": is_answered}).scalar() is not None


def settle_locked(
    connection: Connection, refund: Refund, event: RefundEvent, provider_id: str | None, error: str | None
) -> PaymentEvent | None:
    """Write the outcome down, once, and let the payment follow; None when a twin has done so.

    Returns what the sum of the payment's refunds says of it by that.
    """
    row = connection.execute(
        _SETTLE,
        {
            "id": refund.id,
            "generation": refund.generation,
            "before": refund.state,
            "after": advance(TRANSITIONS, refund.state, event),
            "provider_id": provider_id,
            "error": error,
        },
    ).one_or_none()
    if row is None:
        return None
    return sums_locked(connection, row.payment_id)


def _refund(row: Row[Any]) -> Refund:
    return Refund(
        id=row.id,
        order_id=row.order_id,
        payment_id=row.payment_id,
        provider=Provider(row.provider),
        reference=row.reference,
        amount=row.amount,
        currency=row.currency,
        email=row.email,
        state=RefundState(row.state),
        generation=row.generation,
        attempts=row.attempts,
        provider_id=row.provider_id,
        last_error=row.last_error,
        key=row.key,
        due=row.due,
        asked=row.asked,
        key_lives=row.key_lives,
    )
