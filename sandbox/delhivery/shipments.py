"""Shipments and scans, and Delhivery's rules as tables.

The pair of status type and status is the truth about a shipment; neither of them says enough alone.  Codes and
instructions that no document gives are samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Final, NamedTuple

FORWARD: Final = False
REVERSE: Final = True

#: Indian Standard Time, which has no summer time; Delhivery writes it without saying so.
IST = timezone(timedelta(hours=5, minutes=30))


class Shipment(NamedTuple):
    """One parcel; `cod_amount` is in rupees, `picked_up_at` as the wire writes it."""

    awb: str
    reference_no: str
    order_type: str
    cod_amount: float
    reverse: bool
    picked_up_at: str | None = None
    canceled: bool = False


class Scan(NamedTuple):
    """What was noted about a parcel, and when, as the wire writes it."""

    status_type: str
    status: str
    code: str
    instructions: str
    at: str


class Step(NamedTuple):
    """A scan that an accepted cancel leads to, after this part of the settle time."""

    part: float
    status_type: str
    status: str
    code: str
    instructions: str


#: The first scan of a shipment.
START: Mapping[bool, tuple[str, str, str, str]] = {
    FORWARD: ("UD", "Manifested", "X-UCI", "Manifest uploaded"),
    REVERSE: ("PP", "Open", "X-ASP", "Pickup requested"),
}

#: Nobody calls it canceled: a parcel that was never handed over is not picked, at first for no reason that is told.
NEVER_HANDED_OVER = (
    Step(1 / 3, "UD", "Not Picked", "X-PNP", "Shipment not received from client"),
    Step(1, "UD", "Not Picked", "DTUP-210", "Seller cancelled the order"),
)
SENT_BACK = (Step(1, "RT", "In Transit", "RT-101", "Returned as per client instructions"),)
NOT_FETCHED = (Step(1, "CN", "Canceled", "X-CNC", "Pickup cancelled by client"),)

#: Where a shipment can be canceled, and what tracking shows afterwards; it can be canceled nowhere else.
AFTERMATH: Mapping[tuple[bool, str, str], tuple[Step, ...]] = {
    (FORWARD, "UD", "Manifested"): NEVER_HANDED_OVER,
    (FORWARD, "UD", "In Transit"): SENT_BACK,
    (FORWARD, "UD", "Pending"): SENT_BACK,
    (REVERSE, "PP", "Scheduled"): NOT_FETCHED,
}


def ist(at: datetime) -> str:
    """A moment as the wire writes it: naive IST, with as many digits of a second's fraction as it has."""
    written = at.astimezone(IST).replace(tzinfo=None).isoformat()
    return written.rstrip("0") if "." in written else written
