"""Tokens: who calls, and what they may touch.

Of JSON Web Tokens the algorithm is pinned in the settings, `exp` is required, and `kid` picks the key, so that keys can
be rotated.  A guest's token is opaque: a link in a mail tells nobody anything.
"""

import base64
import hashlib
import hmac
import time
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, cast

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from shared.settings import Settings

MODIFICATION = "order-modification"  # the audience of a shopper's token
API = "countermand"  # the audience of every other token
QUOTE = "booking-quote"  # the audience of what a cancel of a booking was to cost


class Role(StrEnum):
    """What a bearer may do."""

    SERVICE = "service"  # the shop's back end
    ADMIN = "admin"  # an operator
    CUSTOMER = "customer"  # a signed-in shopper, named by `sub`
    MODIFICATION = "modification"  # a shopper with one order
    GUEST = "guest"  # whoever has the link to a booking


def customer_of(actor: str) -> str | None:
    """The signed-in customer behind an actor `customer:<id>`; None for everybody else."""
    role, _, subject = actor.partition(":")
    return subject if role == Role.CUSTOMER else None


def guest_of(actor: str) -> str:
    """The name of the token behind an actor `guest:<token>`."""
    return actor.removeprefix(f"{Role.GUEST}:")


class TokenError(Exception):
    """The token is missing, malformed, expired, or signed with an unknown key."""


def mint(settings: Settings, *, role: str, subject: str | None, order_id: str | None, expires_in: int) -> str:
    """Sign a token for `role` that lives `expires_in` seconds.  A modification token names its order."""
    expires_at = int(time.time()) + expires_in
    if role == Role.MODIFICATION:
        if not order_id:
            raise TokenError("a modification token needs an order")
        return modification_token(settings, order_id, expires_at)
    return _sign(settings, {"aud": API, "role": role, "sub": subject or role, "exp": expires_at})


def modification_token(settings: Settings, order_id: str, expires_at: int) -> str:
    """Sign the shopper's token of one order; the same order and expiry (Unix seconds) give the same bytes."""
    return _sign(settings, {"aud": MODIFICATION, "order_id": order_id, "exp": expires_at})


def verify(settings: Settings, token: str, audience: str) -> dict[str, Any]:
    """Return the claims of a token.  Raises `TokenError` when anything about it is wrong."""
    return _claims(settings, token, audience, ["exp", "aud"])


def _claims(settings: Settings, token: str, audience: str, required: list[str]) -> dict[str, Any]:
    try:
        key = _verifying(settings.jwt_keys[jwt.get_unverified_header(token)["kid"]], settings.jwt_algorithm)
        claims: dict[str, Any] = jwt.decode(
            token, key, algorithms=[settings.jwt_algorithm], audience=audience, options={"require": required}
        )
    except (jwt.InvalidTokenError, KeyError, TypeError) as error:
        raise TokenError("the token is malformed, expired, or not ours") from error
    return claims


@cache
def _verifying(key: str, algorithm: str) -> str | RSAPublicKey:
    """The half of a key that verifies; only the key that signs needs to be given as a private one."""
    if algorithm == "RS256" and "PRIVATE KEY" in key:
        public = load_pem_private_key(key.encode(), password=None).public_key()
        return cast(RSAPublicKey, public)
    return key


def guest_token(settings: Settings, kid: str, token_id: str) -> str | None:
    """Derive the token of a link to a booking; the same name and key give the same token, and nobody can guess it.

    None when the key is not here any more, or only its half that verifies.
    """
    key = settings.jwt_keys.get(kid)
    if key is None or "PUBLIC KEY" in key:
        return None
    secret = hmac.digest(key.strip().encode(), f"guest-token:{token_id}".encode(), "sha256")
    return "gt_" + base64.urlsafe_b64encode(secret).decode().rstrip("=")


def fingerprint(token: str) -> bytes:
    """What is kept of an opaque token: its SHA-256."""
    return hashlib.sha256(token.encode()).digest()


def quote(settings: Settings, booking_id: str, at: datetime, shown: str) -> str:
    """Sign what a guest is shown: the moment of it, and where the money was; the fee is reckoned from them again."""
    return _sign(settings, {"aud": QUOTE, "booking_id": booking_id, "at": at.isoformat(), "shown": shown})


def quoted(settings: Settings, quote_id: str, booking_id: str) -> tuple[datetime, str]:
    """Return the moment of a quote, and where the money was.  Raises `TokenError` for one that is not ours."""
    claims = _claims(settings, quote_id, QUOTE, ["aud", "booking_id", "at", "shown"])
    if claims["booking_id"] != booking_id:
        raise TokenError("the quote is for another booking")
    return datetime.fromisoformat(claims["at"]), claims["shown"]


def _sign(settings: Settings, claims: dict[str, Any]) -> str:
    kid, key = next(iter(settings.jwt_keys.items()))
    return jwt.encode(claims, key, algorithm=settings.jwt_algorithm, headers={"kid": kid})
