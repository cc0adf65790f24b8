"""The pauses between attempts."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.store.outbox import backoff


@given(attempts=st.integers(0, 20), base=st.floats(0.1, 60), ceiling=st.floats(60, 3600))
def test_a_pause_grows_to_its_ceiling_and_is_never_shorter_than_half_of_what_it_may_be(
    attempts: int, base: float, ceiling: float
) -> None:
    longest = min(base * 2 ** min(attempts, 60), ceiling)
    assert longest / 2 <= backoff(attempts, base, ceiling) <= longest


@pytest.mark.parametrize(("attempts", "longest"), [(0, 2), (1, 4), (2, 8), (8, 512), (9, 900), (10_000, 900)])
def test_a_pause_doubles_with_each_attempt_up_to_its_ceiling(
    attempts: int, longest: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "uniform", lambda _, most: most)
    assert backoff(attempts, 2.0, 900.0) == longest


def test_pauses_are_spread_so_that_what_failed_together_does_not_come_back_together() -> None:
    assert len({backoff(3, 2.0, 900.0) for _ in range(100)}) > 90
