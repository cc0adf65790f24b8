"""A server that says anything, and what Delhivery says."""

from types import MappingProxyType
from typing import Any

from tests.unit import answering
from tests.unit.answering import Asked

#: What a wrong token is told.
NOT_LET_IN = "Login or API Key Required"


class Server(answering.Server):
    """Shows shipments, and has another address for whoever follows redirections."""

    body_name = "body"
    headers = MappingProxyType({"Location": "/elsewhere"})

    def show(self, *shipments: dict[str, Any]) -> None:
        """Answer the next look with these shipments."""
        self.say(200, {"ShipmentData": [{"Shipment": shipment} for shipment in shipments]})


def shipment(awb: Any = "1234567890123", status_type: str = "UD", status: str = "In Transit", **more: Any) -> Asked:
    """A shipment as Delhivery shows it; `more` are members of the shipment, or of its status."""
    about = {
        "Status": status,
        "StatusType": status_type,
        "StatusCode": "X-PPOM",
        "StatusDateTime": "2026-08-01T10:11:12.003",
        "StatusLocation": "Mumbai_Hub",
        "Instructions": "Handed over to Ann Smith",
        "RecievedBy": "Ann Smith",
    }
    return {
        "AWB": awb,
        "ReferenceNo": "ORD-1",
        "OrderType": "Pre-paid",
        "Status": about | {name: value for name, value in more.items() if name in about},
        "ReverseInTransit": False,
        "PickUpDate": None,
        "PickedupDate": None,
        "Ewaybill": [],
        "Consignee": {"Name": "Ann Smith", "Address1": [], "Telephone1": "5550100"},
    } | {name: value for name, value in more.items() if name not in about}
