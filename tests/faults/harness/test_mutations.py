"""The harness bites: with one safeguard taken out of the mesh, it finds what goes wrong."""

import re
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import TextClause, text

from shared.providers.ports import PaymentProvider
from shared.queues import Task
from shared.store.edits import Raise
from shared.store.looks import Parcel
from shared.store.payments import Capture, Hold
from shared.store.refunds import Refund
from tests.faults.harness.house import House
from tests.faults.harness.hunts import killed, raced, told_meanwhile
from tests.faults.harness.rig import Rig

#: How a statement looks for the edit that its order waits for.
WAIT = re.compile(r"AND e\.state = 'authorizing'")
LOCK = re.compile(r"FOR NO KEY UPDATE( OF \w+)?( SKIP LOCKED)?")


@dataclass(frozen=True)
class Mutation:
    """A safeguard that is taken out, and where the harness then finds a violation that begins like this."""

    take_out: Callable[[Rig, pytest.MonkeyPatch], object]
    hunt: Callable[[Rig], Iterator[str]]
    finds: str


def without(pattern: re.Pattern[str], instead: str = "") -> Callable[[Rig, pytest.MonkeyPatch], None]:
    """Every statement of the store says something else, or nothing, where it says this."""

    def take_out(rig: Rig, patch: pytest.MonkeyPatch) -> None:
        store = [module for name, module in sys.modules.items() if name.startswith("shared.store.")]
        for module in store:
            for name, clause in list(vars(module).items()):
                if isinstance(clause, TextClause) and pattern.search(clause.text):
                    patch.setattr(module, name, text(pattern.sub(instead, clause.text)))

    return take_out


#: Orders, and what hangs on them, are read without a lock.
row_locks = without(LOCK)

#: Nobody waits for an edit that is in flight.
waits = without(WAIT, "AND false")


def guards(rig: Rig, patch: pytest.MonkeyPatch) -> None:
    """Postgres lets every change of state happen."""
    for table, trigger in rig.sql(
        "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal AND tgname NOT LIKE 'timeline%'"
    ):
        rig.monitor.execute(f'DROP TRIGGER "{trigger}" ON {table}')


def index(name: str) -> Callable[[Rig, pytest.MonkeyPatch], None]:
    """A unique index is gone."""
    return lambda rig, patch: rig.monitor.execute(f"DROP INDEX {name}") and None


def sweeps(rig: Rig, patch: pytest.MonkeyPatch) -> None:
    """Beat wakes nobody."""
    rig.beat = {}


def derived_keys(rig: Rig, patch: pytest.MonkeyPatch) -> None:
    """Every attempt has a new idempotency key."""
    for operation in (Hold, Capture, Refund, Raise):
        patch.setattr(operation, "idempotency_key", property(lambda row: uuid.uuid4().hex))


def both(*safeguards: Callable[[Rig, pytest.MonkeyPatch], object]) -> Callable[[Rig, pytest.MonkeyPatch], None]:
    """Several at once."""

    def take_out(rig: Rig, patch: pytest.MonkeyPatch) -> None:
        for safeguard in safeguards:
            safeguard(rig, patch)

    return take_out


def short_transactions(rig: Rig, patch: pytest.MonkeyPatch) -> None:
    """A void calls its provider inside a transaction."""
    void = sys.modules["workers.void"]
    call = void.call

    def call_inside(provider: PaymentProvider, hold: Hold) -> Any:
        with rig.mesh.database.transaction():
            return call(provider, hold)

    patch.setattr(void, "call", call_inside)


def looks_again(rig: Rig, patch: pytest.MonkeyPatch) -> None:
    """Whoever looks at a parcel does not mind what its courier says meanwhile."""

    def strike(work: Any, looked_at: Sequence[Parcel]) -> None:
        for parcel in looked_at:
            work.strike(Task.TRACK_SHIPMENT, parcel.id)

    patch.setattr(sys.modules["workers.courier"], "strike_unless_heard", strike)


PHOTO_FINISH = ("cancel", "capture")
TWO_REFUNDS = ("refund", "refund of most")
TWO_EDITS = ("edit", "edit")
CANCEL_AND_EDIT = ("cancel", "authorize edit")
CAPTURE_AND_EDIT = ("capture", "authorize edit")
TWO_CANCELS = ("cancel", "cancel, signed in")

TWO_GUESTS = ("guest cancel", "guest cancel")

TWO_SYNCS = ("sync order of what is being paid", "sync order of what is being paid")
COURIER_AND_SHOPPER = ("track before pickup", "cancel")

#: Without the locks alone, a task runs against the wall in SQL that stands behind them, which no task may.
MUTATIONS: Mapping[str, Mutation] = {
    "the row locks": Mutation(row_locks, lambda rig: raced(rig, PHOTO_FINISH), "broke: "),
    "the row locks and the guards": Mutation(both(row_locks, guards), lambda rig: raced(rig, PHOTO_FINISH), "8: "),
    "the row locks, with two cancels": Mutation(row_locks, lambda rig: raced(rig, TWO_CANCELS), "broke: "),
    "the row locks, with two refunds": Mutation(row_locks, lambda rig: raced(rig, TWO_REFUNDS), "broke: "),
    "the row locks and the one live void": Mutation(
        both(row_locks, index("voids_one_live")), lambda rig: raced(rig, TWO_CANCELS), "8: "
    ),
    "the row locks, with two edits": Mutation(row_locks, lambda rig: raced(rig, TWO_EDITS), "broke: "),
    "the row locks and the one edit in flight": Mutation(
        both(row_locks, index("order_edits_one_in_flight")), lambda rig: raced(rig, TWO_EDITS), "5: "
    ),
    "the wait of a cancel for an edit": Mutation(waits, lambda rig: raced(rig, CANCEL_AND_EDIT), "broke: "),
    "the wait of a cancel for an edit, and the guards": Mutation(
        both(waits, guards), lambda rig: raced(rig, CANCEL_AND_EDIT), "6: "
    ),
    "the wait of a capture for an edit": Mutation(waits, lambda rig: raced(rig, CAPTURE_AND_EDIT), "broke: "),
    "the wait of a capture for an edit, and the guards": Mutation(
        both(waits, guards), lambda rig: raced(rig, CAPTURE_AND_EDIT), "6: "
    ),
    "the row locks, with two guests": Mutation(row_locks, lambda rig: raced(rig, TWO_GUESTS), "broke: "),
    "the row locks and the one live cancel of a guest": Mutation(
        both(row_locks, guards, index("guest_cancellations_one_live")), lambda rig: raced(rig, TWO_GUESTS), "8: "
    ),
    "the unique index of idempotency keys": Mutation(index("intents_key"), lambda rig: killed(rig, "cancel"), "4: "),
    "the sweeps": Mutation(sweeps, lambda rig: killed(rig, "cancel"), "7: "),
    "the rule of no call inside a transaction": Mutation(
        short_transactions, lambda rig: killed(rig, "void"), "broke: "
    ),
    "the derived key of a void": Mutation(derived_keys, lambda rig: killed(rig, "void"), "3: "),
    "the derived key of a refund": Mutation(derived_keys, lambda rig: killed(rig, "refund"), "3: "),
    "the derived key of a guest's refund": Mutation(derived_keys, lambda rig: killed(rig, "guest cancel"), "3: "),
    "the derived key of an edit": Mutation(derived_keys, lambda rig: killed(rig, "edit"), "3: "),
    "the derived key of a refund at Razorpay": Mutation(
        derived_keys, lambda rig: killed(rig, "refund at Razorpay"), "3: "
    ),
    "the row locks, with a courier": Mutation(row_locks, lambda rig: raced(rig, COURIER_AND_SHOPPER), "broke: "),
    "the unique key of a courier's request": Mutation(
        index("intents_key"), lambda rig: raced(rig, TWO_SYNCS), "parcel: "
    ),
    "the look again for what was heard meanwhile": Mutation(looks_again, told_meanwhile, "seen: "),
    "the derived key of a capture": Mutation(derived_keys, lambda rig: killed(rig, "capture"), "3: "),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_harness_finds_what_goes_wrong_without(house: House, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    mutation = MUTATIONS[name]
    with house.rig("mutated") as rig:
        mutation.take_out(rig, monkeypatch)
        assert any(f": {mutation.finds}" in f": {violation}" for violation in mutation.hunt(rig))
