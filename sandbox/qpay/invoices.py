"""The rules of an invoice: open until it is paid or canceled, and never again afterwards.

Each change leaves its trace in the ledger in the same transaction.  An expiry is kept and shown; whoever wants an
invoice gone cancels it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from sandbox.qpay import objects
from sandbox.qpay.call import Call
from sandbox.qpay.fields import number
from sandbox.qpay.objects import Invoice, InvoiceStatus
from sandbox.qpay.refusals import Invalid, Refusal, Wrong

#: What becomes of an invoice, from its status and what happens to it.
TRANSITIONS: Mapping[tuple[InvoiceStatus, str], InvoiceStatus] = {
    ("OPEN", "paid"): "CLOSED",
    ("OPEN", "canceled"): "CANCELED",
}
#: Why nothing more happens to an invoice, by its status.
OVER: Mapping[InvoiceStatus, str] = {"CLOSED": "INVOICE_PAID", "CANCELED": "INVOICE_ALREADY_CANCELED"}
#: The largest invoice, in tugrik; no order of a shop comes near it.
LARGEST = 10**12
#: The amount of an invoice, and of what is paid of it, in whole tugrik.
amount = number(1, LARGEST)


def create(call: Call) -> dict[str, Any]:
    """Make an invoice; another one with the same sender_invoice_no is another invoice."""
    wish = call.parameters
    invoice = Invoice(id=str(uuid.uuid4()), amount=_amount(wish), wish=wish)
    call.store.save_invoice(invoice)
    call.store.record("invoice.created", invoice.id, invoice.amount, "MNT")
    return objects.made(invoice)


def _amount(wish: Mapping[str, Any]) -> int:
    """The amount that is wished, or that of the lines, without what is taken off or added, in tugrik."""
    if "amount" in wish:
        return int(wish["amount"])
    total = sum(line["line_quantity"] * line["line_unit_price"] for line in wish.get("lines", ()))
    if not total:
        raise Invalid({"amount": Wrong("REQUIRED").problem})
    if total > LARGEST:
        raise Invalid({"amount": Wrong("MAX_NUMBER", LARGEST).problem})
    return int(total)


def advance(call: Call, invoice: Invoice, event: str) -> None:
    """Let one thing happen to an invoice; raises the Refusal of what its status does not allow."""
    status = TRANSITIONS.get((invoice.status, event))
    if status is None:
        raise Refusal(OVER[invoice.status])
    invoice.status = status
    call.store.save_invoice(invoice)


def retrieve(call: Call) -> dict[str, Any]:
    """An invoice, with what was paid of it."""
    invoice = call.invoice()
    return objects.shown(invoice, call.store.payments_of(invoice.id))


def cancel(call: Call) -> dict[str, Any]:
    """Take an invoice back, unless money has arrived for it, be it a part."""
    invoice = call.invoice()
    if invoice.status == "OPEN" and objects.paid(call.store.payments_of(invoice.id)):
        raise Refusal("INVOICE_PAID")
    advance(call, invoice, "canceled")
    call.store.record("invoice.canceled", invoice.id, invoice.amount, "MNT")
    return {}
