"""The books of the outside world, and what a round left behind: every effect is counted, and none may be repeated."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import msgspec
from redis import Redis
from sqlalchemy import text

from benchmarks.client import fire, request
from shared.db import Database

#: Seconds between two looks at whether a round is over; the books have their own clock, so looking may be rare.
PAUSE = 0.1


class Slow(NamedTuple):
    """An operation of a stand-in that may be slow."""

    stand_in: str
    operation: str


class Effect(NamedTuple):
    """What is counted at a provider: its name in the ledger, and the operations on the way to it."""

    entry: str
    #: Of the provider, and of whoever else is asked.
    slow: Sequence[Slow]
    #: What the ledger calls the payment.
    payment: str = "payment_intent"

    @property
    def provider(self) -> str:
        """The stand-in in whose ledger it is."""
        return self.slow[0].stand_in


VOID = Effect("payment_intent.canceled", [Slow("stripe", "cancel")])
INCREMENT = Effect("payment_intent.incremented", [Slow("stripe", "increment")])
REFUND = Effect("refund.created", [Slow("stripe", "refund")])
COURIER_REFUND = Effect("refund.created", [Slow("razorpay", "refund"), Slow("delhivery", "track")], "payment")

#: Rows that tell of unfinished or repeated work; captures of orders that stand are due in the future.
LEFTOVERS = {
    "messages in the outbox": "SELECT count(*) FROM outbox WHERE due_at < now() + interval '5 minutes'",
    "running intents": "SELECT count(*) FROM intents WHERE state IN ('accepted', 'working')",
    "voids without one good attempt": "SELECT count(*) FROM voids WHERE state <> 'released' OR attempts <> 1",
    "edits without one good attempt": "SELECT count(*) FROM order_edits WHERE state <> 'done' OR attempts > 1",
    "refunds without one good attempt": "SELECT count(*) FROM refunds WHERE state <> 'completed' OR attempts <> 1",
    "e-mails without one good attempt": "SELECT count(*) FROM emails WHERE state <> 'sent' OR attempts <> 1",
    "alerts": "SELECT count(*) FROM alerts",
}


class Violated(Exception):
    """Something was left over or repeated."""


class Ledger:
    """The append-only ledger of one stand-in, read from where it stands when its page is turned."""

    def __init__(self, port: int, counted: str | None = None) -> None:
        """Only entries of the operation `counted` are kept; all of them when there is none."""
        self._port = port
        self._counted = counted
        self._last = 0
        self.page: list[dict[str, Any]] = []

    async def turn(self) -> None:
        """Forget what was entered so far."""
        await self.read()
        self.page.clear()

    async def read(self) -> None:
        """Add what was entered since the last look."""
        (answer,) = await fire(self._port, [request("GET", f"/_sandbox/ledger?since={self._last}", {})], clients=1)
        entries = msgspec.json.decode(answer.body)
        self._last = entries[-1]["seq"] if entries else self._last
        self.page.extend(entry for entry in entries if self._counted in (None, entry.get("operation")))


class Books:
    """The ledgers of the stand-ins."""

    def __init__(self, ports: Mapping[str, int], effect: Effect = VOID) -> None:
        """The stand-ins by their ports; `effect` is what is counted at the provider."""
        self._ports, self._effect = ports, effect
        self._effects, self._mails = Ledger(ports[effect.provider], effect.entry), Ledger(ports["mailbox"])

    async def set_latency(self, milliseconds: float) -> None:
        """Let each operation on the way to the effect take this long."""
        for slow in self._effect.slow:
            await set_latency(self._ports[slow.stand_in], slow, milliseconds)

    async def turn(self) -> None:
        """Start a new page."""
        await self._effects.turn()
        await self._mails.turn()

    async def complete(self, effects: int, mails: int, within: float) -> float:
        """Return when so many effects and mails are there: the Unix time of the last one.

        Raises Violated when they are not within so many seconds.
        """
        for ledger, count in ((self._effects, effects), (self._mails, mails)):
            try:
                async with asyncio.timeout(within):
                    while len(ledger.page) < count:
                        await asyncio.sleep(PAUSE)
                        await ledger.read()
            except TimeoutError:
                raise Violated(self._progress(effects, mails, within)) from None
        return max(float(entry["at"]) for entry in (*self._effects.page, *self._mails.page))

    async def check_once_each(self, references: Sequence[str], letters: Sequence[str]) -> None:
        """Raise Violated unless this page holds one effect a reference, one mail a letter, and no other."""
        await self._effects.read()
        await self._mails.read()
        once_each(self._effect.entry, (entry[self._effect.payment] for entry in self._effects.page), references)
        mailed = (str(entry["message_id"])[1:].partition(".")[0] for entry in self._mails.page)
        once_each("mailed", mailed, letters)

    def _progress(self, effects: int, mails: int, within: float) -> str:
        made = f"{len(self._effects.page)} of {effects} effects and {len(self._mails.page)} of {mails} mails"
        return f"{made} within {within:.0f} s"


async def set_latency(port: int, slow: Slow, milliseconds: float) -> None:
    """Let an operation of a stand-in take this long."""
    body = msgspec.json.encode({"milliseconds": milliseconds, "operation": slow.operation})
    (answer,) = await fire(port, [request("POST", "/_sandbox/latency", {}, body)], clients=1)
    if answer.status != 200:
        raise RuntimeError(f"{slow.stand_in} does not take a latency: {answer.body.decode()}")


def once_each(what: str, found: Iterable[str], expected: Iterable[str]) -> None:
    """Raise Violated unless exactly what was expected was found, each once."""
    counted, once = Counter(found), Counter(expected)
    if counted != once:
        names = [name for name in {*counted, *once} if counted[name] != once[name]]
        raise Violated(f"{len(names)} not {what} exactly once, e.g. {names[0]}: {counted[names[0]]} times")


def redis_at(broker_url: str) -> Redis:
    """A client of the broker at a kombu URL."""
    url = urlsplit(broker_url)
    return Redis(unix_socket_path=url.path, db=int(url.query.partition("virtual_host=")[2] or 0))


async def check_nothing_left(database: Database | None, broker: Redis, within: float = 15.0) -> None:
    """Raise Violated when rows or messages are still on their way after so many seconds."""
    left: dict[str, int] = {}
    for _ in range(int(within / PAUSE)):
        left = {**_rows_left(database), **_messages_left(broker)}
        if not left:
            return
        await asyncio.sleep(PAUSE)
    raise Violated(f"left over: {left}")


def _rows_left(database: Database | None) -> dict[str, int]:
    if database is None:
        return {}
    with database.statement() as connection:
        counts = {what: int(connection.execute(text(query)).scalar_one()) for what, query in LEFTOVERS.items()}
    return {what: count for what, count in counts.items() if count}


def _messages_left(broker: Redis) -> dict[str, int]:
    """Redis drops an empty queue's key; `unacked` holds what was delivered and not acknowledged."""
    kinds = {key.decode(): broker.type(key) for key in broker.scan_iter(count=1000)}
    left = {name: broker.llen(name) for name, kind in kinds.items() if kind == b"list" and "pidbox" not in name}
    if "unacked" in kinds:
        left["unacked"] = broker.hlen("unacked")
    return cast(dict[str, int], left)  # redis types its answers for both of its clients at once
