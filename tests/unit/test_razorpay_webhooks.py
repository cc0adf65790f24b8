"""Razorpay's webhooks: who signed them, and what of their body is taken."""

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest
import razorpay
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.webhooks import Concern
from shared.errors import BadSignature, Malformed
from shared.providers.razorpay_webhooks import CONCERNS, read, verify

SECRET = "a new secret"
OLD_SECRET = "an old secret"
BODY = b'{"entity": "event", "event": "payment.captured"}'


def signed(body: bytes = BODY, secret: str = SECRET) -> str:
    """The header that Razorpay sends."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def check(signature: str | None, body: bytes = BODY, secrets: tuple[str, ...] = (SECRET,)) -> None:
    verify(body, signature, secrets)


def refused(signature: str | None, body: bytes = BODY, secrets: tuple[str, ...] = (SECRET,)) -> None:
    with pytest.raises(BadSignature):
        check(signature, body, secrets)


def test_what_razorpay_signed_passes_as_it_does_its_own_sdk() -> None:
    check(signed())
    razorpay.Utility().verify_webhook_signature(BODY.decode(), signed(), SECRET)


def test_a_signature_may_be_written_in_capitals() -> None:
    check(signed().upper())


def test_a_body_need_not_be_utf_8_to_be_signed() -> None:
    check(signed(b"\xff\xfe"), b"\xff\xfe")


@pytest.mark.parametrize("secrets", [(SECRET, OLD_SECRET), (OLD_SECRET, SECRET)])
@pytest.mark.parametrize("used", [SECRET, OLD_SECRET])
def test_while_a_secret_is_changed_either_of_ours_may_have_signed(secrets: tuple[str, ...], used: str) -> None:
    check(signed(secret=used), secrets=secrets)


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        "nonsense",
        "0" * 64,
        "\u00e4\u00f6\u00fc",
        "\udcff",
        "\u0661" * 64,
        f" {signed()}",
        f"{signed()}\n",
        f"sha256={signed()}",
        signed()[:-1],
        signed() * 2,
        "a" * 100_000,
    ],
    ids=lambda signature: repr(signature)[:30],
)
def test_what_is_no_signature_is_refused(signature: str | None) -> None:
    refused(signature)


def test_a_signature_of_somebody_else_is_refused() -> None:
    refused(signed(secret="somebody else's"))


def test_a_signature_belongs_to_every_byte_of_its_body() -> None:
    refused(signed(), BODY + b" ")
    refused(signed(), BODY.replace(b"captured", b"Captured"))
    refused(signed(), b"")


@pytest.mark.parametrize("secrets", [(), ("",), ("  ",), ("", SECRET)])
@pytest.mark.parametrize("used", ["", "  "])
def test_without_a_secret_nothing_passes_not_even_what_an_empty_one_signed(secrets: tuple[str, ...], used: str) -> None:
    refused(signed(secret=used), secrets=secrets)


@given(signature=st.text(max_size=200), body=st.binary(max_size=200))
def test_whatever_is_sent_is_refused_and_breaks_nothing(signature: str, body: bytes) -> None:
    refused(signature, body)


# What is taken of the body.

PAYMENT = {"id": "pay_1", "entity": "payment", "status": "captured", "email": "ann@example.com", "contact": "+91 98"}
REFUND = {"id": "rfnd_1", "entity": "refund", "payment_id": "pay_1", "notes": {"guest": "Ann"}}

ID = "evt_1"


def event(type: str = "refund.processed", **carried: Any) -> dict[str, Any]:
    carried = carried or {"payment": PAYMENT, "refund": REFUND}
    return {
        "entity": "event",
        "account_id": "acc_1",
        "event": type,
        "contains": list(carried),
        "payload": {name: {"entity": thing} for name, thing in carried.items()},
        "created_at": 1_790_000_000,
    }


def encoded(thing: Any) -> bytes:
    return json.dumps(thing).encode()


def test_of_an_event_only_ids_and_its_kind_are_taken() -> None:
    notice = read(encoded(event()), ID)
    assert (notice.event_id, notice.type, notice.concern) == ("evt_1", "refund.processed", Concern.PAYMENT)
    assert (notice.object_id, notice.reference) == ("rfnd_1", "pay_1")
    assert notice.created == datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)
    assert (notice.api_version, notice.livemode) == (None, False)
    assert "ann" not in repr(notice).lower()


@pytest.mark.parametrize(
    ("type", "carried", "ids"),
    [
        ("payment.captured", {"payment": PAYMENT}, ("pay_1", "pay_1")),
        ("refund.created", {"payment": PAYMENT, "refund": REFUND}, ("rfnd_1", "pay_1")),
        ("refund.created", {"refund": REFUND}, ("rfnd_1", "pay_1")),
        ("refund.created", {"payment": {"id": 17}, "refund": REFUND}, ("rfnd_1", "pay_1")),
        ("refund.speed_changed", {"payment": PAYMENT, "refund": REFUND}, ("rfnd_1", "pay_1")),
        ("order.paid", {"payment": PAYMENT, "order": {"id": "order_1"}}, ("pay_1", "pay_1")),
        ("subscription.charged", {"subscription": {"id": "sub_1"}}, (None, None)),
        ("payment.failed", {"payment": "nothing"}, (None, None)),
    ],
)
def test_an_event_is_about_the_payment_that_its_object_belongs_to(
    type: str, carried: dict[str, Any], ids: tuple[str | None, str | None]
) -> None:
    notice = read(encoded(event(type, **carried)), ID)
    assert (notice.object_id, notice.reference) == ids


def test_the_time_of_an_event_may_stand_beside_what_it_carries() -> None:
    moved = event("refund.speed_changed")
    moved["payload"]["created_at"] = moved.pop("created_at")
    assert read(encoded(moved), ID).created == datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    "type", ["payment.failed", "refund.speed_changed", "order.paid", "payment.dispute.created", "of.tomorrow"]
)
def test_an_event_of_no_use_is_known_for_that(type: str) -> None:
    assert read(encoded(event(type)), ID).concern is Concern.NOTHING


@pytest.mark.parametrize(
    "type", ["payment.authorized", "payment.captured", "refund.created", "refund.processed", "refund.failed"]
)
def test_an_event_of_use_says_what_to_look_up(type: str) -> None:
    assert read(encoded(event(type)), ID).concern is Concern.PAYMENT


@pytest.mark.parametrize("type", CONCERNS)
@pytest.mark.parametrize("named", [None, "", "pay_\x00", "pay_1\n", "p" * 256, 17, {}])
def test_an_event_of_use_without_its_payment_is_malformed(type: str, named: Any) -> None:
    with pytest.raises(Malformed):
        read(encoded(event(type, payment=PAYMENT | {"id": named}, refund=REFUND | {"payment_id": named})), ID)


@pytest.mark.parametrize("type", ["refund.created", "refund.processed", "refund.failed"])
def test_an_event_of_a_refund_without_the_refund_is_malformed(type: str) -> None:
    with pytest.raises(Malformed):
        read(encoded(event(type, payment=PAYMENT)), ID)


@pytest.mark.parametrize("event_id", [None, "", "evt 1", "evt_1\n", "evt_\x00", "\u00e4", "e" * 256])
@pytest.mark.parametrize("type", ["payment.captured", "of.tomorrow"])
def test_an_event_without_an_id_of_its_own_is_malformed(type: str, event_id: str | None) -> None:
    with pytest.raises(Malformed):
        read(encoded(event(type)), event_id)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"entity": "event", "event": "payment.captured", "payload": {"payment": ' + b"[" * 100_000,
        encoded(event("payment.captured", payment={"id": "pay_1", "email": "?"})).replace(b"?", b"\xff"),
        encoded(event() | {"entity": "collection"}),
        encoded(event() | {"event": "a type"}),
        encoded(event() | {"event": None}),
        encoded(event() | {"payload": None}),
        encoded(event() | {"payload": {}}),
        encoded(event() | {"created_at": None}),
        encoded(event() | {"created_at": "yesterday"}),
        encoded(event() | {"created_at": -1}),
        encoded(event() | {"created_at": 10**20}),
        encoded(event("of.tomorrow") | {"created_at": None}),
    ],
    ids=lambda body: repr(body)[:40],
)
def test_what_is_signed_and_still_no_event_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        read(body, ID)
