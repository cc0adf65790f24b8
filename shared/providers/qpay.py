"""QPay (Mongolia), by its merchant interface, version 2: invoices that are paid by a code, and what was paid of them.

There are no idempotency keys: nothing is asked twice but what a dead token kept out.  An answer tells of people's
accounts; nothing is taken of it but ids, a status, an amount, and whether it was a card.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from itertools import count
from typing import Annotated, Any, TypeVar

import msgspec

from shared import money
from shared.providers.invoices import Canceled, Invoice, Link, Paid, PaidBy, PaidStatus, Refusal, Traced
from shared.providers.ports import Refused, Unknown
from shared.providers.qpay_tokens import Session

LIVE = "https://merchant.qpay.mn/v2"

#: What invoices are made out in: QPay takes whole tugrik, and no hundredths.
CURRENCY = "MNT"

#: Who an invoice is for, where it is for whoever scans it.
RECEIVER = "terminal"

#: Payments on a page; the most that QPay gives.
PAGE = 100

#: More than any payment, in whole units: what is beyond is no amount.
LIMIT = 10**12

#: What a payment's status means; of one that we do not know nobody can say whether it is money.
STATUS: Mapping[str, PaidStatus] = {
    "NEW": PaidStatus.NEW,
    "FAILED": PaidStatus.FAILED,
    "PAID": PaidStatus.PAID,
    "PARTIAL": PaidStatus.PARTIAL,
    "REFUND": PaidStatus.REFUNDED,
    "REFUNDED": PaidStatus.REFUNDED,
}

#: What a payment was made with.
KIND: Mapping[str, PaidBy] = {"P2P": PaidBy.P2P, "CARD": PaidBy.CARD}

#: Our own codes, of what is no refusal in the end.
INVOICE_PAID, INVOICE_CANCELED, PAYMENT_CANCELED = "invoice_paid", "invoice_canceled", "payment_canceled"

#: QPay's code: the code under which we refuse, whatever the status between 400 and 499.
REFUSAL: Mapping[str, str] = {
    "INVOICE_NOTFOUND": Refusal.NO_SUCH_ID,
    "INVOICE_PAID": INVOICE_PAID,
    "INVOICE_ALREADY_CANCELED": INVOICE_CANCELED,
    "PAYMENT_NOTFOUND": Refusal.NO_SUCH_ID,
    "PAYMENT_ALREADY_CANCELED": PAYMENT_CANCELED,
    "PAYMENT_SETTLED": Refusal.SETTLED,
    "PAYMENT_NOT_PAID": Refusal.NOT_PAID,
}

#: The code under which a status refuses that comes with none of those; the code that it does come with follows.
NO: Mapping[int, str] = {400: "not_valid", 422: Refusal.NO_SUCH_ID}

#: Codes that never say no: they pass, or a person mends our login and it goes on.  One is misspelled in the sandbox.
UNDECIDED = ("SYSTEM_BUSY", "NO_CREDENTIALS", "NO_CREDENDIALS", "AUTHENTICATION_FAILED", "PERMISSION_DENIED")

#: What a refused cancel comes to.
CANCELED: Mapping[str, Canceled] = {
    INVOICE_PAID: Canceled.PAID,
    INVOICE_CANCELED: Canceled.ALREADY_CANCELED,
    Refusal.NO_SUCH_ID: Canceled.UNKNOWN_INVOICE,
}

#: What an id looks like; anything else could lead to another address.
ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

#: What a code of QPay's looks like; a text beside it is for people, and may name some.
CODE = re.compile(r"(?=.{1,64}\Z)[A-Z0-9]+(?:_[A-Z0-9]+)+")

Form = TypeVar("Form", bound=msgspec.Struct)
Id = Annotated[str, msgspec.Meta(pattern=rf"\A{ID.pattern}\Z")]


class _Complaint(msgspec.Struct):
    """What is wrong, of kinds that we take as they come: QPay puts its code into any of these."""

    error: Any = None
    error_code: Any = None
    message: Any = None

    @property
    def code(self) -> str:
        return next(filter(None, map(_word, (self.error, self.error_code, self.message))), "")


class _Link(msgspec.Struct):
    name: str | None = None
    description: str | None = None
    logo: str | None = None
    link: str | None = None


class _Invoice(msgspec.Struct):
    invoice_id: Id
    qr_text: str
    qr_image: str | None = None
    short_url: str | None = msgspec.field(name="qPay_shortUrl", default=None)
    urls: list[_Link] | None = None


class _Transaction(msgspec.Struct):
    """That there was one is all that is taken: it names an account or a card."""


class _Payment(msgspec.Struct):
    payment_id: Id
    payment_status: str
    payment_amount: Decimal
    payment_currency: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z]{3}\Z")]
    #: What a check calls the kind of a payment, and what reading one calls it.
    payment_type: str | None = None
    transaction_type: str | None = None
    card_transactions: list[_Transaction] | None = None
    p2p_transactions: list[_Transaction] | None = None
    object_type: str | None = None
    object_id: str | None = None


class _Page(msgspec.Struct):
    """Payments of any status; the sum beside them is absent where there are none."""

    rows: list[_Payment]


class QPay:
    """An `InvoiceProvider` whose ids are QPay's own."""

    def __init__(
        self,
        client_id: str,
        secret: str,
        invoice_code: str,
        api_base: str,
        timeout: tuple[float, float],
        connections: int,
    ) -> None:
        """`invoice_code` is the one that QPay issued; `timeout` is (connect, read) in seconds.

        `connections` are kept open, for as many calls at once.
        """
        base = (api_base or LIVE).rstrip("/")
        self._session = Session(base, client_id, secret, timeout, connections)
        self._invoice_code = invoice_code

    def create(self, number: str, amount: int, description: str, callback_url: str) -> Invoice:
        """Make an invoice that is paid whole; QPay makes another one each time, also under the same number."""
        wish = {
            "invoice_code": self._invoice_code,
            "sender_invoice_no": number,
            "invoice_receiver_code": RECEIVER,
            "invoice_description": description,
            "amount": _tugrik(amount),
            "callback_url": callback_url,
            "allow_partial": False,
            "allow_exceed": False,
        }
        return _invoice(_decode(self._ask("POST", "/invoice", json=wish), _Invoice))

    def cancel(self, invoice_id: str) -> Canceled:
        """Delete the invoice."""
        try:
            self._ask("DELETE", f"/invoice/{_id(invoice_id)}")
        except Refused as refusal:
            if refusal.code not in CANCELED:
                raise
            return CANCELED[refusal.code]
        return Canceled.CANCELED

    def payments(self, invoice_id: str) -> list[Paid]:
        """Check the invoice; a payment that moves on to the next page while we read counts once."""
        found: dict[str, Paid] = {}
        for number in count(1):
            rows, known = self._page(invoice_id, number), len(found)
            found |= {row.payment_id: _paid(row) for row in rows}
            if len(rows) < PAGE:
                break
            if len(found) == known:
                raise Unknown("endless_pages")
        return list(found.values())

    def read_payment(self, payment_id: str) -> Traced | None:
        """Return the payment, and its object where that is an invoice."""
        try:
            found = _decode(self._ask("GET", f"/payment/{_id(payment_id)}"), _Payment)
        except Refused as refusal:
            if refusal.code != Refusal.NO_SUCH_ID:
                raise
            return None
        if found.payment_id != payment_id:
            raise Unknown("another_payment")
        return Traced(_paid(found), found.object_id if found.object_type == "INVOICE" else None)

    def refund(self, payment_id: str) -> None:
        """Refund the payment, after one look at it: an answer may have been lost, and only cards are given back."""
        before = self.read_payment(payment_id)
        if before is None:
            raise Refused(Refusal.NO_SUCH_ID)
        if before.payment.status is PaidStatus.REFUNDED:
            return
        if before.payment.kind is not PaidBy.CARD:
            raise Refused(Refusal.NOT_A_CARD_PAYMENT)
        try:
            self._ask("DELETE", f"/payment/refund/{_id(payment_id)}", json={})
        except Refused as refusal:
            if refusal.code != PAYMENT_CANCELED:
                raise

    def _page(self, invoice_id: str, number: int) -> list[_Payment]:
        offset = {"page_number": number, "page_limit": PAGE}
        wish = {"object_type": "INVOICE", "object_id": _id(invoice_id), "offset": offset}
        return _decode(self._ask("POST", "/payment/check", json=wish), _Page).rows

    def _ask(self, method: str, path: str, **wish: Any) -> bytes:
        answer = self._session.ask(method, path, **wish)
        _sort(answer.status_code, answer.content)
        return answer.content


def _sort(status: int, body: bytes) -> None:
    """Raise what an answer means, unless it is a success.  Raises `Refused` or `Unknown`."""
    said = _said(body)
    code = said.code if said else ""
    if said and 200 <= status < 300 and not (said.error or said.error_code or code):
        return
    if code in REFUSAL and 400 <= status < 500:
        raise Refused(REFUSAL[code])
    if said is None or code in UNDECIDED or status not in NO:
        raise Unknown(":".join(filter(None, (f"http_{status}", code))))
    raise Refused(":".join(filter(None, (NO[status], code))))


def _said(body: bytes) -> _Complaint | None:
    """What is wrong, if anything; None when the answer is not QPay's."""
    try:
        return _decode(body, _Complaint)
    except Unknown:
        return None


def _word(said: Any) -> str:
    """A code of QPay's, also where it is said of a member, as its type."""
    if isinstance(said, dict):
        types = (member.get("type") for member in said.values() if isinstance(member, dict))
        return next(filter(None, map(_word, types)), "")
    return said if isinstance(said, str) and CODE.fullmatch(said) else ""


def _decode(body: bytes, form: type[Form]) -> Form:
    try:
        return msgspec.json.decode(body, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unknown(type(error).__name__) from error


def _id(named: str) -> str:
    """Return an id that makes an address of its own and no other.  Raises `Refused`."""
    if not ID.fullmatch(named):
        raise Refused(Refusal.NO_SUCH_ID)
    return named


def _tugrik(amount: int) -> int:
    """Minor units as whole tugrik.  Raises `Refused`."""
    tugrik = money.major(amount, CURRENCY)
    if tugrik <= 0 or tugrik != int(tugrik):
        raise Refused(Refusal.NOT_AN_AMOUNT)
    return int(tugrik)


def _invoice(made: _Invoice) -> Invoice:
    links = [Link(*(text or "" for text in msgspec.structs.astuple(each))) for each in made.urls or ()]
    return Invoice(made.invoice_id, made.qr_text, made.qr_image or "", made.short_url or "", tuple(links))


def _paid(shown: _Payment) -> Paid:
    if shown.payment_status not in STATUS:
        raise Unknown("unexplained_status")
    currency = shown.payment_currency.upper()
    amount = _minor(shown.payment_amount, currency)
    return Paid(shown.payment_id, STATUS[shown.payment_status], amount, currency, _kind(shown))


def _minor(amount: Decimal, currency: str) -> int:
    if not (amount.is_finite() and 0 <= amount < LIMIT):
        raise Unknown("unexplained_amount")
    try:
        return money.minor(amount, currency)
    except ValueError as error:  # it has more places than the currency
        raise Unknown("unexplained_amount") from error


def _kind(shown: _Payment) -> PaidBy:
    """What QPay says that it was, else what there are transactions of."""
    named = KIND.get(shown.payment_type or shown.transaction_type or "")
    if named or bool(shown.card_transactions) == bool(shown.p2p_transactions):
        return named or PaidBy.OTHER
    return PaidBy.CARD if shown.card_transactions else PaidBy.P2P
