"""One request being carried out: what it asks for, and whom it reaches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sandbox.qpay.callbacks import Callbacks
from sandbox.qpay.objects import Invoice, Payment
from sandbox.qpay.refusals import Refusal
from sandbox.qpay.store import Store
from sandbox.qpay.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Call:
    """One request that was let in and understood, or what a test lets happen."""

    store: Store
    tokens: Tokens
    callbacks: Callbacks
    #: The id in its address, empty when there is none.
    id: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    authorization: str = ""

    def invoice(self) -> Invoice:
        """The invoice in its address; raises the Refusal of an unknown one."""
        return self.invoice_with(self.id)

    def invoice_with(self, id: str) -> Invoice:
        """The invoice with this id; raises the Refusal of an unknown one."""
        invoice = self.store.invoice(id)
        if invoice is None:
            raise Refusal("INVOICE_NOTFOUND")
        return invoice

    def payment(self) -> Payment:
        """The payment in its address; raises the Refusal of an unknown one."""
        payment = self.store.payment(self.id)
        if payment is None:
            raise Refusal("PAYMENT_NOTFOUND")
        return payment
