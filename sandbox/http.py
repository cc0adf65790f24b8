"""A small HTTP/1.1 server for the stand-ins: cheap to run, and able to misbehave at the transport.

It parses with httptools, runs on uvloop when that is installed, and binds to loopback only.  A handler
is one coroutine function from a Request to a Response; it raises `Drop` to close the connection without
an answer, which is how a stand-in plays a lost network.
"""

from __future__ import annotations

import asyncio
import ipaddress
import signal
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Generic, TypeVar, cast
from urllib.parse import unquote

import httptools
import msgspec

#: A larger body is refused: no provider's API takes one, and a stand-in must not be filled up by mistake.
LARGEST_BODY = 1 << 20

REASONS: Mapping[int, str] = {status.value: status.phrase for status in HTTPStatus}

Target = TypeVar("Target")


class Drop(Exception):
    """Close the connection without an answer."""


@dataclass(slots=True)
class Request:
    """One request as it arrived; header names are lower case, path and query are still percent-encoded."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass(slots=True)
class Response:
    """One answer; `Content-Length` and the status line are added when it is written."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})

    @classmethod
    def json(cls, value: object, status: int = 200) -> Response:
        """An answer with a JSON body."""
        return cls(status, msgspec.json.encode(value))

    def encode(self, *, keep_alive: bool, with_body: bool) -> bytes:
        """The bytes of this answer on the wire."""
        lines = [f"HTTP/1.1 {self.status} {REASONS.get(self.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines.append(f"Content-Length: {len(self.body)}")
        if not keep_alive:
            lines.append("Connection: close")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        return head + self.body if with_body else head


Handler = Callable[[Request], Awaitable[Response]]


class Router(Generic[Target]):
    """Finds the target of `POST /v1/things/{id}/cancel`, and what stands in the place of `{id}`."""

    def __init__(self, routes: Mapping[str, Target]) -> None:
        self._root: dict[str, Any] = {}
        for route, target in routes.items():
            method, pattern = route.split(" ")
            node = self._root.setdefault(method, {})
            for segment in pattern.split("/")[1:]:
                node = node.setdefault("{}" if segment.startswith("{") else segment, {})
            node[None] = target

    def find(self, method: str, path: str) -> tuple[Target, list[str]] | None:
        """The target and the captured segments, or None when no route fits; an empty segment fits nothing."""
        node = self._root.get(method, {})
        captured = []
        for segment in path.split("/")[1:]:
            if segment in node:
                node = node[segment]
            elif segment and "{}" in node:
                node = node["{}"]
                captured.append(unquote(segment))
            else:
                return None
        return (node[None], captured) if None in node else None


class _Connection(asyncio.Protocol):
    """One kept-alive connection; its requests are answered one after the other, in order."""

    def __init__(self, handler: Handler, connections: set[_Connection]) -> None:
        self._handler = handler
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._answering: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transport only behaves like one
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        # A request that is being carried out goes on: a provider, too, finishes what its caller gave up on.
        self._waiting.clear()
        self._connections.discard(self)

    def close(self) -> None:
        """Close now and forget what is still being answered."""
        if self._answering is not None:
            self._answering.cancel()
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._transport.is_closing():
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse(400)

    def _refuse(self, status: int) -> None:
        """Answer with an error, once, and close."""
        if self._transport.is_closing():
            return
        self._transport.write(Response(status).encode(keep_alive=False, with_body=True))
        self._transport.close()

    # What httptools calls while it parses.

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body = b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body += body
        if len(self._body) > LARGEST_BODY:
            self._refuse(413)

    def on_message_complete(self) -> None:
        path, _, query = self._url.decode("latin-1").partition("?")
        method = self._parser.get_method().decode()
        request = Request(method, path, query, self._headers, self._body)
        self._waiting.append((request, self._parser.should_keep_alive()))
        if self._answering is None:
            self._answering = asyncio.get_running_loop().create_task(self._answer())

    async def _answer(self) -> None:
        try:
            while self._waiting and not self._transport.is_closing():
                request, keep_alive = self._waiting.popleft()
                response = await self._handler(request)
                self._transport.write(response.encode(keep_alive=keep_alive, with_body=request.method != "HEAD"))
                if not keep_alive:
                    self._transport.close()
        except Drop:
            self._transport.abort()
        except Exception:
            self._refuse(500)
            raise
        finally:
            self._answering = None


class Server:
    """A listening socket on loopback and the connections it accepted."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._connections: set[_Connection] = set()
        self._listener: asyncio.Server

    async def start(self, port: int, host: str = "127.0.0.1") -> int:
        """Listen, and return the port; 0 asks the system for a free one.

        Raises ValueError for a host that is not loopback: a stand-in takes any key, so nobody else may reach it.
        """
        refuse_beyond_loopback(host)
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            lambda: _Connection(self._handler, self._connections), host, port, backlog=1024
        )
        return int(self._listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening and close every connection, also those in the middle of an answer."""
        self._listener.close()
        for connection in list(self._connections):
            connection.close()
        await asyncio.sleep(0)  # lets the canceled answers end before the loop does


def refuse_beyond_loopback(host: str) -> None:
    """Raise ValueError unless `host` is `localhost` or a loopback address."""
    if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"a stand-in listens on loopback only, not on {host}")


def asked_to_end() -> asyncio.Event:
    """An event that is set when the process is asked to end, by SIGTERM or SIGINT; get it before saying "ready"."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    return asked


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run one stand-in's `main` to its end, on uvloop when it is installed."""
    try:
        from uvloop import new_event_loop
    except ImportError:  # uvloop has no wheel for some platforms; asyncio does the same, slower
        from asyncio import new_event_loop  # type: ignore[assignment]
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main)
