"""What the mesh asks of those who carry parcels; they answer as those who hold money do: done, refused, unknown."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from shared.domain.shipments import Tracked
from shared.providers.ports import Unknown


class Throttled(Unknown):
    """The courier turns us away for a while: nobody asks it anything for `pause` seconds."""

    def __init__(self, reason: str, pause: float) -> None:
        super().__init__(reason)
        self.pause = pause

    def __reduce__(self) -> tuple[type["Throttled"], tuple[str, float]]:
        return type(self), (self.reason, self.pause)


class CourierService(Protocol):
    """Every call is safe to repeat, and may raise `Unknown` or, as one of these, `Throttled`."""

    #: Waybills that one look takes at most.
    batch: int

    def track(self, waybills: Sequence[str]) -> Mapping[str, Tracked]:
        """Return where these shipments are, by waybill; one that the courier does not know is absent."""
        ...

    def cancel(self, waybill: str) -> None:
        """Have the courier accept that a shipment is canceled; whether it is, only tracking shows.

        Raises `Refused` with a short code.
        """
        ...
