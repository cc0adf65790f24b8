"""Guests: whoever comes with the link to a booking."""

from dataclasses import dataclass

import falcon
import structlog

from gateway import bodies
from gateway.auth import Caller
from shared import tokens
from shared.booking_requests import BookingAsked, GuestToken, Issued
from shared.db import Database
from shared.domain.bookings import GuestAction
from shared.errors import TokenExpired, TokenRefused, TokenUsedUp, Unauthorized
from shared.ids import new_id
from shared.settings import Settings
from shared.store import guest_tokens
from shared.store.guest_tokens import Guest
from shared.tokens import Role

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Guests:
    """Lets guests in by their tokens, and issues those."""

    settings: Settings
    database: Database

    def enter(self, token: str | None, hotel: str, booking_id: str, action: GuestAction) -> Caller:
        """Return who calls.

        A token that was used up still asks for what it has done, to be answered as it was then.  Raises `Unauthorized`
        without one, and `TokenRefused`, `TokenExpired` or `TokenUsedUp` for one that does not open this.
        """
        if not token:
            raise Unauthorized("The token of the link to this booking is required")
        guest = self._known(token)
        if (guest.order_id, guest.hotel) != (booking_id, hotel) or action not in guest.actions:
            log.warning("ownership_violation", actor=f"{Role.GUEST}:{guest.token_id}", booking_id=booking_id)
            raise TokenRefused
        if guest.expired:
            raise TokenExpired
        if guest.used and action is not GuestAction.CANCEL:
            raise TokenUsedUp
        return Caller(Role.GUEST, guest.token_id)

    def asking(self, request: falcon.Request) -> Caller | None:
        """Return the guest who asks how an intent has fared; None when the query holds no token.

        Raises `TokenRefused` or `TokenExpired`.
        """
        token = request.get_param("token")
        if token is None:
            return None
        guest = self._known(token)
        if guest.expired:
            raise TokenExpired
        return Caller(Role.GUEST, guest.token_id)

    def issue(self) -> Issued:
        """Return what is kept of a token that is issued now."""
        token_id, kid = new_id("gtk"), next(iter(self.settings.jwt_keys))
        token = tokens.guest_token(self.settings, kid, token_id)
        if token is None:
            raise LookupError(kid)
        return Issued(GuestToken(token_id, kid, tokens.fingerprint(token).hex()))

    def _known(self, token: str) -> Guest:
        with self.database.statement() as connection:
            guest = guest_tokens.find(connection, tokens.fingerprint(token))
        if guest is None:
            raise TokenRefused
        return guest


def in_query(request: falcon.Request) -> str | None:
    """The token in the query.  Raises `Invalid` for a parameter that there is not."""
    return bodies.query(request, BookingAsked).token or None
