"""Every way in which the provider misbehaves, one a row."""

from collections.abc import Callable, Iterator, Mapping

from sandbox.stripe import api
from tests.faults.harness.operations import OPERATIONS
from tests.faults.harness.rig import Rig

#: Arms one misbehavior for the next request that the stand-in calls so, e.g. `capture`.
Arm = Callable[[Rig, str], None]


def stand_in(fault: str) -> Arm:
    """The stand-in itself misbehaves."""
    return lambda rig, operation: rig.stand_ins.misbehave("stripe", operation, fault)


def no_answer(*, effect: bool) -> Arm:
    """The client's patience ends, before the request arrived or after it took effect."""
    return lambda rig, operation: rig.wires.time_out(operation, effect=effect)


def expired_key(rig: Rig, operation: str) -> None:
    """The request takes effect, its answer is lost, and by the next attempt the provider has forgotten the key."""
    rig.wires.time_out(operation, effect=True, then=rig.stand_ins.forget_keys)


FAULTS: Mapping[str, Arm] = {
    "timeout before": no_answer(effect=False),
    "timeout after effect": no_answer(effect=True),
    "connection dropped before": stand_in("drop_before"),
    "connection dropped after effect": stand_in("drop_after"),
    "5xx before": stand_in("error_500_before"),
    "5xx kept under the key": stand_in("error_500_during"),
    "5xx after effect": stand_in("error_500_after"),
    "a proxy's page": stand_in("html_502"),
    "429": stand_in("rate_limit"),
    "409 concurrent key": stand_in("conflict"),
    "expired key": expired_key,
    "declined": stand_in("decline"),
}


def combinations() -> Iterator[tuple[str, str]]:
    """Every operation that calls the provider, with every misbehavior that can befall its call."""
    for name, operation in OPERATIONS.items():
        for fault in FAULTS:
            if operation.calls and (fault != "declined" or "decline" in api.FAULTS[operation.calls]):
                yield name, fault
