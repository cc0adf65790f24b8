"""Retrieving, listing and expanding: https://docs.stripe.com/api/expanding_objects and /pagination."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sandbox.stripe import refusals
from sandbox.stripe.call import Call
from sandbox.stripe.objects import Charge, Dispute, Event, PaymentIntent, Refund, Wire
from sandbox.stripe.refusals import Refusal
from sandbox.stripe.store import Store

Thing = TypeVar("Thing", PaymentIntent, Charge, Refund, Dispute, Event)

#: What a list of objects looks like on the wire.
Page = dict[str, Any]

#: Members that are an id, and the object it may be expanded to.
EXPANDABLE: Mapping[type[Wire], Mapping[str, Any]] = {
    PaymentIntent: {"latest_charge": Charge},
    Charge: {"payment_intent": PaymentIntent},
    Refund: {"charge": Charge, "payment_intent": PaymentIntent},
    Dispute: {"charge": Charge, "payment_intent": PaymentIntent},
    Event: {},
}

#: The comparisons that `created[...]` allows.
COMPARISONS = {"gt": "created > ?", "gte": "created >= ?", "lt": "created < ?", "lte": "created <= ?"}

#: What Stripe calls an object that does not exist, and the parameter it blames.
MISSING: Mapping[type[Wire], tuple[str, str]] = {
    PaymentIntent: ("payment_intent", "intent"),
    Charge: ("charge", "id"),
    Refund: ("refund", "id"),
    Dispute: ("dispute", "dispute"),
    Event: ("event", "id"),
}


def retrieve(shape: type[Thing]) -> Callable[[Call], Thing]:
    """The endpoint that answers with one object."""

    def carry_out(call: Call) -> Thing:
        thing = call.store.find(shape, call.object or "")
        if thing is None:
            kind, param = MISSING[shape]
            raise refusals.missing(kind, call.object or "", param)
        return thing

    return carry_out


def page(shape: type[Thing], url: str) -> Callable[[Call], Page]:
    """The endpoint that answers with one page of objects, the newest first."""

    def carry_out(call: Call) -> Page:
        limit = call.parameters.get("limit", 10)
        backwards = "ending_before" in call.parameters
        found = call.store.page(shape, _conditions(call), limit + 1, oldest_first=backwards)
        shown = found[:limit][::-1] if backwards else found[:limit]
        return {"object": "list", "data": shown, "has_more": len(found) > limit, "url": url}

    return carry_out


def _conditions(call: Call) -> dict[str, Any]:
    """The conditions on the store's columns that a list was asked to keep."""
    sent = call.parameters
    where: dict[str, Any] = {}
    if "payment_intent" in sent:
        where["payment_intent = ?"] = sent["payment_intent"]
    if "customer" in sent:
        where["json_extract(body, '$.customer') = ?"] = sent["customer"]
    if "charge" in sent:
        where["json_extract(body, '$.charge') = ?"] = sent["charge"]
    if "type" in sent:
        where["type = ?"] = sent["type"]
    for comparison, moment in sent.get("created", {}).items():
        where[COMPARISONS[comparison]] = moment
    for cursor, condition in (("starting_after", "seq < ?"), ("ending_before", "seq > ?")):
        if cursor in sent:
            where[condition] = _position(call.store, sent[cursor], cursor)
    return where


def _position(store: Store, id: str, param: str) -> int:
    position = store.position(id)
    if position is None:
        raise refusals.missing("object", id, param)
    return position


def refuse_expansion(shape: type[Wire], paths: Sequence[str], *, in_list: bool) -> None:
    """Raise when a path leads to something that cannot be expanded."""
    for path in paths:
        at: type[Wire] | None = shape
        members = path.split(".")
        if in_list:
            at = at if members.pop(0) == "data" and members else None
        for member in members:
            at = EXPANDABLE[at].get(member) if at else None
        if at is None:
            message = f"This property cannot be expanded ({path})."
            raise Refusal(400, message, param="expand")


def expand(store: Store, thing: Any, path: Sequence[str]) -> None:
    """Replace an id by its object, in place, all along a path that `refuse_expansion` let pass."""
    if not path:
        return
    member, *rest = path
    if isinstance(thing, dict):
        for item in thing[member]:
            expand(store, item, rest)
        return
    named = getattr(thing, member)
    if isinstance(named, str):
        named = store.find(EXPANDABLE[type(thing)][member], named)
        setattr(thing, member, named)
    if named is not None:
        expand(store, named, rest)
