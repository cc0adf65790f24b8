"""Migrate orders: those of a former system get a payment collection, and are orders like all others from then on.

What an order's metadata says is examined, its payment read at the provider outside any transaction, and everything
written in one commit, under the order's lock, when it is still as it was examined.  What the two do not agree upon
stays as it is, for a person.  The rows know how far this has come: it may be ended at any moment, started again, and
run twice at once.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Event
from typing import Any

import psycopg
from sqlalchemy.exc import IntegrityError

from shared.db import Locked
from shared.domain import legacy as rules
from shared.domain.legacy import Decision, Found, Legacy, Reason, Undecided
from shared.domain.orders import OrderEvent
from shared.domain.payments import PaymentStatus, Provider
from shared.ids import new_id
from shared.providers.ports import Authorization, HoldStatus, Refused, Unknown
from shared.queues import Task
from shared.store import legacy, orders, outbox, payments
from shared.store.payments import NewPayment
from shared.store.timeline import Entry
from workers.base import Work
from workers.mesh import Mesh
from workers.migration_report import Outcome, Told
from workers.scheduling import schedule_capture

#: In timelines, where others name a queue.
SOURCE = "migrate-orders"

#: Orders that are worked on at once.  Reads of 150 ms make some fifty a second, half of what Stripe allows an account,
#: and each of them finds a connection in the pool.
AT_ONCE = 8

#: How often the provider is asked about one payment, and the pause in seconds before it is asked again, doubled up to
#: the second number.
ASKED, PAUSE = 4, (0.5, 8.0)

#: Questions in a row without an answer, after which none is asked any more: the provider is down, or our key is wrong.
SILENCE = 3 * AT_ONCE

#: How a payment stands, by how its hold does; what was taken in part is compared with what the order costs.
STATUS: Mapping[HoldStatus, PaymentStatus | None] = {
    HoldStatus.UNCONFIRMED: None,
    HoldStatus.HELD: PaymentStatus.AUTHORIZED,
    HoldStatus.CAPTURED: PaymentStatus.CAPTURED,
    HoldStatus.PARTIALLY_CAPTURED: PaymentStatus.CAPTURED,
    HoldStatus.RELEASED: PaymentStatus.VOIDED,
}


class Silent(Exception):
    """The provider does not answer: see what it says of our key and of itself, and start again later."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What whoever starts it has chosen."""

    #: Change no row.
    dry_run: bool = False
    #: Take the money that is only held, when the grace period of its order is over.
    schedule_captures: bool = False
    #: The most orders to migrate; those that cannot be do not count.
    limit: int | None = None


def migrate(mesh: Mesh, choice: Choice, stopping: Event) -> Iterator[Told]:
    """Migrate order after order, the oldest id first, and tell of each; what is begun is finished when it is to stop.

    Raises `Silent` when the provider does not answer, and `Unavailable` when Postgres does not.
    """
    migrated = unanswered = 0
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        for page in pages(mesh):
            while page:
                if migrated == choice.limit or stopping.is_set():
                    return
                most = len(page) if choice.limit is None else choice.limit - migrated
                batch, page = page[:most], page[most:]
                for told in filter(None, pool.map(partial(carry_out, mesh, choice, stopping), batch)):
                    yield told
                    migrated += told.outcome is Outcome.MIGRATED
                    unanswered = 0 if told.was_answered else unanswered + (told.outcome is Outcome.UNANSWERED)
                    if unanswered == SILENCE:
                        raise Silent(f"The provider does not answer ({told.code})")
    finally:
        pool.shutdown(cancel_futures=True)


def pages(mesh: Mesh) -> Iterator[list[Legacy]]:
    """Every order without a collection, once: those that are not migrated are not met again before the next run."""
    after: str | None = ""
    while after is not None:
        with mesh.database.statement() as connection:
            page = legacy.page(connection, after)
        yield page.orders
        after = page.last


def carry_out(mesh: Mesh, choice: Choice, stopping: Event, order: Legacy) -> Told | None:
    """Migrate one order, when it can be; None when it was not begun, or given up, since all is to stop."""
    if stopping.is_set():
        return None
    told = Told(
        order_id=order.id,
        outcome=Outcome.MIGRATED,
        reason=None,
        code=None,
        amount=order.amount,
        registered=order.total,
        currency=order.currency,
        order_status=order.status,
        reference=order.record.reference,
    )
    try:
        held = call(mesh, rules.examine(order, datetime.now(UTC)), stopping)
        found = as_found(held)
        told = replace(
            told,
            payment_status=found.status,
            authorized=found.authorized,
            captured=found.captured,
            refunded=found.refunded,
        )
        decision = rules.decide(order, found, schedule_captures=choice.schedule_captures)
        if not (choice.dry_run or settle(mesh, order, decision, held)):
            return replace(told, outcome=Outcome.OVERTAKEN)
    except Undecided as undecided:
        return replace(told, outcome=Outcome.UNDECIDED, reason=str(undecided.reason), code=undecided.code)
    except Unknown as unknown:
        return None if stopping.is_set() else replace(told, outcome=Outcome.UNANSWERED, code=unknown.reason)
    except (IntegrityError, psycopg.IntegrityError):  # a row or an answer that we have not thought of
        return replace(told, outcome=Outcome.UNDECIDED, reason=str(Reason.REFUSED_BY_DATABASE))
    except Locked:
        return replace(told, outcome=Outcome.UNANSWERED, code="locked")
    return replace(told, order_status=decision.order_status, is_to_be_captured=decision.is_to_be_captured)


def call(mesh: Mesh, reference: str, stopping: Event) -> Authorization:
    """Read a payment at its provider, several times when there is no answer.  Raises `Undecided` or `Unknown`."""
    provider = mesh.providers[Provider.STRIPE]
    for attempt in range(ASKED):
        try:
            return provider.read(reference)
        except Refused as refusal:
            raise Undecided(Reason.PAYMENT_NOT_FOUND, refusal.code) from refusal
        except Unknown:
            if attempt == ASKED - 1 or stopping.wait(outbox.backoff(attempt, *PAUSE)):
                raise
    raise AssertionError  # the last attempt has returned or raised


def as_found(held: Authorization) -> Found:
    """What the provider says, in the rules' words."""
    return Found(STATUS[held.status], held.currency, held.authorized, held.captured, held.released, held.refunded)


def settle(mesh: Mesh, order: Legacy, decision: Decision, held: Authorization) -> bool:
    """Write everything down in one commit; False when the order is not any more what was examined.

    Raises `Undecided` when another order has just been given its payment.
    """
    settings = mesh.settings
    with mesh.database.transaction() as connection:
        work = Work(connection)
        orders.lock(connection, order.id)
        if legacy.read_locked(connection, order.id) != order:
            return False
        legacy.migrate_locked(connection, order.id, decision.amount, decision.order_status)
        payment = as_payment(order, decision, held)
        if not payments.insert(connection, payment, settings.reconcile_after):
            raise Undecided(Reason.PAYMENT_OF_ANOTHER_ORDER)
        if decision.is_to_be_captured:
            schedule_capture(work, payment, order.grace_until, timedelta(seconds=settings.capture_margin))
        if held.refunded:  # the comparison adopts those refunds
            work.stage(Task.COMPARE_PAYMENT, payment.id)
        record(work, order, decision)
        work.close(settings.patience)  # the sweep publishes what is staged
    return True


def record(work: Work, order: Legacy, decision: Decision) -> None:
    """Write down that the order was migrated, and what it was taken for."""
    data: dict[str, Any] = {
        "total": decision.amount,
        "registered": order.total,
        "currency": order.currency,
        "payment": decision.payment_status,
        "is_to_be_captured": decision.is_to_be_captured,
    }
    work.record(Entry(order.id, OrderEvent.MIGRATED, SOURCE, data=data))
    if decision.order_status is not order.status:
        data = {"from": order.status, "to": decision.order_status}
        work.record(Entry(order.id, OrderEvent.CAPTURED, SOURCE, data=data))


def as_payment(order: Legacy, decision: Decision, held: Authorization) -> NewPayment:
    """The payment's row."""
    return NewPayment(
        id=new_id("pay"),
        order_id=order.id,
        provider=Provider.STRIPE,
        reference=held.reference,
        status=decision.payment_status,
        currency=order.currency,
        amount=decision.amount,
        authorized=held.authorized,
        captured=held.captured,
        released=held.released,
        capture_before=held.capture_before,
        incremental=held.incremental,
    )
