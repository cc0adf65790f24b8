"""Who calls: the credential of a request, checked and turned into a caller."""

from dataclasses import dataclass

import falcon
import structlog

from shared import tokens
from shared.errors import Forbidden, OwnershipViolation, Unauthorized
from shared.settings import Settings
from shared.tokens import Role, TokenError

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls; `subject` is an order's id for a shopper's modification token, else the token's `sub`."""

    role: Role
    subject: str

    @property
    def actor(self) -> str:
        """The caller's name in intents and timelines."""
        return f"{self.role}:{self.subject}"

    def allow(self, *roles: Role) -> None:
        """Raise `Forbidden` unless the caller has one of these roles."""
        if self.role not in roles:
            raise Forbidden

    def allow_order(self, order_id: str) -> None:
        """Raise `OwnershipViolation` when the caller's token is for another order."""
        if self.role is Role.MODIFICATION and self.subject != order_id:
            log.warning("ownership_violation", actor=self.actor, order_id=order_id)
            raise OwnershipViolation("This token is for another order")

    def allow_actor(self, actor: str) -> None:
        """Raise `OwnershipViolation` when something belongs to another actor."""
        if self.actor != actor:
            log.warning("ownership_violation", actor=self.actor)
            raise OwnershipViolation

    def allow_customer(self, customer_id: str | None) -> None:
        """Raise `OwnershipViolation` when something belongs to another customer, or to none."""
        self.allow_actor(f"{Role.CUSTOMER}:{customer_id}" if customer_id is not None else "")


class Authenticator:
    """Reads the caller from a request."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def caller(self, request: falcon.Request) -> Caller:
        """Return who calls.  Raises `Unauthorized` when there is no valid token."""
        modification = request.get_header("x-modification-token")
        authorization = request.get_header("authorization") or ""
        scheme, _, bearer = authorization.partition(" ")
        try:
            if modification:
                claims = tokens.verify(self._settings, modification, tokens.MODIFICATION)
                return Caller(Role.MODIFICATION, str(claims["order_id"]))
            if scheme.lower() == "bearer":
                claims = tokens.verify(self._settings, bearer.strip(), tokens.API)
                return Caller(Role(claims["role"]), str(claims["sub"]))
        except (TokenError, KeyError, ValueError) as error:
            raise Unauthorized("The token is malformed, expired, or not ours") from error
        raise Unauthorized
