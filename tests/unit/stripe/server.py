"""A server that says anything, and what Stripe says."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Asked = dict[str, Any]

#: Seconds until an answer is given up.
PATIENCE = 0.3


class Server(ThreadingHTTPServer):
    """Says what it is told to say, once to each request, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, str, bytes]] = []
        self.asked: list[Asked] = []
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def say(self, status: int, body: Any, media_type: str = "application/json") -> None:
        """Answer the next request like this; bytes and text go out as they are."""
        raw = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.answers.append((status, media_type, raw))

    def complain(self, status: int, **error: Any) -> None:
        """Answer the next request with an error in Stripe's form."""
        self.say(status, {"error": {"message": "Ann Smith's card, 4242...", **error}})


class Handler(BaseHTTPRequestHandler):
    """One request a connection."""

    server: Server

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        address = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        self.server.asked.append(
            {
                "method": self.command,
                "path": address.path,
                "query": parse_qs(address.query),
                "form": form,
                "headers": {name.lower(): value for name, value in self.headers.items()},
            }
        )
        status, media_type, raw = self.server.answers.pop(0)
        if status == 0:  # no answer at all: dropped, or withheld until the test ends
            if media_type == "withheld":
                self.server.released.wait()
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(raw) + (100 if media_type == "truncated" else 0)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join()


def intent(status: str, amount: int = 3800, capturable: int = 0, received: int = 0, **more: Any) -> dict[str, Any]:
    """A PaymentIntent as Stripe shows it."""
    return {
        "id": "pi_1",
        "object": "payment_intent",
        "status": status,
        "amount": amount,
        "amount_capturable": capturable,
        "amount_received": received,
        "currency": "usd",
        "latest_charge": None,
    } | more
