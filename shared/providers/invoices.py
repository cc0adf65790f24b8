"""What the mesh asks of those who are paid by a code that the shopper scans: done, refused, unknown, as elsewhere."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Link:
    """A way into one bank's app, which opens with the invoice."""

    name: str
    description: str
    #: The address of a picture.
    logo: str
    link: str


@dataclass(frozen=True, slots=True)
class Invoice:
    """What a shopper is shown to pay by."""

    invoice_id: str
    #: What the code says (EMVCo).
    qr_text: str
    #: The code as a PNG in base64, without a data: prefix.
    qr_image: str
    short_url: str
    links: tuple[Link, ...]


class PaidStatus(StrEnum):
    """How a payment of an invoice stands; only a `PAID` one is money."""

    NEW = "new"
    FAILED = "failed"
    PAID = "paid"
    PARTIAL = "partial"
    REFUNDED = "refunded"


class PaidBy(StrEnum):
    """What a payment was made with."""

    P2P = "p2p"  # from account to account: only a person gives it back
    CARD = "card"
    OTHER = "other"  # nobody can tell


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment of an invoice; `amount` in minor units of `currency` (ISO 4217, upper case)."""

    payment_id: str
    status: PaidStatus
    amount: int
    currency: str
    kind: PaidBy


@dataclass(frozen=True, slots=True)
class Traced:
    """A payment and the invoice that it belongs to; None when it was made for something else."""

    payment: Paid
    invoice_id: str | None


class Canceled(StrEnum):
    """What became of canceling an invoice."""

    CANCELED = "canceled"
    ALREADY_CANCELED = "already_canceled"
    PAID = "paid"  # the shopper was faster
    UNKNOWN_INVOICE = "unknown_invoice"


class Refusal(StrEnum):
    """The codes of those `Refused` that mean the same everywhere."""

    NOT_AN_AMOUNT = "not_an_amount"  # nothing, less, or a fraction of what can be paid
    NO_SUCH_ID = "no_such_id"  # nobody there knows the invoice or the payment
    NOT_A_CARD_PAYMENT = "not_a_card_payment"  # a person gives it back
    SETTLED = "settled"  # too late: the money has moved on
    NOT_PAID = "not_paid"


class InvoiceProvider(Protocol):
    """Every call may raise `Refused` or `Unknown`, and all but `create` are safe to repeat."""

    def create(self, number: str, amount: int, description: str, callback_url: str) -> Invoice:
        """Make an invoice of `amount` minor units of MNT under our `number`.

        Made twice there are two: one whose answer was lost stays open, but nobody was ever shown its code.  Whoever
        knows `callback_url` may call it, so that a call is only a hint to look at the payments.

        Raises `Refused` as `NOT_AN_AMOUNT`.
        """
        ...

    def cancel(self, invoice_id: str) -> Canceled:
        """Let nobody pay an invoice any more; `payments` then shows what came in just before."""
        ...

    def payments(self, invoice_id: str) -> list[Paid]:
        """Return every payment of an invoice, also those that failed."""
        ...

    def read_payment(self, payment_id: str) -> Traced | None:
        """Return a payment as it stands, and what it was made for; None when nobody there knows it."""
        ...

    def refund(self, payment_id: str) -> None:
        """Give all of a card payment back; one that was given back before is done.

        Raises `Refused` as `NOT_A_CARD_PAYMENT`, `SETTLED`, `NOT_PAID` or `NO_SUCH_ID`.
        """
        ...
