"""Operators: what their requests have in common, and who answers them.

A request is judged once, under the order's lock.  What it starts or joins, a refund or a void, answers it with its
first outcome: completed, failed, or still under way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.domain.intents import TASK_OF, IntentState, Operation
from shared.domain.orders import OrderStatus
from shared.domain.payments import VoidState
from shared.domain.refunds import Balance, RefundState
from shared.errors import BookingCanceling, LegacyOrder, NotFound, Parked, RefundFailed, VoidFailed
from shared.queues import Task
from shared.store import intents, operators, orders, parked, refunds
from shared.store.operators import Request
from shared.store.orders import HeldOrder
from shared.store.outbox import Message
from shared.store.refunds import Shown
from workers.answers import GivenBack, canceled_by_operator, refunded
from workers.base import Work, Worker
from workers.editing import wait_and_hurry

#: How a void stands, in the words of a refund.
STATUS_OF_VOID: Mapping[VoidState, RefundState] = {
    VoidState.REQUESTED: RefundState.PROCESSING,
    VoidState.LAPSING: RefundState.PROCESSING,
    VoidState.RELEASED: RefundState.COMPLETED,
    VoidState.OVERTAKEN: RefundState.FAILED,
    VoidState.REFUSED: RefundState.FAILED,
}


@dataclass(frozen=True, slots=True)
class Case:
    """A request that is to be judged, with all that it is about; the order is locked."""

    intent_id: str
    request: Request
    held: HeldOrder
    balance: Balance
    refunds: list[Shown]


def open_case(task: Worker, work: Work, name: Task, intent_id: str) -> Case | None:
    """Lock the order and read the case; None when there is nothing to judge, no order, or an edit to wait for.

    `name` is the task whose message carries the request on when it has to wait.
    """
    try:
        held = orders.lock_for_intent(work.connection, intent_id)
    except LegacyOrder as refusal:
        work.strike(name, intent_id)
        work.refuse(intent_id, refusal)
        return None
    if held is None:
        work.strike(name, intent_id)
        work.refuse(intent_id, NotFound("There is no such order"))
        return None
    request = operators.request(work.connection, intent_id)
    if request.state is not IntentState.ACCEPTED:  # judged before; what it waits for will answer it
        work.strike(name, intent_id)
        return None
    if held.edit_id:
        wait_and_hurry(task, work, Message(name, intent_id), held.edit_id)
        return None
    if held.order.status is OrderStatus.CANCELING:
        work.strike(name, intent_id)
        work.refuse(intent_id, BookingCanceling())
        return None
    balance = refunds.balance_locked(work.connection, held.id)
    return Case(intent_id, request, held, balance, refunds.of_order(work.connection, held.id))


def answer(work: Work, order_id: str, awaited: str, given: GivenBack) -> None:
    """Answer everybody who waits for this void or refund, by how it stands now."""
    asking = operators.awaiting_locked(work.connection, order_id, awaited)
    order = shown(work, order_id) if asking else {}
    for one in asking:
        if one.operation is not Operation.REFUND_ORDER:
            work.finish(one.intent_id, canceled_by_operator(order, given))
        elif given.status is RefundState.FAILED:
            work.refuse(one.intent_id, (VoidFailed if given.is_void else RefundFailed)())
        else:
            work.finish(one.intent_id, refunded(order, given, already_refunded=given.already))


def answer_when_ended(work: Work, order_id: str, awaited: str) -> None:
    """Answer everybody who waits for this void or refund, when it has ended already."""
    ended = operators.ended(work.connection, awaited)
    if ended is None:
        return
    status = ended.refund or STATUS_OF_VOID[ended.void or VoidState.REQUESTED]
    is_void = ended.void is not None
    answer(work, order_id, awaited, GivenBack(awaited, ended.amount, ended.currency, status, is_void=is_void))


def shown(work: Work, order_id: str) -> dict[str, Any]:
    """Return the order as operators see it, with its refunds."""
    view = orders.view(work.connection, order_id) or {}
    return view | {"refunds": refunds.of_order(work.connection, order_id)}


def wait_for_capture(task: Worker, work: Work, message: Message, jobs: Sequence[str]) -> None:
    """The money is being taken: the capture's outcome wakes the request; it is parked with a capture that is."""
    if parked.are_given_up(work.connection, [Message(Task.CAPTURE_PAYMENT, job_id) for job_id in jobs]):
        problem = Parked()
        work.strike(*message)
        work.ring(*intents.park(work.connection, message.subject, problem.http_status, problem.body()))
    else:
        work.stage(*message, delay=task.mesh.settings.patience)


def wake(work: Work, order_id: str) -> None:
    """The order's money is not being taken or held any more: judge the requests that had to wait for that."""
    for one in operators.held_back_locked(work.connection, order_id):
        work.stage(TASK_OF[one.operation], one.intent_id)
