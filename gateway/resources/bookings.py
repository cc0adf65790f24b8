"""Bookings: a hotel registers and approves them, and its guests look at them and take them back."""

from datetime import UTC, datetime, timedelta
from typing import Any

import falcon
import msgspec

from gateway import bodies
from gateway.auth import Authenticator
from gateway.errors import render
from gateway.guests import Guests, in_query
from gateway.intake import Intake, idempotency_key
from gateway.registrations import own_id, with_token
from shared import answers, money, tokens
from shared.booking_requests import BookingCancellation, BookingRegistration, GuestCancel, GuestLink
from shared.db import Database
from shared.domain import bookings as rules
from shared.domain.bookings import CANCELABLE, BookingStatus, GuestAction
from shared.domain.intents import Operation
from shared.domain.policies import Terms
from shared.errors import QuoteUnknown
from shared.requests import Nothing
from shared.settings import Settings
from shared.store import bookings
from shared.store.bookings import Booking
from shared.tokens import Role, TokenError


class BookingRegistrations:
    """`POST /bookings`: a hotel registers what was booked."""

    def __init__(self, settings: Settings, auth: Authenticator, guests: Guests, intake: Intake) -> None:
        self._settings, self._auth, self._guests, self._intake = settings, auth, guests, intake

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Register a booking; the answer carries its guest's token."""
        caller = self._auth.caller(request)
        caller.allow(Role.SERVICE)
        body = bodies.read(request, BookingRegistration, self._settings.body_limit)
        ended = self._intake.submit(
            request,
            response,
            operation=Operation.REGISTER_BOOKING,
            subject=body.booking_id or own_id("bkg", caller, idempotency_key(request)),
            caller=caller,
            body=body,
            beside=self._guests.issue(),
        )
        if ended:
            response.text = with_token(self._settings, ended, caller)


class GuestLinks:
    """`POST /bookings/{booking_id}/tokens`: one more link to a booking."""

    def __init__(self, settings: Settings, auth: Authenticator, guests: Guests, intake: Intake) -> None:
        self._settings, self._auth, self._guests, self._intake = settings, auth, guests, intake

    def on_post(self, request: falcon.Request, response: falcon.Response, booking_id: str) -> None:
        """Issue a token; repeated under one key it is the same."""
        caller = self._auth.caller(request)
        caller.allow(Role.SERVICE)
        booking_id = bodies.path_id(booking_id)
        body = bodies.read(request, GuestLink, self._settings.body_limit)
        ended = self._intake.submit(
            request,
            response,
            operation=Operation.INVITE_GUEST,
            subject=booking_id,
            caller=caller,
            body=body,
            beside=self._guests.issue(),
        )
        if ended:
            response.text = with_token(self._settings, ended, caller)


class Approval:
    """`POST /bookings/{booking_id}/approve`: the hotel accepts a booking, and its money is captured."""

    def __init__(self, settings: Settings, auth: Authenticator, intake: Intake) -> None:
        self._settings, self._auth, self._intake = settings, auth, intake

    def on_post(self, request: falcon.Request, response: falcon.Response, booking_id: str) -> None:
        """Approve a booking."""
        caller = self._auth.caller(request)
        caller.allow(Role.SERVICE)
        booking_id = bodies.path_id(booking_id)
        body = bodies.read(request, Nothing, self._settings.body_limit)
        self._intake.submit(
            request, response, operation=Operation.APPROVE_BOOKING, subject=booking_id, caller=caller, body=body
        )


class GuestBooking:
    """`/hotels/{slug}/bookings/{booking_id}`: a guest looks at a booking, and takes it back."""

    def __init__(self, settings: Settings, guests: Guests, database: Database, intake: Intake) -> None:
        self._settings, self._guests, self._database, self._intake = settings, guests, database, intake

    def on_get(self, request: falcon.Request, response: falcon.Response, slug: str, booking_id: str) -> None:
        """Show the booking, and what it costs to take it back at this moment."""
        self._guests.enter(in_query(request), slug, booking_id, GuestAction.VIEW)
        with self._database.statement() as connection:
            booking = bookings.read(connection, booking_id)
        if booking is None:
            raise LookupError(booking_id)
        response.set_header("Cache-Control", "no-store")
        render(response, 200, msgspec.json.encode(self._view(booking, datetime.now(UTC))).decode())

    def on_post(self, request: falcon.Request, response: falcon.Response, slug: str, booking_id: str) -> None:
        """Take the booking back; no amount is taken from the request, only the moment of the quote that we signed."""
        named = in_query(request)
        asked = bodies.read(request, GuestCancel, self._settings.body_limit)
        caller = self._guests.enter(asked.token or named, slug, booking_id, GuestAction.CANCEL)
        self._intake.submit(
            request,
            response,
            operation=Operation.CANCEL_BOOKING,
            subject=booking_id,
            caller=caller,
            body=self._wish(asked, booking_id),
        )

    def on_post_cancel(self, request: falcon.Request, response: falcon.Response, slug: str, booking_id: str) -> None:
        """The same, as older clients spell it."""
        self.on_post(request, response, slug, booking_id)

    def _wish(self, asked: GuestCancel, booking_id: str) -> BookingCancellation:
        if asked.quote_id is None:
            return BookingCancellation(asked.reason, None, None)
        try:
            at, shown = tokens.quoted(self._settings, asked.quote_id, booking_id)
        except TokenError as error:
            raise QuoteUnknown from error
        return BookingCancellation(asked.reason, at, rules.Basis(shown))

    def _view(self, booking: Booking, at: datetime) -> dict[str, Any]:
        status, terms = booking.status(at), booking.terms
        view = {
            "booking_id": booking.id,
            "status": status,
            "hotel": {"slug": booking.hotel, "name": booking.hotel_name, "time_zone": terms.time_zone},
            "check_in": terms.check_in,
            "check_out": terms.check_out,
            "nights": terms.nights,
            "currency": terms.currency,
            "total": money.plain(terms.total, terms.currency),
            "paid": money.plain(booking.payment.amount, terms.currency),
            "can_cancel": status in CANCELABLE,
            "quote": self._quote(booking, terms, at) if status in CANCELABLE else None,
            "cancellation": None,
        }
        if status is BookingStatus.CANCELED and booking.cancellation:
            view["cancellation"] = answers.cancellation(booking.cancellation, terms.currency)
        return view

    def _quote(self, booking: Booking, terms: Terms, at: datetime) -> dict[str, Any]:
        """What a cancel costs now; sent back within its validity, it costs that."""
        charge, currency = rules.charge(terms, booking.payment, at), terms.currency
        return {
            "quote_id": tokens.quote(self._settings, booking.id, at, booking.payment.basis),
            "cancellation_fee": money.plain(charge.fee, currency),
            "refund_amount": money.plain(charge.refund, currency),
            "currency": currency,
            "description": charge.description,
            "applied_rule": charge.rule,
            "valid_until": at + timedelta(seconds=self._settings.quote_validity),
        }
