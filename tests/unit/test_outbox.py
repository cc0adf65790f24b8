"""The pauses between attempts."""

from hypothesis import given
from hypothesis import strategies as st

from shared.store.outbox import backoff


@given(attempts=st.integers(0, 10_000), base=st.floats(0.1, 60), ceiling=st.floats(60, 3600))
def test_a_pause_grows_to_its_ceiling_and_is_never_shorter_than_half_of_what_it_may_be(
    attempts: int, base: float, ceiling: float
) -> None:
    longest = min(base * 2 ** min(attempts, 60), ceiling)
    assert longest / 2 <= backoff(attempts, base, ceiling) <= longest


def test_pauses_are_spread_so_that_what_failed_together_does_not_come_back_together() -> None:
    assert len({backoff(3, 2.0, 900.0) for _ in range(100)}) > 90
