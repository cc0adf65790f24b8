"""One request being carried out: what it asks for, and how it is disturbed."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.delhivery.answers import xml
from sandbox.delhivery.lag import Lag
from sandbox.delhivery.store import Store
from sandbox.faults import Fault
from sandbox.http import Request, Response


@dataclass(frozen=True, slots=True)
class Call:
    """One request to an endpoint, the waybills it names, and the fault it meets."""

    store: Store
    lag: Lag
    request: Request
    waybills: list[str]
    fault: Fault | None

    def meets(self, fault: str) -> bool:
        """Whether it meets this fault."""
        return self.fault is not None and self.fault.fault == fault

    def answer(self, members: dict[str, object], status: int = 200, *, in_xml: bool = False) -> Response:
        """These members as JSON; as XML when that is the form, or when the fault is that it always is."""
        return xml(members, status) if in_xml or self.meets("xml") else Response.json(members, status)
