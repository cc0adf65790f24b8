"""The Celery application of the workers, beat and Flower: every task, and beat's schedule."""

import celery.signals

from beat_schedule import beat_schedule
from shared import logging, settings
from shared.broker import celery_app, declare_dead_letters, is_redis
from shared.task_events import BufferedEvents
from workers.mesh import mesh

configuration = settings.load()

app = celery_app(configuration)
app.steps["consumer"].add(BufferedEvents)
app.conf.update(
    include=[
        "workers.register",
        "workers.book",
        "workers.ship",
        "workers.edit_order",
        "workers.edit",
        "workers.cancel",
        "workers.cancel_by_operator",
        "workers.cancel_by_courier",
        "workers.cancel_booking",
        "workers.approve",
        "workers.capture",
        "workers.void",
        "workers.refund_order",
        "workers.refund",
        "workers.courier",
        "workers.sync",
        "workers.email",
        "workers.webhook",
        "workers.housekeeping",
    ],
    beat_schedule=beat_schedule(configuration),
)


@celery.signals.setup_logging.connect
def _configure_logging(**_: object) -> None:
    logging.configure("worker")


@celery.signals.worker_init.connect
def _make_ready(**_: object) -> None:
    """Wire the process before its first task comes, so that no shopper waits for it."""
    mesh()
    if not is_redis(configuration):
        declare_dead_letters(app)
