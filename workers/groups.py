"""Queue groups: which queues a worker process serves, and how many of their tasks at once.

All groups wait on the network or on Postgres, so all run under gevent; a group is one process, one core.  Scale a
group by starting it again on another host, or split it by naming its queues: `python -m workers --queues void`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.queues import Queue


@dataclass(frozen=True, slots=True)
class Group:
    """One worker deployment."""

    queues: tuple[Queue, ...]
    concurrency: int


GROUPS: Mapping[str, Group] = {
    # Short transactions: more of them at once than Postgres has cores only queue up at its locks.
    "orders": Group((Queue.CANCEL,), concurrency=16),
    # Mostly waiting for a provider: 64 calls of 200 ms make 320 a second.
    "money": Group((Queue.VOID, Queue.CAPTURE, Queue.REFUND, Queue.REGISTER, Queue.EDIT), concurrency=64),
    # Reads at a provider or a courier, each followed by short transactions.
    "hooks": Group((Queue.WEBHOOK, Queue.COURIER), concurrency=32),
    "mail": Group((Queue.EMAIL,), concurrency=16),
    "upkeep": Group((Queue.HOUSEKEEPING,), concurrency=2),
}
