"""Tracking: what a look shows of a parcel is written down, and what follows from it is done.

A look that is of no consequence to its order is noted together with the others of its batch; any other is followed
under the order's lock.  A hint of the courier's decides nothing: it only has us look again, and a person told when
tracking goes on to show nothing of the kind.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.domain.alerts import Kind, cause, parked
from shared.domain.orders import OrderStatus
from shared.domain.shipments import TAKEN_BACK, CancelEvent, CancelState, ShipmentEvent, ShipmentStatus, Tracked
from shared.queues import Queue, Task
from shared.store import alerts, looks, orders
from shared.store.alerts import Severity
from shared.store.looks import Known, Moved, Parcel
from shared.store.timeline import Entry
from workers.base import Work, Worker
from workers.recalling import about, in_words, recall, resolve, settle

#: For how long tracking is looked at after a hint, or after the courier has accepted a cancel, before a person is told.
HINT_LASTS = timedelta(minutes=30)
CONFIRMATION_LASTS = timedelta(hours=6)

#: After that a hint is history.
HINT_IS_OLD = timedelta(days=1)

#: How old an order's waybill is when a courier that does not know it is worth an alert.
UNKNOWN_FOR = timedelta(hours=1)

#: Our requests to cancel that tracking has not confirmed.
UNCONFIRMED = (CancelState.REQUESTED, CancelState.ACCEPTED)

#: Statuses that say nothing about the order.
PLAIN = (
    ShipmentStatus.REGISTERED,
    ShipmentStatus.ANNOUNCED,
    ShipmentStatus.IN_TRANSIT,
    ShipmentStatus.DELIVERED,
    ShipmentStatus.REVERSE,
)


@dataclass(frozen=True, slots=True)
class Line:
    """What a look came to, as a report tells it."""

    order_id: str
    waybill: str
    tracked: Tracked | None

    @property
    def detected(self) -> bool:
        """Whether the parcel is canceled, or on its way back."""
        return self.tracked is not None and self.tracked.meaning in TAKEN_BACK

    @property
    def members(self) -> dict[str, Any]:
        """The members that the client contract names."""
        return {
            "orderId": self.order_id,
            "awb": self.waybill,
            "success": self.tracked is not None,
            "status": self.tracked.status if self.tracked else None,
            "cancellationDetected": self.detected,
            "error": None if self.tracked else "waybill_unknown",
        }


def is_plain(parcel: Parcel, tracked: Tracked, now: datetime) -> bool:
    """Whether a look is of no consequence to the order, nor to anybody who waits for the parcel."""
    return (
        tracked.meaning in PLAIN
        and parcel.status in PLAIN
        and parcel.canceled_at is None
        and not parcel.is_newer_than(tracked)
        and not is_hinted(parcel, now)
        and (
            parcel.cancel_state is None
            or (parcel.cancel_state is CancelState.CONFIRMED and tracked.meaning is not ShipmentStatus.DELIVERED)
        )
    )


def is_hinted(parcel: Parcel, now: datetime) -> bool:
    """Whether the courier's words sounded like a cancellation a while ago."""
    return parcel.hinted_at is not None and now - parcel.hinted_at < HINT_IS_OLD


def part(
    parcels: Sequence[Parcel], found: Mapping[str, Tracked]
) -> tuple[list[tuple[Parcel, Tracked]], list[tuple[Parcel, Tracked | None]]]:
    """Divide what a look has shown into what is of no consequence, and everything else."""
    now = datetime.now(UTC)
    plain: list[tuple[Parcel, Tracked]] = []
    others: list[tuple[Parcel, Tracked | None]] = []
    for parcel in parcels:
        tracked = found.get(parcel.waybill)
        if tracked and is_plain(parcel, tracked, now):
            plain.append((parcel, tracked))
        else:
            others.append((parcel, tracked))
    return plain, others


def note_all(work: Work, seen: Iterable[tuple[Parcel, Tracked]]) -> None:
    """Write down many looks that are of no consequence to their orders; a hint ends with the delivery."""
    shown = [(parcel.id, tracked) for parcel, tracked in seen]
    for moved in looks.note(work.connection, shown):
        record_move(work, moved)
    gone = [parked(Task.TRACK_SHIPMENT, shipment_id) for shipment_id, _ in shown]
    delivered = [shipment_id for shipment_id, tracked in shown if tracked.meaning is ShipmentStatus.DELIVERED]
    gone += [cause(Kind.SHIPMENT_UNCONFIRMED, shipment_id) for shipment_id in delivered]
    alerts.resolve(work.connection, *gone)


def abandon(work: Work, parcels: Iterable[Parcel], window: float) -> None:
    """Leave to their history those that have not come to rest within `window` seconds: nobody will see their end."""
    for moved in looks.abandon(work.connection, [parcel.id for parcel in parcels], window):
        record_move(work, moved)


def record_move(work: Work, moved: Moved) -> None:
    """Write down that a parcel moved on."""
    data = {"from": moved.before, "to": moved.after, "courier_status": moved.word}
    work.record(Entry(moved.order_id, ShipmentEvent.TRACKED, Queue.COURIER, data=data))


def follow(task: Worker, work: Work, claimed: Parcel, tracked: Tracked | None) -> None:
    """Write one look down under the order's lock, act upon it, and stage the next look when there is to be one."""
    orders.lock(work.connection, claimed.order_id)
    known = looks.read_locked(work.connection, claimed.id)
    if known is None:  # another parcel went out in its place
        work.strike(Task.TRACK_SHIPMENT, claimed.id)
        return
    alerts.resolve(work.connection, parked(Task.TRACK_SHIPMENT, claimed.id))
    if tracked is None:
        miss(work, known)
    elif known.parcel.is_newer_than(tracked):
        looks.touch_locked(work.connection, claimed.id)
    else:
        show(task, work, claimed, known, tracked)
    stage_next(task, work, claimed, known, tracked)


def show(task: Worker, work: Work, claimed: Parcel, known: Known, tracked: Tracked) -> None:
    """Write down what tracking shows, and draw the consequences."""
    for moved in looks.note(work.connection, [(claimed.id, tracked)]):
        record_move(work, moved)
    resolve(work, known, Kind.WAYBILL_UNKNOWN)
    if tracked.meaning is ShipmentStatus.UNEXPLAINED:
        ask_a_person(work, known, tracked)
        return
    resolve(work, known, Kind.SHIPMENT_UNEXPLAINED)
    if tracked.meaning in TAKEN_BACK:
        recall(task, work, claimed, known, tracked)
    elif tracked.meaning is ShipmentStatus.DELIVERED:
        deliver(work, known)
    else:
        doubt(work, known)


# A parcel that goes its way.


def deliver(work: Work, known: Known) -> None:
    """The customer has the goods: of an order that is canceled a person must decide what is to come of that."""
    resolve(work, known, Kind.SHIPMENT_UNCONFIRMED)
    if known.parcel.cancel_state in UNCONFIRMED:
        settle(work, known.parcel, known.parcel.cancel_state, CancelEvent.REFUSED)
    if known.order_status is OrderStatus.CANCELED:
        title = f"Order {known.parcel.order_id} is canceled, and its parcel was delivered"
        work.alert(about(Kind.SHIPMENT_DELIVERED, known), Severity.CRITICAL, title, known.parcel.order_id)


def doubt(work: Work, known: Known) -> None:
    """The parcel goes its way: when it was said to be canceled, or we have had it canceled, a person hears of that."""
    parcel, now = known.parcel, datetime.now(UTC)
    is_late = parcel.cancel_state in UNCONFIRMED and now - asked_at(known) >= CONFIRMATION_LASTS
    if is_late or (parcel.canceled_at and known.order_status is OrderStatus.CANCELED):
        title = f"Order {parcel.order_id} is canceled, and its parcel is still, or again, under way"
        work.alert(about(Kind.SHIPMENT_NOT_CANCELED, known), Severity.WARNING, title, parcel.order_id)
    stands = known.order_status is not OrderStatus.CANCELED
    if stands and parcel.hinted_at and is_hinted(parcel, now) and now - parcel.hinted_at >= HINT_LASTS:
        title = f"Order {parcel.order_id}: its courier hinted at a cancellation that tracking does not show"
        work.alert(about(Kind.SHIPMENT_UNCONFIRMED, known), Severity.WARNING, title, parcel.order_id)


def ask_a_person(work: Work, known: Known, tracked: Tracked) -> None:
    """Nobody has told us what this status means: no money follows it."""
    title = f"Order {known.parcel.order_id}: its parcel stands as {in_words(tracked)}, which means nothing to us"
    work.alert(about(Kind.SHIPMENT_UNEXPLAINED, known), Severity.WARNING, title, known.parcel.order_id)


def miss(work: Work, known: Known) -> None:
    """The courier does not know the waybill; right after it was given out, or long after, that is nothing strange."""
    if not looks.note_unknown_locked(work.connection, known.parcel.id):
        looks.touch_locked(work.connection, known.parcel.id)
    elif datetime.now(UTC) - known.registered_at >= UNKNOWN_FOR:
        title = f"Order {known.parcel.order_id}: its courier does not know its waybill"
        work.alert(about(Kind.WAYBILL_UNKNOWN, known), Severity.WARNING, title, known.parcel.order_id)


# The next look.


def stage_next(task: Worker, work: Work, claimed: Parcel, known: Known, tracked: Tracked | None) -> None:
    """Look again at once when something was heard meanwhile; later, while something is to be confirmed."""
    pause = task.mesh.settings.delhivery_confirm_after
    if looks.heard_at_locked(work.connection, claimed.id) != claimed.heard_at:
        work.stage(Task.TRACK_SHIPMENT, claimed.id)
        return
    awaited = awaited_for(known, tracked)
    if awaited is None:
        work.strike(Task.TRACK_SHIPMENT, claimed.id)
    else:
        work.stage(Task.TRACK_SHIPMENT, claimed.id, delay=max(pause, awaited.total_seconds() / 2))


def awaited_for(known: Known, tracked: Tracked | None) -> timedelta | None:
    """For how long tracking is awaited to show a cancel; None when it is not, or not any more."""
    if tracked and tracked.meaning in (*TAKEN_BACK, ShipmentStatus.DELIVERED):
        return None
    now, parcel = datetime.now(UTC), known.parcel
    if parcel.cancel_state in UNCONFIRMED and now - asked_at(known) < CONFIRMATION_LASTS:
        return now - asked_at(known)
    if known.order_status is not OrderStatus.CANCELED and parcel.hinted_at and now - parcel.hinted_at < HINT_LASTS:
        return now - parcel.hinted_at
    return None


def asked_at(known: Known) -> datetime:
    """When the courier was first to cancel it."""
    return known.cancel_asked_at or datetime.now(UTC)
