"""A server that says anything, and what QPay says."""

import threading
import time
from types import MappingProxyType
from typing import Any

from tests.unit import answering
from tests.unit.answering import Answer, Asked, raw

#: How long QPay's tokens last, and those that bring new ones.
DAY = 86400

INVOICE_ID = "5f3c1a52-6a0e-4bd1-9d6c-0c8f6f0a7e11"
PAYMENT_ID = "800000000000017"


class Server(answering.Server):
    """Lets in whoever logs in."""

    headers = MappingProxyType({"Location": "/elsewhere", "Set-Cookie": "theirs=1"})

    def __init__(self) -> None:
        super().__init__()
        #: Answers to the next requests for tokens; then each gets tokens of its own.
        self.letting_in: list[Answer] = []
        #: An answer to as many requests as come.
        self.always: Answer | None = None
        #: Tokens that let nobody in, whenever they say that they expire.
        self.dead: set[str] = set()
        self.logins: list[Asked] = []
        #: Requests for tokens wait for this before they are answered.
        self.open = threading.Event()
        self.open.set()

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

    def release(self) -> None:
        """Let nobody wait any longer."""
        super().release()
        self.open.set()


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
