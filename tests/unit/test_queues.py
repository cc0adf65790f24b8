"""The names on the wire: messages outlive deployments, so a released name never changes."""

import msgspec
from celery.schedules import crontab

from beat_schedule import beat_schedule
from shared.domain.intents import TASK_OF, Operation
from shared.queues import QUEUE_OF, Queue, Task
from shared.settings import Settings
from workers.groups import GROUPS

SIX_HOURLY = crontab(minute="0", hour="*/6")

#: Released with 0.1.0.  Names may be added here; none may be changed or taken away.
QUEUES = {"register", "edit", "cancel", "capture", "void", "refund", "courier", "email", "webhook", "housekeeping"}
TASKS = {
    "register.order": "register",
    "register.stock": "register",
    "register.booking": "register",
    "register.policy": "register",
    "register.shipment": "register",
    "register.guest": "register",
    "edit.order": "edit",
    "edit.authorize": "edit",
    "cancel.order": "cancel",
    "cancel.by_operator": "cancel",
    "cancel.by_courier": "cancel",
    "cancel.booking": "cancel",
    "cancel.settle_booking": "cancel",
    "capture.approve": "capture",
    "capture.payment": "capture",
    "void.payment": "void",
    "refund.order": "refund",
    "refund.payment": "refund",
    "courier.track": "courier",
    "courier.cancel": "courier",
    "courier.sync_order": "courier",
    "courier.sync": "courier",
    "courier.sync_batch": "courier",
    "courier.start_sync": "courier",
    "email.send": "email",
    "webhook.process": "webhook",
    "webhook.compare": "webhook",
    "housekeeping.sweep_outbox": "housekeeping",
    "housekeeping.reconcile": "housekeeping",
    "housekeeping.acknowledge_alert": "housekeeping",
    "housekeeping.retry_intent": "housekeeping",
}


def test_released_queue_names_are_never_changed() -> None:
    assert {str(queue) for queue in Queue} == QUEUES


def test_released_task_names_are_never_changed_and_stay_in_their_queues() -> None:
    assert {str(task): str(queue) for task, queue in QUEUE_OF.items()} == TASKS


def test_every_task_has_a_queue_and_every_operation_a_task() -> None:
    assert set(QUEUE_OF) == set(Task)
    assert set(TASK_OF) == set(Operation)


def test_every_queue_is_served_by_one_group() -> None:
    served = [queue for group in GROUPS.values() for queue in group.queues]
    assert sorted(served) == sorted(Queue)


def test_beat_wakes_only_tasks_that_there_are_and_no_wake_up_expires(configuration: Settings) -> None:
    for entry in beat_schedule(configuration).values():
        assert entry["task"] in set(Task)
        assert entry["options"]["queue"] == QUEUE_OF[entry["task"]]
        assert entry["schedule"] in (configuration.sweep_every, configuration.reconcile_every, SIX_HOURLY)
        assert "expires" not in entry["options"]


def test_shipments_are_synced_when_the_settings_say_so_or_not_at_all(configuration: Settings) -> None:
    assert beat_schedule(configuration)["sync shipments"]["schedule"] == SIX_HOURLY
    other = msgspec.structs.replace(configuration, delhivery_sync_cron="15 4 * * mon")
    wanted = crontab(minute="15", hour="4", day_of_week="mon")
    assert beat_schedule(other)["sync shipments"]["schedule"] == wanted
    off = msgspec.structs.replace(configuration, delhivery_auto_sync_enabled=False)
    assert "sync shipments" not in beat_schedule(off)
