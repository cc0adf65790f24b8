"""What a test may ask and tell the stand-in, under /_sandbox/."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Literal, NamedTuple
from urllib.parse import parse_qs

import msgspec

from sandbox.delhivery import scanning, tracking
from sandbox.delhivery.lag import Lag
from sandbox.delhivery.push import Pushes, about
from sandbox.delhivery.shipments import Scan, Shipment, ist
from sandbox.delhivery.store import Store
from sandbox.faults import Faults
from sandbox.http import Request, Response, Router

Waybill = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9]{1,32}$")]
Reference = Annotated[str, msgspec.Meta(pattern="^[^,]+$")]
Word = Annotated[str, msgspec.Meta(min_length=1)]
Shape = Literal["default", "mapped", "waybill"]


class NewShipment(msgspec.Struct, forbid_unknown_fields=True):
    """A shipment to be manifested; `cod_amount` is in rupees, and only for cash on delivery."""

    awb: Waybill
    reference_no: Reference
    order_type: Literal["Pre-paid", "COD"] = "Pre-paid"
    cod_amount: Annotated[int, msgspec.Meta(ge=0)] | Annotated[float, msgspec.Meta(ge=0)] = 0
    reverse: bool = False

    def __post_init__(self) -> None:
        if self.cod_amount and self.order_type != "COD":
            raise ValueError("cod_amount is for COD only")

    def shipment(self) -> Shipment:
        """The shipment, as it begins."""
        return Shipment(self.awb, self.reference_no, self.order_type, self.cod_amount, self.reverse)


class NewScan(msgspec.Struct, forbid_unknown_fields=True):
    """A scan to be made, and the shape it is pushed in; Delhivery's own when nothing else is said."""

    status_type: Word
    status: Word
    code: str = ""
    instructions: str = ""
    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    picked_up: bool = False
    push: Shape | Literal["none"] | None = None

    def scan(self) -> Scan:
        """The scan, made at its moment or now."""
        at = ist(self.at) if self.at else scanning.now()
        return Scan(self.status_type, self.status, self.code, self.instructions, at)


class NewPush(msgspec.Struct, forbid_unknown_fields=True):
    """A push to be sent so many times at once; its words stand in the place of the status."""

    shape: Shape = "default"
    status: str | None = None
    current_status: str | None = None
    times: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1

    def __post_init__(self) -> None:
        if self.current_status is not None and self.shape != "mapped":
            raise ValueError("current_status is for the mapped shape only")


class Told(NamedTuple):
    """One request to a route: its query, what stands in the place of `{awb}`, its body."""

    query: dict[str, list[str]]
    awb: str
    body: bytes

    def filters(self) -> tuple[str | None, int]:
        """The `object` and `since` of the query."""
        return self.query.get("object", [None])[0], int(self.query.get("since", ["0"])[0])


class Control:
    """The routes under /_sandbox/; without `pushes` nobody is told of scans."""

    def __init__(self, store: Store, faults: Faults, lag: Lag, pushes: Pushes | None) -> None:
        self._store = store
        self._faults = faults
        self._lag = lag
        self._pushes = pushes
        self._router: Router[Callable[[Told], Awaitable[object]]] = Router(
            {
                "GET /_sandbox/health": self._health,
                "GET /_sandbox/ledger": self._ledger,
                "GET /_sandbox/requests": self._requests,
                "GET /_sandbox/pushes": self._list_pushes,
                "POST /_sandbox/shipments": self._manifest,
                "POST /_sandbox/scan/{awb}": self._scan,
                "POST /_sandbox/push/{awb}": self._push,
                "POST /_sandbox/settle/{awb}": self._settle,
            }
        )

    async def answer(self, request: Request) -> Response:
        """Answer one request; 404 for what is not known, 400 for what makes no sense."""
        answer = self._faults.control(request)
        if answer is not None:
            return answer
        found = self._router.find(request.method, request.path)
        if found is None:
            return Response.json({"error": f"no {request.method} {request.path} here"}, 404)
        carry_out, captured = found
        try:
            return Response.json(await carry_out(Told(parse_qs(request.query), "".join(captured), request.body)))
        except (msgspec.MsgspecError, ValueError) as problem:
            return Response.json({"error": str(problem)}, 400)
        except LookupError as missing:
            return Response.json({"error": str(missing)}, 404)

    async def _health(self, told: Told) -> object:
        return {"status": "ok"}

    async def _ledger(self, told: Told) -> object:
        return self._store.ledger(*told.filters())

    async def _requests(self, told: Told) -> object:
        return self._store.requests(*told.filters())

    async def _list_pushes(self, told: Told) -> object:
        return self._store.pushes(*told.filters())

    async def _manifest(self, told: Told) -> object:
        wish = msgspec.json.decode(told.body, type=NewShipment | list[NewShipment])
        shipments = [new.shipment() for new in (wish if isinstance(wish, list) else [wish])]
        scanning.manifest(self._store, shipments)
        return {"manifested": len(shipments)}

    async def _scan(self, told: Told) -> object:
        """Make a scan; it overtakes a cancel that has yet to take effect."""
        new = msgspec.json.decode(told.body, type=NewScan)
        shape = new.push or ("default" if self._pushes else "none")
        pushes = self._receiver() if shape != "none" else None
        scan = new.scan()
        with self._store.transaction():
            awb = self._shipment(told.awb).awb
            self._lag.overtake(awb)
            scanning.scan(self._store, awb, scan, picked_up=new.picked_up)
        if pushes is not None:
            pushes.send(about(self._shipment(awb), scan, shape))
        return self._shown(awb)

    async def _push(self, told: Told) -> object:
        new = msgspec.json.decode(told.body or b"{}", type=NewPush)
        shipment, pushes = self._shipment(told.awb), self._receiver()
        scan = self._store.scans(shipment.awb)[-1]
        push = about(shipment, scan, new.shape, new.status, new.current_status)
        sent = await asyncio.gather(*(pushes.send(push) for _ in range(new.times)))
        return [attempt for attempts in sent for attempt in attempts]

    async def _settle(self, told: Told) -> object:
        """Let a cancel take effect at once; one that has is left as it is."""
        shipment = self._shipment(told.awb)
        if not shipment.canceled and not self._lag.is_owed(shipment.awb):
            raise ValueError(f"no cancel of {shipment.awb} was accepted")
        self._lag.settle(shipment.awb)
        return self._shown(shipment.awb)

    def _shipment(self, awb: str) -> Shipment:
        """The shipment with this waybill; raises LookupError when there is none."""
        shipment = self._store.find(awb)
        if shipment is None:
            raise LookupError(f"no shipment {awb}")
        return shipment

    def _receiver(self) -> Pushes:
        """Where pushes go; raises ValueError when nobody listens."""
        if self._pushes is None:
            raise ValueError("there is no --push-url")
        return self._pushes

    def _shown(self, awb: str) -> object:
        return tracking.wire(self._shipment(awb), self._store.scans(awb), verbose=True)
