"""How `make test` shares the tests out to several processes: those on one mesh together, the harness one by one."""

from fnmatch import fnmatchcase

from xdist.scheduler import LoadScopeScheduling

HARNESS = "tests/faults/harness/"

#: The ids of tests that are shared out together, in the order in which they start: whoever waits long comes first, and
#: the harness, which does not wait at all, keeps the cores busy meanwhile.
ORDER = (
    "tests/acceptance/couriers/*",
    "tests/acceptance/*",
    "tests/integration/test_brokers.py*",  # has a mesh for each broker
    "tests/faults/test_*",
    "tests/integration/*",
    f"{HARNESS}test_pairs.py*webhook*",
    f"{HARNESS}test_stories.py*",
    f"{HARNESS}test_sequences.py*",
    f"{HARNESS}test_pairs.py*",
    f"{HARNESS}*",
    "*",
)


def turn(nodeid: str) -> int:
    """The place of a test in the order."""
    return next(place for place, pattern in enumerate(ORDER) if fnmatchcase(nodeid, pattern))


def share(nodeid: str) -> str:
    """The name of what is shared out together with a test."""
    return nodeid if nodeid.startswith(HARNESS) else ORDER[turn(nodeid)]


class Shares(LoadScopeScheduling):
    """Shares the tests out, each share to whoever is free."""

    def _split_scope(self, nodeid: str) -> str:
        return share(nodeid)
