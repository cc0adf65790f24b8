"""A server that says anything, and what QPay says."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Asked = dict[str, Any]
Answer = tuple[int, str, bytes]

#: Seconds until an answer is given up.
PATIENCE = 0.3

#: How long QPay's tokens last, and those that bring new ones.
DAY = 86400

INVOICE_ID = "5f3c1a52-6a0e-4bd1-9d6c-0c8f6f0a7e11"
PAYMENT_ID = "800000000000017"


class Server(ThreadingHTTPServer):
    """Says what it is told to say, once to each request, and keeps what it was asked; lets in whoever logs in."""

    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[Answer] = []
        #: Answers to the next requests for tokens; then each gets tokens of its own.
        self.letting_in: list[Answer] = []
        #: An answer to as many requests as come.
        self.always: Answer | None = None
        #: Tokens that let nobody in, whenever they say that they expire.
        self.dead: set[str] = set()
        self.asked: list[Asked] = []
        self.logins: list[Asked] = []
        #: Requests for tokens wait for this before they are answered.
        self.open = threading.Event()
        self.open.set()
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def say(self, status: int, body: Any, media_type: str = "application/json") -> None:
        """Answer the next request like this; bytes and text go out as they are."""
        self.answers.append((status, media_type, raw(body)))

    def let_in(self, status: int, body: Any, media_type: str = "application/json") -> None:
        """Answer the next request for tokens like this."""
        self.letting_in.append((status, media_type, raw(body)))

    def answer(self, asked: Asked) -> Answer:
        """What is said to a request."""
        if asked["path"].startswith("/auth/"):
            self.logins.append(asked)
            number = len(self.logins)
            self.open.wait(30)
            return self.letting_in.pop(0) if self.letting_in else (200, "application/json", raw(tokens(number)))
        self.asked.append(asked)
        if asked["headers"]["authorization"].removeprefix("Bearer ") in self.dead:
            return 401, "application/json", raw({"error": "NO_CREDENTIALS", "message": "Нэвтрэх эрхгүй"})
        return self.always or self.answers.pop(0)


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
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, media_type, said = self.server.answer(
            {
                "method": self.command,
                "path": self.path,
                "json": json.loads(body) if body else None,
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
        self.send_header("Content-Length", str(len(said) + (100 if media_type == "truncated" else 0)))
        self.send_header("Location", "/elsewhere")
        self.send_header("Set-Cookie", "theirs=1")
        self.end_headers()
        self.wfile.write(said)

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
            server.open.set()
            server.shutdown()
            thread.join()


def raw(body: Any) -> bytes:
    """What goes out: bytes and text as they are, anything else as JSON."""
    return body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()


def tokens(number: int = 1, **more: Any) -> Asked:
    """Tokens as QPay gives them: what it calls `expires_in` is a time of the unix clock."""
    return {
        "token_type": "bearer",
        "access_token": f"access-{number}",
        "expires_in": int(time.time()) + DAY,
        "refresh_token": f"refresh-{number}",
        "refresh_expires_in": int(time.time()) + 2 * DAY,
        "scope": "profile email",
        "not-before-policy": "0",
        "session_state": "8a1b",
    } | more


def invoice(**more: Any) -> Asked:
    """An invoice as QPay answers that it was made."""
    return {
        "invoice_id": INVOICE_ID,
        "qr_text": "0002010102121531...6304A1B2",
        "qr_image": "iVBORw0KGgo=",
        "qPay_shortUrl": "https://s.qpay.mn/abc",
        "urls": [
            {
                "name": "Khan bank",
                "description": "Хаан банк",
                "logo": "https://qpay.mn/q/logo/khanbank.png",
                "link": "khanbank://q?qPay_QRcode=0002010102121531",
            },
            {
                "name": "State bank",
                "description": "Төрийн банк",
                "logo": "https://qpay.mn/q/logo/statebank.png",
                "link": "statebank://q?qPay_QRcode=0002010102121531",
            },
        ],
    } | more


TRANSFER = {
    "transaction_bank_code": "050000",
    "account_bank_code": "050000",
    "account_bank_name": "Ann Smith's bank",
    "account_number": "5550100",
    "status": "SUCCESS",
    "amount": "15000.00",
    "currency": "MNT",
    "settlement_status": "SETTLED",
}

CHARGE = {
    "card_type": "VISA",
    "is_cross_border": False,
    "amount": "15000.00",
    "currency": "MNT",
    "date": "2026-09-01T10:11:12",
    "status": "SUCCESS",
    "settlement_status": "PENDING",
}


def row(status: str = "PAID", payment_id: str = PAYMENT_ID, **more: Any) -> Asked:
    """A payment as a check shows it."""
    return {
        "payment_id": payment_id,
        "payment_status": status,
        "payment_amount": "15000.00",
        "trx_fee": "0.00",
        "payment_currency": "MNT",
        "payment_wallet": "Ann Smith's wallet",
        "payment_type": "P2P",
        "card_transactions": [],
        "p2p_transactions": [TRANSFER],
    } | more


def page(*rows: Asked) -> Asked:
    """What a check shows; the sum is absent where there is nothing."""
    return {"count": len(rows), "rows": list(rows)} | ({"paid_amount": 15000} if rows else {})


def payment(status: str = "PAID", **more: Any) -> Asked:
    """A payment by card as QPay shows it when it is read."""
    return {
        "payment_id": PAYMENT_ID,
        "payment_status": status,
        "payment_amount": "15000.00",
        "payment_fee": "150.00",
        "payment_currency": "MNT",
        "payment_date": "2026-09-01T10:11:12",
        "payment_wallet": "Ann Smith's wallet",
        "transaction_type": "CARD",
        "object_type": "INVOICE",
        "object_id": INVOICE_ID,
        "card_transactions": [CHARGE],
        "p2p_transactions": [],
    } | more
