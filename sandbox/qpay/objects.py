"""Invoice and payment, and how they look on the wire.

Amounts are whole tugrik.  QPay writes some of them as texts with two places and others as numbers, and so does this.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from sandbox.qpay import qr

InvoiceStatus = Literal["OPEN", "CLOSED", "CANCELED"]
PaymentStatus = Literal["NEW", "FAILED", "PAID", "PARTIAL", "REFUND"]
PaymentType = Literal["P2P", "CARD"]

#: What an invoice shows of itself when nothing else was asked for.
UNASKED: dict[str, Any] = {
    "sender_branch_code": None,
    "sender_staff_code": None,
    "sender_terminal_code": None,
    "enable_expiry": False,
    "expiry_date": None,
    "invoice_due_date": None,
    "allow_partial": False,
    "minimum_amount": None,
    "allow_exceed": False,
    "maximum_amount": None,
    "note": None,
    "lines": [],
    "transactions": [],
}
#: What was asked for of an invoice, as far as it shows that.
SHOWN = (*UNASKED, "sender_invoice_no", "invoice_description", "callback_url")
#: The account that transfers arrive at.
BANK = {"account_bank_code": "050000", "account_bank_name": "Хаан банк", "account_number": "5000000001"}


class Invoice(msgspec.Struct, kw_only=True):
    """What a shopper is asked to pay, in tugrik; `wish` is the body that it was made from."""

    id: str
    amount: int
    status: InvoiceStatus = "OPEN"
    wish: dict[str, Any]

    @property
    def sender_invoice_no(self) -> str:
        """The merchant's own number, which need not be unique."""
        return str(self.wish["sender_invoice_no"])

    @property
    def callback_url(self) -> str:
        """Whom to call when something happens to its payments."""
        return str(self.wish["callback_url"])


class Payment(msgspec.Struct, kw_only=True):
    """One payment of an invoice; `settled` once the bank has paid the merchant out."""

    id: str
    invoice: str
    amount: int
    currency: str
    type: PaymentType
    status: PaymentStatus
    settled: bool = False
    date: str


def new_payment_id() -> str:
    """A payment id in QPay's form: 15 digits."""
    return str(10**14 + secrets.randbelow(9 * 10**14))


def now() -> str:
    """This moment, in UTC, as QPay writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def places(amount: int) -> str:
    """An amount as a text with two places."""
    return f"{amount}.00"


def paid(payments: Sequence[Payment]) -> int:
    """What has arrived: the sum of the payments that are PAID, and of no others."""
    return sum(payment.amount for payment in payments if payment.status == "PAID")


def made(invoice: Invoice) -> dict[str, Any]:
    """A new invoice, as whoever made it is answered."""
    code = qr.text(invoice.id, invoice.amount)
    return {
        "invoice_id": invoice.id,
        "qr_text": code,
        "qr_image": qr.image(code),
        "qPay_shortUrl": f"https://s.qpay.mn/{invoice.id[:8]}",
        "urls": qr.links(code),
    }


def shown(invoice: Invoice, payments: Sequence[Payment]) -> dict[str, Any]:
    """An invoice, as whoever reads it is answered."""
    return {
        **UNASKED,
        **{name: value for name, value in invoice.wish.items() if name in SHOWN},
        "invoice_id": invoice.id,
        "invoice_status": invoice.status,
        "total_amount": places(invoice.amount),
        "gross_amount": invoice.amount,
        "tax_amount": 0,
        "payments": [row(payment) for payment in payments],
    }


def row(payment: Payment) -> dict[str, Any]:
    """A payment, as a check shows it."""
    return {
        "payment_id": payment.id,
        "payment_status": payment.status,
        "payment_amount": places(payment.amount),
        "trx_fee": "0.00",
        "payment_currency": payment.currency,
        "payment_wallet": "Sandbox wallet",
        "payment_type": payment.type,
        **_transactions(payment),
    }


def detail(payment: Payment) -> dict[str, Any]:
    """A payment, as it shows when it is read by its id."""
    return {
        "payment_id": payment.id,
        "payment_status": payment.status,
        "payment_amount": places(payment.amount),
        "payment_fee": "0.00",
        "payment_currency": payment.currency,
        "payment_date": payment.date,
        "payment_wallet": "Sandbox wallet",
        "transaction_type": payment.type,
        "object_type": "INVOICE",
        "object_id": payment.invoice,
        **_transactions(payment),
    }


def _transactions(payment: Payment) -> dict[str, Any]:
    """The transactions behind a payment: of a card, or from one account to another."""
    common = {
        "status": "SUCCESS" if payment.status in ("PAID", "REFUND") else payment.status,
        "amount": places(payment.amount),
        "currency": payment.currency,
        "settlement_status": "SETTLED" if payment.settled else "PENDING",
    }
    if payment.type == "P2P":
        return {"card_transactions": [], "p2p_transactions": [{"transaction_bank_code": "050000", **BANK, **common}]}
    card = {"card_type": "VISA", "is_cross_border": False, "date": payment.date, "settlement_status_date": payment.date}
    return {"card_transactions": [card | common], "p2p_transactions": []}
