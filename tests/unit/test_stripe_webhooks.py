"""Stripe's webhooks: who signed them, when, and what of their body is taken."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from sandbox.stripe.webhooks import signature
from shared.domain.webhooks import Concern
from shared.errors import BadSignature, Malformed
from shared.providers.stripe_webhooks import CONCERNS, read, verify

SECRET = "whsec_new"
OLD_SECRET = "whsec_old"
TOLERANCE = 300.0
BODY = b'{"id": "evt_1", "object": "event"}'


def signed(body: bytes = BODY, secret: str = SECRET, ago: float = 0.0) -> str:
    """The header that Stripe's own SDK makes, for a time so many seconds ago."""
    return stripe.WebhookSignature.generate_signature_header(body.decode(), secret, int(time.time() - ago))


def check(header: str | None, body: bytes = BODY, secrets: tuple[str, ...] = (SECRET,)) -> None:
    verify(body, header, secrets, TOLERANCE)


def refused(header: str | None, body: bytes = BODY, secrets: tuple[str, ...] = (SECRET,)) -> None:
    with pytest.raises(BadSignature):
        check(header, body, secrets)


def test_what_stripe_signed_passes() -> None:
    check(signed())


def test_the_stand_in_signs_as_the_sdk_does() -> None:
    now = int(time.time())
    header = signature([SECRET], BODY, now)
    assert header == stripe.WebhookSignature.generate_signature_header(BODY.decode(), SECRET, now)


@pytest.mark.parametrize("secrets", [(SECRET, OLD_SECRET), (OLD_SECRET, SECRET)])
@pytest.mark.parametrize("used", [SECRET, OLD_SECRET])
def test_while_a_secret_is_rolled_either_of_ours_may_have_signed(secrets: tuple[str, ...], used: str) -> None:
    check(signed(secret=used), secrets=secrets)


def test_while_a_secret_is_rolled_stripe_signs_with_both_and_one_that_we_know_is_enough() -> None:
    header = signature(["whsec_unknown", SECRET], BODY, int(time.time()))
    assert header.count("v1=") == 2
    check(header)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "t=",
        "v1=",
        "t=,v1=",
        "t=1",
        "v1=abc",
        "nonsense",
        "t=soon,v1=abc",
        "t=1=2,v1",
        ",,,=,=",
        "t=" + "9" * 5000 + ",v1=abc",
        "t=1700000000,v1=" + "0" * 64,
        "t=1700000000,v1=\u00e4\u00f6\u00fc",
        "t=\u0661\u0662\u0663,v1=abc",
        "t=1,v1=a" * 10_000,
    ],
    ids=lambda header: repr(header)[:30],
)
def test_what_is_no_signature_is_refused(header: str | None) -> None:
    refused(header)


def test_a_signature_of_somebody_else_is_refused() -> None:
    refused(signed(secret="whsec_somebody_else"))


def test_a_signature_belongs_to_every_byte_of_its_body() -> None:
    refused(signed(), BODY + b" ")
    refused(signed(), BODY.replace(b"evt_1", b"evt_2"))
    refused(signed(), b"")


def test_another_time_in_the_header_is_not_what_was_signed() -> None:
    moment, _, rest = signed(ago=60).partition(",")
    refused(f"t={int(moment[2:]) + 30},{rest}")
    refused(f"t={int(time.time())},{signed(ago=1000)}")
    refused(f"{signed(ago=1000)},t={int(time.time())}")


def test_the_older_scheme_counts_for_nothing() -> None:
    refused(signed().replace("v1=", "v0="))


@pytest.mark.parametrize("ago", [-290, -1, 0, 1, 290])
def test_a_clock_may_be_a_little_off_either_way(ago: float) -> None:
    check(signed(ago=ago))


@pytest.mark.parametrize("ago", [-3600 * 24 * 365, -3600, -310, 310, 3600, 3600 * 24 * 365])
def test_what_is_too_old_or_comes_from_the_future_is_refused(ago: float) -> None:
    refused(signed(ago=ago))


@pytest.mark.parametrize("secrets", [(), ("",), ("  ",)])
def test_without_a_secret_nothing_passes_not_even_what_an_empty_one_signed(secrets: tuple[str, ...]) -> None:
    refused(signed(secret=""), secrets=secrets)


def test_a_body_that_is_not_utf_8_is_refused() -> None:
    refused(signed(), b"\xff\xfe")


@given(header=st.text(max_size=200), body=st.binary(max_size=200))
def test_whatever_is_sent_is_refused_and_breaks_nothing(header: str, body: bytes) -> None:
    refused(header, body)
    refused(f"t={int(time.time())},v1={header}", body)


# What is taken of the body.


def event(type: str = "payment_intent.succeeded", **thing: Any) -> dict[str, Any]:
    return {
        "id": "evt_1",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": 1_790_000_000,
        "livemode": True,
        "type": type,
        "data": {"object": {"id": "pi_1", "object": "payment_intent", "receipt_email": "ann@example.com", **thing}},
    }


def encoded(thing: Any) -> bytes:
    return json.dumps(thing).encode()


def test_of_an_event_only_ids_and_its_kind_are_taken() -> None:
    notice = read(encoded(event()))
    assert (notice.event_id, notice.type, notice.concern) == ("evt_1", "payment_intent.succeeded", Concern.PAYMENT)
    assert (notice.object_id, notice.reference) == ("pi_1", "pi_1")
    assert (notice.created, notice.api_version, notice.livemode) == (
        datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC),
        "2026-10-28.endive",
        True,
    )
    assert "ann" not in repr(notice)


@pytest.mark.parametrize(
    ("thing", "reference"),
    [
        ({"id": "ch_1", "object": "charge", "payment_intent": "pi_2"}, "pi_2"),
        ({"id": "re_1", "object": "refund", "payment_intent": {"id": "pi_2", "object": "payment_intent"}}, "pi_2"),
        ({"id": "du_1", "object": "dispute", "payment_intent": None}, None),
        ({"id": "ch_1", "object": "charge"}, None),
        ({"id": "ch_1", "object": "charge", "payment_intent": 17}, None),
        ({"id": "ch_1", "object": "charge", "payment_intent": "pi_\x00"}, None),
        ({"id": None, "object": "balance"}, None),
    ],
)
def test_an_event_is_about_the_payment_that_its_object_belongs_to(thing: dict[str, Any], reference: str | None) -> None:
    notice = read(encoded(event("charge.refunded", **thing)))
    assert (notice.object_id, notice.reference) == (thing["id"], reference)


@pytest.mark.parametrize("type", ["customer.created", "payment_intent.created", "charge.captured", "of.tomorrow"])
def test_an_event_of_no_use_is_known_for_that(type: str) -> None:
    assert read(encoded(event(type))).concern is Concern.NOTHING


@pytest.mark.parametrize("name", ["25 % OFF", "a\x00b", "x" * 256, 17, {}])
def test_an_id_of_another_form_is_refused_only_of_what_is_of_use(name: Any) -> None:
    coupon = event("coupon.created", id=name, object="coupon")
    assert (read(encoded(coupon)).concern, read(encoded(coupon)).object_id) == (Concern.NOTHING, None)
    with pytest.raises(Malformed):
        read(encoded(event("charge.dispute.created", id=name, object="dispute")))


@pytest.mark.parametrize("type", CONCERNS)
def test_an_event_of_use_says_what_to_look_up(type: str) -> None:
    assert read(encoded(event(type))).concern is (Concern.DISPUTE if "dispute" in type else Concern.PAYMENT)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"{}",
        b"[" * 100_000,
        encoded(event() | {"object": "v2.core.event"}),
        encoded(event() | {"id": None}),
        encoded(event() | {"id": ""}),
        encoded(event() | {"id": "evt_\x00"}),
        encoded(event() | {"id": "evt_" + "1" * 300}),
        encoded(event() | {"type": "a type"}),
        encoded(event() | {"created": "yesterday"}),
        encoded(event() | {"created": -1}),
        encoded(event() | {"created": 10**20}),
        encoded(event() | {"data": None}),
        encoded(event() | {"data": {}}),
        encoded(event() | {"livemode": "perhaps"}),
    ],
    ids=lambda body: repr(body)[:40],
)
def test_what_is_signed_and_still_no_event_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        read(body)
