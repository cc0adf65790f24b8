"""The embedded broker of a mesh to be broken: its messages lost, doubled and kept back, its connections cut."""

import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kombu import Connection
from redis import Redis

from shared.broker import celery_app
from shared.queues import Queue, Task
from shared.settings import Settings
from tests.faults.sockets import hidden
from tests.shop import eventually
from workers.groups import GROUPS

#: Seconds that workers may take to act upon a few hundred messages, on a machine that is busy with other things.
PATIENCE = 60.0

#: Kombu's keys for messages that were delivered and not acknowledged yet.
UNACKED = ("unacked", "unacked_index")

#: Takes a queue's length and its messages away in one step.
LOSE = "local n = redis.call('LLEN', KEYS[1]); redis.call('DEL', KEYS[1]); return n"

Messages = Sequence[tuple[str, str]]


class Broker:
    """Redis, as its workers' messages see it, and as nobody but a test treats it."""

    def __init__(self, settings: Settings) -> None:
        self._app = celery_app(settings)
        self._socket = Path(settings.broker_url.removeprefix("redis+socket://"))
        self._redis = Redis(unix_socket_path=str(self._socket))

    def close(self) -> None:
        """Close every connection."""
        self._app.close()
        self._redis.close()

    # Its messages

    def publish(self, messages: Messages) -> None:
        """Publish these messages (task, subject), whoever may want them or not."""
        for task, subject in messages:
            self.send(task, (subject,))

    def send(self, task: str, arguments: Sequence[Any], **options: Any) -> None:
        """Publish one message, readable or not."""
        self._app.send_task(task, arguments, **options)

    def publish_and_wait(self, messages: Messages) -> None:
        """Publish these messages, and return when each of them has been acted upon."""
        self._redis.delete(*UNACKED)  # what a killed worker once took is not one of ours
        before = self._begun()
        self.publish(messages)
        wanted = Counter(task for task, _ in messages)
        eventually(lambda: not wanted - (self._begun() - before) and not self._under_way(), PATIENCE)

    def waiting(self, queue: Queue) -> int:
        """How many messages a queue holds."""
        return int(self._redis.llen(queue))  # type: ignore[arg-type]

    def lose(self, queue: Queue) -> int:
        """Drop whatever a queue holds; returns how many messages that were."""
        return int(self._redis.eval(LOSE, 1, queue))  # type: ignore[arg-type]

    def is_drained(self) -> bool:
        """Whether no message waits, and none is with a worker that has not acknowledged it."""
        return not any(map(self.waiting, Queue)) and not self._redis.exists(*UNACKED)

    def forget_unacknowledged(self) -> None:
        """Drop what workers that were killed had taken."""
        self._redis.delete(*UNACKED)

    # Its consumers

    def consuming(self) -> set[str]:
        """The worker groups that answer through the broker."""
        with self._connection() as connection:
            replies = self._app.control.ping(timeout=1, connection=connection)
        return {name.partition("@")[0] for reply in replies for name in reply}

    @contextmanager
    def nobody_consumes(self, queue: Queue) -> Iterator[None]:
        """Let messages pile up in a queue until the block ends."""
        (group,) = (name for name, group in GROUPS.items() if queue in group.queues)
        told: dict[str, Any] = {"destination": [f"{group}@{socket.gethostname()}"], "reply": True, "timeout": 5}
        eventually(lambda: self._app.control.cancel_consumer(queue, **told))
        eventually(lambda: queue not in self._consumed_by(group))
        try:
            yield
        finally:
            eventually(lambda: self._app.control.add_consumer(queue, **told))

    def _consumed_by(self, group: str) -> set[str]:
        queues = eventually(lambda: self._told("active_queues"), PATIENCE)[f"{group}@{socket.gethostname()}"]
        return {queue["name"] for queue in queues}

    def _begun(self) -> Counter[str]:
        """How often each task was begun since the workers started."""
        told = eventually(lambda: self._told("stats"), PATIENCE)
        return sum((Counter(statistics["total"]) for statistics in told.values()), Counter())

    def _under_way(self) -> bool:
        """Whether a worker is at a task, but for beat's."""
        told = eventually(lambda: self._told("active"), PATIENCE)
        return any(task["name"] != Task.SWEEP_OUTBOX for tasks in told.values() for task in tasks)

    def _told(self, what: str) -> dict[str, Any]:
        """What every worker says of itself; nothing when one of them did not answer."""
        with self._connection() as connection:
            inspect = self._app.control.inspect(limit=len(GROUPS), timeout=5, connection=connection)
            replies = getattr(inspect, what)() or {}
        return replies if len(replies) == len(GROUPS) else {}

    def _connection(self) -> Connection:
        """A fresh connection; one of a pool may date from before the broker was killed."""
        return self._app.connection_for_write()

    # Its outages

    @contextmanager
    def takes_nothing(self) -> Iterator[None]:
        """Keep every message in the hands of whoever publishes it, until the block ends.

        A publisher that dies meanwhile has published nothing: the broker drops what a closed connection had sent.
        """
        self._redis.execute_command("CLIENT PAUSE", 600_000, "WRITE")
        try:
            yield
        finally:
            self._redis.ping()
            self._redis.ping()  # it has noticed whichever connection was closed before the ping before
            self._redis.execute_command("CLIENT UNPAUSE")

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """Cut every connection to the broker and refuse new ones; its messages are still there when it returns."""
        with hidden(self._socket) as behind:
            client = Redis(unix_socket_path=str(behind))
            client.execute_command("CLIENT KILL", "TYPE", "normal", "SKIPME", "yes")
            client.close()
            yield
