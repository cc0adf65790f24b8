"""The load generator: kept-alive connections, each with one request at a time, as cheap as Python allows.

One request costs about 0.05 ms of CPU, so that the generator is not what is measured.
"""

import asyncio
import time
from collections import deque
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast

import uvloop

LOOPBACK = "127.0.0.1"

Result = TypeVar("Result")


class Answer(NamedTuple):
    """One answer; the times are Unix seconds."""

    #: The place of its request in what was fired.
    place: int
    status: int
    body: bytes
    sent_at: float
    received_at: float

    @property
    def milliseconds(self) -> float:
        """From the request to the whole answer."""
        return (self.received_at - self.sent_at) * 1000


def request(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """One HTTP/1.1 request on the wire."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {LOOPBACK}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine on uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


async def fire(
    port: int, requests: Sequence[bytes], clients: int, *, within: float = 180.0, every: float = 0.0
) -> list[Answer]:
    """Send all requests from so many clients and return the answers, in the order of their requests.

    Each client sends its next request when it has its answer; with `every`, requests leave at that many seconds from
    each other instead, as long as a client is free.  Raises TimeoutError, or ConnectionError when the server hangs up.
    """
    loop = asyncio.get_running_loop()
    volley = _Volley(requests, loop.create_future())
    for _ in range(min(clients, len(requests))):
        await loop.create_connection(lambda: _Client(volley), LOOPBACK, port)
    try:
        async with asyncio.timeout(within):
            if every:
                await _pace(volley, every)
            else:
                volley.due.extend((place, None) for place in range(len(requests)))
                for client in tuple(volley.clients):
                    client.send_next()
            await volley.over
    finally:
        for client in tuple(volley.clients):
            client.close()
    return sorted(volley.answers)


async def _pace(volley: "_Volley", every: float) -> None:
    """Let one request go at a time; an answer's time counts from when its request was due."""
    began = time.time()
    for place in range(len(volley.requests)):
        due = began + place * every
        await asyncio.sleep(max(0.0, due - time.time()))
        volley.due.append((place, due))
        idle = next((client for client in volley.clients if client.is_idle), None)
        if idle:
            idle.send_next()


class _Volley:
    """The requests that are due, and the answers so far."""

    def __init__(self, requests: Sequence[bytes], over: "asyncio.Future[None]") -> None:
        self.requests = requests
        self.over = over
        self.clients: set[_Client] = set()
        self.answers: list[Answer] = []
        #: Places of requests, each with the time when it was due; none when that is as soon as a client is free.
        self.due: deque[tuple[int, float | None]] = deque()

    def note(self, answer: Answer) -> None:
        self.answers.append(answer)
        if len(self.answers) == len(self.requests) and not self.over.done():
            self.over.set_result(None)

    def fail(self, error: Exception) -> None:
        if not self.over.done():
            self.over.set_exception(error)


class _Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, volley: _Volley) -> None:
        self._volley = volley
        self._buffer = b""
        self._place = -1
        self._sent_at = 0.0
        self._transport: asyncio.Transport
        self.is_idle = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transport only behaves like one
        self._volley.clients.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.is_idle:  # a server need not keep a connection that has nothing to say
            self._volley.clients.discard(self)
        else:
            self._volley.fail(exc or ConnectionError("the server closed the connection"))

    def close(self) -> None:
        """Hang up."""
        self.is_idle = True
        self._transport.abort()

    def send_next(self) -> None:
        """Send the next request that is due, if there is one."""
        self.is_idle = not self._volley.due
        if not self.is_idle:
            self._place, due = self._volley.due.popleft()
            self._sent_at = due or time.time()
            self._transport.write(self._volley.requests[self._place])

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found or len(body) < _content_length(head):
            return
        self._buffer = b""
        self._volley.note(Answer(self._place, int(head[9:12]), body, self._sent_at, time.time()))
        self.send_next()


def _content_length(head: bytes) -> int:
    lower = head.lower()
    start = lower.find(b"\r\ncontent-length:")
    return int(lower[start + 17 :].partition(b"\r\n")[0]) if start >= 0 else 0
