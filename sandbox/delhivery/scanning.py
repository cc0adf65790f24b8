"""What happens to a parcel: it is manifested, and then scanned."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sandbox.delhivery.shipments import START, Scan, Shipment, ist
from sandbox.delhivery.store import Store


def manifest(store: Store, shipments: Sequence[Shipment]) -> None:
    """Take on new shipments, all or none; raises ValueError when one of the waybills is taken."""
    at = ist(datetime.now(UTC).replace(microsecond=0))
    starts = [(shipment.awb, Scan(*START[shipment.reverse], at)) for shipment in shipments]
    with store.transaction():
        store.add(shipments)
        store.add_scans(starts)
        store.record_all("shipment.manifested", starts)


def scan(store: Store, awb: str, scanned: Scan, *, picked_up: bool = False) -> None:
    """Note where a parcel is, and that it was picked up when this scan is the first to say so."""
    store.add_scans([(awb, scanned)])
    if picked_up:
        store.pick_up(awb, scanned.at)
    store.record("shipment.scanned", awb, scanned)


def now() -> str:
    """This moment as the wire writes it, to the millisecond."""
    moment = datetime.now(UTC)
    return ist(moment.replace(microsecond=moment.microsecond // 1000 * 1000))
