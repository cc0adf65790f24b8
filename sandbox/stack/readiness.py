"""How a program says that it is ready: by answering, not by merely running."""

import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial

from sandbox.stack.ports import LOOPBACK

Probe = Callable[[], bool]

#: Seconds that a probe waits; it is asked again soon.
PROBE_TIMEOUT = 1.0


def http(port: int, path: str) -> Probe:
    """Ready when a GET of `path` answers 200."""
    return partial(_answers, f"http://{LOOPBACK}:{port}{path}")


def _answers(url: str) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=PROBE_TIMEOUT) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.HTTPError):
        return False
