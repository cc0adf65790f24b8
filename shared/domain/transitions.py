"""State machines as data: one table a noun, one function that applies them all."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

State = TypeVar("State", bound=StrEnum)
Event = TypeVar("Event", bound=StrEnum)


class IllegalTransition(Exception):
    """The table has no row for this state and event."""


def advance(table: Mapping[tuple[State, Event], State], state: State, event: Event) -> State:
    """Return the state that follows.  Raises `IllegalTransition` for a pair the table does not hold."""
    try:
        return table[state, event]
    except KeyError:
        raise IllegalTransition(f"{type(state).__name__} {state}: no {event}") from None


def moves(table: Mapping[tuple[State, Event], State]) -> set[tuple[str, str]]:
    """Return the (from, to) pairs of a table that change the state: what the database's triggers must allow."""
    return {(str(before), str(after)) for (before, _), after in table.items() if before != after}
