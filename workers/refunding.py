"""Refunding: how a refund begins, whoever wants it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.bookings import GUEST
from shared.domain.refunds import RefundEvent, RefundState
from shared.ids import new_id
from shared.queues import Task
from shared.store import refunds
from shared.store.refunds import NewRefund, Shown
from shared.store.timeline import Entry
from workers.base import Work


@dataclass(frozen=True, slots=True)
class Wanted:
    """Why money is given back, and by whose wish."""

    source: str
    actor: str = "mesh"
    #: An operator's own words; never logged.
    reason: str | None = None
    #: The intent that asks for it.
    intent_id: str | None = None
    #: What its idempotency keys begin with, when that is fixed.
    key: str | None = None
    #: Seconds from now at which the first attempt begins.
    delay: float | None = None


def promise(work: Work, before: list[Shown], order_id: str, parts: Mapping[str, int], wanted: Wanted) -> str:
    """Promise money to the shopper, and stage the attempts; returns the first refund.

    `parts` are the minor units to give back of each payment, by its id.  `before` are the order's refunds: one of them
    that failed over the same amount is tried again, under its next key.  A refund whose key is fixed is always another
    one: its guest need not wait for an hour to be over.
    """
    promised = [_promise(work, before, order_id, payment_id, amount, wanted) for payment_id, amount in parts.items()]
    return promised[0]


def _promise(work: Work, before: list[Shown], order_id: str, payment_id: str, amount: int, wanted: Wanted) -> str:
    failed = [one for one in before if one.status is RefundState.FAILED and one.payment_id == payment_id]
    kin = [] if wanted.key else [one for one in failed if one.source != GUEST]
    again = next((one for one in kin if one.amount == amount), None)
    if again:
        refund_id, event = again.refund_id, RefundEvent.RETRIED
        refunds.retry_locked(work.connection, refund_id, wanted.reason, wanted.actor, wanted.intent_id)
    else:
        refund_id, event = new_id("rfd"), RefundEvent.INITIATED
        new = NewRefund(
            id=refund_id,
            order_id=order_id,
            payment_id=payment_id,
            amount=amount,
            reason=wanted.reason,
            source=wanted.source,
            actor=wanted.actor,
            intent_id=wanted.intent_id,
            key=wanted.key,
        )
        refunds.insert_locked(work.connection, new)
    work.stage(Task.REFUND_PAYMENT, refund_id, delay=wanted.delay)
    data: dict[str, object] = {"refund_id": refund_id, "amount": amount}
    data |= {"reason": wanted.reason} if wanted.reason else {}
    work.record(Entry(order_id, event, wanted.source, wanted.actor, data))
    return refund_id


def last_completed(before: list[Shown]) -> Shown:
    """The one that stands for all of them, when everything is given back."""
    return [one for one in before if one.status is RefundState.COMPLETED][-1]


def cools_until(before: list[Shown], cooldown: timedelta, now: datetime) -> datetime | None:
    """Return until when nothing may be tried again, since the latest attempt has failed; None when it may."""
    attempts = [(one.last_attempt_at, one.status) for one in before if one.last_attempt_at]
    at, status = max(attempts, default=(None, None))
    if at is None or status is not RefundState.FAILED or at + cooldown <= now:
        return None
    return at + cooldown
