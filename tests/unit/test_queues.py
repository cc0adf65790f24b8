"""The names on the wire: messages outlive deployments, so a released name never changes."""

from beat_schedule import beat_schedule
from shared.domain.intents import TASK_OF, Operation
from shared.queues import QUEUE_OF, Queue, Task
from shared.settings import Settings
from workers.groups import GROUPS

#: Released with 0.1.0.  Names may be added here; none may be changed or taken away.
QUEUES = {"register", "edit", "cancel", "capture", "void", "refund", "email", "webhook", "housekeeping"}
TASKS = {
    "register.order": "register",
    "register.stock": "register",
    "register.booking": "register",
    "register.policy": "register",
    "register.guest": "register",
    "edit.order": "edit",
    "edit.authorize": "edit",
    "cancel.order": "cancel",
    "cancel.by_operator": "cancel",
    "cancel.booking": "cancel",
    "cancel.settle_booking": "cancel",
    "capture.approve": "capture",
    "capture.payment": "capture",
    "void.payment": "void",
    "refund.order": "refund",
    "refund.payment": "refund",
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
        assert entry["schedule"] in (configuration.sweep_every, configuration.reconcile_every)
        assert "expires" not in entry["options"]
