"""How a worker says that it takes messages: it answers Celery's ping."""

import socket

from celery import Celery
from kombu.exceptions import OperationalError

from sandbox.stack.readiness import Probe

#: Seconds that a worker gets to answer; it is asked again soon.
PING_TIMEOUT = 0.2


def answers_ping(group: str, broker: str) -> Probe:
    """Ready when the worker of a group answers through the broker, as `group@host`."""
    app = Celery("countermand-stack", broker=broker, set_as_current=False)
    node = f"{group}@{socket.gethostname()}"

    def answers() -> bool:
        try:
            return bool(app.control.ping(destination=[node], timeout=PING_TIMEOUT))
        except (OperationalError, OSError):
            return False

    return answers
