"""What holds after every acceptance test, whatever it was about."""

from collections.abc import Iterator

import pytest

from tests.depot import Depot
from tests.shop import Shop

#: Log events of what nobody foresaw.
BREAKAGES = {"task_broke", "request_broke"}


@pytest.fixture(autouse=True)
def _nothing_breaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """No request and no task of the mesh breaks with an exception that nobody foresaw."""
    if "shop" not in request.fixturenames or "breaks_on_purpose" in request.fixturenames:
        yield
        return
    shop: Shop = request.getfixturevalue("shop")
    before = _breakages(shop)
    yield
    assert _breakages(shop)[len(before) :] == []


@pytest.fixture
def depot(shop: Shop) -> Depot:
    """A depot of that shop."""
    return Depot(shop)


@pytest.fixture
def breaks_on_purpose() -> None:
    """This test is about what happens when a task breaks."""


def _breakages(shop: Shop) -> list[str]:
    programs = ["gateway", *(program for program in shop.urls["pids"] if program.startswith("worker-"))]
    return [
        line
        for program in sorted(programs)
        for line in shop.log(program).splitlines()
        if any(event in line for event in BREAKAGES)
    ]
