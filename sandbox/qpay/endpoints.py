"""Every route of QPay's API that is spoken here: who may call it, and the fields of its body."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.qpay import invoices, payments
from sandbox.qpay.call import Call
from sandbox.qpay.fields import Check, Shape, callback_url, choice, flag, listing, members, moment, number, text
from sandbox.qpay.tokens import Tokens

#: The width of QPay's columns, in characters.
CODE, LINE, NOTE = text(45), text(255), text(1000)

RECEIVER = Shape(dict.fromkeys(("register", "name", "email", "phone", "address"), LINE))
LINE_OF_INVOICE = Shape(
    {
        "tax_product_code": CODE,
        "line_description": LINE,
        "line_quantity": number(1, invoices.LARGEST),
        "line_unit_price": invoices.amount,
        "note": NOTE,
        "discounts": listing(members),
        "surcharges": listing(members),
        "taxes": listing(members),
    },
    required=("line_description", "line_quantity", "line_unit_price"),
)
TRANSACTION = Shape({"description": LINE, "amount": invoices.amount, "accounts": listing(members)})

INVOICE = Shape(
    {
        **dict.fromkeys(("invoice_code", "sender_invoice_no", "invoice_receiver_code"), CODE),
        "invoice_description": LINE,
        "amount": invoices.amount,
        "callback_url": callback_url,
        **dict.fromkeys(("sender_branch_code", "sender_staff_code", "sender_terminal_code"), CODE),
        **dict.fromkeys(("sender_branch_data", "sender_staff_data", "sender_terminal_data"), members),
        "invoice_receiver_data": RECEIVER,
        **dict.fromkeys(("enable_expiry", "allow_partial", "allow_exceed", "allow_subscribe", "calculate_vat"), flag),
        **dict.fromkeys(("expiry_date", "invoice_due_date"), moment),
        **dict.fromkeys(("minimum_amount", "maximum_amount"), invoices.amount),
        **dict.fromkeys(("subscription_interval", "tax_type", "tax_customer_code", "line_tax_code"), CODE),
        "subscription_webhook": LINE,
        "note": NOTE,
        "lines": listing(LINE_OF_INVOICE),
        "transactions": listing(TRANSACTION),
    },
    required=(
        "invoice_code",
        "sender_invoice_no",
        "invoice_receiver_code",
        "invoice_description",
        "callback_url",
    ),
)

OFFSET = Shape({"page_number": number(1, 10**6), "page_limit": number(1, 100)})
OBJECT: Mapping[str, Check] = {"object_type": choice("INVOICE", "QR", "ITEM"), "object_id": CODE, "offset": OFFSET}
CHECK = Shape(OBJECT, required=("object_type", "object_id"))
LIST = Shape(
    {**OBJECT, "start_date": moment, "end_date": moment},
    required=("object_type", "object_id", "start_date", "end_date"),
)
REFUND = Shape({"callback_url": callback_url, "note": NOTE})
NOTHING = Shape({})


def issue(call: Call) -> dict[str, Any]:
    """Tokens for a merchant."""
    return call.tokens.issue()


def renew(call: Call) -> dict[str, Any]:
    """Tokens for a refresh token."""
    return call.tokens.renew(call.authorization)


@dataclass(frozen=True)
class Endpoint:
    """What a route does, under which name faults befall it, what its body holds, and whose call it lets in."""

    operation: str
    carry_out: Callable[[Call], dict[str, Any]]
    shape: Shape = NOTHING
    let_in: Callable[[Tokens, str], None] = Tokens.know_access


ENDPOINTS: Mapping[str, Endpoint] = {
    "POST /v2/auth/token": Endpoint("token", issue, let_in=Tokens.know_merchant),
    "POST /v2/auth/refresh": Endpoint("token", renew, let_in=Tokens.know_refresh),
    "POST /v2/invoice": Endpoint("invoice", invoices.create, INVOICE),
    "GET /v2/invoice/{id}": Endpoint("retrieve", invoices.retrieve),
    "DELETE /v2/invoice/{id}": Endpoint("cancel", invoices.cancel),
    "POST /v2/payment/check": Endpoint("check", payments.check, CHECK),
    "POST /v2/payment/list": Endpoint("payment", payments.page, LIST),
    "GET /v2/payment/{id}": Endpoint("payment", payments.retrieve),
    "DELETE /v2/payment/refund/{id}": Endpoint("refund", payments.refund, REFUND),
    "DELETE /v2/payment/cancel/{id}": Endpoint("refund", payments.refund, REFUND),
}
