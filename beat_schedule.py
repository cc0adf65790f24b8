"""What beat wakes, and how often.

It only wakes: every task takes its rows with SKIP LOCKED, so ten beats do no harm.
"""

from typing import Any

from celery.schedules import crontab

from shared.queues import QUEUE_OF, Task
from shared.settings import Settings


def beat_schedule(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return Celery's `beat_schedule`; `schedule` is in seconds, or a crontab in UTC."""
    return {
        # Due captures, retries, and whatever a lost message left behind.  Wake-ups do not expire: RabbitMQ would move
        # the expired ones to the dead letters, and one that comes late finds nothing to do.
        "sweep the outbox": {
            "task": Task.SWEEP_OUTBOX,
            "schedule": settings.sweep_every,
            "options": {"queue": QUEUE_OF[Task.SWEEP_OUTBOX]},
        },
        # Which payments are due to be compared with their provider.
        "reconcile": {
            "task": Task.RECONCILE,
            "schedule": settings.reconcile_every,
            "options": {"queue": QUEUE_OF[Task.RECONCILE]},
        },
    } | (_sync(settings) if settings.delhivery_auto_sync_enabled else {})


def _sync(settings: Settings) -> dict[str, dict[str, Any]]:
    """Which shipments are to be looked up, should a push of their courier's have been lost."""
    return {
        "sync shipments": {
            "task": Task.START_SYNC,
            "schedule": crontab.from_string(settings.delhivery_sync_cron),
            "options": {"queue": QUEUE_OF[Task.START_SYNC]},
        }
    }
