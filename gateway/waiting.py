"""Waiting for outcomes: one doorbell a gateway process.

A worker that ends an intent sends its id to the reply queues that the intent's row names; the process that owns the
queue wakes whoever waits for that intent, and they read the row again.  The row is the truth: a lost bell costs only
time, since everybody looks once more when the wait is over.
"""

import socket
import threading
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from celery import Celery
from kombu import Consumer
from kombu import Queue as KombuQueue

log = structlog.get_logger()


class Doorbell:
    """This process's reply queue, and those who wait at it."""

    def __init__(self, app: Celery) -> None:
        self.queue = f"doorbell.{socket.gethostname()}.{uuid.uuid4().hex}"
        self._app = app
        self._waiting: dict[str, set[threading.Event]] = defaultdict(set)

    def listen(self) -> None:
        """Start to listen, in the background, for as long as the process lives."""
        threading.Thread(target=self._listen, name="doorbell", daemon=True).start()

    @contextmanager
    def expecting(self, intent_id: str) -> Iterator[threading.Event]:
        """An event that is set when the bell rings for this intent."""
        event = threading.Event()
        self._waiting[intent_id].add(event)
        try:
            yield event
        finally:
            self._waiting[intent_id].discard(event)
            if not self._waiting[intent_id]:
                del self._waiting[intent_id]

    @property
    def waiting(self) -> int:
        """How many intents are waited for."""
        return len(self._waiting)

    def _listen(self) -> None:
        away = threading.Event()
        while True:
            try:
                self._serve()
            except Exception as error:  # whatever the broker's client raises: without a bell, waits run to their bound
                log.warning("doorbell_disconnected", error=type(error).__name__)
                away.wait(1)  # before the next attempt to connect

    def _serve(self) -> None:
        queue = KombuQueue(self.queue, "", self.queue, durable=False, exclusive=True, auto_delete=True)
        with self._app.connection_for_read() as connection:
            consumer = Consumer(connection, [queue], no_ack=True, on_message=self._ring, accept=["text/plain"])
            with consumer:
                while True:
                    connection.drain_events()

    def _ring(self, message: Any) -> None:
        for event in tuple(self._waiting.get(message.decode(), ())):
            event.set()
