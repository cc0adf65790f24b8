"""Our client of Razorpay's, before a server that says what a test tells it to."""

from collections.abc import Iterator

import pytest

from shared.providers.razorpay import Razorpay
from tests.unit.answering import serving
from tests.unit.razorpay.server import HOLD_LIFETIME, Server


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Server) as server:
        yield server
        assert server.answers == [], "an answer was never asked for"


@pytest.fixture
def provider(server: Server) -> Razorpay:
    return Razorpay("rzp_test_1", "secret", server.url, (30, 30), connections=1, hold_lifetime=HOLD_LIFETIME)


@pytest.fixture(autouse=True)
def nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    assert capfd.readouterr() == ("", "")
