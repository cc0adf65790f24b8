"""Taking a shipment back: what is accepted is a promise, and what becomes of it only tracking says."""

from __future__ import annotations

from typing import Literal

import msgspec

from sandbox.delhivery.call import Call
from sandbox.delhivery.shipments import AFTERMATH, Scan, Shipment, Step
from sandbox.http import Request, Response

CANCELED = "Shipment has been cancelled."
NOT_CANCELED = "Shipment can not be cancelled in its current status."
UNKNOWN = "No such waybill or Order Id found"


class Wish(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a cancel; both are strings, and a JSON boolean is refused."""

    waybill: str
    cancellation: Literal["true"]


class Named(msgspec.Struct):
    """The waybill that a body names, also when it is refused."""

    waybill: str = ""


def named(request: Request) -> list[str]:
    """The waybill that a request names, when its body can be read."""
    try:
        waybill = msgspec.json.decode(request.body, type=Named).waybill
    except msgspec.MsgspecError:
        return []
    return [waybill] if waybill else []


def cancel(call: Call) -> Response:
    """Accept a cancel or refuse it; in XML unless JSON is asked for, and mostly with 200, whatever it says."""
    status, members = _decide(call)
    return call.answer(members, status, in_xml="application/json" not in call.request.headers.get("accept", ""))


def _decide(call: Call) -> tuple[int, dict[str, object]]:
    """The HTTP status and the members of the answer."""
    if not call.request.headers.get("content-type", "").startswith("application/json"):
        return 400, {"status": False, "error": "The body must be application/json"}
    try:
        awb = msgspec.json.decode(call.request.body, type=Wish).waybill
    except msgspec.MsgspecError as problem:
        return 400, {"status": False, "error": str(problem)}
    shipment = call.store.find(awb)
    if shipment is None:
        return 200, {"status": False, "waybill": awb, "error": UNKNOWN}
    if not _is_accepted(call, shipment):
        return 200, {"status": False, "waybill": awb, "remark": NOT_CANCELED}
    return 200, {"status": True, "waybill": awb, "order_id": shipment.reference_no, "remark": CANCELED}


def _is_accepted(call: Call, shipment: Shipment) -> bool:
    """Accept where the state allows it; accepting again is the same answer without another effect."""
    latest = call.store.scans(shipment.awb)[-1]
    steps = AFTERMATH.get((shipment.reverse, latest.status_type, latest.status))
    if call.meets("refuse"):
        return _refuse(call, shipment, latest)
    if shipment.canceled or call.lag.is_owed(shipment.awb):
        return True
    return _accept(call, shipment, latest, steps) if steps else _refuse(call, shipment, latest)


def _accept(call: Call, shipment: Shipment, latest: Scan, steps: tuple[Step, ...]) -> bool:
    with call.store.transaction():
        call.store.record("shipment.cancel_accepted", shipment.awb, latest)
        call.lag.begin(shipment.awb, steps)
    return True


def _refuse(call: Call, shipment: Shipment, latest: Scan) -> bool:
    call.store.record("shipment.cancel_refused", shipment.awb, latest)
    return False
