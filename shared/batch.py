"""Batches: calls that come while one is away are carried out together by the next one.

Nothing waits for company: the first call leaves at once, and whoever comes while it is away travels with the next.  So
an idle process answers as fast as ever, and a busy one makes one statement and one commit for many callers.
"""

import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)
Answer = TypeVar("Answer")


class Batch(Generic[Item, Answer]):
    """Carries out one kind of call, one batch at a time; callers are threads or greenlets.

    `carry_out` takes different items and returns an answer for each that has one.  When it fails for many, each of
    them is tried alone, so that nobody pays for another's item; errors of the classes `alike` befall them all.
    """

    def __init__(
        self,
        carry_out: Callable[[Sequence[Item]], Mapping[Item, Answer]],
        limit: int,
        alike: tuple[type[Exception], ...] = (),
    ) -> None:
        """`limit` is how many items travel together."""
        self._carry_out = carry_out
        self._limit = limit
        self._alike = alike
        self._lock = threading.Lock()
        self._gathering: list[_Seat[Item, Answer]] = []
        self._is_away = False

    def __call__(self, item: Item) -> Answer | None:
        """Return the answer to one item, None when it has none; raises what `carry_out` raised for it."""
        seat: _Seat[Item, Answer] = _Seat(item)
        with self._lock:
            self._gathering.append(seat)
            leads, self._is_away = not self._is_away, True
        try:
            if not leads:
                seat.called.wait()
            if not seat.served:
                self._lead()
        except BaseException:
            self._leave(seat)
            raise
        if seat.error is not None:
            raise seat.error
        return seat.answer

    def _lead(self) -> None:
        """Carry out what has gathered, the caller's own item first, and let one who came meanwhile lead the next."""
        with self._lock:
            party = self._board()
        try:
            self._serve(party)
        finally:  # also when this caller is killed: the others travel again
            with self._lock:
                self._gathering[:0] = [seat for seat in party if not seat.served]
                self._appoint()
            for seat in party:
                if seat.served:
                    seat.called.set()

    def _board(self) -> "list[_Seat[Item, Answer]]":
        """Take the first of each item that waits; its doubles travel with a later batch."""
        party: dict[Item, _Seat[Item, Answer]] = {}
        for seat in self._gathering:
            if len(party) < self._limit:
                party.setdefault(seat.item, seat)
        boarded = set(party.values())
        self._gathering = [seat for seat in self._gathering if seat not in boarded]
        return list(party.values())

    def _serve(self, party: "Sequence[_Seat[Item, Answer]]") -> None:
        try:
            answers = self._carry_out([seat.item for seat in party])
        except Exception as error:
            if len(party) > 1 and not isinstance(error, self._alike):
                for seat in party:
                    self._serve([seat])
                return
            for seat in party:
                seat.serve(None, error)
        else:
            for seat in party:
                seat.serve(answers.get(seat.item), None)

    def _appoint(self) -> None:
        """Call whoever has waited longest to lead."""
        self._is_away = bool(self._gathering)
        if self._gathering:
            self._gathering[0].called.set()

    def _leave(self, seat: "_Seat[Item, Answer]") -> None:
        """Give up a seat, because its caller was killed."""
        with self._lock:
            if seat in self._gathering:
                self._gathering.remove(seat)
                if seat.called.is_set():
                    self._appoint()


class _Seat(Generic[Item, Answer]):
    """One caller's place in a batch."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.called = threading.Event()  # to lead, or because it is served
        self.served = False
        self.answer: Answer | None = None
        self.error: Exception | None = None

    def serve(self, answer: Answer | None, error: Exception | None) -> None:
        """Give the caller what came of its item."""
        self.answer, self.error, self.served = answer, error, True
