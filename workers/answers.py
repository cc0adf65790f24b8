"""Bodies of answers that more than one queue gives."""

from collections.abc import Mapping

import msgspec

from shared.domain.cancel import PaymentAction
from shared.domain.orders import OrderStatus
from shared.domain.payments import VoidState

#: The internal warning of a cancel whose money is not free yet, by how its void stands.
WARNING: Mapping[VoidState | None, str] = {
    VoidState.REQUESTED: "The order is canceled, but the hold on the card could not be released yet. We keep trying.",
    VoidState.OVERTAKEN: "The order is canceled, but its payment had been captured before. A person must refund it.",
    VoidState.REFUSED: "The order is canceled, but the hold on the card was not released. A person must look at it.",
}

#: How a canceled order's money stands, by how its void stands.
ACTION: Mapping[VoidState | None, PaymentAction] = {
    None: PaymentAction.NONE,
    VoidState.REQUESTED: PaymentAction.VOID_FAILED,
    VoidState.RELEASED: PaymentAction.VOIDED,
    VoidState.OVERTAKEN: PaymentAction.VOID_FAILED,
    VoidState.REFUSED: PaymentAction.VOID_FAILED,
}


def canceled(order_id: str, void: VoidState | None) -> str:
    """Return the body of a cancel's 200, by how the order's void stands; None when nobody held money."""
    body = {"order_id": order_id, "status": OrderStatus.CANCELED, "payment_action": ACTION[void]}
    if void in WARNING:
        body["warning"] = WARNING[void]
    return msgspec.json.encode(body).decode()
