"""Batches: nobody waits for company, and nobody pays for another's item."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from shared.batch import Batch


class Outage(Exception):
    """Befalls everybody alike."""


class Killed(BaseException):
    """Nobody catches it."""


class Ferry:
    """Carries items over, and can be held at the far side."""

    def __init__(self) -> None:
        self.crossings: list[list[str]] = []
        self.fails: Callable[[Sequence[str]], None] = lambda _: None
        self._away = threading.Event()
        self._may_return = threading.Event()
        self._may_return.set()

    def __call__(self, items: Sequence[str]) -> Mapping[str, str]:
        self.crossings.append(list(items))
        self._away.set()
        assert self._may_return.wait(10)
        self.fails(items)
        return {item: item.upper() for item in items if item != "nobody"}

    @contextmanager
    def away_with(self, batch: Batch[str, str], crew: ThreadPoolExecutor, item: str) -> Iterator[Future[str | None]]:
        """Within the block the ferry is away with this item."""
        self._away.clear()
        self._may_return.clear()
        first = crew.submit(batch, item)
        assert self._away.wait(10)
        try:
            yield first
        finally:
            self._may_return.set()


@pytest.fixture
def ferry() -> Ferry:
    return Ferry()


@pytest.fixture
def crew() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as executor:
        yield executor


def gathered(batch: Batch[str, str], crew: ThreadPoolExecutor, *items: str) -> list[Future[str | None]]:
    """Callers with these items, once each of them stands at the shore, in this order."""
    futures = []
    for item in items:
        count = len(batch._gathering)
        futures.append(crew.submit(batch, item))
        while len(batch._gathering) == count:
            pass
    return futures


def test_a_call_that_finds_nobody_away_leaves_at_once_and_alone(ferry: Ferry) -> None:
    batch = Batch(ferry, limit=8)
    assert [batch("a"), batch("b"), batch("nobody")] == ["A", "B", None]
    assert ferry.crossings == [["a"], ["b"], ["nobody"]]


def test_calls_that_come_while_one_is_away_travel_together(ferry: Ferry, crew: ThreadPoolExecutor) -> None:
    batch = Batch(ferry, limit=8)
    with ferry.away_with(batch, crew, "a") as first:
        others = gathered(batch, crew, "b", "c", "d")
    assert [future.result(10) for future in (first, *others)] == ["A", "B", "C", "D"]
    assert ferry.crossings == [["a"], ["b", "c", "d"]]
    assert batch("e") == "E"


def test_no_more_travel_together_than_the_limit(ferry: Ferry, crew: ThreadPoolExecutor) -> None:
    batch = Batch(ferry, limit=2)
    with ferry.away_with(batch, crew, "a"):
        others = gathered(batch, crew, "b", "c", "d", "e", "f")
    assert [future.result(10) for future in others] == ["B", "C", "D", "E", "F"]
    assert ferry.crossings == [["a"], ["b", "c"], ["d", "e"], ["f"]]


def test_an_items_double_travels_later_so_that_only_one_takes_it(ferry: Ferry, crew: ThreadPoolExecutor) -> None:
    batch = Batch(ferry, limit=8)
    with ferry.away_with(batch, crew, "a"):
        others = gathered(batch, crew, "b", "b", "c")
    assert [future.result(10) for future in others] == ["B", "B", "C"]
    assert ferry.crossings == [["a"], ["b", "c"], ["b"]]


def test_nobody_pays_for_anothers_item(ferry: Ferry, crew: ThreadPoolExecutor) -> None:
    def refuse(items: Sequence[str]) -> None:
        if "poison" in items:
            raise ValueError(items)

    batch = Batch(ferry, limit=8, alike=(Outage,))
    with ferry.away_with(batch, crew, "a"):
        b, poison, c = gathered(batch, crew, "b", "poison", "c")
        ferry.fails = refuse
    assert b.result(10) == "B"
    assert c.result(10) == "C"
    with pytest.raises(ValueError, match="poison"):
        poison.result(10)
    assert ferry.crossings[1:] == [["b", "poison", "c"], ["b"], ["poison"], ["c"]]


def test_an_outage_befalls_all_without_another_try(ferry: Ferry, crew: ThreadPoolExecutor) -> None:
    def sink(_: Sequence[str]) -> None:
        raise Outage

    batch = Batch(ferry, limit=8, alike=(Outage,))
    with ferry.away_with(batch, crew, "a"):
        others = gathered(batch, crew, "b", "c")
        ferry.fails = sink
    for future in others:
        with pytest.raises(Outage):
            future.result(10)
    assert ferry.crossings == [["a"], ["b", "c"]]


def test_when_the_caller_that_leads_is_killed_the_others_travel_again(ferry: Ferry, crew: ThreadPoolExecutor) -> None:
    def kill_the_leader(items: Sequence[str]) -> None:
        if items[0] == "b":
            raise Killed

    batch = Batch(ferry, limit=8, alike=(Outage,))
    with ferry.away_with(batch, crew, "a"):
        b, c, d = gathered(batch, crew, "b", "c", "d")
        ferry.fails = kill_the_leader
    with pytest.raises(Killed):
        b.result(10)
    assert [c.result(10), d.result(10)] == ["C", "D"]
    assert ferry.crossings == [["a"], ["b", "c", "d"], ["c", "d"]]
    assert batch("e") == "E"


KILLED_WHILE_WAITING = """
import gevent.monkey; gevent.monkey.patch_all()
import gevent
from gevent.event import Event
from shared.batch import Batch

ashore, crossings = Event(), []

def ferry(items):
    crossings.append(list(items))
    ashore.wait()
    return {item: item for item in items}

batch = Batch(ferry, limit=8)
a, b, c = (gevent.spawn(batch, item) for item in "abc")
gevent.sleep(0)
b.kill()
ashore.set()
gevent.joinall([a, c], timeout=5, raise_error=True)
d = gevent.spawn(batch, "d")
d.join(timeout=5)
assert (a.value, c.value, d.value) == ("a", "c", "d"), (a.value, c.value, d.value)
assert crossings == [["a"], ["c"], ["d"]], crossings
"""


def test_a_caller_that_is_killed_while_it_waits_leaves_its_seat() -> None:
    done = subprocess.run([sys.executable, "-c", KILLED_WHILE_WAITING], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
