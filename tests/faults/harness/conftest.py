"""The house of the harness is opened once; each test begins with an empty rig."""

from collections.abc import Iterator

import pytest

from tests.faults.harness.house import House
from tests.faults.harness.rig import Rig


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Postgres, the stand-ins and the workers' application."""
    with House(tmp_path_factory.mktemp("harness")) as house:
        yield house


@pytest.fixture(scope="module")
def _rig(house: House) -> Iterator[Rig]:
    with house.rig("rig") as rig:
        yield rig


@pytest.fixture
def rig(_rig: Rig) -> Rig:
    """A rig with nothing in it."""
    _rig.reset()
    return _rig
