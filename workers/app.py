"""The Celery application of the workers, beat and Flower: every task, and beat's schedule."""

import celery.signals

from beat_schedule import beat_schedule
from shared import logging, settings
from shared.broker import celery_app

configuration = settings.load()

app = celery_app(configuration)
app.conf.update(
    include=[
        "workers.register",
        "workers.cancel",
        "workers.capture",
        "workers.void",
        "workers.email",
        "workers.housekeeping",
    ],
    beat_schedule=beat_schedule(configuration),
)


@celery.signals.setup_logging.connect
def _configure_logging(**_: object) -> None:
    logging.configure("worker")
