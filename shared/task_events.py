"""Task events: Flower's eyes, sent in bunches.

Celery publishes three events a task, and under gevent each of them by itself: a third of the CPU of a short task.
"""

from typing import Any

from celery import bootsteps
from celery.worker.consumer.events import Events

#: Seconds that Flower may be behind.
FLUSH_EVERY = 0.5


class BufferedEvents(bootsteps.StartStopStep):
    """Has a worker's event dispatcher gather the events of its tasks, as Celery does for its other pools."""

    requires = (Events,)

    def start(self, consumer: Any) -> None:
        """Gather, and send at intervals; a bunch that is large enough is sent at once."""
        dispatcher = consumer.event_dispatcher
        dispatcher.buffer_group = frozenset({"task"})
        self._sending = consumer.timer.call_repeatedly(FLUSH_EVERY, dispatcher.flush)

    def stop(self, consumer: Any) -> None:
        """Send what is left."""
        self._sending.cancel()
        consumer.event_dispatcher.flush()
