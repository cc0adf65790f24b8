"""Shipments: where a courier says a parcel is, and what that means to its order.

What a courier's own words mean stands in its provider's file.  What is not explained there is for a person.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Courier(StrEnum):
    """Whose shipments are followed; a shop may name others, which are only shown."""

    DELHIVERY = "delhivery"


class ShipmentStatus(StrEnum):
    """Where a shipment is."""

    REGISTERED = "registered"  # nobody has tracked it yet
    ANNOUNCED = "announced"  # the courier knows it, and does not have it
    IN_TRANSIT = "in_transit"  # on the way to the customer
    DELIVERED = "delivered"
    CANCELED = "canceled"  # before pickup: it never left
    RETURNING = "returning"  # on the way back to the shop
    RETURNED = "returned"
    REVERSE = "reverse"  # a pickup at the customer's door: of no consequence to the order
    UNEXPLAINED = "unexplained"  # a pair that we do not know: a person decides
    UNKNOWN = "unknown"  # the courier does not know the waybill
    ABANDONED = "abandoned"  # it has come to no end in months, and is not looked up by itself any more


#: What cancels an order.
TAKEN_BACK = (ShipmentStatus.CANCELED, ShipmentStatus.RETURNING, ShipmentStatus.RETURNED)

#: Shipments that are not looked up any more, unless somebody hints at them.
AT_REST = (ShipmentStatus.DELIVERED, ShipmentStatus.CANCELED, ShipmentStatus.RETURNED, ShipmentStatus.ABANDONED)

#: Shipments that the courier has or had.
PICKED_UP = (
    ShipmentStatus.IN_TRANSIT,
    ShipmentStatus.DELIVERED,
    ShipmentStatus.RETURNING,
    ShipmentStatus.RETURNED,
)


@dataclass(frozen=True, slots=True)
class Tracked:
    """A shipment as its courier describes it, without a word about people."""

    waybill: str
    status_type: str
    status: str
    code: str | None
    #: Since when it stands so, in UTC; None when the courier does not say.
    at: datetime | None
    #: Whether the courier says that it took the parcel over.
    picked_up: bool
    #: What the courier's own words mean.
    meaning: ShipmentStatus

    @property
    def before_pickup(self) -> bool:
        """Whether the parcel is still where it was packed."""
        return not self.picked_up and self.meaning not in PICKED_UP


class ShipmentEvent(StrEnum):
    """What happens to a shipment, as the timeline tells it."""

    REGISTERED = "shipment_registered"
    REPLACED = "shipment_replaced"  # by another waybill
    TRACKED = "shipment_tracked"  # its status changed
    CANCEL_REQUESTED = "shipment_cancel_requested"
    CANCELED = "shipment_canceled"
    HINTED = "shipment_hinted"  # the courier told once more of what was acted upon


class CancelState(StrEnum):
    """Where the cancellation of a shipment stands."""

    REQUESTED = "requested"  # may have reached the courier; asked again until it is known
    ACCEPTED = "accepted"  # the courier said so; tracking has not shown it
    CONFIRMED = "confirmed"  # tracking shows it
    REFUSED = "refused"  # the courier said no


class CancelEvent(StrEnum):
    """What happens to the cancellation of a shipment, as the timeline tells it."""

    ACCEPTED = "shipment_cancel_accepted"
    CONFIRMED = "shipment_cancel_confirmed"
    REFUSED = "shipment_cancel_refused"


CANCEL_TRANSITIONS: Mapping[tuple[CancelState, CancelEvent], CancelState] = {
    (CancelState.REQUESTED, CancelEvent.ACCEPTED): CancelState.ACCEPTED,
    (CancelState.REQUESTED, CancelEvent.CONFIRMED): CancelState.CONFIRMED,
    (CancelState.REQUESTED, CancelEvent.REFUSED): CancelState.REFUSED,
    (CancelState.ACCEPTED, CancelEvent.CONFIRMED): CancelState.CONFIRMED,
    # What was accepted can still be delivered.
    (CancelState.ACCEPTED, CancelEvent.REFUSED): CancelState.REFUSED,
    # Somebody else had it canceled.
    (CancelState.REFUSED, CancelEvent.CONFIRMED): CancelState.CONFIRMED,
}


def _words(pattern: str) -> re.Pattern[str]:
    """A pattern of whole words: "_" ends a word, and a blank stands for whatever joins two of one phrase."""
    phrase = pattern.replace(" ", r"(?:[\s_]+|-)")
    return re.compile(rf"(?<![^\W_])(?:{phrase})(?![^\W_])")


_CANCELLATION = "cancel(?:l?ation)?"
_HINT = "cancel(?:s|l?ed|l?ing|l?ation)?|rto|rts|return(?:s|ed|ing)?|reject(?:s|ed|ing|ion)?"
_REQUEST = rf"{_CANCELLATION}(?: request)?|(?:{_HINT}) request"
_NOT = r"not|never|no|non|un|cannot|[a-z]{2,10}n['\u2019]t"
_REFUSED = "rejected|refused|denied|declined|failed|unsuccessful|withdrawn|revoked"

#: What sounds like a cancellation and denies one; it is left out before anything is listened for.
DENIALS = (
    _words(rf"(?:{_NOT})(?: (?:yet|longer|be|been|being|to|an?|the))* (?:{_HINT})"),
    _words(rf"(?:unable|failed|refused|declined) to (?:{_HINT})"),
    _words(rf"(?:{_REFUSED})(?: (?:an?|the|this|your))? {_CANCELLATION}(?: request)?"),
    _words(rf"(?:{_REQUEST})(?: (?:is|was|has|been|got))* (?:{_REFUSED}|not \w+)"),
)

#: Words that tell of a parcel that was canceled or is coming back.
HINT = _words(_HINT)


def hints_at_cancellation(*words: str | None) -> bool:
    """Whether a courier's free words sound as if the parcel was canceled or is coming back.

    They only decide whether tracking is looked at again and a person is told: no money follows a sound.
    """
    return any(_sounds_canceled(text.casefold()) for text in words if text)


def _sounds_canceled(text: str) -> bool:
    for denial in DENIALS:
        text = denial.sub(";", text)
    return HINT.search(text) is not None
