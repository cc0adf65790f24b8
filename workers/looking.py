"""Looking: questions to a courier, at the pace that it allows over all processes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from shared.domain.shipments import Courier, Tracked
from shared.providers.couriers import Throttled
from shared.queues import Task
from shared.store import pace
from workers.base import Work, Worker

#: Seconds' worth of questions that may come at once; at the pace of the settings that stays below the courier's limit.
BURST = 5.0

#: Seconds that a look takes beyond the courier's patience: to read the answer, and to write it down.
MARGIN = 5.0


class Crowded(Exception):
    """So many questions were asked a moment ago that the next one has to wait for `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


def take_turn(task: Worker, work: Work, courier: Courier) -> None:
    """Count one question to a courier.  Raises `Crowded`, so that whatever was claimed for it is free again."""
    wait = pace.may_ask(work.connection, courier, rate=task.mesh.settings.delhivery_rate, burst=BURST)
    if wait is not None:
        raise Crowded(max(wait - BURST, 0) + 1 / task.mesh.settings.delhivery_rate)


def look(task: Worker, courier: Courier, waybills: Sequence[str]) -> Mapping[str, Tracked]:
    """Return where these parcels are.  Raises `Unknown`, and `Throttled` when nobody may ask for a while.

    Where nothing at all is known, one unknown waybill may have hidden the others: then halves of them are asked for.
    """
    with held_off(task, courier):
        found = task.mesh.couriers[courier].track(waybills)
    if found or len(waybills) == 1:
        return found
    with task.mesh.database.statement() as connection:
        pace.count_questions(connection, courier, 2, rate=task.mesh.settings.delhivery_rate)
    middle = len(waybills) // 2
    return {**look(task, courier, waybills[:middle]), **look(task, courier, waybills[middle:])}


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
