"""Seen: what a provider shows of a payment, in the words of the rule that compares it."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.domain.reconcile import Amounts, Hold, Return, TheirRefund
from shared.providers.ports import Authorization, HoldStatus, ProviderRefund, RefundStatus

#: How a refund is seen.
RETURN: Mapping[RefundStatus, Return] = {
    RefundStatus.PENDING: Return.PENDING,
    RefundStatus.SUCCEEDED: Return.COMPLETED,
    RefundStatus.FAILED: Return.FAILED,
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What a provider shows of a payment; nothing when it does not know it, with the code of its refusal."""

    found: Authorization | None
    returns: tuple[ProviderRefund, ...] = ()
    refusal: str | None = None

    @property
    def hold(self) -> Hold:
        """The hold in the words of the rule."""
        if self.found is None:
            return Hold.MISSING
        if self.found.status is HoldStatus.PARTIALLY_CAPTURED:
            rest = self.found.authorized - self.found.captured - self.found.released
            return Hold.PARTLY_CAPTURED if rest else Hold.CAPTURED
        return Hold(self.found.status)

    @property
    def amounts(self) -> Amounts | None:
        """What is authorized, captured and released."""
        found = self.found
        return Amounts(found.authorized, found.captured, found.released) if found else None

    @property
    def refunds(self) -> list[TheirRefund]:
        """The refunds in the words of the rule."""
        return [
            TheirRefund(
                each.provider_id,
                each.amount,
                RETURN[each.status],
                (each.tag.refund_id, each.tag.generation) if each.tag else None,
                each.error,
            )
            for each in self.returns
        ]
