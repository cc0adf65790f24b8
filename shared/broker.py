"""The broker: queues and the Celery application that both sides of them share.

The gateway only publishes with it; the workers register their tasks on it.  Settings and their reasons follow what
was measured on Redis and RabbitMQ (docs/adr/0003-*.md).
"""

from typing import Any

import structlog
from amqp.exceptions import MessageNacked
from celery import Celery
from kombu import Queue as KombuQueue
from kombu.exceptions import OperationalError

from shared.queues import QUEUE_OF, Queue
from shared.settings import Settings
from shared.store.intents import Bell
from shared.store.outbox import Message

log = structlog.get_logger()

#: More than greenlets that may acknowledge at once in one process; kombu's own limit of 10 loses acknowledgements.
REDIS_CONNECTIONS = 200

DEAD_LETTERS = "dead_letters"


def celery_app(settings: Settings, silence: float = 10.0) -> Celery:
    """Return the Celery application with its queues; it connects when it is first used.

    A broker that says nothing for `silence` seconds counts as away.
    """
    app = Celery("countermand", broker=settings.broker_url)
    app.conf.update(
        task_queues=[KombuQueue(queue, routing_key=queue, queue_arguments=_arguments(settings)) for queue in Queue],
        task_routes={task: {"queue": queue} for task, queue in QUEUE_OF.items()},
        task_default_queue=Queue.HOUSEKEEPING,
        task_default_exchange="countermand",  # queues hang on it, but publishing goes straight to a queue by its name
        task_create_missing_queues=False,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        result_backend_thread_safe=True,  # there is none; otherwise every greenlet would make one of its own
        task_store_errors_even_if_ignored=False,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_acks_on_failure_or_timeout=False,
        task_publish_retry=False,
        worker_send_task_events=True,  # Flower's eyes
        # With 1, and every greenlet busy, kombu's Redis poller goes to sleep for up to two seconds.  gevent's pool
        # holds the consumer back at its size anyhow, so no more than one message above it is ever reserved.
        worker_prefetch_multiplier=2,
        worker_hijack_root_logger=False,
        worker_detect_quorum_queues=True,
        worker_cancel_long_running_tasks_on_connection_loss=False,  # every task is safe beside its twin: let it settle
        worker_soft_shutdown_timeout=10,
        worker_enable_remote_control=True,  # Flower, and the readiness of a worker
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=2,
        broker_pool_limit=REDIS_CONNECTIONS,
        broker_heartbeat=0,  # with heartbeats and events Celery spends 0.1 s a message under gevent
        broker_transport_options=_transport(settings, silence),
        enable_utc=True,
    )
    return app


def declare_dead_letters(app: Celery) -> None:
    """Make the queue for messages that killed their worker again and again; RabbitMQ moves them, nobody consumes it."""
    with app.connection_for_write() as connection:
        queue = KombuQueue(DEAD_LETTERS, routing_key=DEAD_LETTERS, queue_arguments={"x-queue-type": "quorum"})
        queue(connection.default_channel).declare()


def is_redis(settings: Settings) -> bool:
    """Whether the broker is Redis, which has no quorum queues and no dead letters."""
    return settings.broker_url.startswith("redis")


def _arguments(settings: Settings) -> dict[str, Any] | None:
    """RabbitMQ's: quorum queues that hand what fails again and again to the dead letters; Redis has none."""
    if is_redis(settings):
        return None
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": 5,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": DEAD_LETTERS,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def _transport(settings: Settings, silence: float) -> dict[str, Any]:
    if is_redis(settings):
        return {
            "max_connections": REDIS_CONNECTIONS,
            "visibility_timeout": 120,  # far above the longest task
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
            "socket_connect_timeout": 2,
            "socket_timeout": silence,
            "socket_keepalive": True,
        }
    return {"confirm_publish": True, "confirm_timeout": 2}


class Publisher:
    """Publishes hints: a message that cannot be published now is published by the sweep."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        connection = app.connection_for_write()
        self._outages: tuple[type[BaseException], ...] = (
            OperationalError,
            MessageNacked,
            OSError,
            *connection.connection_errors,
            *connection.channel_errors,
        )

    def publish(self, messages: list[Message]) -> bool:
        """Publish each message to its task's queue; False, and a log line, when the broker is away."""
        try:
            with self._app.producer_or_acquire() as producer:
                for message in messages:
                    self._app.send_task(message.task, (message.subject,), producer=producer, retry=False)
        except self._outages as error:
            log.warning("publish_failed", messages=len(messages), error=type(error).__name__)
            return False
        return True

    def ring(self, bells: list[Bell]) -> None:
        """Tell the gateway processes that wait for these intents to look at their rows; a lost bell costs only time."""
        try:
            with self._app.producer_or_acquire() as producer:
                for bell in bells:
                    for waiter in bell.waiters:
                        producer.publish(bell.intent_id, exchange="", routing_key=waiter, retry=False, delivery_mode=1)
        except self._outages as error:
            log.warning("bell_lost", bells=len(bells), error=type(error).__name__)
