"""Housekeeping: what beat wakes."""

from shared.queues import Task
from shared.store import outbox
from workers.app import app
from workers.base import Worker

#: Messages taken in one transaction; small enough to publish well within `patience`.
BATCH = 500


@app.task(base=Worker, bind=True, name=Task.SWEEP_OUTBOX)
def sweep_outbox(task: Worker) -> None:
    """Publish every message that is due: captures, retries, and what a crash or the broker lost."""
    while True:
        with task.mesh.database.statement() as connection:
            due = outbox.sweep(connection, task.mesh.settings.patience, BATCH)
        if not due or not task.publisher.publish(due) or len(due) < BATCH:
            return
