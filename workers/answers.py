"""Bodies of answers that more than one queue gives."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from shared import answers, money
from shared.domain.cancel import PaymentAction
from shared.domain.edits import MoneyAction
from shared.domain.orders import OrderStatus
from shared.domain.payments import VoidState
from shared.domain.refunds import RefundState
from shared.domain.settling import Cancellation

#: The internal warning of a cancel whose money is not free yet, by how its void stands.
WARNING: Mapping[VoidState | None, str] = {
    VoidState.REQUESTED: "The order is canceled, but the hold on the card could not be released yet. We keep trying.",
    VoidState.LAPSING: "The order is canceled and its payment was not taken. The hold ends by itself within some days.",
    VoidState.OVERTAKEN: "The order is canceled, but its payment had been captured before. It is to be refunded.",
    VoidState.REFUSED: "The order is canceled, but the hold on the card was not released. A person must look at it.",
}

#: How a canceled order's money stands, by how its void stands.
ACTION: Mapping[VoidState | None, PaymentAction] = {
    None: PaymentAction.NONE,
    VoidState.REQUESTED: PaymentAction.VOID_FAILED,
    VoidState.LAPSING: PaymentAction.LAPSING,
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


def edited(order: dict[str, Any], money: MoneyAction) -> str:
    """Return the body of an edit's 200: the order as it is now, and what became of its money."""
    return msgspec.json.encode(order | {"payment_action": money}).decode()


#: Amounts are decimal numbers in operators' answers, with all the places of their currency.
_encoder = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True)
class GivenBack:
    """A refund, or a void in its stead, as an answer tells of it; `amount` in minor units of `currency`."""

    id: str
    amount: int
    currency: str
    status: RefundState
    is_void: bool = False
    #: Whether somebody else gave it back, before whoever asked could.
    already: bool = False

    @property
    def details(self) -> dict[str, Any]:
        """The members that the client contract names."""
        return {"refundId": self.id, "amount": money.major(self.amount, self.currency), "status": self.status}


def refunded(
    order: dict[str, Any],
    given: GivenBack | None,
    *,
    is_cod: bool = False,
    not_paid: bool = False,
    already_refunded: bool = False,
) -> str:
    """Return the body of a refund's 200; without `given` there was nothing to give back."""
    nothing = {"refundId": None, "amount": money.major(0, order["currency"]), "status": "none"}
    flags = {"isCOD": is_cod, "notPaid": not_paid, "alreadyRefunded": already_refunded}
    body = {
        "success": True,
        "message": next((words for flag, words in NO_REFUND.items() if flags[flag]), "Refund processed successfully"),
        "data": {"order": order, "refund": (given.details if given else nothing) | flags},
    }
    return _encoder.encode(body).decode()


def booking_canceled(cancellation: Cancellation, currency: str) -> str:
    """Return the body of a guest's cancel's 200; amounts in major units of `currency`, as strings."""
    body = {
        "success": True,
        "message": "Booking cancelled successfully",
        "cancellation": answers.cancellation(cancellation, currency),
    }
    return msgspec.json.encode(body).decode()


#: Why nothing was refunded.
NO_REFUND: Mapping[str, str] = {
    "isCOD": "Cash on delivery: there is nothing to refund",
    "notPaid": "Nothing was paid: there is nothing to refund",
    "alreadyRefunded": "The order was refunded before",
}


def synced(order: dict[str, Any], status: str | None, *, detected: bool) -> str:
    """Return the body of a sync's 200: the order, and where its parcel is in the courier's own word."""
    body = {
        "success": True,
        "message": "Status synced successfully",
        "data": {"order": order, "status": status, "cancellationDetected": detected},
    }
    return _encoder.encode(body).decode()


def canceled_by_operator(order: dict[str, Any], given: GivenBack | None) -> str:
    """Return the body of an operator's cancel; without `given` nothing is given back."""
    body = {
        "success": True,
        "message": "Order cancelled successfully",
        "data": {
            "order": order,
            "refundProcessed": given is not None and given.status is not RefundState.FAILED,
            "refundDetails": given.details if given else None,
        },
    }
    return _encoder.encode(body).decode()
