"""What a hold says of itself."""

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.providers.ports import HoldStatus
from shared.providers.stripe import Stripe
from tests.unit.stripe.server import Server, intent


@pytest.mark.parametrize(
    ("shown", "status", "amounts"),
    [
        (intent("requires_payment_method"), HoldStatus.UNCONFIRMED, (0, 0, 0)),
        (intent("requires_confirmation"), HoldStatus.UNCONFIRMED, (0, 0, 0)),
        (intent("requires_action"), HoldStatus.UNCONFIRMED, (0, 0, 0)),
        (intent("processing"), HoldStatus.UNCONFIRMED, (0, 0, 0)),
        (intent("a status of next year"), HoldStatus.UNCONFIRMED, (0, 0, 0)),
        (intent("requires_capture", capturable=3800), HoldStatus.HELD, (3800, 0, 0)),
        (intent("canceled"), HoldStatus.RELEASED, (3800, 0, 3800)),
        (intent("succeeded", received=3800), HoldStatus.CAPTURED, (3800, 3800, 0)),
        (intent("succeeded", received=1000), HoldStatus.PARTIALLY_CAPTURED, (3800, 1000, 2800)),
        (intent("requires_capture", received=1000, capturable=2800), HoldStatus.PARTIALLY_CAPTURED, (3800, 1000, 0)),
    ],
)
def test_a_hold_is_read_as_what_has_become_of_its_money(
    server: Server, provider: Stripe, shown: dict[str, Any], status: HoldStatus, amounts: tuple[int, int, int]
) -> None:
    server.say(200, shown)
    found = provider.read("pi_1")
    assert (found.status, (found.authorized, found.captured, found.released)) == (status, amounts)
    assert (found.reference, found.currency) == ("pi_1", "USD")
    assert server.asked[0]["query"] == {"expand[0]": ["latest_charge"]}
    assert "idempotency-key" not in server.asked[0]["headers"]


def test_the_hour_at_which_a_hold_lapses_stands_on_its_charge(server: Server, provider: Stripe) -> None:
    charge = {
        "id": "ch_1",
        "object": "charge",
        "payment_method_details": {"type": "card", "card": {"capture_before": 86400}},
    }
    server.say(200, intent("requires_capture", capturable=3800, latest_charge=charge))
    assert provider.read("pi_1").capture_before == datetime(1970, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    "charge",
    [
        None,
        "ch_1",
        {"id": "ch_1", "object": "charge", "payment_method_details": None},
        {"id": "ch_1", "object": "charge", "payment_method_details": {"type": "link"}},
        {"id": "ch_1", "object": "charge", "payment_method_details": {"type": "card", "card": {}}},
    ],
)
def test_a_hold_whose_end_nobody_told_has_none(server: Server, provider: Stripe, charge: Any) -> None:
    server.say(200, intent("requires_capture", capturable=3800, latest_charge=charge))
    assert provider.read("pi_1").capture_before is None


@pytest.mark.parametrize(
    ("reason", "expired"),
    [("expired", True), ("automatic", True), ("requested_by_customer", False), (None, False)],
)
def test_a_hold_that_expired_is_told_from_one_that_was_canceled(
    server: Server, provider: Stripe, reason: str | None, expired: bool
) -> None:
    server.say(200, intent("canceled", cancellation_reason=reason))
    assert provider.read("pi_1").expired is expired
