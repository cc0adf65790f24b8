"""The pace: how many questions a courier is asked, over all processes together."""

from sqlalchemy import Connection, text

from shared.domain.shipments import Courier

# A leaky bucket (the generic cell rate algorithm): so many a second over all processes, a few of them at once.
_ASK = text("""
    UPDATE pace SET free_at = greatest(free_at, now()) + make_interval(secs => :step)
    WHERE id = :courier AND free_at <= now() + make_interval(secs => :burst)
    RETURNING id
""")

_COUNT = text("""
    UPDATE pace SET free_at = greatest(free_at, now()) + make_interval(secs => :seconds) WHERE id = :courier
""")

_FREE_IN = text("SELECT extract(epoch FROM free_at - now())::float8 FROM pace WHERE id = :courier")

_HOLD_OFF = text("""
    UPDATE pace SET free_at = greatest(free_at, now() + make_interval(secs => :pause)) WHERE id = :courier
""")


def may_ask(connection: Connection, courier: Courier, *, rate: float, burst: float) -> float | None:
    """Count one request to a courier; None, or the seconds after which there may be one.

    `rate` is requests a second over all processes, `burst` the seconds' worth of them that may come at once.
    """
    values = {"courier": courier, "step": 1 / rate, "burst": burst}
    if connection.execute(_ASK, values).scalar() is not None:
        return None
    return float(connection.execute(_FREE_IN, {"courier": courier}).scalar_one())


def count_questions(connection: Connection, courier: Courier, count: int, *, rate: float) -> None:
    """Count requests that belong to one that was let through: whoever comes next waits the longer."""
    connection.execute(_COUNT, {"courier": courier, "seconds": count / rate})


def hold_off(connection: Connection, courier: Courier, pause: float) -> None:
    """Let nobody ask a courier anything for `pause` seconds."""
    connection.execute(_HOLD_OFF, {"courier": courier, "pause": pause})
