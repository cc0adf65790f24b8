"""Bodies of answers that more than one queue gives."""

import msgspec

from shared.domain.cancel import PaymentAction
from shared.domain.orders import OrderStatus

#: The internal warning of seed 0's zombie: the order is canceled, the shopper's money is still held.
VOID_FAILED_WARNING = "The order is canceled, but the hold on the card could not be released yet. We keep trying."


def canceled(order_id: str, action: PaymentAction) -> str:
    """Return the body of a cancel's 200."""
    body = {"order_id": order_id, "status": OrderStatus.CANCELED, "payment_action": action}
    if action is PaymentAction.VOID_FAILED:
        body["warning"] = VOID_FAILED_WARNING
    return msgspec.json.encode(body).decode()
