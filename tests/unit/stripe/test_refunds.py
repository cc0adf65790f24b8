"""Refunds and disputes: ours, and those that somebody else is at."""

from typing import Any

import pytest

from shared.providers.ports import AlreadyRefunded, Declined, ProviderRefund, RefundStatus, RefundTag, Refused, Unknown
from shared.providers.stripe import Stripe
from tests.unit.stripe.server import Server, intent

# Refunds.

TAG = RefundTag("rfd_1", 2)


def refund(status: str = "succeeded", **more: Any) -> dict[str, Any]:
    """A Refund as Stripe shows it, with our tag."""
    metadata = {"countermand_refund": "rfd_1", "countermand_generation": "2"}
    return {"id": "re_1", "object": "refund", "amount": 700, "status": status, "metadata": metadata} | more


def test_a_refund_carries_our_key_and_is_found_again_by_our_id(server: Server, provider: Stripe) -> None:
    server.say(200, refund())
    made = provider.refund("pi_1", 700, TAG, "refund:rfd_1:2")
    assert made == ProviderRefund("re_1", 700, RefundStatus.SUCCEEDED, None, TAG)
    (asked,) = server.asked
    assert (asked["method"], asked["path"]) == ("POST", "/v1/refunds")
    assert asked["headers"]["idempotency-key"] == "refund:rfd_1:2"
    assert asked["form"] == {
        "payment_intent": "pi_1",
        "amount": "700",
        "metadata[countermand_refund]": "rfd_1",
        "metadata[countermand_generation]": "2",
    }


@pytest.mark.parametrize(
    ("shown", "status", "error"),
    [
        (refund("pending", pending_reason="insufficient_funds"), RefundStatus.PENDING, None),
        (refund("requires_action"), RefundStatus.PENDING, None),
        (refund("a status of next year"), RefundStatus.PENDING, None),
        (refund("succeeded"), RefundStatus.SUCCEEDED, None),
        (refund("failed", failure_reason="lost_or_stolen_card"), RefundStatus.FAILED, "lost_or_stolen_card"),
        (refund("failed"), RefundStatus.FAILED, "failed"),
        (refund("canceled"), RefundStatus.FAILED, "canceled"),
    ],
)
def test_a_refund_is_read_as_how_it_stands(
    server: Server, provider: Stripe, shown: dict[str, Any], status: RefundStatus, error: str | None
) -> None:
    server.say(200, shown)
    found = provider.read_refund("re_1")
    assert (found.status, found.error) == (status, error)
    assert server.asked[0]["path"] == "/v1/refunds/re_1"


@pytest.mark.parametrize(
    "metadata", [None, {}, {"countermand_refund": "rfd_1"}, {"countermand_refund": "r", "countermand_generation": "x"}]
)
def test_a_refund_that_somebody_else_made_has_no_tag(server: Server, provider: Stripe, metadata: Any) -> None:
    server.say(200, refund(metadata=metadata))
    assert provider.read_refund("re_1").tag is None


def test_every_refund_of_a_payment_is_read_page_by_page(server: Server, provider: Stripe) -> None:
    for page, more in ((["re_3", "re_2"], True), (["re_1"], False)):
        found = [refund(id=one) for one in page]
        server.say(200, {"object": "list", "data": found, "has_more": more, "url": "/v1/refunds"})
    assert [found.provider_id for found in provider.refunds("pi_1")] == ["re_3", "re_2", "re_1"]
    first, second = server.asked
    assert first["query"] == {"payment_intent": ["pi_1"], "limit": ["100"]}
    assert second["query"] == {"payment_intent": ["pi_1"], "limit": ["100"], "starting_after": ["re_2"]}


def test_a_page_that_is_lost_on_the_way_leaves_everything_unknown(server: Server, provider: Stripe) -> None:
    server.say(200, {"object": "list", "data": [refund()], "has_more": True, "url": "/v1/refunds"})
    server.complain(500, type="api_error")
    with pytest.raises(Unknown):
        provider.refunds("pi_1")


def test_the_issuers_no_is_told_from_the_providers(server: Server, provider: Stripe) -> None:
    server.complain(402, type="card_error", code="card_declined")
    with pytest.raises(Declined):
        provider.capture("pi_1", 700, "capture:c1")
    server.complain(400, type="invalid_request_error", code="amount_too_large")
    with pytest.raises(Refused) as caught:
        provider.capture("pi_1", 700, "capture:c1")
    assert not isinstance(caught.value, Declined)


def test_nothing_left_to_give_back_is_told_from_other_refusals(server: Server, provider: Stripe) -> None:
    server.complain(400, type="invalid_request_error", code="charge_already_refunded")
    with pytest.raises(AlreadyRefunded, match="charge_already_refunded"):
        provider.refund("pi_1", 700, TAG, "refund:rfd_1:2")
    server.complain(400, type="invalid_request_error", param="amount")
    with pytest.raises(Refused) as caught:
        provider.refund("pi_1", 700, TAG, "refund:rfd_1:2")
    assert type(caught.value) is Refused


# Refunds and disputes that somebody else is at.


@pytest.mark.parametrize(
    ("charge", "refunded"),
    [(None, 0), ("ch_1", 0), ({"id": "ch_1", "object": "charge", "amount_refunded": 1200}, 1200)],
)
def test_what_was_given_back_stands_on_the_charge(server: Server, provider: Stripe, charge: Any, refunded: int) -> None:
    if isinstance(charge, dict):
        charge |= {"payment_method_details": {"type": "card", "card": {}}}
    server.say(200, intent("succeeded", received=3800, latest_charge=charge))
    assert provider.read("pi_1").refunded == refunded


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        ("needs_response", "open"),
        ("under_review", "open"),
        ("warning_needs_response", "open"),
        ("appeal_under_review", "open"),
        ("a status of tomorrow", "open"),
        ("won", "won"),
        ("warning_closed", "won"),
        ("prevented", "won"),
        ("lost", "lost"),
    ],
)
def test_a_dispute_is_open_until_the_bank_has_decided(
    server: Server, provider: Stripe, status: str, meaning: str
) -> None:
    server.say(200, {"id": "du_1", "object": "dispute", "status": status, "amount": 3800, "currency": "usd"})
    dispute = provider.read_dispute("du_1")
    assert (dispute.reference, dispute.status, dispute.amount, dispute.currency) == ("du_1", meaning, 3800, "USD")
    assert server.asked[0]["path"] == "/v1/disputes/du_1"
