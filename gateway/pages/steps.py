"""A picture of what a cancel costs over time: one step a column, with its fee, and with the edges between them."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from xml.etree.ElementTree import Element, SubElement, tostring

from shared import money
from shared.domain.policies import Step

#: Pixels.  A column has room for a date and for an amount; so all are equally wide, however long they last.
COLUMN, HEIGHT = 150, 200
LEFT, TOP, RIGHT, BOTTOM = 170, 60, 30, 90
BASE = TOP + HEIGHT

#: Dark on white in any print: fees differ in height, never in color alone.
INK, PAPER, AREA, GRID = "#222222", "#ffffff", "#d9d9d9", "#bbbbbb"


def step_chart(steps: Sequence[Step], currency: str, today: datetime | None) -> str:
    """Return an SVG of the fees over time, their amounts in `currency`; `today` is marked, when it is given.

    Times are shown in the zone that the steps are in.  It needs nothing from elsewhere, and runs nothing.
    """
    width = LEFT + COLUMN * len(steps) + RIGHT
    height = BASE + BOTTOM
    svg = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {width} {height}",
            "width": str(width),
            "height": str(height),
            "role": "img",
            "aria-labelledby": "steps-title steps-desc",
            "font-family": "sans-serif",
            "font-size": "12",
            "fill": INK,
        },
    )
    SubElement(svg, "title", id="steps-title").text = "What a cancellation costs over time"
    SubElement(svg, "desc", id="steps-desc").text = " ".join(_told(step, currency) for step in steps)
    SubElement(svg, "rect", width=str(width), height=str(height), fill=PAPER)
    _axes(svg, steps, currency, width)
    heights = [_y(step.charge.fee, _whole(steps)) for step in steps]
    for place, (step, y) in enumerate(zip(steps, heights, strict=True)):
        _column(svg, place, step, y)
    for place, (step, drop) in enumerate(zip(steps[1:], pairwise(heights), strict=True), 1):
        _edge(svg, place, step, drop)
    if today is not None:
        _mark(svg, _x(steps, today))
    for place, (step, y) in enumerate(zip(steps, heights, strict=True)):
        _text(svg, _left(place + 0.5), y - 8, money.text(step.charge.fee, currency), weight="bold")
    return tostring(svg, encoding="unicode")


def _told(step: Step, currency: str) -> str:
    """One step in words, for who cannot see it."""
    since = f"from {_moment(step.begins)}" if step.begins else ""
    until = f"until {_moment(step.ends)}" if step.ends else ""
    time = " ".join(word for word in (since, until) if word) or "at any time"
    sums = f"{money.text(step.charge.fee, currency)} kept, {money.text(step.charge.refund, currency)} given back"
    return f"{time[0].upper()}{time[1:]}: {sums}. {step.charge.description}."


def _axes(svg: Element, steps: Sequence[Step], currency: str, width: int) -> None:
    """The fee upwards, in quarters of what was paid; time to the right."""
    whole = _whole(steps)
    for amount in sorted({whole * part // 4 for part in range(5)}):
        y = _y(amount, whole)
        _line(svg, (LEFT, y), (width - RIGHT, y), GRID)
        _text(svg, LEFT - 10, y + 4, money.text(amount, currency), anchor="end")
    _line(svg, (LEFT, BASE), (width - RIGHT, BASE), INK)
    _line(svg, (LEFT, TOP), (LEFT, BASE), INK)
    _text(svg, LEFT - 10, TOP - 30, "Fee", anchor="end", weight="bold")
    _text(svg, (LEFT + width - RIGHT) / 2, BASE + BOTTOM - 15, "Time of the cancellation, not to scale", weight="bold")


def _column(svg: Element, place: int, step: Step, y: float) -> None:
    """One step, as high as its fee; who points at it is told why."""
    group = SubElement(svg, "g")
    SubElement(group, "title").text = step.charge.description
    area = {"x": f"{_left(place):g}", "y": f"{y:g}", "width": str(COLUMN), "height": f"{BASE - y:g}"}
    SubElement(group, "rect", {**area, "fill": AREA})
    _line(group, (_left(place), y), (_left(place + 1), y), INK, width=3)


def _edge(svg: Element, place: int, step: Step, heights: tuple[float, float]) -> None:
    """Where a step begins, with its date and its time, between the heights of the step before and its own."""
    x, (before, after) = _left(place), heights
    _line(svg, (x, TOP), (x, BASE + 6), GRID)
    _line(svg, (x, before), (x, after), INK, width=3)
    if step.begins is not None:
        _text(svg, x, BASE + 22, _date(step.begins))
        _text(svg, x, BASE + 38, _time(step.begins))


def _mark(svg: Element, x: float) -> None:
    _line(svg, (x, TOP - 18), (x, BASE), INK, width=2, dashes="6 4")
    _text(svg, x, TOP - 24, "today", weight="bold")


def _x(steps: Sequence[Step], at: datetime) -> float:
    """Where a moment stands: within its step by the time that has passed of it; in one without an end in the middle."""
    place = sum(step.ends is not None and step.ends <= at for step in steps)
    begins, ends = steps[place].begins, steps[place].ends
    part = 0.5 if begins is None or ends is None else _seconds(begins, at) / _seconds(begins, ends)
    return _left(place + part)


def _seconds(begins: datetime, ends: datetime) -> float:
    """By a stop watch: the difference of two times in one zone would be that of its wall clock."""
    return ends.timestamp() - begins.timestamp()


def _left(place: float) -> float:
    return LEFT + COLUMN * place


def _y(amount: int, whole: int) -> float:
    return BASE - HEIGHT * amount / whole if whole else BASE


def _whole(steps: Sequence[Step]) -> int:
    """What was paid, in minor units: the same in every step."""
    return steps[0].charge.fee + steps[0].charge.refund


def _date(at: datetime) -> str:
    return f"{at.day} {at:%b %Y}"


def _time(at: datetime) -> str:
    return f"{at:%H:%M %Z}"


def _moment(at: datetime) -> str:
    return f"{_date(at)}, {_time(at)}"


def _line(
    parent: Element,
    start: tuple[float, float],
    end: tuple[float, float],
    color: str,
    *,
    width: int = 1,
    dashes: str = "none",
) -> None:
    (x1, y1), (x2, y2) = ((f"{x:g}", f"{y:g}") for x, y in (start, end))
    shape = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    SubElement(parent, "line", {**shape, "stroke": color, "stroke-width": str(width), "stroke-dasharray": dashes})


def _text(parent: Element, x: float, y: float, text: str, *, anchor: str = "middle", weight: str = "normal") -> None:
    place = {"x": f"{x:g}", "y": f"{y:g}"}
    halo = {"stroke": PAPER, "stroke-width": "3", "paint-order": "stroke"}  # keeps lines out of the letters
    SubElement(parent, "text", {**place, **halo, "text-anchor": anchor, "font-weight": weight}).text = text
