"""Payment collections: the payments that together bring what an order costs."""

from collections.abc import Iterable

from shared.domain.payments import PaymentStatus, VoidState

#: Payments that bring nothing any more.
GONE = frozenset((PaymentStatus.VOIDING, PaymentStatus.VOIDED))

#: Payments whose money was taken, whatever became of it since.
TAKEN = frozenset((PaymentStatus.CAPTURED, PaymentStatus.PARTIALLY_REFUNDED, PaymentStatus.REFUNDED))


def status(payments: Iterable[tuple[PaymentStatus, int]], *, capturable: bool) -> PaymentStatus:
    """Return how a collection stands, from how its payments do and what each is to bring, in minor units.

    A payment that was released since it was to bring nothing does not count.  `capturable`: whether the capture of one
    that is held is still to come.
    """
    payments = list(payments)
    shown = {status for status, share in payments if share or status not in GONE} or {status for status, _ in payments}
    live = shown - GONE
    if len(shown) == 1:
        return shown.pop()
    if not live:
        return PaymentStatus.VOIDING
    if PaymentStatus.CAPTURING in live:
        return PaymentStatus.CAPTURING
    if PaymentStatus.AUTHORIZED in live and live & TAKEN:
        return PaymentStatus.CAPTURING if capturable else PaymentStatus.PARTIALLY_CAPTURED
    if live == {PaymentStatus.AUTHORIZED}:
        return PaymentStatus.AUTHORIZED
    if live <= TAKEN and shown & GONE and PaymentStatus.CAPTURED in live:
        return PaymentStatus.PARTIALLY_CAPTURED
    if len(live) == 1:
        return live.pop()
    return PaymentStatus.PARTIALLY_CAPTURED if live - TAKEN else PaymentStatus.PARTIALLY_REFUNDED


#: How the voids of one collection stand together: what is not known yet first, then what is worst.
VOIDS = (VoidState.REQUESTED, VoidState.REFUSED, VoidState.OVERTAKEN, VoidState.LAPSING, VoidState.RELEASED)


def void_state(voids: Iterable[VoidState]) -> VoidState | None:
    """Return how the voids of a collection stand together; None when there are none."""
    return min(voids, key=VOIDS.index, default=None)


def shares(total: int, held: Iterable[int]) -> list[int]:
    """Return what each payment is to bring of `total`, the oldest first as far as its hold reaches; minor units."""
    found = []
    for authorized in held:
        found.append(min(authorized, total))
        total -= found[-1]
    return found
