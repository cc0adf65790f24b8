"""Refund of an order: an operator gives money back.

Judged under the order's lock, where nobody else can promise the same money.  Captured money is refunded; a hold that
was not captured is released instead; while a capture is under way the request waits for its outcome.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from shared import money
from shared.domain.payments import Provider
from shared.domain.refunds import PROMISED, WAY, Way, Wish, parts, portion, refuse_part_of_hold
from shared.errors import Invalid, Problem, RefundCooldown
from shared.queues import Queue, Task
from shared.requests import Refund as Body
from shared.store import operators
from shared.store.outbox import Message
from shared.store.refunds import Shown
from workers.answers import GivenBack, refunded
from workers.app import app
from workers.base import Work, Worker
from workers.editing import release as release_hold
from workers.operators import STATUS_OF_VOID, Case, open_case, shown, wait_for_capture
from workers.refunding import Wanted, cools_until, last_completed, promise


@app.task(base=Worker, bind=True, name=Task.REFUND_ORDER)
def refund_order(task: Worker, intent_id: str) -> None:
    """Judge one refund intent and start what it asks for; safe to run any number of times."""
    with task.work() as work:
        case = open_case(task, work, Task.REFUND_ORDER, intent_id)
        if case is None:
            return
        way = WAY[case.balance.status]
        if way is Way.WAIT:  # the capture's outcome wakes it
            wait_for_capture(task, work, Message(Task.REFUND_ORDER, intent_id), case.held.jobs)
            return
        work.strike(Task.REFUND_ORDER, intent_id)
        try:
            CARRY_OUT[way](task, work, case)
        except Problem as refusal:
            work.refuse(intent_id, refusal)


def give_back(task: Worker, work: Work, case: Case) -> None:
    """Promise what was captured, or a part of it; the refund's first outcome ends the intent."""
    body = msgspec.convert(case.request.payload, Body)
    amount = portion(case.balance, wish(case, body))
    if not amount:
        join(work, case)
        return
    refuse_while_cooling(task, case)
    wanted = Wanted(Queue.REFUND, case.held.actor, body.reason, case.intent_id)
    refund_id = promise(work, case.refunds, case.held.id, parts(case.balance, amount), wanted)
    operators.await_outcome_locked(work.connection, case.intent_id, refund_id)


def join(work: Work, case: Case) -> None:
    """Nothing is left to promise: wait along with the refund that is under way, or say that it is done."""
    running = [one for one in case.refunds if one.status in PROMISED]
    if running and not running[-1].has_outcome:
        operators.await_outcome_locked(work.connection, case.intent_id, running[-1].refund_id)
    elif running:
        work.finish(case.intent_id, refunded(shown(work, case.held.id), given(case, running[-1])))
    else:
        say_already(None, work, case)


def release(_: Worker, work: Work, case: Case) -> None:
    """The money is only held: release it; the void's first outcome ends the intent."""
    body = msgspec.convert(case.request.payload, Body)
    refuse_part_of_hold(case.balance, wish(case, body))
    void_ids = [
        release_hold(work, case.held.id, payment_id, Queue.REFUND, case.held.actor, body.reason)
        for payment_id in case.held.held
    ]
    operators.await_outcome_locked(work.connection, case.intent_id, void_ids[0])


def join_void(_: Worker, work: Work, case: Case) -> None:
    """The hold is being released already."""
    void = operators.latest_void_locked(work.connection, case.held.id)
    if void is None:
        raise LookupError(case.held.id)
    if not void.unanswered:
        operators.await_outcome_locked(work.connection, case.intent_id, void.id)
        return
    balance = case.balance
    held = GivenBack(void.id, balance.authorized, balance.currency, STATUS_OF_VOID[void.state], is_void=True)
    work.finish(case.intent_id, refunded(shown(work, case.held.id), held))


def say_not_paid(_: Worker, work: Work, case: Case) -> None:
    """Nobody holds or has taken anything."""
    is_cod = case.balance.provider is Provider.COD
    order = shown(work, case.held.id)
    work.finish(case.intent_id, refunded(order, None, is_cod=is_cod, not_paid=not is_cod))


def say_already(_: Worker | None, work: Work, case: Case) -> None:
    """It is given back already, which the last of its refunds stands for; the provider is not asked."""
    last = given(case, last_completed(case.refunds))
    work.finish(case.intent_id, refunded(shown(work, case.held.id), last, already_refunded=True))


CARRY_OUT: Mapping[Way, Callable[[Worker, Work, Case], None]] = {
    Way.REFUND: give_back,
    Way.VOID: release,
    Way.JOIN_VOID: join_void,
    Way.NOT_PAID: say_not_paid,
    Way.ALREADY_REFUNDED: say_already,
}


def wish(case: Case, body: Body) -> Wish:
    """Return what is asked for, in minor units.  Raises `Invalid`."""
    try:
        amount = None if body.amount is None else money.minor(body.amount, case.balance.currency)
    except ValueError as error:
        raise Invalid(str(error)) from error
    return Wish(amount, body.deduct_shipping, case.request.keyed)


def refuse_while_cooling(task: Worker, case: Case) -> None:
    """Raise `RefundCooldown` when the latest attempt has failed a moment ago."""
    cooldown = timedelta(seconds=task.mesh.settings.refund_cooldown)
    until = cools_until(case.refunds, cooldown, datetime.now(UTC))
    if until:
        raise RefundCooldown(retry_at=until.isoformat())


def given(case: Case, one: Shown) -> GivenBack:
    """A refund, as an answer tells of it."""
    return GivenBack(one.refund_id, one.amount, case.balance.currency, one.status)
