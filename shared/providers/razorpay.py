"""Razorpay, through its own SDK (razorpay-python 2): https://razorpay.com/docs/api/payments.

Nothing can be released there: a hold that nobody captures is given back by Razorpay after some days.  Nor is there a
key for a capture: a payment is captured once and whole, so what became of it is read.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import count
from typing import Annotated, Any, TypeVar

import msgspec
import razorpay  # type: ignore[import-untyped]  # it has no types

from shared.providers.ports import (
    AlreadyRefunded,
    Authorization,
    Captured,
    Dispute,
    HoldStatus,
    ProviderRefund,
    RefundStatus,
    RefundTag,
    Refused,
    Unknown,
    Unraisable,
    Voided,
)
from shared.providers.razorpay_session import ALREADY_CAPTURED, FULLY_REFUNDED, NO_SUCH_ID, NOT_THE_AMOUNT_HELD, Session

#: What a payment's status means; one that we do not know holds nothing yet.
HOLD: Mapping[str, HoldStatus] = {
    "created": HoldStatus.UNCONFIRMED,
    "failed": HoldStatus.UNCONFIRMED,  # a bank may still authorize it, for some days
    "authorized": HoldStatus.HELD,
    "captured": HoldStatus.CAPTURED,
    "refunded": HoldStatus.CAPTURED,  # unless it never was: then the hold lapsed
}

#: What a void comes to, by how the hold stands.
VOIDED: Mapping[HoldStatus, Voided] = {
    HoldStatus.UNCONFIRMED: Voided.LAPSING,
    HoldStatus.HELD: Voided.LAPSING,
    HoldStatus.RELEASED: Voided.ALREADY_RELEASED,
    HoldStatus.CAPTURED: Voided.ALREADY_CAPTURED,
}

#: What a payment that cannot be captured tells of itself.
NOT_CAPTURED: Mapping[HoldStatus, Captured] = {
    HoldStatus.CAPTURED: Captured.ALREADY_CAPTURED,
    HoldStatus.RELEASED: Captured.LAPSED,
}

#: What a refund's status means; one that we do not know may still be decided.
REFUND: Mapping[str, RefundStatus] = {
    "pending": RefundStatus.PENDING,
    "processed": RefundStatus.SUCCEEDED,
    "failed": RefundStatus.FAILED,
}

#: Our own refusals: of what Razorpay is not asked for.
NOT_OFFERED, NOT_HELD = "not_offered", "not_held"

#: The name of a refund's note that holds our tag, as its receipt does: notes can be edited, and come back as a list
#: when there are none.
NOTE = "countermand_refund"
TAG = re.compile(r"(rfd_[0-9a-z]+):([0-9]{1,9})")

#: What an id looks like; anything else could lead to another address.
ID = re.compile(r"(?:pay|rfnd)_[A-Za-z0-9_]{1,64}")

#: Refunds on a page of a list; the most that Razorpay gives.
PAGE = 100

Shape = TypeVar("Shape", bound=msgspec.Struct)


class _Payment(msgspec.Struct):
    id: str
    status: str
    amount: int
    currency: str
    captured: bool
    amount_refunded: int
    created_at: Annotated[int, msgspec.Meta(ge=0, le=99_999_999_999)]


class _Refund(msgspec.Struct):
    id: str
    amount: int
    status: str
    notes: Any = None
    receipt: Any = None


class _Refunds(msgspec.Struct):
    items: list[_Refund]


class Razorpay:
    """A `PaymentProvider` whose references are Razorpay's payment ids."""

    def __init__(
        self,
        key_id: str,
        key_secret: str,
        api_base: str,
        timeout: tuple[float, float],
        connections: int,
        hold_lifetime: float,
    ) -> None:
        """`timeout` is (connect, read) in seconds; `connections` are kept open, for as many calls at once.

        `hold_lifetime` is the account's own: the seconds after which Razorpay gives back what nobody captured.
        """
        options = {"base_url": api_base} if api_base else {}
        client = razorpay.Client(Session(timeout, connections), (key_id, key_secret), **options)
        self._payments, self._refunds = client.payment, client.refund
        self._hold_lifetime = hold_lifetime

    def read(self, reference: str) -> Authorization:
        """Return the payment as an authorization."""
        return self._authorization(_shaped(self._payments.fetch(_id(reference), {}), _Payment))

    def void(self, reference: str, key: str) -> Voided:
        """Release nothing, since nobody can: say whether the hold lapses by itself, or what became of it."""
        return VOIDED[self.read(reference).status]

    def increment(self, reference: str, amount: int, key: str) -> None:
        """Raise `Unraisable`: a payment is authorized once."""
        raise Unraisable(NOT_OFFERED)

    def authorize_beside(self, reference: str, amount: int, tag: str, key: str) -> Authorization:
        """Raise `Refused`: only the shopper makes another payment."""
        raise Refused(NOT_OFFERED)

    def find_beside(self, reference: str, tag: str) -> Authorization | None:
        """Return None: no payment was made beside another one."""
        return None

    def capture(self, reference: str, amount: int, key: str) -> Captured:
        """Capture the payment, of which `amount` must be all; by its state, since there are no keys for captures."""
        before = self.read(reference)
        if before.status in NOT_CAPTURED:
            return NOT_CAPTURED[before.status]
        if before.status is not HoldStatus.HELD:
            raise Refused(NOT_HELD)
        if before.authorized != amount:
            raise Refused(NOT_THE_AMOUNT_HELD)
        try:
            answer = self._payments.capture(_id(reference), amount, {"currency": before.currency})
        except Refused as refusal:
            return self._not_captured(reference, refusal)
        if not _shaped(answer, _Payment).captured:
            raise Unknown("not_captured_yet")
        return Captured.CAPTURED

    def refund(self, reference: str, amount: int, tag: RefundTag, key: str) -> ProviderRefund:
        """Create a refund of `amount` minor units of the payment, at the speed that costs nothing."""
        name = f"{tag.refund_id}:{tag.generation}"
        wish = {"amount": amount, "speed": "normal", "receipt": name, "notes": {NOTE: name}}
        headers = {"X-Refund-Idempotency": refund_key(key)}
        try:
            return _refund(_shaped(self._payments.refund(_id(reference), wish, headers=headers), _Refund))
        except Refused as refusal:
            if refusal.code == FULLY_REFUNDED or self._is_given_back(reference):
                raise AlreadyRefunded(refusal.code) from refusal
            raise

    def read_refund(self, provider_id: str) -> ProviderRefund:
        """Return a refund as it stands."""
        return _refund(_shaped(self._refunds.fetch(_id(provider_id), {}), _Refund))

    def refunds(self, reference: str) -> list[ProviderRefund]:
        """Return every refund of the payment; one that moves on to the next page while we read counts once."""
        found: dict[str, ProviderRefund] = {}
        for skip in count(0, PAGE):
            answer = self._payments.fetch_multiple_refund(_id(reference), {"count": PAGE, "skip": skip})
            page = _shaped(answer, _Refunds).items
            found |= {each.id: _refund(each) for each in page}
            if len(page) < PAGE:
                break
        return list(found.values())

    def read_dispute(self, reference: str) -> Dispute:
        """Raise `Refused`: a person looks at disputes there."""
        raise Refused(NOT_OFFERED)

    def _authorization(self, payment: _Payment) -> Authorization:
        has_lapsed = payment.status == "refunded" and not payment.captured
        status = HoldStatus.RELEASED if has_lapsed else HOLD.get(payment.status, HoldStatus.UNCONFIRMED)
        is_captured = status is HoldStatus.CAPTURED
        lapses = datetime.fromtimestamp(payment.created_at + self._hold_lifetime, UTC)
        return Authorization(
            reference=payment.id,
            status=status,
            currency=payment.currency.upper(),
            authorized=0 if status is HoldStatus.UNCONFIRMED else payment.amount,
            captured=payment.amount if is_captured else 0,
            released=payment.amount if has_lapsed else 0,
            refunded=payment.amount_refunded if is_captured else 0,
            capture_before=lapses if status is HoldStatus.HELD else None,
            expired=has_lapsed,
        )

    def _not_captured(self, reference: str, refusal: Refused) -> Captured:
        """Say what kept a payment from being captured; a state that lags behind the refusal says nothing."""
        status = self.read(reference).status
        if status in NOT_CAPTURED:
            return NOT_CAPTURED[status]
        raise (Unknown if refusal.code == ALREADY_CAPTURED else Refused)(refusal.code) from refusal

    def _is_given_back(self, reference: str) -> bool:
        found = self.read(reference)
        return found.status is HoldStatus.CAPTURED and found.refunded >= found.captured


def _shaped(answer: Any, shape: type[Shape]) -> Shape:
    try:
        return msgspec.convert(answer, shape)
    except msgspec.ValidationError as error:
        raise Unknown(type(error).__name__) from error


def _refund(found: _Refund) -> ProviderRefund:
    status = REFUND.get(found.status, RefundStatus.PENDING)
    error = found.status if status is RefundStatus.FAILED else None  # nobody there says why
    return ProviderRefund(found.id, found.amount, status, error, _tag(found))


def _tag(found: _Refund) -> RefundTag | None:
    note = found.notes.get(NOTE) if isinstance(found.notes, dict) else None
    named = TAG.fullmatch(str(note)) or TAG.fullmatch(str(found.receipt))
    return RefundTag(named[1], int(named[2])) if named else None


def refund_key(key: str) -> str:
    """Our key in the only letters that Razorpay takes: other keys have other hashes."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def _id(named: str) -> str:
    """Return an id that makes an address of its own and no other.  Raises `Refused`."""
    if not ID.fullmatch(named):
        raise Refused(NO_SUCH_ID)
    return named
