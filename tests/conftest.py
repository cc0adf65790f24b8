"""Fixtures: whole meshes, with real Postgres, a real broker and real processes, shared by the tests of a session."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite("tests.depot", "tests.outside", "tests.problems", "tests.races", "tests.shop")

from sandbox.stack import Stack, StackOptions  # noqa: E402  # what follows is rewritten to explain its assertions
from tests.brokers import rabbitmq  # noqa: E402
from tests.shares import Shares, turn  # noqa: E402
from tests.shop import Shop  # noqa: E402

#: Clocks of the mesh that a test should not have to wait for; everything else is as in production.
QUICK = {
    "COUNTERMAND_SWEEP_EVERY": "1",
    "COUNTERMAND_PATIENCE": "2",
    "COUNTERMAND_RETRY_BASE": "0.5",
    "COUNTERMAND_RETRY_CEILING": "2",
    "COUNTERMAND_PROVIDER_READ_TIMEOUT": "3",
    "COUNTERMAND_REFUND_COOLDOWN": "4",
    "COUNTERMAND_RECONCILE_EVERY": "1",
    "COUNTERMAND_LAPSE_WATCH": "2",
    "COUNTERMAND_DELHIVERY_RATE": "50",
    "COUNTERMAND_DELHIVERY_CONFIRM_AFTER": "1",
}

#: The secret that every webhook is rolled to: the mesh knows it already, whoever sends them does not use it yet.
NEXT_SECRET = "whsec_next"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests in the order in which they are shared out."""
    items.sort(key=lambda item: turn(item.nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Shares:
    """Share the tests out in that order, not by how many there are of a kind."""
    config.option.loadscopereorder = False
    return Shares(config, log)


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop on the embedded mesh: Postgres 18, Redis, gateway, workers, beat, Flower, and the stand-ins."""
    yield from _open(tmp_path_factory.mktemp("mesh"), "redis")


@pytest.fixture(scope="session")
def rabbit_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The same mesh on RabbitMQ with quorum queues."""
    with rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as url:
        yield from _open(tmp_path_factory.mktemp("mesh"), url)


@pytest.fixture(params=["redis", "rabbitmq"])
def any_shop(request: pytest.FixtureRequest) -> Shop:
    """Either mesh, in turn: what a test proves with it holds on both brokers."""
    shop: Shop = request.getfixturevalue("shop" if request.param == "redis" else "rabbit_shop")
    return shop


@pytest.fixture(autouse=True)
def _well_behaved(request: pytest.FixtureRequest) -> Iterator[None]:
    """No misbehaviour of a stand-in outlives the test that asked for it."""
    shops = [
        request.getfixturevalue(name) for name in ("shop", "rabbit_shop", "any_shop") if name in request.fixturenames
    ]
    yield
    for shop in shops:
        shop.behave()


@contextmanager
def started(root: Path, options: StackOptions) -> Iterator[Stack]:
    """Run a stack, which is started while no other process of this test run starts one.

    Its dozen programs keep every core busy until they are ready, and have only so many seconds for that.
    """
    stack = Stack(root, options)
    with (root.parents[1] / "starting").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        stack.start()
    try:
        yield stack
    finally:
        stack.stop()


def _open(root: Path, broker: str) -> Iterator[Shop]:
    present = Stack(root).secrets()
    secrets = {
        "COUNTERMAND_STRIPE_WEBHOOK_SECRETS": f"{NEXT_SECRET},{present.stripe_webhook_secret}",
        "COUNTERMAND_RAZORPAY_WEBHOOK_SECRETS": f"{NEXT_SECRET},{present.razorpay_webhook_secret}",
        "COUNTERMAND_DELHIVERY_WEBHOOK_SECRETS": f"{NEXT_SECRET},{present.delhivery_push_secret}",
    }
    with started(root, StackOptions(broker=broker, environment=QUICK | secrets)) as stack, Shop(stack) as shop:
        yield shop
