"""A server that says what it is told to say: what the adapters of providers and couriers are tested against."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

Asked = dict[str, Any]
#: A status (0: none at all), a media type ("withheld" and "truncated" are what they say), and a body.
Answer = tuple[int, str, bytes]

#: Seconds until an answer is given up.
PATIENCE = 0.3


class Server(ThreadingHTTPServer):
    """Says what it is told to say, once to each request, and keeps what it was asked."""

    request_queue_size = 128
    #: What the body of a request is called among what was asked.
    body_name = "json"
    #: Headers of every answer.
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[Answer] = []
        self.asked: list[Asked] = []
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def say(self, status: int, body: Any, media_type: str = "application/json") -> None:
        """Answer the next request like this; bytes and text go out as they are."""
        self.answers.append((status, media_type, raw(body)))

    def read(self, body: bytes) -> Any:
        """The body of a request, as tests compare it."""
        return json.loads(body) if body else None

    def answer(self, asked: Asked) -> Answer:
        """What is said to a request."""
        self.asked.append(asked)
        return self.answers.pop(0)

    def release(self) -> None:
        """Let nobody wait any longer."""
        self.released.set()


class Handler(BaseHTTPRequestHandler):
    """One request a connection."""

    server: Server

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def _answer(self) -> None:
        address = urlsplit(self.path)
        status, media_type, body = self.server.answer(
            {
                "method": self.command,
                "path": address.path,
                "query": parse_qs(address.query),
                self.server.body_name: self.server.read(self.rfile.read(int(self.headers.get("Content-Length", 0)))),
                "headers": {name.lower(): value for name, value in self.headers.items()},
            }
        )
        if status == 0:  # no answer at all: dropped, or withheld until the test ends
            if media_type == "withheld":
                self.server.released.wait()
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body) + (100 if media_type == "truncated" else 0)))
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


Kind = TypeVar("Kind", bound=Server)


@contextmanager
def serving(kind: type[Kind]) -> Iterator[Kind]:
    """Run such a server."""
    with kind() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.release()
            server.shutdown()
            thread.join()


def raw(body: Any) -> bytes:
    """What goes out: bytes and text as they are, anything else as JSON."""
    return body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
