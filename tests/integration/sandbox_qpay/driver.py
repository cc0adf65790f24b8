"""QPay's stand-in, driven over HTTP as the mesh does, and a merchant who is called back."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from tests.integration.sandbox_process import Running, running

CREDENTIALS = ("merchant", "secret")
#: A callback_url at which nobody listens.
NOBODY = "http://127.0.0.1:9/payments/qpay/callback/token"
UNKNOWN = "00000000-0000-4000-8000-000000000000"

NUMBERS = map("ORD-{}".format, itertools.count(1))

Json = dict[str, Any]


class Sandbox:
    """One running stand-in, as a test talks to it: through QPay's API, and through /_sandbox/."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=10, trust_env=False)
        self.token: str = self.log_in()["access_token"]

    def close(self) -> None:
        self.http.close()

    # What a merchant's server does.

    def log_in(self) -> Json:
        return said(self.http.post("/v2/auth/token", auth=CREDENTIALS))

    def refresh(self, token: str) -> httpx.Response:
        return self.http.post("/v2/auth/refresh", headers={"Authorization": f"Bearer {token}"})

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        """Call the API, and take whatever is answered."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return self.http.request(method, f"/v2/{path}", json=body, headers=headers, **more)

    def create(self, **more: Any) -> Json:
        """A new invoice of 15 000 tugrik, as it is answered."""
        return said(self.ask("POST", "invoice", wish(**more)))

    def invoice(self, **more: Any) -> str:
        """The id of a new invoice of 15 000 tugrik."""
        return str(self.create(**more)["invoice_id"])

    def show(self, invoice: str) -> Json:
        return said(self.ask("GET", f"invoice/{invoice}"))

    def cancel(self, invoice: str, **more: Any) -> httpx.Response:
        return self.ask("DELETE", f"invoice/{invoice}", **more)

    def check(self, invoice: str, **offset: int) -> Json:
        offset = {"page_number": 1, "page_limit": 100} | offset
        body = {"object_type": "INVOICE", "object_id": invoice, "offset": offset}
        return said(self.ask("POST", "payment/check", body))

    def payment(self, payment: str) -> Json:
        return said(self.ask("GET", f"payment/{payment}"))

    def refund(self, payment: str, body: Any = None, way: str = "refund", **more: Any) -> httpx.Response:
        return self.ask("DELETE", f"payment/{way}/{payment}", body, **more)

    # What a shopper does in a bank's app, and the bank.

    def pay(self, invoice: str, type: str = "P2P", callback: Any = "none", **more: Any) -> str:
        """The id of a payment; nobody is told of it when nothing else is said."""
        paid = self.tell("POST", f"pay/{invoice}", json={"type": type, "callback": callback, **more})
        return str(paid["payment_id"])

    def arm(self, operation: str, fault: str, **more: Any) -> None:
        self.tell("POST", "faults", json={"operation": operation, "fault": fault, **more})

    def tell(self, method: str, path: str, **more: Any) -> Any:
        answer = self.http.request(method, f"/_sandbox/{path}", **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def effects(self, object: str) -> list[tuple[str, int]]:
        return [(row["operation"], row["amount"]) for row in self.tell("GET", f"ledger?object={object}")]

    def asked(self, object: str) -> list[tuple[str, str | None, int | None]]:
        """The requests about an object: operation, fault, and what was answered."""
        rows = self.tell("GET", f"requests?object={object}")
        return [(row["operation"], row["fault"], row["status"]) for row in rows]

    def callbacks(self, object: str) -> list[tuple[int, int | None]]:
        """Which attempt each callback was, and what it was answered."""
        return [(row["attempt"], row["status"]) for row in self.tell("GET", f"callbacks?object={object}")]


def wish(**more: Any) -> Json:
    """What an invoice of 15 000 tugrik is asked for with; a field that is None is left out."""
    fields = {
        "invoice_code": "SHOP_INVOICE",
        "sender_invoice_no": next(NUMBERS),
        "invoice_receiver_code": "terminal",
        "invoice_description": "Захиалга",
        "amount": 15000,
        "callback_url": NOBODY,
        **more,
    }
    return {name: value for name, value in fields.items() if value is not None}


def said(answer: httpx.Response) -> Json:
    """The body of an answer that is 200."""
    assert answer.status_code == 200, answer.text
    told: Json = answer.json()
    return told


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """The status and the code of an answer that is an error, which is told in Mongolian, too."""
    error = answer.json()
    assert set(error) == {"error", "message"}
    assert not error["message"].isascii()
    return answer.status_code, error["error"]


@contextmanager
def sandbox(data: Path, *arguments: str) -> Iterator[tuple[Sandbox, Running]]:
    with running("sandbox.qpay", "--port", "0", "--data", str(data), *arguments) as process:
        driven = Sandbox(process.addresses[0])
        try:
            yield driven, process
        finally:
            driven.close()


class Called(NamedTuple):
    """One callback as it arrived."""

    method: str
    #: The path, with its query.
    address: str


class Receiver:
    """A merchant's callback; it answers with the statuses it was given first, and then with 200 and SUCCESS."""

    def __init__(self) -> None:
        self.received: queue.Queue[Called] = queue.Queue()
        self.statuses: list[int] = []
        receiver = self

        class Endpoint(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.take()

            def do_POST(self) -> None:
                self.take()

            def take(self) -> None:
                status = receiver.statuses.pop(0) if receiver.statuses else 200
                receiver.received.put(Called(self.command, self.path))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(b"SUCCESS")

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
        self.url = f"http://127.0.0.1:{self._server.server_port}/callback/t0ken?shop=1&note=a%20b"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next(self) -> Called:
        return self.received.get(timeout=5)
