"""Figures and tables: medians with their spread, in plain text and as JSON."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Figure(NamedTuple):
    """One figure over all rounds."""

    median: float
    least: float
    most: float

    def text(self, places: int = 0) -> str:
        """As `213 (207..221)`."""
        return f"{self.median:,.{places}f} ({self.least:,.{places}f}..{self.most:,.{places}f})"


def figure(values: Sequence[float]) -> Figure:
    """The median of the rounds, and the least and the most."""
    return Figure(statistics.median(values), min(values), max(values))


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share (0 to 1) of the values lies, by nearest rank."""
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * share), 1) - 1]


class Row(NamedTuple):
    """One line of the table of results."""

    measurement: str
    ours: str
    peer: str = ""
    ratio: float | None = None
    #: What was set out to be reached, and whether it was.
    goal: str = ""
    reached: bool | None = None

    def cells(self) -> list[str]:
        """As it is printed."""
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        verdict = {True: "yes", False: "NO", None: ""}[self.reached]
        return [self.measurement, self.ours, self.peer, ratio, self.goal, verdict]


class Table(NamedTuple):
    """A table with a title; the first column is text, the others are figures."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def text(self) -> str:
        """Columns wide enough for what they hold."""
        lines = [list(self.head), *map(list, self.rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.head))]
        printed = [
            "  ".join(cell.ljust(width) if not column else cell.rjust(width)
                      for column, (cell, width) in enumerate(zip(line, widths, strict=True)))
            for line in lines
        ]  # fmt: skip
        rule = "  ".join("-" * width for width in widths)
        return "\n".join([self.title, "", printed[0], rule, *printed[1:]])


class Result(NamedTuple):
    """What one measurement found: lines for the table of all results, tables of its own, and its raw figures."""

    rows: Sequence[Row]
    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()
    raw: object = None


HEAD = ("measurement", "ours", "peer", "ratio", "to reach", "reached")


def summary(results: Sequence[Result]) -> Table:
    """The one table."""
    return Table(
        "All in one run; median (least..most) of the rounds", HEAD, [r.cells() for x in results for r in x.rows]
    )
