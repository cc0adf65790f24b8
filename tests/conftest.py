"""Fixtures: whole meshes, with real Postgres, a real broker and real processes, shared by the tests of a session."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.problems", "tests.races", "tests.shop")

from sandbox.stack import Stack, StackOptions  # noqa: E402  # what follows is rewritten to explain its assertions
from tests.brokers import rabbitmq  # noqa: E402
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
}

#: The secret that the webhook endpoint is rolled to: the mesh knows it already, the provider does not use it yet.
NEXT_SECRET = "whsec_next"


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


def _open(root: Path, broker: str) -> Iterator[Shop]:
    secrets = {"COUNTERMAND_STRIPE_WEBHOOK_SECRETS": f"{NEXT_SECRET},{Stack(root).secrets().stripe_webhook_secret}"}
    with Stack(root, StackOptions(broker=broker, environment=QUICK | secrets)) as stack, Shop(stack) as shop:
        yield shop
