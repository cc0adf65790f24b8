"""Our client of Stripe's, before a server that says what a test tells it to."""

from collections.abc import Iterator

import pytest

from shared.providers.stripe import Stripe
from tests.unit.answering import serving
from tests.unit.stripe.server import Server


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Server) as server:
        yield server
        assert server.answers == [], "an answer was never asked for"


@pytest.fixture
def provider(server: Server) -> Stripe:
    return Stripe("sk_test_1", server.url, (30, 30), connections=1)
