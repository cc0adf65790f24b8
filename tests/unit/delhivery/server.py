"""A server that says anything, and what Delhivery says."""

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

#: What a wrong token is told.
NOT_LET_IN = "Login or API Key Required"


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

    def show(self, *shipments: dict[str, Any]) -> None:
        """Answer the next look with these shipments."""
        self.say(200, {"ShipmentData": [{"Shipment": shipment} for shipment in shipments]})


class Handler(BaseHTTPRequestHandler):
    """One request a connection."""

    server: Server

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        address = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append(
            {
                "method": self.command,
                "path": address.path,
                "query": parse_qs(address.query),
                "body": json.loads(body) if body else None,
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
        if status in (301, 302, 307):
            self.send_header("Location", f"{self.server.url}/elsewhere")
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


def shipment(awb: Any = "1234567890123", status_type: str = "UD", status: str = "In Transit", **more: Any) -> Asked:
    """A shipment as Delhivery shows it; `more` are members of the shipment, or of its status."""
    about = {
        "Status": status,
        "StatusType": status_type,
        "StatusCode": "X-PPOM",
        "StatusDateTime": "2026-08-01T10:11:12.003",
        "StatusLocation": "Mumbai_Hub",
        "Instructions": "Handed over to Ann Smith",
        "RecievedBy": "Ann Smith",
    }
    return {
        "AWB": awb,
        "ReferenceNo": "ORD-1",
        "OrderType": "Pre-paid",
        "Status": about | {name: value for name, value in more.items() if name in about},
        "ReverseInTransit": False,
        "PickUpDate": None,
        "PickedupDate": None,
        "Ewaybill": [],
        "Consignee": {"Name": "Ann Smith", "Address1": [], "Telephone1": "5550100"},
    } | {name: value for name, value in more.items() if name not in about}
