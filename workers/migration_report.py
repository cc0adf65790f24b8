"""What people see of a migration: a line of progress, a report of every order, and a summary."""

import time
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import IO, TextIO

import msgspec

from shared.domain.legacy import Reason
from shared.domain.orders import OrderStatus
from shared.domain.payments import PaymentStatus

#: Seconds between two looks at the progress: often on a terminal, rarely in a log.
OFTEN, RARELY = 0.2, 10.0

#: Characters of the bar.
WIDTH = 30


class Outcome(StrEnum):
    """What became of an order."""

    MIGRATED = "migrated"  # or would be, when nothing is to be changed
    UNDECIDED = "undecided"  # a person must look; it is as it was
    UNANSWERED = "unanswered"  # by the provider, or its row was locked; the next run sees it again
    OVERTAKEN = "overtaken"  # it was changed, or migrated by a twin, while its payment was read


@dataclass(frozen=True, slots=True)
class Told:
    """What the report says of one order; amounts in minor units of its currency."""

    order_id: str
    outcome: Outcome
    reason: str | None
    #: The provider's own word for its refusal or its silence.
    code: str | None
    amount: int
    #: What it cost when it was placed.
    registered: int
    currency: str
    order_status: OrderStatus
    reference: str | None
    payment_status: PaymentStatus | None = None
    authorized: int | None = None
    captured: int | None = None
    refunded: int | None = None
    #: Whether its money is still to be taken, by us.
    is_to_be_captured: bool = False

    @property
    def was_answered(self) -> bool:
        """Whether the provider has said anything."""
        return self.authorized is not None or self.reason == Reason.PAYMENT_NOT_FOUND


class Progress:
    """One line that is written over on a terminal, and one line now and then elsewhere."""

    def __init__(self, stream: TextIO, total: int) -> None:
        self._stream, self._total, self._done = stream, total, 0
        self._is_terminal = stream.isatty()
        self._began = self._shown = time.monotonic()

    def step(self) -> None:
        """One order more."""
        self._done += 1
        if time.monotonic() - self._shown >= (OFTEN if self._is_terminal else RARELY):
            self._show()

    def end(self) -> None:
        """Leave the last state standing."""
        self._show()
        if self._is_terminal:
            self._stream.write("\n")
            self._stream.flush()

    def _show(self) -> None:
        self._shown = time.monotonic()
        total = max(self._total, self._done)  # orders may be brought over meanwhile
        share = self._done / total if total else 1.0
        a_second = self._done / max(self._shown - self._began, 0.001)
        line = f"{self._done:,} of {total:,} orders, {share:.0%}, {a_second:.0f} a second"
        if self._is_terminal:
            bar = "#" * round(share * WIDTH)
            self._stream.write(f"\r[{bar:<{WIDTH}}] {line} ")
        else:
            self._stream.write(f"{line}\n")
        self._stream.flush()


class Report:
    """Counts every order, and writes a line of JSON about each where somebody wants it."""

    def __init__(self, lines: IO[bytes] | None) -> None:
        self._lines = lines
        self._outcomes: Counter[Outcome] = Counter()
        self._reasons: Counter[str] = Counter()

    def add(self, told: Told) -> None:
        """Write one order down, at once: what was told is not lost with the process."""
        self._outcomes[told.outcome] += 1
        if told.reason:
            self._reasons[told.reason] += 1
        if self._lines:
            self._lines.write(msgspec.json.encode(told) + b"\n")
            self._lines.flush()

    @property
    def is_clean(self) -> bool:
        """Whether every order was migrated, or would be."""
        return set(self._outcomes) <= {Outcome.MIGRATED}

    def summary(self) -> list[str]:
        """How many orders there were of each outcome, and of each reason why not."""
        counts = [f"{outcome:<12} {self._outcomes[outcome]:>9,}" for outcome in Outcome]
        return counts + [f"  {reason:<26} {count:>9,}" for reason, count in self._reasons.most_common()]
