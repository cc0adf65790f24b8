"""What our rows say of a payment, and what its provider says of it: who follows whom.

The provider is right about money that somebody moved there, and our rows are right about what is still under way.
Whatever neither of the two explains is drift, and a person's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from shared.domain.payments import PaymentStatus
from shared.domain.refunds import RefundState


class Hold(StrEnum):
    """How a hold is seen at its provider."""

    UNCONFIRMED = "unconfirmed"  # no money is held yet
    HELD = "held"
    PARTLY_CAPTURED = "partly_captured"  # some was captured, the rest is still held
    CAPTURED = "captured"  # something was captured, and nothing is held any more
    RELEASED = "released"  # canceled or expired
    MISSING = "missing"  # the provider does not know it


class Finding(StrEnum):
    """What a comparison comes to."""

    AGREED = "agreed"
    BUSY = "busy"  # our own task is at it, and finds out by itself
    ENDED = "ended"  # our own operation took effect: its task is to read that back
    PAID = "paid"  # a booking that was registered before
    AUTHORIZATION_CHANGED = "authorization_changed"
    CAPTURED_ELSEWHERE = "captured_elsewhere"
    PARTLY_CAPTURED_ELSEWHERE = "partly_captured_elsewhere"
    RELEASED_ELSEWHERE = "released_elsewhere"
    DRIFT = "drift"


@dataclass(frozen=True, slots=True)
class Amounts:
    """Minor units of one payment."""

    authorized: int
    captured: int
    released: int

    @property
    def possible(self) -> bool:
        """Whether our rows could say so: no more was taken and given back than was held."""
        return min(self.authorized, self.captured, self.released) >= 0 and (
            self.captured + self.released <= self.authorized
        )


#: Of a payment whose amounts are the same on both sides; whatever is not said here is drift.
HOLD: Mapping[tuple[PaymentStatus, Hold], Finding] = {
    (PaymentStatus.UNPAID, Hold.UNCONFIRMED): Finding.AGREED,
    (PaymentStatus.UNPAID, Hold.HELD): Finding.PAID,
    (PaymentStatus.UNPAID, Hold.PARTLY_CAPTURED): Finding.PAID,
    (PaymentStatus.UNPAID, Hold.CAPTURED): Finding.PAID,
    (PaymentStatus.UNPAID, Hold.RELEASED): Finding.RELEASED_ELSEWHERE,
    (PaymentStatus.AUTHORIZED, Hold.HELD): Finding.AGREED,
    (PaymentStatus.AUTHORIZED, Hold.CAPTURED): Finding.CAPTURED_ELSEWHERE,
    (PaymentStatus.AUTHORIZED, Hold.PARTLY_CAPTURED): Finding.PARTLY_CAPTURED_ELSEWHERE,
    (PaymentStatus.AUTHORIZED, Hold.RELEASED): Finding.RELEASED_ELSEWHERE,
    (PaymentStatus.CAPTURING, Hold.HELD): Finding.BUSY,
    (PaymentStatus.CAPTURING, Hold.CAPTURED): Finding.ENDED,
    (PaymentStatus.CAPTURING, Hold.PARTLY_CAPTURED): Finding.ENDED,
    (PaymentStatus.CAPTURING, Hold.RELEASED): Finding.ENDED,
    (PaymentStatus.VOIDING, Hold.UNCONFIRMED): Finding.BUSY,
    (PaymentStatus.VOIDING, Hold.HELD): Finding.BUSY,
    (PaymentStatus.VOIDING, Hold.CAPTURED): Finding.ENDED,
    (PaymentStatus.VOIDING, Hold.PARTLY_CAPTURED): Finding.ENDED,
    (PaymentStatus.VOIDING, Hold.RELEASED): Finding.ENDED,
    (PaymentStatus.VOIDED, Hold.RELEASED): Finding.AGREED,
    (PaymentStatus.PARTIALLY_CAPTURED, Hold.PARTLY_CAPTURED): Finding.AGREED,
    (PaymentStatus.PARTIALLY_CAPTURED, Hold.CAPTURED): Finding.AGREED,
    (PaymentStatus.CAPTURED, Hold.CAPTURED): Finding.AGREED,
    (PaymentStatus.PARTIALLY_REFUNDED, Hold.PARTLY_CAPTURED): Finding.AGREED,
    (PaymentStatus.PARTIALLY_REFUNDED, Hold.CAPTURED): Finding.AGREED,
    (PaymentStatus.REFUNDED, Hold.PARTLY_CAPTURED): Finding.AGREED,
    (PaymentStatus.REFUNDED, Hold.CAPTURED): Finding.AGREED,
}

#: Agreed while the order stands; of one that is canceled nothing may be held any more, and nobody here releases it.
HELD_IN_PART = (Finding.AGREED, Hold.PARTLY_CAPTURED)

#: What other amounts mean to a payment whose status agrees; for every other status they are drift.
AMOUNTS_DIFFER: Mapping[PaymentStatus, Finding] = {
    PaymentStatus.AUTHORIZED: Finding.AUTHORIZATION_CHANGED,
    PaymentStatus.PARTIALLY_CAPTURED: Finding.PARTLY_CAPTURED_ELSEWHERE,
}

#: What is written down from the provider's side, and so must make sense there.
FOLLOWED = (
    Finding.PAID,
    Finding.AUTHORIZATION_CHANGED,
    Finding.CAPTURED_ELSEWHERE,
    Finding.PARTLY_CAPTURED_ELSEWHERE,
    Finding.RELEASED_ELSEWHERE,
)


def judge(
    status: PaymentStatus,
    ours: Amounts,
    hold: Hold,
    theirs: Amounts | None,
    total: int,
    *,
    canceled: bool,
    editing: bool = False,
) -> Finding:
    """Compare one payment that is to bring `total` minor units, of an order that stands, or is `canceled`.

    While the order is `editing` our own task is having more held.
    `theirs` is None when the hold is missing.
    """
    finding = HOLD.get((status, hold), Finding.DRIFT)
    if theirs is None:
        return finding
    if finding is Finding.AGREED and ours != theirs:
        finding = Finding.BUSY if editing else AMOUNTS_DIFFER.get(status, Finding.DRIFT)
    if finding is Finding.CAPTURED_ELSEWHERE and theirs.captured < total:
        finding = Finding.PARTLY_CAPTURED_ELSEWHERE
    if finding is Finding.PARTLY_CAPTURED_ELSEWHERE and hold is Hold.CAPTURED and theirs.captured >= total:
        finding = Finding.CAPTURED_ELSEWHERE
    if finding in FOLLOWED and not (theirs.possible and ours.captured <= theirs.captured):
        return Finding.DRIFT
    return Finding.DRIFT if canceled and (finding, hold) == HELD_IN_PART else finding


class Return(StrEnum):
    """How a refund is seen at its provider."""

    ABSENT = "absent"
    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"


class RefundFinding(StrEnum):
    """What comparing one refund comes to."""

    AGREED = "agreed"
    BUSY = "busy"  # our own task is at it, and finds out by itself
    ENDED = "ended"  # the provider has decided: its task is to read that back
    REFUNDED_ELSEWHERE = "refunded_elsewhere"
    FAILED_LATER = "failed_later"  # the provider gave it back, and then the money returned
    DRIFT = "drift"


#: None: a refund of which we know nothing.
REFUND: Mapping[tuple[RefundState | None, Return], RefundFinding] = {
    (None, Return.PENDING): RefundFinding.REFUNDED_ELSEWHERE,
    (None, Return.COMPLETED): RefundFinding.REFUNDED_ELSEWHERE,
    (None, Return.FAILED): RefundFinding.AGREED,  # no money moved
    (RefundState.INITIATED, Return.ABSENT): RefundFinding.BUSY,
    (RefundState.INITIATED, Return.PENDING): RefundFinding.BUSY,
    (RefundState.INITIATED, Return.COMPLETED): RefundFinding.BUSY,
    (RefundState.INITIATED, Return.FAILED): RefundFinding.BUSY,
    (RefundState.PROCESSING, Return.ABSENT): RefundFinding.BUSY,
    (RefundState.PROCESSING, Return.PENDING): RefundFinding.BUSY,
    (RefundState.PROCESSING, Return.COMPLETED): RefundFinding.ENDED,
    (RefundState.PROCESSING, Return.FAILED): RefundFinding.ENDED,
    (RefundState.COMPLETED, Return.ABSENT): RefundFinding.DRIFT,
    (RefundState.COMPLETED, Return.PENDING): RefundFinding.DRIFT,
    (RefundState.COMPLETED, Return.COMPLETED): RefundFinding.AGREED,
    (RefundState.COMPLETED, Return.FAILED): RefundFinding.FAILED_LATER,
    (RefundState.FAILED, Return.ABSENT): RefundFinding.AGREED,
    (RefundState.FAILED, Return.PENDING): RefundFinding.DRIFT,
    (RefundState.FAILED, Return.COMPLETED): RefundFinding.DRIFT,
    (RefundState.FAILED, Return.FAILED): RefundFinding.AGREED,
}


@dataclass(frozen=True, slots=True)
class OurRefund:
    """A refund as our rows have it; `amount` in minor units."""

    id: str
    amount: int
    state: RefundState
    #: Counts the keys under which it was asked for; what failed under an earlier one is over.
    generation: int
    #: The provider's name for it, once it has told us.
    provider_id: str | None
    #: Whether its task got no answer, or is not coming: somebody may have to send it.
    stuck: bool


@dataclass(frozen=True, slots=True)
class TheirRefund:
    """A refund as its provider has it; `amount` in minor units."""

    provider_id: str
    amount: int
    seen: Return
    #: Our id and generation, when we asked for it.
    tag: tuple[str, int] | None
    #: Why it failed, in the provider's code.
    error: str | None


@dataclass(frozen=True, slots=True)
class Match:
    """One refund, as either side or both have it, and what the comparison comes to."""

    finding: RefundFinding
    ours: OurRefund | None
    theirs: TheirRefund | None


def judge_refunds(ours: Sequence[OurRefund], theirs: Sequence[TheirRefund]) -> list[Match]:
    """Compare all refunds of one payment, those that only one side has included."""
    named = {refund.provider_id: refund for refund in ours if refund.provider_id}
    unnamed = {refund.id: refund for refund in ours if not refund.provider_id}
    found = [(named.get(their.provider_id) or _tagged(unnamed, their), their) for their in theirs]
    seen = {our.id for our, _ in found if our}
    return [
        *(Match(_judge_refund(our, their), our, their) for our, their in found),
        *(Match(REFUND[our.state, Return.ABSENT], our, None) for our in ours if our.id not in seen),
    ]


def _tagged(unnamed: Mapping[str, OurRefund], theirs: TheirRefund) -> OurRefund | None:
    """Find the refund of ours that carries this tag.

    One that was asked for under a former key counts unless it failed: the refund's own task takes it for its outcome.
    """
    refund_id, generation = theirs.tag or ("", 0)
    ours = unnamed.get(refund_id)
    is_over = ours is not None and generation != ours.generation and theirs.seen is Return.FAILED
    return None if is_over else ours


def _judge_refund(ours: OurRefund | None, theirs: TheirRefund) -> RefundFinding:
    if ours and ours.amount != theirs.amount:
        return RefundFinding.DRIFT
    return REFUND[ours.state if ours else None, theirs.seen]
