"""Guest tokens: the links that open a booking.  Of each only its hash is kept, and whether it was used."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from shared.domain.bookings import GuestAction


@dataclass(frozen=True, slots=True)
class NewToken:
    """A link that is issued: `hash` is the token's SHA-256, `kid` names the key that it is derived from."""

    id: str
    hash: bytes
    kid: str
    order_id: str
    actions: tuple[GuestAction, ...]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Guest:
    """Whom a token lets in."""

    token_id: str
    order_id: str
    hotel: str
    actions: tuple[GuestAction, ...]
    expired: bool
    used: bool


_INSERT = text("""
    INSERT INTO guest_tokens (id, hash, kid, order_id, actions, expires_at)
    VALUES (:id, :hash, :kid, :order_id, CAST(:actions AS text[]), :expires_at)
""")

_FIND = text("""
    SELECT t.id AS token_id, t.order_id, b.hotel, t.actions, t.expires_at <= now() AS expired,
           t.used_at IS NOT NULL AS used
    FROM guest_tokens t JOIN bookings b ON b.order_id = t.order_id
    WHERE t.hash = :hash
""")

_FIRST = text("SELECT id, kid FROM guest_tokens WHERE order_id = :order_id ORDER BY id LIMIT 1")


def insert(connection: Connection, new: NewToken) -> None:
    """Write a token's hash down."""
    values = {name: getattr(new, name) for name in NewToken.__slots__}
    connection.execute(_INSERT, values | {"actions": [str(action) for action in new.actions]})


def find(connection: Connection, hash: bytes) -> Guest | None:
    """Return whom the token with this hash lets in; None when it is none of ours."""
    row = connection.execute(_FIND, {"hash": hash}).one_or_none()
    if row is None:
        return None
    actions = tuple(GuestAction(action) for action in row.actions)
    return Guest(row.token_id, row.order_id, row.hotel, actions, row.expired, row.used)


def first(connection: Connection, order_id: str) -> tuple[str, str]:
    """Return the id and the key's name of the token that was issued when a booking was registered."""
    row = connection.execute(_FIRST, {"order_id": order_id}).one()
    return row.id, row.kid
