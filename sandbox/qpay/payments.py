"""The rules of a payment: made by a bank's app, seen by a check, given back whole when a card made it.

Each change of money leaves its trace in the ledger in the same transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from sandbox.qpay import callbacks, invoices, objects
from sandbox.qpay.call import Call
from sandbox.qpay.objects import Invoice, Payment, PaymentStatus, PaymentType
from sandbox.qpay.refusals import Refusal

#: Why a payment is not given back, by its status; one that is PAID may be.
NOT_REFUNDABLE: Mapping[PaymentStatus, str] = {
    "NEW": "PAYMENT_NOT_PAID",
    "FAILED": "PAYMENT_NOT_PAID",
    "PARTIAL": "PAYMENT_NOT_PAID",
    "REFUND": "PAYMENT_ALREADY_CANCELED",
}
#: The page that is shown when none is asked for.
FIRST_PAGE = {"page_number": 1, "page_limit": 100}


class Purse(msgspec.Struct, forbid_unknown_fields=True):
    """What a shopper does in a bank's app; `late` is one who had scanned the code before the invoice was over."""

    type: PaymentType
    amount: Annotated[int, Meta(ge=1, le=invoices.LARGEST)] | None = None
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] = "MNT"
    status: Literal["PAID", "NEW", "FAILED", "PARTIAL"] = "PAID"
    late: bool = False


def pay(call: Call, purse: Purse) -> Payment:
    """Let a shopper pay an invoice; raises the Refusal of one that is over, unless the shopper is late."""
    invoice = call.invoice()
    if invoice.status in invoices.OVER and not purse.late:
        raise Refusal(invoices.OVER[invoice.status])
    payment = _made(invoice, purse)
    call.store.save_payment(payment)
    if payment.status == "PAID":
        call.store.record("payment.paid", payment.id, payment.amount, payment.currency)
    if invoice.status == "OPEN" and objects.paid(call.store.payments_of(invoice.id)) >= invoice.amount:
        invoices.advance(call, invoice, "paid")
    return payment


def _made(invoice: Invoice, purse: Purse) -> Payment:
    return Payment(
        id=objects.new_payment_id(),
        invoice=invoice.id,
        amount=invoice.amount if purse.amount is None else purse.amount,
        currency=purse.currency,
        type=purse.type,
        status=purse.status,
        date=objects.now(),
    )


def check(call: Call) -> dict[str, Any]:
    """How an object was paid; nothing says what was paid when nothing was."""
    payments = _payments(call)
    paid = objects.paid(payments)
    rows = [objects.row(payment) for payment in _page(call, payments)]
    return {"count": len(payments), **({"paid_amount": paid} if paid else {}), "rows": rows}


def page(call: Call) -> dict[str, Any]:
    """The payments of an object that were made between two moments, both included."""
    start, end = _moment(call.parameters["start_date"]), _moment(call.parameters["end_date"])
    made = [payment for payment in _payments(call) if start <= _moment(payment.date) <= end]
    return {"count": len(made), "rows": [objects.detail(payment) for payment in _page(call, made)]}


def _payments(call: Call) -> list[Payment]:
    """The payments of an object; nobody pays codes or items by themselves here."""
    if call.parameters["object_type"] != "INVOICE":
        return []
    return call.store.payments_of(call.invoice_with(call.parameters["object_id"]).id)


def _page(call: Call, payments: Sequence[Payment]) -> Sequence[Payment]:
    offset = FIRST_PAGE | call.parameters.get("offset", {})
    start = (offset["page_number"] - 1) * offset["page_limit"]
    return payments[start : start + offset["page_limit"]]


def _moment(text: str) -> datetime:
    """A moment; one without a zone is in UTC."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def retrieve(call: Call) -> dict[str, Any]:
    """One payment."""
    return objects.detail(call.payment())


def refund(call: Call) -> dict[str, Any]:
    """Give the whole of a payment back; of a card only, and before it is settled."""
    payment = call.payment()
    _refuse(payment)
    payment.status = "REFUND"
    call.store.save_payment(payment)
    call.store.record("payment.refunded", payment.id, payment.amount, payment.currency)
    if "callback_url" in call.parameters:
        call.callbacks.send(callbacks.about(payment, call.parameters["callback_url"]))
    return {}


def _refuse(payment: Payment) -> None:
    """Raise when this may not be given back."""
    if payment.status in NOT_REFUNDABLE:
        raise Refusal(NOT_REFUNDABLE[payment.status])
    if payment.type != "CARD":
        raise Refusal("PERMISSION_DENIED")
    if payment.settled:
        raise Refusal("PAYMENT_SETTLED")


def settle(call: Call) -> Payment:
    """Let the bank pay the merchant out, after which QPay gives nothing back."""
    payment = call.payment()
    if payment.status != "PAID":
        raise Refusal(NOT_REFUNDABLE[payment.status])
    payment.settled = True
    call.store.save_payment(payment)
    return payment
