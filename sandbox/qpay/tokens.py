"""Access and refresh tokens: looked up, not computed, so that a test can end them.

`expires_in` and `refresh_expires_in` are moments in unix time, whatever their names say; so they are at QPay.
"""

from __future__ import annotations

import base64
import secrets
import time
import uuid
from typing import Any, Literal

import jwt

from sandbox.qpay.refusals import Refusal
from sandbox.qpay.store import Store

Kind = Literal["access", "refresh"]

#: How much longer a refresh token lives than the access token it came with.
REFRESHABLE_SECONDS = 3600


class Tokens:
    """The tokens of one merchant; each lives as long as the process was told, also when that restarts."""

    def __init__(self, store: Store, seconds: int) -> None:
        self._store = store
        self._seconds = seconds

    def issue(self) -> dict[str, Any]:
        """A new access token, with the refresh token that can replace it."""
        ends = int(time.time()) + self._seconds
        session = str(uuid.uuid4())
        return {
            "token_type": "bearer",
            "access_token": self._new("access", session, ends),
            "expires_in": ends,
            "refresh_token": self._new("refresh", session, ends + REFRESHABLE_SECONDS),
            "refresh_expires_in": ends + REFRESHABLE_SECONDS,
            "scope": "profile email",
            "not-before-policy": "0",
            "session_state": session,
        }

    def _new(self, kind: Kind, session: str, ends: int) -> str:
        claims = {"exp": ends, "typ": kind, "session_state": session, "jti": str(uuid.uuid4())}
        token = jwt.encode(claims, secrets.token_bytes(32), "HS256")  # nobody verifies it: the store knows it, or not
        self._store.add_token(token, kind, ends)
        return token

    def renew(self, authorization: str) -> dict[str, Any]:
        """New tokens for a refresh token, which is dead afterwards."""
        self.know_refresh(authorization)  # once more: a twin may have used it since this call was let in
        self._store.forget_token(authorization.removeprefix("Bearer "))
        return self.issue()

    def know_merchant(self, authorization: str) -> None:
        """Raise unless it names somebody, with any password."""
        scheme, _, encoded = authorization.partition(" ")
        try:
            username, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:  # neither base64 nor text
            raise Refusal("AUTHENTICATION_FAILED") from None
        if scheme != "Basic" or not username or not password:
            raise Refusal("AUTHENTICATION_FAILED")

    def know_access(self, authorization: str) -> None:
        """Raise unless it holds an access token that is alive."""
        self._know("access", authorization)

    def know_refresh(self, authorization: str) -> None:
        """Raise unless it holds a refresh token that is alive."""
        self._know("refresh", authorization)

    def _know(self, kind: Kind, authorization: str) -> None:
        scheme, _, token = authorization.partition(" ")
        ends = self._store.token_ends(token, kind)
        if scheme != "Bearer" or ends is None or ends <= time.time():
            raise Refusal("NO_CREDENTIALS")
