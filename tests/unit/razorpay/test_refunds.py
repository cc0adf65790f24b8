"""Refunds: ours, and those that somebody else made."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.providers.ports import (
    AlreadyRefunded,
    InProgress,
    ProviderRefund,
    RefundStatus,
    RefundTag,
    Refused,
    Unknown,
)
from shared.providers.razorpay import Razorpay, refund_key
from tests.unit.razorpay.server import Server, payment, refund

TAG = RefundTag("rfd_1", 2)
KEY = "refund:rfd_1:2"


def test_a_refund_carries_our_key_and_is_found_again_by_our_id(server: Server, provider: Razorpay) -> None:
    server.say(200, refund())
    made = provider.refund("pay_1", 700, TAG, KEY)
    assert made == ProviderRefund("rfnd_1", 700, RefundStatus.SUCCEEDED, None, TAG)
    (asked,) = server.asked
    assert (asked["method"], asked["path"]) == ("POST", "/v1/payments/pay_1/refund")
    assert asked["headers"]["x-refund-idempotency"] == refund_key(KEY)
    assert asked["json"] == {
        "amount": 700,
        "speed": "normal",
        "receipt": "rfd_1:2",
        "notes": {"countermand_refund": "rfd_1:2"},
    }


def test_every_attempt_asks_the_very_same_under_the_very_same_key(server: Server, provider: Razorpay) -> None:
    for _ in range(2):
        server.complain(500, code="SERVER_ERROR")
        with pytest.raises(Unknown):
            provider.refund("pay_1", 700, TAG, KEY)
    first, second = server.asked
    assert first == second


@given(keys=st.sets(st.text(max_size=300), min_size=2, max_size=2))
def test_any_key_becomes_one_that_razorpay_takes_and_no_two_the_same(keys: set[str]) -> None:
    headers = {refund_key(key) for key in keys}
    assert len(headers) == 2
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{10,64}", header) for header in headers)


def test_the_generations_of_a_key_stay_apart_and_a_key_means_the_same_forever() -> None:
    assert refund_key("refund:rfd_1:1") != refund_key("refund:rfd_1:2")
    assert refund_key("refund:rfd_1:1") == "84ae072854b80d1c10b430e06bf90367"


@pytest.mark.parametrize(
    ("shown", "status", "error"),
    [
        (refund("pending"), RefundStatus.PENDING, None),
        (refund("a status of next year"), RefundStatus.PENDING, None),
        (refund("processed"), RefundStatus.SUCCEEDED, None),
        (refund("failed"), RefundStatus.FAILED, "failed"),
    ],
)
def test_a_refund_is_read_as_how_it_stands(
    server: Server, provider: Razorpay, shown: dict[str, Any], status: RefundStatus, error: str | None
) -> None:
    server.say(200, shown)
    found = provider.read_refund("rfnd_1")
    assert (found.status, found.error) == (status, error)
    assert server.asked[0]["path"] == "/v1/refunds/rfnd_1"


@pytest.mark.parametrize("notes", [[], {}, None, "", {"theirs": "1"}, {"countermand_refund": "spoiled"}])
def test_a_refund_whose_notes_were_lost_is_found_by_its_receipt(server: Server, provider: Razorpay, notes: Any) -> None:
    server.say(200, refund(notes=notes))
    assert provider.read_refund("rfnd_1").tag == TAG


@pytest.mark.parametrize("receipt", [None, "", "Receipt No. 31"])
def test_a_refund_whose_receipt_was_lost_is_found_by_its_notes(
    server: Server, provider: Razorpay, receipt: Any
) -> None:
    server.say(200, refund(receipt=receipt))
    assert provider.read_refund("rfnd_1").tag == TAG


@pytest.mark.parametrize("notes", [[], {}, None, {"countermand_refund": 17}])
@pytest.mark.parametrize("receipt", [None, "", 17, "Receipt No. 31", "inv_1:2", "rfd_1", "rfd_1:x", "rfd_1:2\n"])
def test_a_refund_that_somebody_else_made_has_no_tag(
    server: Server, provider: Razorpay, notes: Any, receipt: Any
) -> None:
    server.say(200, refund(notes=notes, receipt=receipt))
    assert provider.read_refund("rfnd_1").tag is None


# All refunds of a payment.


def page(*numbers: int) -> dict[str, Any]:
    items = [refund(id=f"rfnd_{number}") for number in numbers]
    return {"entity": "collection", "count": len(items), "items": items}


def test_every_refund_of_a_payment_is_read_page_by_page(server: Server, provider: Razorpay) -> None:
    server.say(200, page(*range(200, 100, -1)))
    server.say(200, page(*range(100, 0, -1)))
    server.say(200, page())
    assert [found.provider_id for found in provider.refunds("pay_1")] == [f"rfnd_{each}" for each in range(200, 0, -1)]
    assert {asked["path"] for asked in server.asked} == {"/v1/payments/pay_1/refunds"}
    assert [asked["query"] for asked in server.asked] == [
        {"count": ["100"], "skip": [skip]} for skip in ("0", "100", "200")
    ]


def test_a_page_that_is_not_full_is_the_last(server: Server, provider: Razorpay) -> None:
    server.say(200, page(1))
    assert [found.tag for found in provider.refunds("pay_1")] == [TAG]


def test_a_refund_that_a_newer_one_moves_to_the_next_page_counts_once(server: Server, provider: Razorpay) -> None:
    server.say(200, page(*range(101, 1, -1)))
    server.say(200, page(2, 1))
    assert len(provider.refunds("pay_1")) == 101


def test_a_page_that_is_lost_on_the_way_leaves_everything_unknown(server: Server, provider: Razorpay) -> None:
    server.say(200, page(*range(100)))
    server.complain(500, code="SERVER_ERROR")
    with pytest.raises(Unknown):
        provider.refunds("pay_1")


# What a refund is answered that was not made, or may have been.


def test_a_payment_that_razorpay_says_is_given_back_has_nothing_left(server: Server, provider: Razorpay) -> None:
    server.complain(400, "The payment has been fully refunded already")
    with pytest.raises(AlreadyRefunded, match=r"^fully_refunded$"):
        provider.refund("pay_1", 700, TAG, KEY)


@pytest.mark.parametrize(
    ("shown", "refusal"),
    [
        (payment("refunded"), AlreadyRefunded),
        (payment("captured", amount_refunded=3800), AlreadyRefunded),
        (payment("captured", amount_refunded=3799), Refused),
        (payment("authorized"), Refused),
        (payment("refunded", captured=False), Refused),
    ],
)
def test_after_any_other_refusal_the_payment_says_whether_something_is_left(
    server: Server, provider: Razorpay, shown: dict[str, Any], refusal: type[Refused]
) -> None:
    server.complain(400, "The payment status should be captured for action to be taken")
    server.say(200, shown)
    with pytest.raises(Refused, match=r"^not_captured$") as caught:
        provider.refund("pay_1", 700, TAG, KEY)
    assert type(caught.value) is refusal


@pytest.mark.parametrize("status", [409, 400])
@pytest.mark.parametrize(
    ("description", "kind", "reason"),
    [
        ("Another request with the same idempotency key is still in progress.", InProgress, "key_in_use"),
        ("Different request with the same idempotency key has already been processed.", Unknown, "key_reused"),
        ("Duplicate receipt found for this refund request.", Unknown, "receipt_reused"),
        ("Refund has already been processed.", Unknown, "already_processed"),
        ("Request failed because another payment operation is in progress.", Unknown, "another_operation"),
    ],
)
def test_what_may_have_been_made_under_our_key_is_unknown(
    server: Server, provider: Razorpay, status: int, description: str, kind: type[Unknown], reason: str
) -> None:
    server.complain(status, description)
    with pytest.raises(Unknown, match=f"^{reason}$") as caught:
        provider.refund("pay_1", 700, TAG, KEY)
    assert type(caught.value) is kind
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("description", "code"),
    [
        ("The refund amount provided is greater than amount captured", "above_captured"),
        ("Your account does not have enough balance to carry out the refund operation.", "balance_too_low"),
        ("The amount must be at least INR 1.00", "amount_too_small"),
        ("Refund is not supported by the bank because the payment is more than 6 months old", "too_old"),
        ("The id provided does not exist", "no_such_id"),
        ("_29QQoUBi66xm2f is not a valid id", "no_such_id"),
        ("reference is/are not required and should not be sent", "BAD_REQUEST_ERROR"),
    ],
)
def test_a_documented_refusal_has_a_code_of_ours(
    server: Server, provider: Razorpay, description: str, code: str
) -> None:
    server.complain(400, description)
    server.say(200, payment("captured"))
    with pytest.raises(Refused) as caught:
        provider.refund("pay_1", 700, TAG, KEY)
    assert (type(caught.value), caught.value.code) == (Refused, code)
