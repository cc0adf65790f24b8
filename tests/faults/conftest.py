"""One mesh of its own for all faults, so that nobody else's tests meet them."""

from collections.abc import Generator, Iterator

import pytest

from sandbox.stack import StackOptions
from tests.conftest import QUICK, started
from tests.faults.mesh import Mesh

#: Whoever is to be killed while it waits for an answer must still be waiting by then, however slow this machine is.
UNHURRIED = QUICK | {
    "COUNTERMAND_PROVIDER_READ_TIMEOUT": "60",
    "COUNTERMAND_SMTP_TIMEOUT": "60",
}

FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note which tests failed, for their fixtures to see."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture(scope="package")
def _mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    root = tmp_path_factory.mktemp("faults")
    with started(root, StackOptions(environment=UNHURRIED)) as stack, Mesh(stack) as mesh:
        yield mesh


@pytest.fixture
def mesh(_mesh: Mesh, request: pytest.FixtureRequest) -> Iterator[Mesh]:
    """A mesh to be broken.  Afterwards the outside world behaves again, and a failed test leaves no rows to others."""
    yield _mesh
    _mesh.behave()
    if request.node.stash.get(FAILED, False):
        _mesh.forget_everything()
