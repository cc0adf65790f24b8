"""What the mesh asks of those who hold money, and the three kinds of answer: done, refused, unknown."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from shared.domain.webhooks import Concern


class Refused(Exception):
    """The provider said no, and nothing happened; asking again the same way is of no use."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Declined(Refused):
    """The card's issuer said no."""


class AlreadyRefunded(Refused):
    """All of the money was given back before, by whoever."""


class Unraisable(Refused):
    """No more can ever be held by raising this hold."""


class Unknown(Exception):
    """No answer that says whether it happened; ask again under the same key."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class InProgress(Unknown):
    """A twin's call under the same key is under way: whoever made it will know the answer."""


class HoldStatus(StrEnum):
    """How an authorization stands at its provider."""

    UNCONFIRMED = "unconfirmed"  # no money is held yet
    HELD = "held"
    CAPTURED = "captured"
    PARTIALLY_CAPTURED = "partially_captured"
    RELEASED = "released"  # canceled or expired


@dataclass(frozen=True, slots=True)
class Authorization:
    """An authorization as its provider describes it; amounts in minor units of `currency` (ISO 4217, upper case)."""

    reference: str
    status: HoldStatus
    currency: str
    authorized: int
    captured: int
    released: int
    #: What was given back of it, or is on its way back.
    refunded: int
    #: When the hold lapses, in UTC; None when the provider does not say.
    capture_before: datetime | None
    #: Whether a hold that was released had expired; otherwise somebody canceled it.
    expired: bool = False
    #: Whether more may be held.
    incremental: bool = False


class Voided(StrEnum):
    """What became of a void."""

    RELEASED = "released"
    ALREADY_RELEASED = "already_released"
    ALREADY_CAPTURED = "already_captured"
    LAPSING = "lapsing"  # nothing can be released there: it lapses by itself, when nobody captures it


class Captured(StrEnum):
    """What became of a capture."""

    CAPTURED = "captured"
    ALREADY_CAPTURED = "already_captured"
    LAPSED = "lapsed"  # the hold was canceled or expired before


class RefundStatus(StrEnum):
    """How a refund stands at its provider."""

    PENDING = "pending"  # taken in, not decided yet
    SUCCEEDED = "succeeded"  # may fail later after all
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RefundTag:
    """What a refund carries to the provider, so that it is found again there: our id, and which of its keys."""

    refund_id: str
    generation: int


@dataclass(frozen=True, slots=True)
class ProviderRefund:
    """A refund as its provider describes it; `amount` in minor units."""

    provider_id: str
    amount: int
    status: RefundStatus
    #: Why it failed, in the provider's code.
    error: str | None
    #: None when somebody else made it.
    tag: RefundTag | None


class DisputeStatus(StrEnum):
    """How a cardholder's claim stands."""

    OPEN = "open"
    WON = "won"  # the money stays
    LOST = "lost"  # the money is gone


@dataclass(frozen=True, slots=True)
class Dispute:
    """A cardholder's claim; `amount` in minor units of `currency` (ISO 4217, upper case)."""

    reference: str
    status: DisputeStatus
    amount: int
    currency: str


class PaymentProvider(Protocol):
    """Every call may raise `Refused` or `Unknown`, and is safe to repeat under the same key."""

    def read(self, reference: str) -> Authorization:
        """Return the authorization as it stands."""
        ...

    def void(self, reference: str, key: str) -> Voided:
        """Release the whole hold."""
        ...

    def increment(self, reference: str, amount: int, key: str) -> None:
        """Hold `amount` minor units in all, more than before.

        Raises `Declined` or `Unraisable`, and the old hold stands.
        """
        ...

    def authorize_beside(self, reference: str, amount: int, tag: str, key: str) -> Authorization:
        """Hold `amount` minor units more on the card behind a hold, as a hold of its own that carries `tag`."""
        ...

    def find_beside(self, reference: str, tag: str) -> Authorization | None:
        """Return the hold on the card behind another one that carries `tag`; None when there is none."""
        ...

    def capture(self, reference: str, amount: int, key: str) -> Captured:
        """Take `amount` minor units and release the rest."""
        ...

    def refund(self, reference: str, amount: int, tag: RefundTag, key: str) -> ProviderRefund:
        """Give `amount` minor units of what was captured back."""
        ...

    def read_refund(self, provider_id: str) -> ProviderRefund:
        """Return a refund as it stands."""
        ...

    def refunds(self, reference: str) -> list[ProviderRefund]:
        """Return every refund of a payment, whoever made it."""
        ...

    def read_dispute(self, reference: str) -> Dispute:
        """Return a dispute as it stands."""
        ...


@dataclass(frozen=True, slots=True)
class Notice:
    """What a webhook says: that something happened to this object.  No word of it is believed but these ids."""

    event_id: str
    #: The provider's own word.
    type: str
    concern: Concern
    object_id: str | None
    #: The authorization that it belongs to, where there is one.
    reference: str | None
    created: datetime
    api_version: str | None
    livemode: bool
