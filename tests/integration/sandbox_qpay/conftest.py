"""One stand-in for the tests of a module; none finds what another has made it do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.sandbox_qpay.driver import Receiver, Sandbox, sandbox


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("qpay")) as (driven, _):
        yield driven


@pytest.fixture
def box(server: Sandbox) -> Iterator[Sandbox]:
    yield server
    server.tell("DELETE", "faults")
    server.tell("POST", "latency", json={"milliseconds": 0})


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    listening = Receiver()
    yield listening
    listening.close()
