"""Sync: the shipments that were not looked up for longest are looked up, in batches, for beat or for an operator.

Each batch is a row and a message of its own: a batch that fails is tried again and reported in the end, a process that
ends leaves the others to the next one, and nobody ever holds more than one batch in memory.
"""

from collections.abc import Mapping
from itertools import chain

import msgspec
import structlog

from shared.domain.alerts import Kind, cause
from shared.domain.shipments import Tracked
from shared.ids import new_id
from shared.providers.ports import Unknown
from shared.queues import Task
from shared.requests import BulkSync
from shared.store import alerts, intents, looks, outbox, syncs
from shared.store.alerts import Severity
from shared.store.looks import Parcel
from shared.store.outbox import Message
from shared.store.syncs import Batch, Ended
from workers import tracking
from workers.app import app
from workers.base import Work, Worker
from workers.looking import BURST, COURIER, Crowded, look, put_off, take_turn
from workers.tracking import Line

log = structlog.get_logger()


# How it begins.


@app.task(base=Worker, bind=True, name=Task.START_SYNC)
def start_sync(task: Worker) -> None:
    """Begin a sync of beat's, unless one is under way."""
    with task.work() as work:
        plan(task, work, None, task.mesh.settings.delhivery_sync_limit)


@app.task(base=Worker, bind=True, name=Task.SYNC_SHIPMENTS)
def sync_shipments(task: Worker, intent_id: str) -> None:
    """Begin a sync for an operator, whom its report will answer; safe to run any number of times."""
    with task.work() as work:
        work.strike(Task.SYNC_SHIPMENTS, intent_id)
        intent = intents.read(work.connection, intent_id)
        if intent and intent.running:
            plan(task, work, intent_id, msgspec.convert(intent.payload, BulkSync).limit)


def plan(task: Worker, work: Work, intent_id: str | None, limit: int) -> None:
    """Divide what is to be looked up into batches, and stage them at the courier's pace."""
    sync_id, size = new_id("sync"), task.mesh.couriers[COURIER].batch
    batches = syncs.start(work.connection, sync_id, intent_id, limit=limit, size=size)
    if intent_id:
        intents.mark_working(work.connection, intent_id)
    for number, batch_id in enumerate(batches):
        later = number / task.mesh.settings.delhivery_rate - BURST
        work.stage(Task.SYNC_BATCH, batch_id, delay=later if later > 0 else None)
    finish(work, syncs.end(work.connection, sync_id))


# A batch.


class Batched(Worker):
    """A task whose batch has failed when it is given up, so that the sync comes to an end and reports it."""

    def _park(self, work: Work, message: Message, reason: str) -> None:
        work.strike(*message)
        finish(work, syncs.fail_batch(work.connection, message.subject, "task_broke"))


@app.task(base=Batched, bind=True, name=Task.SYNC_BATCH)
def sync_batch(task: Worker, batch_id: str) -> None:
    """Look up one batch; safe to run any number of times."""
    try:
        parcels = claim(task, batch_id)
        if parcels is None:
            return
        found = look(task, COURIER, [parcel.waybill for parcel in parcels]) if parcels else {}
    except Crowded as crowded:
        put_off(task, batch_id, crowded.seconds)
    except Unknown as unknown:
        fail(task, batch_id, unknown.reason)
    else:
        settle(task, batch_id, parcels, found)


def claim(task: Worker, batch_id: str) -> list[Parcel] | None:
    """Read what is to be looked up; None when the batch has ended.  Raises `Crowded`."""
    with task.work() as work:
        batch: Batch | None = syncs.read(work.connection, batch_id)
        if batch is None:
            work.strike(Task.SYNC_BATCH, batch_id)
            return None
        parcels = looks.read(work.connection, batch.shipment_ids)
        if parcels:
            take_turn(task, work, COURIER)
        return parcels


def settle(task: Worker, batch_id: str, parcels: list[Parcel], found: Mapping[str, Tracked]) -> None:
    """Write down what was seen: what is of no consequence at once, everything else order by order."""
    plain, others = tracking.part(parcels, found)
    for parcel, tracked in others:
        with task.work() as work:
            tracking.follow(task, work, parcel, tracked)
    lines = [Line(parcel.order_id, parcel.waybill, tracked) for parcel, tracked in chain(plain, others)]
    with task.work() as work:
        tracking.note_all(work, plain)
        tracking.abandon(work, parcels, task.mesh.settings.delhivery_sync_window)
        work.strike(Task.SYNC_BATCH, batch_id)
        finish(work, syncs.end_batch(work.connection, batch_id, [line.members for line in lines]))


def fail(task: Worker, batch_id: str, error: str) -> None:
    """The courier did not answer: the batch is tried again, and reported as failed when that was often enough."""
    limits = task.mesh.settings
    with task.work() as work:
        attempts = syncs.count_failure(work.connection, batch_id, error)
        if attempts is None:
            work.strike(Task.SYNC_BATCH, batch_id)
        elif attempts < limits.delhivery_batch_attempts:
            pause = outbox.backoff(attempts, limits.retry_base, limits.retry_ceiling)
            work.stage(Task.SYNC_BATCH, batch_id, delay=pause)
        else:
            work.strike(Task.SYNC_BATCH, batch_id)
            finish(work, syncs.fail_batch(work.connection, batch_id, error))


# How it ends.


def finish(work: Work, ended: Ended | None) -> None:
    """Answer the operator with the report; of beat's syncs a person hears when shipments could not be looked up."""
    if ended is None:
        return
    log.info("shipments_synced", total=ended.total, failed=ended.failed)
    if ended.intent_id:
        work.finish(ended.intent_id, ended.report)
    elif ended.failed:
        title = f"{ended.failed} of {ended.total} shipments could not be looked up; the next sync begins with them"
        work.alert(cause(Kind.SYNC_INCOMPLETE, COURIER), Severity.WARNING, title, None)
    else:
        alerts.resolve(work.connection, cause(Kind.SYNC_INCOMPLETE, COURIER))
