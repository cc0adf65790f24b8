"""JSON Web Tokens: who calls, and what they may touch.

The algorithm is pinned in the settings, `exp` is required, and `kid` picks the key, so that keys can be rotated.
"""

import time
from enum import StrEnum
from functools import cache
from typing import Any, cast

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from shared.settings import Settings

MODIFICATION = "order-modification"  # the audience of a shopper's token
API = "countermand"  # the audience of every other token


class Role(StrEnum):
    """What a bearer may do."""

    SERVICE = "service"  # the shop's back end
    ADMIN = "admin"  # an operator
    CUSTOMER = "customer"  # a signed-in shopper, named by `sub`
    MODIFICATION = "modification"  # a shopper with one order


def customer_of(actor: str) -> str | None:
    """The signed-in customer behind an actor `customer:<id>`; None for everybody else."""
    role, _, subject = actor.partition(":")
    return subject if role == Role.CUSTOMER else None


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
    try:
        key = _verifying(settings.jwt_keys[jwt.get_unverified_header(token)["kid"]], settings.jwt_algorithm)
        claims: dict[str, Any] = jwt.decode(
            token, key, algorithms=[settings.jwt_algorithm], audience=audience, options={"require": ["exp", "aud"]}
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


def _sign(settings: Settings, claims: dict[str, Any]) -> str:
    kid, key = next(iter(settings.jwt_keys.items()))
    return jwt.encode(claims, key, algorithm=settings.jwt_algorithm, headers={"kid": kid})
