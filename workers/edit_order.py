"""Edit of an order: its shopper adds, changes or removes an item, or sends the goods elsewhere, in the grace period.

Judged under the order's lock, against the order's own lines and rates.  What costs no more than is held is done in that
commit: the capture will take less.  What costs more is staged, its units taken from stock, and the order is `editing`
until its provider holds more (workers/edit.py).
"""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

from shared.domain import edits as rules
from shared.domain.edits import Editable, EditEvent, Line, MoneyAction, Plan, Unavailable
from shared.domain.intents import IntentState, Operation
from shared.errors import LegacyOrder, NotFound, OutOfStock, OwnershipViolation, Problem
from shared.ids import new_id
from shared.queues import Queue, Task
from shared.requests import Address, ItemChange, NewItem
from shared.store import edits, stock
from shared.store.edits import HeldEdit, NewEdit
from shared.store.outbox import Message
from shared.store.timeline import Entry
from shared.tokens import customer_of
from workers.app import app
from workers.base import Work, Worker
from workers.editing import change_item, change_total, finish, tell, wait

log = structlog.get_logger()

#: What is asked for when an item is to change.
WISH: Mapping[Operation, type[NewItem | ItemChange]] = {
    Operation.ADD_ITEM: NewItem,
    Operation.SET_QUANTITY: ItemChange,
}


@app.task(base=Worker, bind=True, name=Task.EDIT_ORDER)
def edit_order(task: Worker, intent_id: str) -> None:
    """Judge one edit and carry it out, or ask for its money first; safe to run any number of times."""
    with task.work() as work:
        held = edits.lock_for_intent(work.connection, intent_id)
        if held and held.in_flight and held.intent_state is IntentState.ACCEPTED:
            wait(task, work, Message(Task.EDIT_ORDER, intent_id))
            return
        work.strike(Task.EDIT_ORDER, intent_id)
        if held is None:
            work.refuse(intent_id, NotFound("There is no such order"))
        elif held.intent_state is IntentState.ACCEPTED:
            try:
                settle(work, held, task.mesh.settings.increment_unavailable)
            except Problem as refusal:
                if isinstance(refusal, OwnershipViolation):
                    log.warning("ownership_violation", intent_id=intent_id)
                work.refuse(intent_id, refusal)


def settle(work: Work, held: HeldEdit, unavailable: Unavailable) -> None:
    """Judge, and change what is asked for.  Raises a `Problem` before anything is written."""
    if held.order is None:
        raise LegacyOrder
    rules.judge(held.order, datetime.now(UTC), customer_of(held.actor))
    if held.operation is Operation.SET_ADDRESS:
        set_address(work, held, held.order)
    else:
        wish: NewItem | ItemChange = msgspec.convert(held.payload, WISH[held.operation])
        change(work, held, held.order, edits.plan(work.connection, held.order, wish, unavailable))


def set_address(work: Work, held: HeldEdit, order: Editable) -> None:
    """Send the goods elsewhere; the timeline says what has changed of the address, the edit's own row keeps both."""
    before: dict[str, Any] = held.address or {}
    after = msgspec.to_builtins(msgspec.convert(held.payload, Address))
    changed = sorted(name for name in after if after[name] != before.get(name))
    if changed:
        edit = NewEdit(new_id("edit"), held.id, held.intent_id, before, after, order.total, order.total)
        edits.insert_locked(work.connection, edit)
        edits.set_address_locked(work.connection, held.id, after)
        tell(work, edit, {"address": changed}, actor=held.actor, currency=order.currency, email=held.email)
    finish(work, held.intent_id, held.id, MoneyAction.NONE)


def change(work: Work, held: HeldEdit, order: Editable, plan: Plan) -> None:
    """Carry a plan out, or stage it until more is held.  Raises `OutOfStock`."""
    if plan.before == plan.after:
        finish(work, held.intent_id, held.id, MoneyAction.NONE)
        return
    units = take(work, plan)
    before, after = shown(plan.before), shown(plan.after)
    edit = NewEdit(new_id("edit"), held.id, held.intent_id, before, after, order.total, plan.total)
    if plan.authorize:
        ask(work, held, edit, plan, units)
        return
    edits.insert_locked(work.connection, edit)
    change_total(work, held.id, plan.total)
    change_item(work, held.id, after, units)
    facts = {"before": before, "after": after}
    tell(work, edit, facts, actor=held.actor, currency=order.currency, email=held.email)
    finish(work, held.intent_id, held.id, plan.money)


def ask(work: Work, held: HeldEdit, edit: NewEdit, plan: Plan, units: int) -> None:
    """More must be held first: the order waits for it, and the outcome ends the intent."""
    edits.start_locked(work.connection, edit, plan, units)
    work.stage(Task.AUTHORIZE_EDIT, edit.id)
    data = {
        "edit_id": edit.id,
        "before": edit.before,
        "after": edit.after,
        "total_before": edit.total_before,
        "total": edit.total_after,
    }
    work.record(Entry(held.id, EditEvent.STARTED, Queue.EDIT, held.actor, data))


def take(work: Work, plan: Plan) -> int:
    """Take what the plan adds out of stock; returns the units.  Raises `OutOfStock`."""
    if plan.units <= 0:
        return 0
    units = stock.take_locked(work.connection, plan.after.sku, plan.units)
    if units is None:
        raise OutOfStock(sku=plan.after.sku)
    return units


def shown(line: Line | None) -> dict[str, Any]:
    """A line as timelines show it; an empty one that there was none."""
    return {} if line is None else msgspec.to_builtins(asdict(line))
