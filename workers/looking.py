"""Looking: questions to a courier, at the pace that it allows over all processes."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from shared.domain.shipments import Courier, Tracked
from shared.providers.couriers import Throttled
from shared.queues import Task
from shared.store import pace
from workers.base import Work, Worker

#: The courier that we follow.
COURIER = Courier.DELHIVERY

#: Seconds' worth of questions that may come at once; at the pace of the settings that stays below the courier's limit.
BURST = 5.0

#: Seconds that a look takes beyond our patience with the courier: to write down what was seen.  One that has to ask in
#: halves takes longer; then somebody else may look as well, which does no harm.
MARGIN = 5.0


class Crowded(Exception):
    """So many questions were asked a moment ago that the next one has to wait for `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


def take_turn(task: Worker, work: Work, courier: Courier) -> None:
    """Count one question to a courier.  Raises `Crowded`, so that whatever was claimed for it is free again."""
    wait = pace.seconds_until_turn(work.connection, courier, rate=task.mesh.settings.delhivery_rate, burst=BURST)
    if wait:
        raise Crowded(wait)


def look(task: Worker, courier: Courier, waybills: Sequence[str]) -> Mapping[str, Tracked]:
    """Return where these parcels are.  Raises `Unknown`, and `Throttled` when nobody may ask for a while.

    Where nothing at all is known, one unknown waybill may have hidden the others: then halves of them are asked for.
    """
    with held_off(task, courier):
        found = task.mesh.couriers[courier].track(waybills)
    if found or len(waybills) == 1:
        return found
    halves = waybills[: len(waybills) // 2], waybills[len(waybills) // 2 :]
    return {waybill: tracked for half in halves for waybill, tracked in look_in_turn(task, courier, half).items()}


def look_in_turn(task: Worker, courier: Courier, waybills: Sequence[str]) -> Mapping[str, Tracked]:
    """The same when it is our turn: nobody else comes back to these."""
    while wait := turn_in(task, courier):
        time.sleep(wait)
    return look(task, courier, waybills)


def turn_in(task: Worker, courier: Courier) -> float | None:
    """Count one question to a courier; None, or the seconds after which it may be asked."""
    with task.mesh.database.statement() as connection:
        return pace.seconds_until_turn(connection, courier, rate=task.mesh.settings.delhivery_rate, burst=BURST)


@contextmanager
def held_off(task: Worker, courier: Courier) -> Iterator[None]:
    """When the courier turns one of us away in this block, nobody asks it for a while.  Raises `Throttled` then."""
    try:
        yield
    except Throttled as throttled:
        with task.mesh.database.statement() as connection:
            pace.hold_off(connection, courier, throttled.pause + BURST)
        raise


def put_off(task: Worker, subject: str, seconds: float) -> None:
    """Come back to this message later; nothing is broken."""
    with task.work() as work:
        work.stage(Task(task.name), subject, delay=seconds)


def lease(task: Worker) -> float:
    """Seconds after which nobody is taken to be looking any more."""
    settings = task.mesh.settings
    return settings.provider_connect_timeout + settings.provider_read_timeout + MARGIN
