"""Rounds: a peer takes back a number of fresh orders, and everything it did is counted."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from redis import Redis
from sqlalchemy import text

from benchmarks import parcels, stays
from benchmarks.books import Books, Violated, check_nothing_left
from benchmarks.client import Answer, fire
from benchmarks.orders import Purchase, additions, authorize, cancels, refunds, register
from benchmarks.peers import Bare, Mesh
from benchmarks.processes import Meter
from shared.broker import Publisher, celery_app
from shared.db import Database
from shared.domain.orders import OrderKind
from shared.domain.payments import Provider
from shared.ids import new_id
from shared.queues import Task
from shared.store.outbox import Message

#: Clients at once: without latency enough to keep both cores busy, with it enough to fill the waiting with work.
CLIENTS = 64
CLIENTS_OF_SLOW_PROVIDER = 128

#: Seconds that a round may take.
LIMIT = 240.0

#: How long a client waits for its outcome; the usual ten seconds would count a slow machine as a failure.
WAIT = "wait=60"

#: Seconds after the last effect, in which rows are settled and messages acknowledged, before the CPU is read.
SETTLING = 0.5

_LETTERS = text("SELECT cause FROM emails WHERE order_id = ANY(:orders)")

#: Asks for everything at once from so many clients, and returns when everybody has an answer.
Volley = Callable[[int], Awaitable[None]]


class Round(NamedTuple):
    """One round of one peer."""

    per_second: float
    #: Milliseconds of CPU per cancel, by process group.
    cpu: Mapping[str, float]


class Peer(Protocol):
    """Somebody who cancels orders."""

    name: str
    #: E-mails of each order.
    mails: int
    pids: Mapping[str, int]
    broker: Redis
    database: Database | None

    async def prepare(self, count: int) -> list[Purchase]:
        """Make orders that can be canceled."""

    def aim(self, purchases: Sequence[Purchase]) -> Volley:
        """Make ready to ask for all of them to be canceled."""

    def letters(self, purchases: Sequence[Purchase]) -> list[str]:
        """What the Message-IDs of these orders' e-mails begin with, one each."""


@dataclass
class Ours:
    """The mesh."""

    mesh: Mesh
    name: str = "ours"
    mails: int = 1

    def __post_init__(self) -> None:
        self.pids = self.mesh.pids
        self.broker = self.mesh.broker
        self.database: Database | None = self.mesh.database

    async def prepare(self, count: int) -> list[Purchase]:
        """Registered orders, each with its hold."""
        references = await authorize(self.mesh.settings, count)
        return register(self.mesh.database, references, new_id("b").removeprefix("b_"))

    def aim(self, purchases: Sequence[Purchase]) -> Volley:
        """POSTs that wait for their outcomes."""
        requests = cancels(self.mesh.settings, purchases, WAIT)
        return lambda clients: _fire(self.mesh.gateway, requests, clients, 200)

    def letters(self, purchases: Sequence[Purchase]) -> list[str]:
        """One row each."""
        with self.mesh.database.statement() as connection:
            causes = connection.execute(_LETTERS, {"orders": [purchase.order_id for purchase in purchases]}).scalars()
            return [str(cause).partition(".")[0] for cause in causes]


@dataclass
class Refunding(Ours):
    """The mesh, giving money back."""

    name: str = "ours, refunding"

    async def prepare(self, count: int) -> list[Purchase]:
        """Orders whose money was taken."""
        references = await authorize(self.mesh.settings, count, capture_method="automatic")
        return register(self.mesh.database, references, new_id("b").removeprefix("b_"), captured=True)

    def aim(self, purchases: Sequence[Purchase]) -> Volley:
        """POSTs of an operator that wait for their outcomes."""
        requests = refunds(self.mesh.settings, purchases, WAIT)
        return lambda clients: _fire(self.mesh.gateway, requests, clients, 200)


@dataclass
class Staying(Ours):
    """The mesh, taking guests' bookings back, money first."""

    name: str = "ours, guests"
    mails: int = 2  # to the guest, and to the hotel

    async def prepare(self, count: int) -> list[Purchase]:
        """Bookings whose money was taken."""
        references = await authorize(self.mesh.settings, count, capture_method="automatic")
        name = new_id("b").removeprefix("b_")
        purchases = register(self.mesh.database, references, name, captured=True, kind=OrderKind.BOOKING)
        stays.add_terms(self.mesh.settings, self.mesh.database, purchases)
        return purchases

    def aim(self, purchases: Sequence[Purchase]) -> Volley:
        """POSTs of guests that wait for their outcomes."""
        requests = stays.cancels(self.mesh.settings, purchases, WAIT)
        return lambda clients: _fire(self.mesh.gateway, requests, clients, 200)


@dataclass
class Returning(Ours):
    """The mesh, taking orders back whose parcels come back."""

    name: str = "ours, couriers"
    mails: int = 2  # of the cancel, and of the refund

    async def prepare(self, count: int) -> list[Purchase]:
        """Orders whose money was taken at Razorpay, and whose parcels are on their way back."""
        references = await parcels.pay(self.mesh.port("razorpay"), count)
        name = new_id("b").removeprefix("b_")
        purchases = register(self.mesh.database, references, name, captured=True, provider=Provider.RAZORPAY)
        parcels.send(self.mesh.database, purchases)
        await parcels.announce(self.mesh.port("delhivery"), purchases)
        await parcels.turn_back(self.mesh.port("delhivery"), purchases)
        return purchases

    def aim(self, purchases: Sequence[Purchase]) -> Volley:
        """Delhivery's pushes, which are answered when they are on record."""
        requests = parcels.pushes(self.mesh.settings, purchases)
        return lambda clients: _fire(self.mesh.gateway, requests, clients, 200)


@dataclass
class Editing(Ours):
    """The mesh, selling one unit more."""

    name: str = "ours, editing"

    async def prepare(self, count: int) -> list[Purchase]:
        """Registered orders, each with a hold that may be raised."""
        asked = {"payment_method_options[card][request_incremental_authorization]": "if_available"}
        references = await authorize(self.mesh.settings, count, **asked)
        return register(self.mesh.database, references, new_id("b").removeprefix("b_"))

    def aim(self, purchases: Sequence[Purchase]) -> Volley:
        """POSTs that wait for their outcomes."""
        requests = additions(self.mesh.settings, purchases, WAIT)
        return lambda clients: _fire(self.mesh.gateway, requests, clients, 200)


@dataclass
class BareChain:
    """Three hops after a POST."""

    mesh: Mesh
    bare: Bare
    name: str = "bare chain"
    mails: int = 1

    def __post_init__(self) -> None:
        self.pids = self.bare.pids
        self.broker = self.bare.broker
        self.database: Database | None = None

    async def prepare(self, count: int) -> list[Purchase]:
        """Holds; here an order is nothing more."""
        return [Purchase(reference, reference) for reference in await authorize(self.mesh.settings, count)]

    def aim(self, purchases: Sequence[Purchase]) -> Volley:
        """The same POSTs, answered at once."""
        requests = cancels(self.mesh.settings, purchases)
        return lambda clients: _fire(self.bare.gateway, requests, clients, 202)

    def letters(self, purchases: Sequence[Purchase]) -> list[str]:
        """Named as the order."""
        return [purchase.order_id for purchase in purchases]


@dataclass
class Published(BareChain):
    """Three hops after nothing but a message."""

    name: str = "bare chain, published by the load"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._publisher = Publisher(celery_app(self.bare.settings))

    def aim(self, purchases: Sequence[Purchase]) -> Volley:
        """Messages, published one after the other."""
        messages = [Message(Task.CANCEL_ORDER, purchase.order_id) for purchase in purchases]

        async def publish(_: int) -> None:
            self._publisher.publish(messages)

        return publish


async def one_round(peer: Peer, books: Books, orders: int, latency: int) -> Round:
    """Cancel so many fresh orders.  Raises Violated when anything is left over or repeated."""
    await books.set_latency(0)
    purchases = await peer.prepare(orders)
    volley = peer.aim(purchases)
    await books.set_latency(latency)
    await books.turn()
    meter, began = Meter(peer.pids), time.time()
    await volley(CLIENTS_OF_SLOW_PROVIDER if latency else CLIENTS)
    ended = await books.complete(orders, orders * peer.mails, LIMIT)
    await asyncio.sleep(SETTLING)
    burned = meter.read()
    await check_nothing_left(peer.database, peer.broker)
    await books.check_once_each([purchase.reference for purchase in purchases], peer.letters(purchases))
    return Round(orders / (ended - began), {name: spent / orders for name, spent in burned.items()})


async def _fire(port: int, requests: Sequence[bytes], clients: int, status: int) -> None:
    expect(status, await fire(port, requests, clients))


def expect(status: int, answers: Sequence[Answer]) -> None:
    """Raise Violated unless every answer has this status."""
    wrong = [answer for answer in answers if answer.status != status]
    if wrong:
        first = f"{wrong[0].status} {wrong[0].body.decode()}"
        raise Violated(f"{len(wrong)} of {len(answers)} answers are not {status}, e.g. {first}")
