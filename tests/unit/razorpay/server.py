"""A server that says anything, and what Razorpay says."""

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

#: Seconds after which a hold of these tests lapses.
HOLD_LIFETIME = 3 * 86400.0


class Server(ThreadingHTTPServer):
    """Says what it is told to say, once to each request, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, str, bytes]] = []
        self.asked: list[Asked] = []
        #: Answers by path, to as many requests as come.
        self.always: dict[str, tuple[int, str, bytes]] = {}
        #: Where requests meet before any of them is answered.
        self.together: threading.Barrier | None = None
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def say(self, status: int, body: Any, media_type: str = "application/json") -> None:
        """Answer the next request like this; bytes and text go out as they are."""
        raw = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.answers.append((status, media_type, raw))

    def complain(self, status: int, description: str = "Ann Smith's card, 4242...", **error: Any) -> None:
        """Answer the next request with an error in Razorpay's form."""
        self.say(status, complaint(description, **error))


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
        self.server.asked.append(
            {
                "method": self.command,
                "path": address.path,
                "query": parse_qs(address.query),
                "json": json.loads(body) if body else None,
                "headers": {name.lower(): value for name, value in self.headers.items()},
            }
        )
        if self.server.together:
            self.server.together.wait()
        status, media_type, raw = self.server.always.get(address.path) or self.server.answers.pop(0)
        if status == 0:  # no answer at all: dropped, or withheld until the test ends
            if media_type == "withheld":
                self.server.released.wait()
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(raw) + (100 if media_type == "truncated" else 0)))
        self.send_header("Location", "/elsewhere")
        self.send_header("Set-Cookie", "theirs=1")
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


def complaint(description: str, code: str = "BAD_REQUEST_ERROR", **more: Any) -> dict[str, Any]:
    """An error in Razorpay's form."""
    error = {"code": code, "description": description, "source": "business", "step": "NA", "reason": "NA"}
    return {"error": error | {"metadata": {}} | more}


def payment(status: str, **more: Any) -> dict[str, Any]:
    """A payment as Razorpay shows it."""
    return {
        "id": "pay_1",
        "entity": "payment",
        "amount": 3800,
        "currency": "INR",
        "status": status,
        "captured": status in ("captured", "refunded"),
        "amount_refunded": 3800 if status == "refunded" else 0,
        "refund_status": "full" if status == "refunded" else None,
        "email": "ann@example.com",
        "notes": [],
        "created_at": 86400,
    } | more


def refund(status: str = "processed", **more: Any) -> dict[str, Any]:
    """A refund as Razorpay shows it, with our tag."""
    return {
        "id": "rfnd_1",
        "entity": "refund",
        "amount": 700,
        "currency": "INR",
        "payment_id": "pay_1",
        "notes": {"countermand_refund": "rfd_1:2"},
        "receipt": "rfd_1:2",
        "acquirer_data": {"arn": None},
        "created_at": 86400,
        "status": status,
        "speed_requested": "normal",
        "speed_processed": "normal",
    } | more
