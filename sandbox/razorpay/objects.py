"""Payment, refund and event as they look on the wire.

The structs are the wire format: what is stored is what is sent.  Members that never vary here (no invoices, no
batches) stand with the constant that Razorpay sends.
"""

from __future__ import annotations

import secrets
import string
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import field

ACCOUNT_ID = "acc_SandboxAccount"
#: Characters behind the prefix of an id.
ID_LENGTH = 14
_LETTERS = string.ascii_letters + string.digits

Method = Literal["card", "netbanking", "wallet", "upi", "emi"]
PaymentStatus = Literal["created", "authorized", "captured", "refunded", "failed"]
RefundStatus = Literal["pending", "processed", "failed"]
#: An empty list when there are none: https://razorpay.com/docs/api/refunds/entity.
Notes = dict[str, str] | list[str]


def new_id(prefix: str) -> str:
    """A new id in Razorpay's form, such as `pay_` with 14 letters and digits."""
    return prefix + "_" + "".join(secrets.choice(_LETTERS) for _ in range(ID_LENGTH))


class Payment(msgspec.Struct, kw_only=True, tag_field="entity", tag="payment"):
    """One attempt of a shopper to pay; `amount` is in sub-units, such as paise."""

    id: str
    amount: int
    currency: str
    status: PaymentStatus = "created"
    order_id: str
    invoice_id: None = None
    international: bool = False
    method: Method
    amount_refunded: int = 0
    refund_status: Literal["partial", "full"] | None = None
    captured: bool = False
    description: str | None = None
    card_id: str | None = None
    bank: str | None = None
    wallet: str | None = None
    vpa: str | None = None
    email: str = "ann@example.com"
    contact: str = "+919900000000"
    notes: Notes
    fee: int | None = None
    tax: int | None = None
    error_code: str | None = None
    error_description: str | None = None
    error_source: str | None = None
    error_step: str | None = None
    error_reason: str | None = None
    acquirer_data: dict[str, str] = field(default_factory=dict)
    created_at: int

    @property
    def refundable(self) -> int:
        """Sub-units that were not given back."""
        return self.amount - self.amount_refunded


class Refund(msgspec.Struct, kw_only=True, tag_field="entity", tag="refund"):
    """Money on its way back to the shopper."""

    id: str
    amount: int
    currency: str
    payment_id: str
    notes: Notes
    receipt: str | None = None
    acquirer_data: dict[str, str] = field(default_factory=dict)
    created_at: int
    batch_id: None = None
    status: RefundStatus = "pending"
    speed_requested: Literal["normal", "optimum"] = "normal"
    speed_processed: Literal["normal", "instant"] = "normal"


class Event(NamedTuple):
    """Something that happened: its body as it was then, and the ids it is about."""

    id: str
    name: str
    payment: str
    refund: str | None
    body: bytes


def collection(items: list[Refund]) -> dict[str, Any]:
    """A list as Razorpay sends it."""
    return {"entity": "collection", "count": len(items), "items": items}
