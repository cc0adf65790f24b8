"""Delhivery's words for where a shipment is: the pair of type and status is the truth, to the letter.

The same word means one thing on the way out and another on the way back, and a parcel that came back ends under the
same type as one that was delivered.
"""

from collections.abc import Mapping

from shared.domain.shipments import ShipmentStatus

#: What each pair of Delhivery's (StatusType, Status) means.  Lost, Damaged and Collected are seen as well; nobody
#: says of which type, so a person decides.
MEANING: Mapping[tuple[str, str], ShipmentStatus] = {
    ("UD", "Manifested"): ShipmentStatus.ANNOUNCED,
    ("UD", "Not Picked"): ShipmentStatus.ANNOUNCED,
    ("UD", "In Transit"): ShipmentStatus.IN_TRANSIT,
    ("UD", "Pending"): ShipmentStatus.IN_TRANSIT,
    ("UD", "Dispatched"): ShipmentStatus.IN_TRANSIT,
    ("DL", "Delivered"): ShipmentStatus.DELIVERED,
    ("RT", "In Transit"): ShipmentStatus.RETURNING,
    ("RT", "Pending"): ShipmentStatus.RETURNING,
    ("RT", "Dispatched"): ShipmentStatus.RETURNING,
    ("DL", "RTO"): ShipmentStatus.RETURNED,
    ("PP", "Open"): ShipmentStatus.REVERSE,
    ("PP", "Scheduled"): ShipmentStatus.REVERSE,
    ("PP", "Dispatched"): ShipmentStatus.REVERSE,
    ("PU", "In Transit"): ShipmentStatus.REVERSE,
    ("PU", "Pending"): ShipmentStatus.REVERSE,
    ("PU", "Dispatched"): ShipmentStatus.REVERSE,
    ("DL", "DTO"): ShipmentStatus.REVERSE,
    ("CN", "Canceled"): ShipmentStatus.REVERSE,
    ("CN", "Closed"): ShipmentStatus.REVERSE,
}

#: Codes that say of a forward shipment that the shop took it back: there is no status for that.
CANCELED_CODES = frozenset({"DTUP-210"})


def meaning(status_type: str, status: str, code: str | None) -> ShipmentStatus:
    """Return what Delhivery's own words mean; `UNEXPLAINED` unless they are known to the letter."""
    known = MEANING.get((status_type.strip(), status.strip()), ShipmentStatus.UNEXPLAINED)
    # A parcel that moves has left after all: its way back then shows in the pair itself.
    if known is ShipmentStatus.ANNOUNCED and (code or "").strip() in CANCELED_CODES:
        return ShipmentStatus.CANCELED
    return known
