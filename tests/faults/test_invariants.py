"""The check of the invariants: it finds nothing in a world that is right, and every way in which one goes wrong."""

from collections.abc import Callable, Iterator

import pytest

from tests.faults import invariants
from tests.faults.invariants import RULES
from tests.faults.mesh import RECOVERY, Mesh
from tests.faults.world import CAPTURED, Row, World
from tests.shop import eventually


@pytest.fixture(scope="module")
def world(_mesh: Mesh) -> Iterator[World]:
    """One order that was canceled, one that was captured, and one that was edited up, down and in vain."""
    _mesh.forget_everything()
    _mesh.cancel(_mesh.sell().purchase)
    captured = _mesh.sell_overdue()
    edited = _mesh.sell_raisable().purchase
    assert _mesh.set_quantity(edited, 1, 4).status_code == 200
    assert _mesh.set_quantity(edited, 1, 3).status_code == 200
    _mesh.fault("increment", "decline", reference=edited.reference)
    assert _mesh.set_quantity(edited, 1, 9).status_code == 402
    eventually(lambda: _mesh.view(captured.order_id)["status"] == "captured", RECOVERY)
    eventually(lambda: not invariants.moving(_mesh), RECOVERY)
    yield invariants.look(_mesh)
    _mesh.forget_everything()


def row(world: World, table: str, **having: object) -> Row:
    """The one row that has these values."""
    (found,) = (row for row in world.rows[table] if having.items() <= row.items())
    return found


def effects(world: World, status: str) -> list[Row]:
    """The provider's effects on the payment in this state."""
    return world.ledger[row(world, "payments", status=status)["reference"]]


def request(world: World, operation: str, status: str) -> Row:
    """What was asked of the provider about the payment in this state."""
    asked = world.requests[row(world, "payments", status=status)["reference"]]
    (found,) = (request for request in asked if request["operation"] == operation)
    return found


def capture_the_voided(world: World) -> None:
    effects(world, "voided").append(effects(world, "captured")[-1])


def void_the_captured(world: World) -> None:
    effects(world, "captured").append(effects(world, "voided")[-1])


def ask_again_under_another_key(world: World) -> None:
    request(world, "cancel", "voided")["idempotency_key"] = "another"


def capture_without_our_key(world: World) -> None:
    request(world, "capture", "captured")["idempotency_key"] = None


def forget_an_event(world: World, event: str) -> None:
    world.rows["timeline"].remove(row(world, "timeline", event=event))


def edit(world: World, **having: object) -> Row:
    """The one edit that has these values."""
    return row(world, "order_edits", **having)


def raised(world: World) -> Row:
    """The edit for which more was held."""
    return next(edit for edit in world.rows["order_edits"] if edit["state"] == "done" and edit["authorize"])


def story(world: World, edit: Row) -> Row:
    """What the timeline tells of an edit that is done."""
    entries = [entry for entry in world.rows["timeline"] if entry["event"] == "order_edited"]
    (found,) = (entry for entry in entries if entry["data"]["edit_id"] == edit["id"])
    return found


def forget_to_tell(world: World) -> None:
    world.rows["timeline"].remove(story(world, raised(world)))


def tell_twice(world: World) -> None:
    world.rows["timeline"].append(story(world, raised(world)))


def mail_of_nothing(world: World) -> None:
    row(world, "emails", cause=f"{raised(world)['order_id']}.{raised(world)['id']}")["cause"] = "edit_of_nothing"


def increment_under_another_key(world: World) -> None:
    asked = world.requests[row(world, "payments", status="authorized")["reference"]]
    next(each for each in asked if each["operation"] == "increment")["idempotency_key"] = "another"


def lose_the_raise(world: World) -> None:
    found = effects(world, "authorized")
    found.remove(next(effect for effect in found if effect["operation"] == "payment_intent.incremented"))


def still_in_flight(world: World) -> None:
    edit(world, state="declined").update(state="authorizing", units=2)


def collection(world: World, status: str) -> Row:
    """What the order costs whose payment is in this state."""
    return row(world, "payment_collections", order_id=row(world, "payments", status=status)["order_id"])


def capture_less(world: World) -> None:
    payment = row(world, "payments", status="captured")
    payment.update(captured=1, released=payment["authorized"] - 1)


def deliver(world: World, times: int) -> None:
    for deliveries in world.deliveries.values():
        deliveries[:] = deliveries * times


#: A rule by its number, and a way to break it.
BROKEN: dict[str, tuple[str, Callable[[World], object]]] = {
    "more is captured and released than was authorized": (
        "1",
        lambda w: row(w, "payments", status="captured").update(released=1),
    ),
    "more is refunded than was captured": ("1", lambda w: row(w, "payments", status="voided").update(refunded=1)),
    "a voided payment is captured": ("1", lambda w: row(w, "payments", status="voided").update(captured=1)),
    "the provider captured what it released": ("1", capture_the_voided),
    "the provider captured twice": ("1", lambda w: effects(w, "captured").append(effects(w, "captured")[-1])),
    "the provider released twice": ("1", lambda w: effects(w, "voided").append(effects(w, "voided")[-1])),
    "a canceled order is captured": ("2", capture_the_voided),
    "a captured order is released": ("2", void_the_captured),
    "a canceled order's capture waits": (
        "2",
        lambda w: row(w, "capture_jobs", state="removed").update(state="waiting"),
    ),
    "a void has two keys": ("3", ask_again_under_another_key),
    "a capture has no key of ours": ("3", capture_without_our_key),
    "an intent has not ended": ("4", lambda w: w.rows["intents"][0].update(state="working")),
    "an intent has no answer": ("4", lambda w: w.rows["intents"][0].update(answer_status=None)),
    "an answer says to come back": ("4", lambda w: w.rows["intents"][0].update(answer_status=503)),
    "a canceled order holds goods": ("5", lambda w: row(w, "order_lines", reserved=0).update(reserved=2)),
    "goods came back twice": ("5", lambda w: row(w, "stock", quantity=10).update(quantity=12)),
    "goods of a captured order came back": ("5", lambda w: row(w, "stock", quantity=8).update(quantity=10)),
    "an edit that is over holds goods": ("5", lambda w: edit(w, state="declined").update(units=1)),
    "a line holds more than was bought": ("5", lambda w: row(w, "order_lines", reserved=3).update(quantity=1)),
    "goods of an edit came from nowhere": ("5", still_in_flight),
    "an increment has another key": ("3", increment_under_another_key),
    "the provider knows nothing of an increment": ("6", lose_the_raise),
    "a collection asks for another amount": ("collection", lambda w: collection(w, "authorized").update(amount=1)),
    "a payment brings less": ("collection", lambda w: row(w, "payments", status="authorized").update(amount=1)),
    "a line costs more": ("collection", lambda w: row(w, "order_lines", reserved=3).update(unit_price=1501)),
    "a capture took less": ("collection", capture_less),
    "an order waits for no edit": (
        "edit",
        lambda w: row(w, "orders", id=raised(w)["order_id"]).update(edit_status="editing"),
    ),
    "an order does not wait for its edit": ("edit", still_in_flight),
    "an edit is not told of": ("edit", forget_to_tell),
    "an edit is told of twice": ("edit", tell_twice),
    "an edit that was declined is told of as done": ("edit", lambda w: edit(w, state="declined").update(state="done")),
    "an edit is answered with another's answer": (
        "edit",
        lambda w: row(w, "intents", id=raised(w)["intent_id"]).update(answer_status=402),
    ),
    "an edit was not mailed": ("edit", mail_of_nothing),
    "an edit began with another total": ("edit", lambda w: story(w, raised(w))["data"].update(total_before=1)),
    "the provider knows nothing of a void": ("6", lambda w: effects(w, "voided").pop()),
    "the provider took less": ("6", lambda w: effects(w, "captured")[-1].update(amount=1)),
    "a cancel has no event": ("8", lambda w: forget_an_event(w, "order_canceled")),
    "a void has no event": ("8", lambda w: forget_an_event(w, "payment_voided")),
    "a start of a capture has no event": ("8", lambda w: forget_an_event(w, "capture_started")),
    "a shopper was not told": ("mail", lambda w: w.rows["emails"].clear()),
    "a mail that counts as sent never came": ("mail", lambda w: deliver(w, 0)),
    "a mail came twice": ("mail", lambda w: deliver(w, 2)),
}


def violations(world: World) -> list[str]:
    return [violation for rule in RULES for violation in rule(world)]


def test_a_world_that_is_right_breaks_no_rule(world: World) -> None:
    assert violations(world) == []


@pytest.mark.parametrize("what", BROKEN)
def test_it_is_found_that(world: World, what: str) -> None:
    number, break_it = BROKEN[what]
    broken = world.copied()
    break_it(broken)
    assert any(violation.startswith(f"{number}: ") for violation in violations(broken))


def test_a_difference_to_the_provider_is_right_when_a_person_was_told_of_it(world: World) -> None:
    differing = world.copied()
    effects(differing, "voided").pop()
    order_id = row(differing, "payments", status="voided")["order_id"]
    alert = {"cause": "void_failed:void_1", "order_id": order_id, "resolved_at": None}
    differing.rows["alerts"].append(alert)
    assert violations(differing) == []
    alert["cause"] = "email_refused:mail_1"
    differing = differing.copied()
    assert [violation[:2] for violation in violations(differing)] == ["6:"]
    assert CAPTURED not in [effect["operation"] for effect in effects(differing, "voided")]
