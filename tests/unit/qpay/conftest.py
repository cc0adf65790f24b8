"""Our client of QPay's, before a server that says what a test tells it to."""

from collections.abc import Iterator

import pytest

from shared.providers.qpay import QPay
from tests.unit.answering import serving
from tests.unit.qpay.server import Server


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Server) as server:
        yield server
        assert (server.answers, server.letting_in) == ([], []), "an answer was never asked for"


@pytest.fixture
def provider(server: Server) -> QPay:
    return QPay("SHOP", "s3cr3t", "SHOP_INVOICE", server.url, (30, 30), connections=1)


@pytest.fixture(autouse=True)
def nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    assert capfd.readouterr() == ("", "")
