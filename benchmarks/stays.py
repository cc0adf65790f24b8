"""Stays to cancel: orders that are paid for (benchmarks/orders.py), with the terms and the link of a booking."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from benchmarks.client import request
from benchmarks.orders import Purchase
from shared import tokens
from shared.booking_requests import CancellationPolicy, PolicyRule
from shared.db import Database
from shared.domain.bookings import GuestAction
from shared.settings import Settings
from shared.store import bookings, guest_tokens, policies
from shared.store.bookings import NewBooking
from shared.store.guest_tokens import NewToken

#: Ten percent of the price, whenever it is canceled.
POLICY = CancellationPolicy(rules=(PolicyRule(days_before=730, percent="10"),))
POLICY_ID, HOTEL = "pol_1", "seaside"


def add_terms(settings: Settings, database: Database, purchases: Sequence[Purchase]) -> None:
    """Write what makes bookings of these orders, through the statements of a registration."""
    check_in = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=100)
    with database.transaction() as connection:
        body = msgspec.json.encode(POLICY).decode()
        version, _ = policies.put_locked(connection, POLICY_ID, body, datetime.now(UTC))
        for purchase in purchases:
            terms = NewBooking(
                order_id=purchase.order_id,
                hotel=HOTEL,
                hotel_name="Seaside",
                hotel_email="desk@example.com",
                check_in=check_in,
                check_out=check_in + timedelta(days=3),
                time_zone="UTC",
                ends_at=(check_in + timedelta(days=3)).replace(tzinfo=UTC),
                policy_id=POLICY_ID,
                policy_version=version,
            )
            bookings.insert(connection, terms)
            hash, kid = tokens.fingerprint(_token(settings, purchase)), _kid(settings)
            actions = tuple(GuestAction)
            link = NewToken(purchase.named("gtk"), hash, kid, purchase.order_id, actions, terms.ends_at)
            guest_tokens.insert(connection, link)


def cancels(settings: Settings, purchases: Sequence[Purchase], prefer: str) -> list[bytes]:
    """The requests of guests who take these bookings back, each with its token."""
    headers = {"Content-Type": "application/json", "Prefer": prefer}
    return [
        request(
            "POST",
            f"/hotels/{HOTEL}/bookings/{purchase.order_id}",
            headers,
            msgspec.json.encode({"token": _token(settings, purchase)}),
        )
        for purchase in purchases
    ]


def _kid(settings: Settings) -> str:
    return next(iter(settings.jwt_keys))


def _token(settings: Settings, purchase: Purchase) -> str:
    return str(tokens.guest_token(settings, _kid(settings), purchase.named("gtk")))
