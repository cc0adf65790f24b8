"""Where parcels are, as it looks on the wire: at most 50 waybills at once, in an order that nobody may rely on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from sandbox.delhivery.shipments import Scan, Shipment
from sandbox.http import Request, Response

if TYPE_CHECKING:
    from sandbox.delhivery.call import Call
    from sandbox.delhivery.store import Store

MOST_WAYBILLS = 50
NAMES = ("waybill", "ref_ids")
UNKNOWN: Mapping[str, str] = {
    "waybill": "Data does not exists for provided Waybill(s)",
    "ref_ids": "No such waybill or Order Id found",
}

LOCATION = "Mumbai_Hub (Maharashtra)"
SORT_CODE = "BOM/MUM"
#: Made up, and in the shape of personal data: who stores it would store a person's.
CONSIGNEE: Mapping[str, object] = {
    "Name": "Asha Sample",
    "Address1": ["12 Sample Street"],
    "Address2": [],
    "Address3": "",
    "City": "Pune",
    "State": "Maharashtra",
    "PinCode": 411001,
    "Country": "India",
    "Telephone1": "",
    "Telephone2": "9000000001",
}
#: The dates of the first scan of a kind; None stands for any status.
FIRST: Mapping[str, tuple[str, str | None]] = {
    "RTOStartedDate": ("RT", None),
    "ReturnedDate": ("DL", "RTO"),
    "DeliveryDate": ("DL", "Delivered"),
    "FirstAttemptDate": ("UD", "Dispatched"),
}


def named(request: Request) -> list[str]:
    """The waybills, or the orders, that a request names, also when it is refused."""
    query = parse_qs(request.query)
    return [name for key in NAMES for value in query.get(key, []) for name in value.split(",")]


def track(call: Call) -> Response:
    """Answer with the shipments that are known; a 200 that says it is none when none is."""
    query = parse_qs(call.request.query, keep_blank_values=True)
    problem = _problem(query, call.waybills)
    if problem:
        return call.answer(_failure(problem), 400)
    (key,) = query.keys() & set(NAMES)
    left_out = call.fault.object or call.waybills[0] if call.fault is not None and call.meets("partial") else None
    known = [shipment for shipment in _find(call.store, key, call.waybills) if shipment.awb != left_out]
    if not known:
        return call.answer(_failure(UNKNOWN[key]))
    verbose = query.get("verbose") == ["1"]
    shown = [{"Shipment": wire(each, call.store.scans(each.awb), verbose=verbose)} for each in reversed(known)]
    return call.answer({"ShipmentData": shown})


def _problem(query: Mapping[str, list[str]], names: Sequence[str]) -> str | None:
    """Why a query is refused, or None."""
    if len(query.keys() & set(NAMES)) != 1 or not names or not all(names):
        return "Either waybill or ref_ids must be given"
    if query.keys() - {*NAMES, "verbose"} or any(len(values) > 1 for values in query.values()):
        return "Only waybill, ref_ids and verbose are known, each once"
    if query.get("verbose", ["0"])[0] not in ("0", "1"):
        return "verbose must be 0 or 1"
    if len(names) > MOST_WAYBILLS:
        return f"At most {MOST_WAYBILLS} waybills can be tracked at once"
    return None


def _failure(text: str) -> dict[str, object]:
    return {"Success": False, "Error": text, "rmk": text}


def _find(store: Store, key: str, names: Sequence[str]) -> list[Shipment]:
    """The shipments that are known, each once."""
    if key == "ref_ids":
        return [shipment for name in dict.fromkeys(names) for shipment in store.referred_to(name)]
    found = [store.find(name) for name in dict.fromkeys(names)]
    return [shipment for shipment in found if shipment is not None]


def wire(shipment: Shipment, scans: Sequence[Scan], *, verbose: bool) -> dict[str, Any]:
    """A shipment as Delhivery writes it; with all its scans when `verbose`."""
    latest = scans[-1]
    return {
        "AWB": shipment.awb,
        "ReferenceNo": shipment.reference_no,
        "OrderType": shipment.order_type,
        "Status": _status(latest),
        **({"Scans": [{"ScanDetail": _detail(scan)} for scan in scans]} if verbose else {}),
        "ReverseInTransit": latest.status_type == "RT",
        **{name: _first(scans, *kind) for name, kind in FIRST.items()},
        "PickUpDate": shipment.picked_up_at,
        "PickedupDate": shipment.picked_up_at,
        "DispatchCount": sum((scan.status_type, scan.status) == ("UD", "Dispatched") for scan in scans),
        "ExpectedDeliveryDate": None,
        "CODAmount": shipment.cod_amount,
        "InvoiceAmount": 0,
        "Origin": LOCATION,
        "Destination": "Pune_Hub (Maharashtra)",
        "Consignee": CONSIGNEE,
    }


def _status(scan: Scan) -> dict[str, str]:
    return {
        "Status": scan.status,
        "StatusType": scan.status_type,
        "StatusCode": scan.code,
        "StatusDateTime": scan.at,
        "StatusLocation": LOCATION,
        "Instructions": scan.instructions,
        "RecievedBy": "",  # Delhivery's own spelling
    }


def _detail(scan: Scan) -> dict[str, str]:
    return {
        "Scan": scan.status,
        "ScanType": scan.status_type,
        "ScanDateTime": scan.at,
        "StatusDateTime": scan.at,
        "ScannedLocation": LOCATION,
        "StatusCode": scan.code,
        "Instructions": scan.instructions,
    }


def _first(scans: Sequence[Scan], type: str, status: str | None) -> str | None:
    """When the first scan of a kind was made, or None."""
    return next((scan.at for scan in scans if scan.status_type == type and status in (None, scan.status)), None)
