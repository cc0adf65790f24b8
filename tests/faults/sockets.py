"""Sockets that nobody can find."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def hidden(path: Path) -> Iterator[Path]:
    """Move a socket out of its clients' sight until the block ends; yields where it can be reached meanwhile."""
    behind = path.with_name(f"{path.name}.hidden")
    path.rename(behind)
    try:
        yield behind
    finally:
        behind.rename(path)
