"""Start one worker deployment: `python -m workers GROUP`, or `python -m workers --queues void,capture`.

gevent patches the standard library before anything else is imported; then Celery's own command line takes over.
"""

import gevent.monkey

gevent.monkey.patch_all()

import argparse  # noqa: E402  # gevent first
import sys  # noqa: E402

from shared.queues import Queue  # noqa: E402
from workers.groups import GROUPS, Group  # noqa: E402


def main(argv: list[str]) -> None:
    """Run until SIGTERM, then finish what is in hand."""
    parser = argparse.ArgumentParser(prog="python -m workers", description="Start one worker deployment.")
    parser.add_argument(
        "group", nargs="?", choices=[*GROUPS, "all"], help="a queue group; all: every queue in one process"
    )
    parser.add_argument("--queues", type=_queues, help="instead of a group: queue names, separated by commas")
    parser.add_argument("--concurrency", type=int, help="tasks at once (default: the group's)")
    parser.add_argument("--name", help="of this worker on its host (default: the group's); two of one group need two")
    options = parser.parse_args(argv)
    if (options.group is None) == (options.queues is None):
        parser.error("name a group or --queues")
    name = options.name or options.group or "-".join(options.queues)
    group = _group(options.group, options.queues)

    from workers.app import app

    app.worker_main(
        [
            "worker",
            f"--hostname={name}@%h",
            f"--queues={','.join(group.queues)}",
            "--pool=gevent",
            f"--concurrency={options.concurrency or group.concurrency}",
            "--loglevel=WARNING",
            "--without-mingle",
            "--without-gossip",
        ]
    )


def _group(name: str | None, queues: tuple[Queue, ...] | None) -> Group:
    if queues:
        return Group(queues, concurrency=16)
    if name == "all":
        return Group(tuple(Queue), concurrency=64)
    return GROUPS[str(name)]


def _queues(names: str) -> tuple[Queue, ...]:
    try:
        return tuple(Queue(name) for name in names.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}; there are {', '.join(Queue)}") from None


if __name__ == "__main__":
    main(sys.argv[1:])
