"""How many requests the firewall lets in."""

from __future__ import annotations

import time
from collections import deque

#: The window that Delhivery counts requests in.
WINDOW_SECONDS = 300
#: How many Track calls Delhivery's firewall lets in from one address in a window.
USUAL_LIMIT = 750


class Throttle:
    """Lets in so many requests in any 300 seconds; all callers are one address, and count together."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._let_in: deque[float] = deque()

    def lets_in(self) -> bool:
        """Whether one more request is let in now; it counts when it is."""
        now = time.monotonic()
        while self._let_in and self._let_in[0] <= now - WINDOW_SECONDS:
            self._let_in.popleft()
        if len(self._let_in) >= self._limit:
            return False
        self._let_in.append(now)
        return True
