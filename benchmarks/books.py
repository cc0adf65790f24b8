"""The books of the outside world, and what a round left behind: every effect is counted, and none may be repeated."""

import asyncio
import json
import urllib.request
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from redis import Redis
from sqlalchemy import text

from benchmarks.client import fire, request
from benchmarks.orders import Purchase
from shared.db import Database

#: Seconds between two looks at whether a round is over; looking is cheap, and the books have their own clock.
PAUSE = 0.1

#: Rows that tell of unfinished or repeated work.  Captures of orders that stand are due in the future.
LEFTOVERS = {
    "messages in the outbox": "SELECT count(*) FROM outbox WHERE due_at < now() + interval '5 minutes'",
    "running intents": "SELECT count(*) FROM intents WHERE state IN ('accepted', 'working')",
    "unsettled voids": "SELECT count(*) FROM voids WHERE state <> 'released' OR attempts <> 1",
    "unsent e-mails": "SELECT count(*) FROM emails WHERE state <> 'sent' OR attempts <> 1",
    "alerts": "SELECT count(*) FROM alerts",
}


class Violated(Exception):
    """Something was left over or repeated."""


@dataclass(frozen=True, slots=True)
class Outside:
    """The stand-ins, by their ports."""

    stripe: int
    mailbox: int

    def set_latency(self, milliseconds: float) -> None:
        """Let every cancel at the provider take this long."""
        body = json.dumps({"milliseconds": milliseconds, "operation": "cancel"}).encode()
        url = f"http://127.0.0.1:{self.stripe}/_sandbox/latency"
        urllib.request.urlopen(urllib.request.Request(url, body), timeout=10).close()


class Books:
    """Follows the stand-ins' ledgers from where they stand when it is opened."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._voids, self._mails = 0, 0
        self.voids: list[dict[str, Any]] = []
        self.mails: list[dict[str, Any]] = []

    async def open(self) -> None:
        """Start a new page: what was entered before is not looked at."""
        await self._turn()
        self.voids.clear()
        self.mails.clear()

    async def complete(self, count: int, within: float) -> float:
        """Return when so many orders are voided and mailed: the Unix time of the last effect.

        Raises Violated when they are not within so many seconds.
        """
        try:
            async with asyncio.timeout(within):
                while len(self.voids) < count or len(self.mails) < count:
                    await asyncio.sleep(PAUSE)
                    await self._turn()
        except TimeoutError:
            raise Violated(
                f"{len(self.voids)} voids and {len(self.mails)} mails of {count} within {within} s"
            ) from None
        return max(float(entry["at"]) for entry in (*self.voids, *self.mails))

    async def check_once_each(self, purchases: Sequence[Purchase]) -> None:
        """Raise Violated unless every order of the page was voided once and mailed once."""
        await self._turn()
        _once_each("void", (entry["payment_intent"] for entry in self.voids), [p.reference for p in purchases])
        mailed = (str(entry["message_id"])[1:].partition(".")[0] for entry in self.mails)
        _once_each("mail", mailed, [purchase.order_id for purchase in purchases])

    async def _turn(self) -> None:
        """Read what was entered since the last look."""
        for port, seen, page in (
            (self._outside.stripe, self._voids, self.voids),
            (self._outside.mailbox, self._mails, self.mails),
        ):
            (answer,) = await fire(port, [request("GET", f"/_sandbox/ledger?since={seen}", {})], clients=1)
            entries = msgspec.json.decode(answer.body)
            page.extend(entry for entry in entries if entry.get("operation", "mail") in ("mail", CANCELED))
            if entries and page is self.voids:
                self._voids = entries[-1]["seq"]
            elif entries:
                self._mails = entries[-1]["seq"]


#: What the stand-in's ledger calls a void.
CANCELED = "payment_intent.canceled"


def _once_each(what: str, found: Iterable[str], expected: Iterable[str]) -> None:
    counted = Counter(found)
    wrong = {name: counted.get(name, 0) for name in expected if counted.pop(name, 0) != 1}
    if wrong or counted:
        raise Violated(f"{what}: {len(wrong)} orders not exactly once, {len(counted)} of nobody; e.g. {list(wrong)[:3]}")


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
        counts = {what: connection.execute(text(query)).scalar_one() for what, query in LEFTOVERS.items()}
    return {what: count for what, count in counts.items() if count}


def _messages_left(broker: Redis) -> dict[str, int]:
    """Queues are lists that are gone when they are empty; what was delivered and not acknowledged is `unacked`."""
    names = [key.decode() for key in broker.scan_iter(count=1000)]
    left = {name: broker.llen(name) for name in names if broker.type(name) == b"list" and "pidbox" not in name}
    if broker.exists("unacked"):
        left["unacked"] = broker.hlen("unacked")
    return left  # type: ignore[return-value]  # redis types its answers for both its clients at once
