"""Every operation of the mesh that the harness hurts, one a row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement

from shared.queues import Task
from shared.store.outbox import Message
from tests.faults.harness.parcels import (
    asked_to_cancel,
    at_razorpay,
    at_stripe,
    at_the_door,
    captured_at_razorpay,
    capturing,
    comes_back,
    fleet,
    hint,
    in_turn,
    lapsed_there,
    never_leaves,
    packed,
    paid,
    planned,
    razorpay_tells,
    recalled,
    refunded_at_razorpay,
    sent,
    sync_of_all,
    sync_of_order,
)
from tests.faults.harness.rig import Rig, Sale, Start
from tests.faults.harness.sales import (
    Ready,
    approval,
    approved,
    booked,
    booked_for_a_fee,
    booking,
    cancel_by_customer,
    cancel_by_operator,
    cancel_by_shopper,
    canceled,
    captured,
    captured_there,
    comparison,
    confirmed,
    due,
    editing,
    elsewhere,
    forgotten,
    guest_cancel,
    message_of,
    message_of_capture,
    nothing,
    one_less,
    one_more,
    overtaken,
    refund,
    refund_of_most,
    refunded_guest,
    refunded_there,
    refunding,
    refunding_guest,
    registered,
    registration,
    released_there,
    releasing_guest,
    told,
    unanswered,
)


@dataclass(frozen=True)
class Operation:
    """One thing that can be under way."""

    #: Brings an order to where this can begin.
    ready: Ready
    #: The request or message that begins it; None where it cannot begin after what others got ready.
    begin: Callable[[Rig, Sale], Start | None]
    #: What the request is called that it leads to; None when it leads to none that another row does not make.
    calls: str | None = None
    #: The operation that it is but for who asks, or for how much: it is tried against that one only.
    twin_of: str | None = None
    #: The operation that leads to it: whoever is killed over that one is killed over this one too.
    part_of: str | None = None
    #: The processes that it leads to and that nobody is killed over: another operation leads to the same ones.
    spares: tuple[str, ...] = ()
    #: The operations that it is tried against, since they move the same money; all of them when there are none.
    meets: tuple[str, ...] = ()


#: What moves the money of an order that stands.
STANDING = ("cancel", "capture", "cancel by operator")

#: What follows every cancel, and by itself, over which others are killed.
AFTERWARDS = (Task.SEND_EMAIL, f"beat's {Task.SWEEP_OUTBOX}", f"beat's {Task.RECONCILE}")
REFUNDED, RELEASED = (*AFTERWARDS, Task.REFUND_PAYMENT), (*AFTERWARDS, Task.VOID_PAYMENT, Task.CAPTURE_PAYMENT)

#: A parcel comes back whose order was paid.
RETURNING = in_turn(sent(at_stripe), captured, comes_back)

OPERATIONS: Mapping[str, Operation] = {
    # Those of bookings come first: whoever gets a sale ready before others decides what it is.
    "register booking": Operation(nothing, booking, calls="retrieve", meets=("register booking",)),
    "guest cancel for a fee": Operation(
        booked_for_a_fee, guest_cancel, calls="capture", meets=("guest cancel for a fee", "approve")
    ),
    "guest cancel": Operation(
        confirmed, guest_cancel, calls="refund", meets=("guest cancel", "guest is refunded", "booking is settled")
    ),
    "guest cancel of a hold": Operation(
        booked,
        guest_cancel,
        calls="cancel",
        meets=("guest cancel of a hold", "approve", "capture of a booking", "comparison of a booking"),
    ),
    "approve": Operation(
        booked,
        approval,
        meets=("guest cancel of a hold", "guest cancel for a fee", "approve", "hold of a guest is released"),
    ),
    "capture of a booking": Operation(
        approved, message_of_capture, part_of="approve", meets=("guest cancel of a hold", "approve")
    ),
    "guest is refunded": Operation(
        refunding_guest,
        message_of(Task.REFUND_PAYMENT),
        part_of="guest cancel",
        meets=("guest cancel", "guest is refunded", "comparison of a refund"),
    ),
    "booking is settled": Operation(
        refunded_guest, message_of(Task.SETTLE_BOOKING), part_of="guest cancel", meets=("guest cancel",)
    ),
    "hold of a guest is released": Operation(
        releasing_guest,
        message_of(Task.VOID_PAYMENT),
        part_of="guest cancel of a hold",
        meets=("hold of a guest is released", "approve", "comparison of a booking"),
    ),
    "comparison of a refund": Operation(
        refunding_guest, comparison, part_of="comparison", meets=("guest is refunded",)
    ),
    "comparison of a booking": Operation(
        booked, comparison, part_of="comparison", meets=("guest cancel of a hold", "hold of a guest is released")
    ),
    "booking declined": Operation(booked, cancel_by_operator, twin_of="guest cancel of a hold"),
    "paid booking declined": Operation(confirmed, cancel_by_operator, twin_of="guest cancel"),
    "paid booking refunded": Operation(confirmed, refund_of_most, twin_of="guest cancel"),
    # Then those of parcels and of Razorpay, for the same reason.
    "track": Operation(
        RETURNING,
        hint,
        calls="delhivery.track",
        meets=("track", "sync order", "cancel by operator", "refund"),
    ),
    "track, paid at Razorpay": Operation(
        in_turn(sent(at_razorpay), captured, comes_back),
        hint,
        spares=AFTERWARDS,
        meets=("refund at Razorpay",),
    ),
    "track before pickup": Operation(
        in_turn(packed(at_stripe), never_leaves),
        hint,
        spares=RELEASED,
        meets=("cancel", "capture", "cancel by operator"),
    ),
    "track, paid at the door": Operation(
        in_turn(sent(at_the_door), comes_back), hint, spares=AFTERWARDS, meets=("cancel",)
    ),
    "cancel by courier": Operation(
        in_turn(sent(at_stripe), capturing, comes_back, recalled),
        message_of(Task.CANCEL_ORDER_BY_COURIER),
        spares=REFUNDED,
        meets=("cancel by courier", "capture", "cancel by operator"),
    ),
    "sync order of what is being paid": Operation(
        in_turn(sent(at_stripe), capturing, comes_back),
        sync_of_order,
        part_of="cancel by courier",
        meets=("sync order of what is being paid",),
    ),
    "cancel shipment": Operation(
        in_turn(sent(at_stripe), canceled),
        message_of(Task.CANCEL_SHIPMENT),
        calls="delhivery.cancel",
        spares=RELEASED,
        meets=("cancel shipment", "track of a canceled order"),
    ),
    "track of a canceled order": Operation(
        in_turn(sent(at_stripe), canceled, comes_back),
        hint,
        part_of="cancel shipment",
        meets=("cancel shipment",),
    ),
    "confirmation": Operation(
        in_turn(sent(at_stripe), canceled, asked_to_cancel),
        message_of(Task.TRACK_SHIPMENT),
        calls="delhivery.track",
        part_of="cancel shipment",
        meets=("confirmation",),
    ),
    "sync order": Operation(RETURNING, sync_of_order, spares=REFUNDED, meets=("track", "cancel by operator")),
    "sync": Operation(fleet, sync_of_all, calls="delhivery.track", spares=REFUNDED, meets=("sync",)),
    "sync batch": Operation(
        in_turn(RETURNING, planned),
        message_of(Task.SYNC_BATCH),
        part_of="sync",
        meets=("cancel by operator",),
    ),
    "sync batch of what goes its way": Operation(
        in_turn(sent(at_the_door), planned),
        message_of(Task.SYNC_BATCH),
        part_of="sync",
        meets=("sync batch of what goes its way",),
    ),
    "lapse": Operation(
        in_turn(paid(at_razorpay), canceled),
        message_of(Task.VOID_PAYMENT),
        calls="razorpay.retrieve",
        spares=AFTERWARDS,
        meets=("webhook of a lapse", "webhook of a capture at Razorpay"),
    ),
    "webhook of a lapse": Operation(
        in_turn(paid(at_razorpay), canceled, lapsed_there),
        razorpay_tells("refund.processed"),
        spares=AFTERWARDS,
        meets=("lapse",),
    ),
    "comparison of a lapse": Operation(in_turn(paid(at_razorpay), canceled, lapsed_there), comparison, twin_of="lapse"),
    "capture at Razorpay": Operation(
        in_turn(paid(at_razorpay), due),
        message_of_capture,
        calls="razorpay.capture",
        spares=AFTERWARDS,
        meets=("capture at Razorpay", "cancel", "cancel by operator"),
    ),
    "webhook of a capture at Razorpay": Operation(
        in_turn(paid(at_razorpay), captured_at_razorpay),
        razorpay_tells("payment.captured"),
        spares=AFTERWARDS,
        meets=("lapse", "cancel"),
    ),
    "refund at Razorpay": Operation(
        in_turn(paid(at_razorpay), captured),
        refund,
        calls="razorpay.refund",
        spares=AFTERWARDS,
        meets=(
            "refund at Razorpay",
            "track, paid at Razorpay",
            "webhook of a refund at Razorpay",
            "cancel by operator",
        ),
    ),
    "webhook of a refund at Razorpay": Operation(
        in_turn(paid(at_razorpay), captured, refunded_at_razorpay),
        razorpay_tells("refund.processed"),
        spares=AFTERWARDS,
        meets=("refund at Razorpay",),
    ),
    "register": Operation(nothing, registration, calls="retrieve"),
    "cancel": Operation(registered, cancel_by_shopper, calls="cancel"),
    "cancel, signed in": Operation(registered, cancel_by_customer, twin_of="cancel"),
    "capture": Operation(due, message_of_capture, calls="capture"),
    "void": Operation(canceled, message_of(Task.VOID_PAYMENT), calls="cancel"),
    "cancel by operator": Operation(registered, cancel_by_operator),
    "refund": Operation(captured, refund, calls="refund"),
    "refund of most": Operation(captured, refund_of_most, twin_of="refund"),
    "refund under way": Operation(refunding, message_of(Task.REFUND_PAYMENT)),
    "refund overtaken": Operation(overtaken, message_of(Task.REFUND_PAYMENT), meets=("refund",)),
    "webhook of a capture": Operation(
        captured_there,
        told("payment_intent.succeeded", "payment_intent"),
        calls="retrieve",
        meets=("cancel", "capture"),
    ),
    "webhook of a release": Operation(
        released_there, told("payment_intent.canceled", "payment_intent"), meets=("void",)
    ),
    "webhook of a refund": Operation(refunded_there, told("charge.refunded", "charge"), meets=("refund under way",)),
    "comparison": Operation(released_there, comparison, twin_of="webhook of a release"),
    "edit": Operation(registered, one_more, calls="increment", meets=(*STANDING, "edit", "edit down")),
    "edit down": Operation(registered, one_less, meets=(*STANDING, "edit", "authorize edit")),
    "edit of the address": Operation(registered, elsewhere, twin_of="edit down"),
    "authorize edit": Operation(
        editing,
        message_of(Task.AUTHORIZE_EDIT),
        part_of="edit",
        meets=(*STANDING, "release", "edit down", "authorize edit"),
    ),
    "edit without an answer": Operation(unanswered(effect=True), message_of(Task.AUTHORIZE_EDIT), meets=STANDING),
    "edit without an effect": Operation(
        unanswered(effect=False), message_of(Task.AUTHORIZE_EDIT), meets=(*STANDING, "edit without an effect")
    ),
    "comparison while editing": Operation(unanswered(effect=True), comparison, twin_of="edit without an answer"),
    "comparison of a capture": Operation(captured_there, comparison, twin_of="authorize edit"),
    "release": Operation(registered, refund, meets=("authorize edit",)),
    "email": Operation(canceled, message_of(Task.SEND_EMAIL)),
    "sweep": Operation(forgotten, lambda rig, sale: Message(Task.SWEEP_OUTBOX, "")),
}


def _meet(one: str, other: str) -> bool:
    """Whether either of two operations is tried against the other."""
    return all(
        not OPERATIONS[name].meets or against in OPERATIONS[name].meets
        for name, against in ((one, other), (other, one))
    )


SINGLES = tuple(name for name, operation in OPERATIONS.items() if not operation.twin_of)
#: What is killed at each of its steps.
WHOLE = tuple(name for name in SINGLES if not OPERATIONS[name].part_of)
PAIRS = (
    *((one, other) for one, other in combinations_with_replacement(SINGLES, 2) if _meet(one, other)),
    *((operation.twin_of, name) for name, operation in OPERATIONS.items() if operation.twin_of),
)
#: Pairs that are also tried with locks that nobody waits for; the others have too many steps for that.
HASTY = tuple(pair for pair in PAIRS if not any(OPERATIONS[name].meets for name in pair))
