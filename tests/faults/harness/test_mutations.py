"""The harness bites: with one safeguard taken out of the mesh, it finds what goes wrong."""

import re
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import TextClause, text

from shared.providers.ports import PaymentProvider
from shared.store.payments import Capture, Hold
from shared.store.refunds import Refund
from tests.faults.harness.house import House
from tests.faults.harness.hunts import killed, raced
from tests.faults.harness.rig import Rig

LOCK = re.compile(r"FOR NO KEY UPDATE( OF \w+)?( SKIP LOCKED)?")


@dataclass(frozen=True)
class Mutation:
    """A safeguard that is taken out, and where the harness then finds a violation that begins like this."""

    take_out: Callable[[Rig, pytest.MonkeyPatch], object]
    hunt: Callable[[Rig], Iterator[str]]
    finds: str


def row_locks(rig: Rig, patch: pytest.MonkeyPatch) -> None:
    """Orders, and what hangs on them, are read without a lock."""
    store = [module for name, module in sys.modules.items() if name.startswith("shared.store.")]
    for module in store:
        for name, clause in list(vars(module).items()):
            if isinstance(clause, TextClause) and LOCK.search(clause.text):
                patch.setattr(module, name, text(LOCK.sub("", clause.text)))


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
    for operation in (Hold, Capture, Refund):
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


PHOTO_FINISH = ("cancel", "capture")
TWO_REFUNDS = ("refund", "refund of most")
TWO_CANCELS = ("cancel", "cancel, signed in")

#: Without the locks alone, a task runs against the wall in SQL that stands behind them, which no task may.
MUTATIONS: Mapping[str, Mutation] = {
    "the row locks": Mutation(row_locks, lambda rig: raced(rig, PHOTO_FINISH), "broke: "),
    "the row locks and the guards": Mutation(both(row_locks, guards), lambda rig: raced(rig, PHOTO_FINISH), "8: "),
    "the row locks, with two cancels": Mutation(row_locks, lambda rig: raced(rig, TWO_CANCELS), "broke: "),
    "the row locks, with two refunds": Mutation(row_locks, lambda rig: raced(rig, TWO_REFUNDS), "broke: "),
    "the row locks and the one live void": Mutation(
        both(row_locks, index("voids_one_live")), lambda rig: raced(rig, TWO_CANCELS), "8: "
    ),
    "the unique index of idempotency keys": Mutation(index("intents_key"), lambda rig: killed(rig, "cancel"), "4: "),
    "the sweeps": Mutation(sweeps, lambda rig: killed(rig, "cancel"), "7: "),
    "the rule of no call inside a transaction": Mutation(
        short_transactions, lambda rig: killed(rig, "void"), "broke: "
    ),
    "the derived key of a void": Mutation(derived_keys, lambda rig: killed(rig, "void"), "3: "),
    "the derived key of a refund": Mutation(derived_keys, lambda rig: killed(rig, "refund"), "3: "),
    "the derived key of a capture": Mutation(derived_keys, lambda rig: killed(rig, "capture"), "3: "),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_harness_finds_what_goes_wrong_without(house: House, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    mutation = MUTATIONS[name]
    with house.rig("mutated") as rig:
        mutation.take_out(rig, monkeypatch)
        assert any(f": {mutation.finds}" in f": {violation}" for violation in mutation.hunt(rig))
