"""The picture of what a cancel costs: it can be read by anybody, in any print, and does nothing but stand there."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from gateway.pages.steps import BASE, COLUMN, HEIGHT, LEFT, step_chart
from shared.domain.policies import CancellationCalculator, Charge, Fee, Policy, Rule, Step, Terms

SVG = "{http://www.w3.org/2000/svg}"

#: Free, half of it from a week before, three quarters from a day before, and all of it from Christmas Eve on.
TERMS = Terms(
    policy=Policy(rules=(Rule(Fee(percent=Decimal(50)), days=7), Rule(Fee(percent=Decimal(75)), days=1))),
    currency="EUR",
    total=60000,
    placed_at=datetime(2024, 6, 1, 12, tzinfo=UTC),
    check_in=datetime.fromisoformat("2024-12-24T15:00"),
    check_out=datetime.fromisoformat("2024-12-27T11:00"),
    time_zone="Europe/Berlin",
)


def steps(paid: int = 60000) -> list[Step]:
    return [step.local(TERMS.time_zone) for step in CancellationCalculator(TERMS).steps(paid)]


def drawn(found: list[Step], currency: str = "EUR", today: datetime | None = None) -> Element:
    """The picture, read by a strict parser."""
    return ElementTree.fromstring(step_chart(found, currency, today))  # noqa: S314  # it is our own


def texts(svg: Element) -> list[str]:
    return [text.text or "" for text in svg.iter(f"{SVG}text")]


def mark(svg: Element) -> float:
    """Where today is marked."""
    (line,) = [line for line in svg.iter(f"{SVG}line") if line.attrib["stroke-dasharray"] != "none"]
    assert "today" in texts(svg)
    return float(line.attrib["x1"])


def test_who_cannot_see_it_is_told_all_of_it() -> None:
    svg = drawn(steps())
    assert (svg.tag, svg.attrib["role"]) == (f"{SVG}svg", "img")
    labels = {element.attrib["id"]: element for element in svg if "id" in element.attrib}
    title, description = (labels[name] for name in svg.attrib["aria-labelledby"].split())
    assert (title.tag, description.tag) == (f"{SVG}title", f"{SVG}desc")
    assert title.text == "What a cancellation costs over time"
    assert description.text == (
        "Until 17 Dec 2024, 15:00 CET: 0.00 EUR kept, 600.00 EUR given back. Cancellation is free of charge. "
        "From 17 Dec 2024, 15:00 CET until 23 Dec 2024, 15:00 CET: 300.00 EUR kept, 300.00 EUR given back. "
        "Cancellation less than 7 days before check-in: 50% of the price. "
        "From 23 Dec 2024, 15:00 CET until 24 Dec 2024, 15:00 CET: 450.00 EUR kept, 150.00 EUR given back. "
        "Cancellation less than 1 day before check-in: 75% of the price. "
        "From 24 Dec 2024, 15:00 CET: 600.00 EUR kept, 0.00 EUR given back. "
        "No-show, or cancellation after check-in: 100% of the price."
    )


def test_a_fee_that_never_changes_is_told_for_any_time() -> None:
    (description,) = drawn([Step(None, None, Charge(1, 0, "non_refundable", "Kept"))]).iter(f"{SVG}desc")
    assert description.text == "At any time: 0.01 EUR kept, 0.00 EUR given back. Kept."


def test_axes_and_edges_are_labeled() -> None:
    found = texts(drawn(steps()))
    assert {"Fee", "Time of the cancellation, not to scale"} <= set(found)
    assert found[:5] == ["0.00 EUR", "150.00 EUR", "300.00 EUR", "450.00 EUR", "600.00 EUR"]
    dates = [text for text in found if "2024" in text]
    assert dates == ["17 Dec 2024", "23 Dec 2024", "24 Dec 2024"]
    assert found.count("15:00 CET") == 3


@pytest.mark.parametrize(("currency", "shown"), [("EUR", "300.00 EUR"), ("JPY", "30,000 JPY"), ("KWD", "30.000 KWD")])
def test_amounts_have_as_many_places_as_their_currency(currency: str, shown: str) -> None:
    assert shown in texts(drawn(steps(), currency))


def test_a_step_is_as_high_as_its_fee_and_explains_itself() -> None:
    columns = list(drawn(steps()).iter(f"{SVG}g"))
    areas = [column.find(f"{SVG}rect") for column in columns]
    assert [float(area.attrib["height"]) for area in areas if area is not None] == [
        0,
        HEIGHT / 2,
        HEIGHT * 3 / 4,
        HEIGHT,
    ]
    assert [float(area.attrib["x"]) for area in areas if area is not None] == [LEFT + COLUMN * n for n in range(4)]
    assert [column.findtext(f"{SVG}title") for column in columns] == [step.charge.description for step in steps()]


def test_where_nothing_was_paid_nothing_is_high() -> None:
    areas = [area for column in drawn(steps(0)).iter(f"{SVG}g") for area in column.iter(f"{SVG}rect")]
    assert {float(area.attrib["y"]) for area in areas} == {BASE}


def test_today_is_marked_where_it_is_and_only_when_it_is_given() -> None:
    assert "today" not in texts(drawn(steps()))
    edge = datetime(2024, 12, 17, 14, tzinfo=UTC)
    assert mark(drawn(steps(), today=edge)) == LEFT + COLUMN
    assert mark(drawn(steps(), today=edge + timedelta(days=3))) == LEFT + 1.5 * COLUMN
    assert mark(drawn(steps(), today=edge - timedelta(days=300))) == LEFT + 0.5 * COLUMN
    assert mark(drawn(steps(), today=edge + timedelta(days=300))) == LEFT + 3.5 * COLUMN


def test_today_is_halfway_when_half_the_hours_have_passed_also_when_the_clock_is_put_back() -> None:
    begins = datetime(2024, 10, 26, 22, tzinfo=UTC)  # midnight in Berlin, of a day of 25 hours
    charge = Charge(0, 1, "free", "Free")
    day = Step(begins, begins + timedelta(hours=25), charge).local("Europe/Berlin")
    around = [Step(None, day.begins, charge), day, Step(day.ends, None, charge)]
    assert mark(drawn(around, today=begins + timedelta(hours=12.5))) == LEFT + 1.5 * COLUMN


def test_it_runs_nothing_and_needs_nothing_from_elsewhere() -> None:
    chart = step_chart(steps(), "EUR", datetime(2024, 12, 20, tzinfo=UTC))
    svg = ElementTree.fromstring(chart)  # noqa: S314  # it is our own
    assert {element.tag for element in svg.iter()} == {
        f"{SVG}{name}" for name in ("svg", "title", "desc", "rect", "line", "text", "g")
    }
    names = {name for element in svg.iter() for name in element.attrib}
    assert not [name for name in names if name.startswith("on") or "href" in name or name == "style"]
    assert re.findall(r"\w+://[^\"]*|url\(", chart) == ["http://www.w3.org/2000/svg"]


def test_it_is_in_shades_of_gray_on_white() -> None:
    svg = drawn(steps(), today=datetime(2024, 12, 20, tzinfo=UTC))
    colors = {element.attrib[name] for element in svg.iter() for name in ("fill", "stroke") if name in element.attrib}
    assert colors
    assert all(re.fullmatch(r"#(..)\1\1", color) for color in colors)
    paper = next(svg.iter(f"{SVG}rect"))
    assert [paper.attrib[name] for name in ("fill", "width", "height")] == [
        "#ffffff",
        *(svg.attrib[name] for name in ("width", "height")),
    ]


def test_words_stay_words() -> None:
    trick = '</title><script>alert("1" & 2)</script>'
    found = [replace(step, charge=replace(step.charge, description=trick)) for step in steps()]
    svg = drawn(found)
    assert not list(svg.iter(f"{SVG}script"))
    assert [column.findtext(f"{SVG}title") for column in svg.iter(f"{SVG}g")] == [trick] * 4
    (description,) = svg.iter(f"{SVG}desc")
    assert trick in (description.text or "")
