"""Every way in which a provider or a courier misbehaves, one a row."""

from collections.abc import Callable, Iterator, Mapping

from tests.faults.harness.edges import place
from tests.faults.harness.operations import OPERATIONS
from tests.faults.harness.rig import Rig
from tests.faults.harness.standins import FAULTS as KNOWN

#: Arms one misbehavior for the next request that is called so, e.g. `capture` or `razorpay.capture`.
Arm = Callable[[Rig, str], None]

#: What the stand-ins themselves do, in their own words.
WORDS: Mapping[str, str] = {
    "connection dropped before": "drop_before",
    "connection dropped after effect": "drop_after",
    "5xx before": "error_500_before",
    "5xx kept under the key": "error_500_during",
    "5xx after effect": "error_500_after",
    "a proxy's page": "html_502",
    "429": "rate_limit",
    "409 concurrent key": "conflict",
    "declined": "decline",
    "the bank's error before": "gateway_error_before",
    "the bank's error after effect": "gateway_error_after",
    "a page for an answer": "json_error_after",
    "undecided": "pending",
    "turned away": "throttle",
    "token not known": "unauthorized",
    "gibberish": "not_json",
    "XML": "xml",
    "a parcel left out": "partial",
    "refused": "refuse",
}


def stand_in(fault: str) -> Arm:
    """The stand-in itself misbehaves."""

    def arm(rig: Rig, called: str) -> None:
        name, operation = place(called)
        rig.stand_ins.misbehave(name, operation, fault)

    return arm


def no_answer(*, effect: bool) -> Arm:
    """The client's patience ends, before the request arrived or after it took effect."""
    return lambda rig, called: rig.wires.time_out(called, effect=effect)


def expired_key(rig: Rig, called: str) -> None:
    """The request takes effect, its answer is lost, and by the next attempt the provider has forgotten the key."""
    rig.wires.time_out(called, effect=True, then=rig.stand_ins.forget_keys)


FAULTS: Mapping[str, Arm] = {
    "timeout before": no_answer(effect=False),
    "timeout after effect": no_answer(effect=True),
    "expired key": expired_key,
} | {name: stand_in(word) for name, word in WORDS.items()}

#: What is tried elsewhere: a refund that Stripe does not decide for days.
NOT_HERE = {("refund", "undecided")}


def befalls(fault: str, called: str) -> bool:
    """Whether this can happen to a request that is called so."""
    name, operation = place(called)
    if fault == "expired key":
        return name == "stripe" or called == "razorpay.refund"
    return (called, fault) not in NOT_HERE and (fault not in WORDS or WORDS[fault] in KNOWN[name][operation])


def combinations() -> Iterator[tuple[str, str]]:
    """Every operation that calls somebody, with every misbehavior that can befall its call."""
    for name, operation in OPERATIONS.items():
        for fault in FAULTS:
            if operation.calls and befalls(fault, operation.calls):
                yield name, fault
