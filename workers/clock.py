"""The clock by which a worker knows how long ago it claimed what it is about to do."""

import time


def now() -> float:
    """Seconds on a clock that also counts while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
