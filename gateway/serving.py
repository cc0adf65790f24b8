"""How gunicorn serves the gateway: greenlets, since a client that waits for its outcome costs only memory then."""

from typing import Any

from prometheus_client import multiprocess

from shared import settings

worker_class = "gevent"
_settings = settings.load()
workers = _settings.gateway_processes
worker_connections = 5000  # clients that may wait at once, a process
keepalive = 30  # seconds
graceful_timeout = int(_settings.wait_limit) + 5  # seconds: a restart loses nobody's answer
limit_request_line = 8190  # bytes, the most that gunicorn allows; what is longer it refuses by itself
accesslog = None  # /metrics counts requests; paths hold ids
loglevel = "warning"


def child_exit(_: Any, worker: Any) -> None:
    """Forget the gauges of a process that ended."""
    try:
        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]  # it has no types
    except TypeError:  # PROMETHEUS_MULTIPROC_DIR is not set
        return
