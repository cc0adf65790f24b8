"""Our client of Delhivery's, before a server that says what a test tells it to."""

from collections.abc import Iterator

import pytest

from shared.providers.delhivery import Delhivery
from tests.unit.answering import serving
from tests.unit.delhivery.server import Server


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Server) as server:
        yield server
        assert server.answers == [], "an answer was never asked for"


@pytest.fixture
def courier(server: Server) -> Delhivery:
    return Delhivery("t0k3n", server.url, (30, 30), connections=1)
