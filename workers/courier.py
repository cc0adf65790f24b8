"""Courier: look at one parcel since somebody hinted at it or asked, and have one canceled.

Claim, call, settle.  A hint says where to look and nothing else: what tracking shows is what counts.  One look serves
every parcel that is to be looked at just then.
"""

from collections.abc import Sequence

from shared.domain.alerts import Kind, cause, parked
from shared.domain.shipments import CancelEvent, CancelState
from shared.errors import NoShipment, NotFound, WaybillUnknown
from shared.providers.ports import Refused, Unknown
from shared.queues import Queue, Task
from shared.store import alerts, intents, looks, orders, shipments
from shared.store.alerts import Severity
from shared.store.looks import Parcel
from shared.store.shipments import CancelRequest
from shared.store.timeline import Entry
from workers import tracking
from workers.answers import synced
from workers.app import app
from workers.base import Work, Worker
from workers.looking import COURIER, Crowded, held_off, lease, look, put_off, take_turn
from workers.operators import shown
from workers.tracking import Line

# A look since something was heard.


@app.task(base=Worker, bind=True, name=Task.TRACK_SHIPMENT)
def track_shipment(task: Worker, shipment_id: str) -> None:
    """Look at one parcel, and at whichever others are to be looked at; safe to run any number of times."""
    try:
        party = claim(task, shipment_id)
        if not party:
            return
        found = look(task, COURIER, [parcel.waybill for parcel in party])
    except Crowded as crowded:
        put_off(task, shipment_id, crowded.seconds)
    else:
        plain, others = tracking.part(party, found)
        if plain:
            with task.work() as work:
                tracking.note_all(work, plain)
                strike_unless_heard(work, [parcel for parcel, _ in plain])
        for parcel, tracked in others:
            with task.work() as work:
                tracking.follow(task, work, parcel, tracked)


def claim(task: Worker, shipment_id: str) -> list[Parcel]:
    """Take the parcels to look at, as many as one question serves; none while somebody looks at this one.

    Raises `Crowded`.
    """
    with task.work() as work:
        party = looks.claim(
            work.connection,
            shipment_id,
            COURIER,
            batch=task.mesh.couriers[COURIER].batch,
            patience=task.mesh.settings.patience,
            lease=lease(task),
        )
        if party:
            take_turn(task, work, COURIER)
        elif not looks.read(work.connection, [shipment_id]):
            work.strike(Task.TRACK_SHIPMENT, shipment_id)
        return party


def strike_unless_heard(work: Work, looked_at: Sequence[Parcel]) -> None:
    """These looks are over, unless the courier has told us something meanwhile: then there is another one.

    A parcel that is to be canceled since is looked at again when that was staged.
    """
    now = {parcel.id: parcel for parcel in looks.read(work.connection, [each.id for each in looked_at])}
    for parcel in looked_at:
        present = now.get(parcel.id)
        if present and present.heard_at != parcel.heard_at:
            work.stage(Task.TRACK_SHIPMENT, parcel.id)
        elif present is None or present.cancel_state is parcel.cancel_state:
            work.strike(Task.TRACK_SHIPMENT, parcel.id)


# A look since an operator wants one.


@app.task(base=Worker, bind=True, name=Task.SYNC_ORDER)
def sync_order(task: Worker, intent_id: str) -> None:
    """Look at the parcel of one order for an operator; safe to run any number of times."""
    try:
        parcel = open_sync(task, intent_id)
        if parcel is None:
            return
        found = look(task, parcel.courier, [parcel.waybill])
    except Crowded as crowded:
        put_off(task, intent_id, crowded.seconds)
    else:
        with task.work() as work:
            line = Line(parcel.order_id, parcel.waybill, found.get(parcel.waybill))
            tracking.follow(task, work, parcel, line.tracked)
            answer(work, intent_id, line)


def open_sync(task: Worker, intent_id: str) -> Parcel | None:
    """Read what is to be looked at; None when that was answered.  Raises `Crowded`."""
    with task.work() as work:
        intent = intents.read(work.connection, intent_id)
        if intent is None or not intent.running:
            work.strike(Task.SYNC_ORDER, intent_id)
            return None
        shipment_id = shipments.followed(work.connection, intent.subject)
        if shipment_id is None:
            is_known = orders.view(work.connection, intent.subject) is not None
            work.strike(Task.SYNC_ORDER, intent_id)
            work.refuse(intent_id, NoShipment() if is_known else NotFound("There is no such order"))
            return None
        (parcel,) = looks.read(work.connection, [shipment_id])
        take_turn(task, work, parcel.courier)
        return parcel


def answer(work: Work, intent_id: str, line: Line) -> None:
    """Tell the operator what was seen, with the order as it is by that."""
    work.strike(Task.SYNC_ORDER, intent_id)
    if line.tracked is None:
        work.refuse(intent_id, WaybillUnknown())
    else:
        work.finish(intent_id, synced(shown(work, line.order_id), line.tracked.status, detected=line.detected))


# A parcel that is to be canceled.


@app.task(base=Worker, bind=True, name=Task.CANCEL_SHIPMENT)
def cancel_shipment(task: Worker, shipment_id: str) -> None:
    """Have the courier cancel the parcel of an order that was taken back; safe to run any number of times."""
    try:
        parcel = open_cancel(task, shipment_id)
    except Crowded as crowded:
        put_off(task, shipment_id, crowded.seconds)
        return
    if parcel:
        ask(task, parcel)


def ask(task: Worker, parcel: CancelRequest) -> None:
    """Ask the courier, and write its answer down."""
    try:
        with held_off(task, parcel.courier):
            task.mesh.couriers[parcel.courier].cancel(parcel.waybill)
    except Refused as refusal:
        with task.work() as work:
            refuse(work, parcel, refusal.code)
    except Unknown as unknown:
        with task.work() as work:
            keep_trying(task, work, parcel, unknown.reason)
    else:
        with task.work() as work:
            accept(task, work, parcel)


def open_cancel(task: Worker, shipment_id: str) -> CancelRequest | None:
    """Read what is to be canceled; None when a twin was answered, or tracking has shown it.  Raises `Crowded`."""
    with task.work() as work:
        parcel = shipments.cancelable(work.connection, shipment_id)
        if parcel is None:
            work.strike(Task.CANCEL_SHIPMENT, shipment_id)
        else:
            take_turn(task, work, parcel.courier)
        return parcel


def accept(task: Worker, work: Work, parcel: CancelRequest) -> None:
    """The courier says so; tracking is to confirm it."""
    if settle(work, parcel, CancelEvent.ACCEPTED):
        work.stage(Task.TRACK_SHIPMENT, parcel.id, delay=task.mesh.settings.delhivery_confirm_after)


def refuse(work: Work, parcel: CancelRequest, code: str) -> None:
    """The courier will not: the goods go their way, and a person must see to them."""
    if settle(work, parcel, CancelEvent.REFUSED, code):
        work.stage(Task.TRACK_SHIPMENT, parcel.id)
        title = f"Order {parcel.order_id} is canceled, and its courier did not cancel its parcel ({code})"
        work.alert(cause(Kind.SHIPMENT_NOT_CANCELED, parcel.id), Severity.WARNING, title, parcel.order_id)


def settle(work: Work, parcel: CancelRequest, event: CancelEvent, error: str | None = None) -> bool:
    """Write the courier's answer down, once; False when a twin has, or tracking was faster."""
    orders.lock(work.connection, parcel.order_id)
    work.strike(Task.CANCEL_SHIPMENT, parcel.id)
    if not shipments.settle_cancel_locked(work.connection, parcel.id, CancelState.REQUESTED, event, error):
        return False
    data = {"shipment_id": parcel.id} | ({"error": error} if error else {})
    work.record(Entry(parcel.order_id, event, Queue.COURIER, data=data))
    alerts.resolve(work.connection, parked(Task.CANCEL_SHIPMENT, parcel.id))
    return True


def keep_trying(task: Worker, work: Work, parcel: CancelRequest, error: str) -> None:
    """Unknown is not failed: the courier is asked again, which does no harm."""
    orders.lock(work.connection, parcel.order_id)
    attempts = shipments.cancel_unknown_locked(work.connection, parcel.id, error)
    if attempts is not None:
        task.try_again(work, parcel.id, attempts)
