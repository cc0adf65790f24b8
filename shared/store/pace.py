"""The pace: how many questions a courier is asked, over all processes together."""

from sqlalchemy import Connection, text

from shared.domain.shipments import Courier

# A leaky bucket (the generic cell rate algorithm): so many a second over all processes, a few of them at once.
_ASK = text("""
    UPDATE pace SET free_at = greatest(free_at, now()) + make_interval(secs => :step)
    WHERE id = :courier AND free_at <= now() + make_interval(secs => :burst)
    RETURNING id
""")

_FREE_IN = text("SELECT extract(epoch FROM free_at - now())::float8 FROM pace WHERE id = :courier")

_HOLD_OFF = text("""
    UPDATE pace SET free_at = greatest(free_at, now() + make_interval(secs => :pause)) WHERE id = :courier
""")


def seconds_until_turn(connection: Connection, courier: Courier, *, rate: float, burst: float) -> float | None:
    """Count one question to a courier, and return None; or the seconds after which there may be one.

    `rate` is questions a second over all processes, `burst` the seconds' worth of them that may come at once.
    """
    values = {"courier": courier, "step": 1 / rate, "burst": burst}
    if connection.execute(_ASK, values).scalar() is not None:
        return None
    free_in = float(connection.execute(_FREE_IN, {"courier": courier}).scalar_one())
    return max(free_in - burst, 0.0) + 1 / rate


def hold_off(connection: Connection, courier: Courier, pause: float) -> None:
    """Let nobody ask a courier anything for `pause` seconds."""
    connection.execute(_HOLD_OFF, {"courier": courier, "pause": pause})
