"""What the shop may register: refused with a reason, and never with an error of our own."""

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.requests import Registration
from tests.bodies import changed

BODY: dict[str, Any] = {
    "order_id": "ord_1",
    "currency": "USD",
    "email": "ann@example.com",
    "lines": [{"sku": "TEE", "quantity": 2, "unit_price": 1500, "tax_rate": "0.10"}],
    "payment": {"provider": "stripe", "reference": "pi_1"},
    "address": {"name": "Ann", "line1": "1 Street", "city": "Town", "postal_code": "1", "country": "US"},
    "shipment": {"courier": "delhivery", "awb": "123"},
    "placed_at": "2026-01-01T12:00:00Z",
}


def read(body: object) -> Registration:
    return msgspec.json.decode(msgspec.json.encode(body), type=Registration)


def test_a_registration_is_read() -> None:
    registration = read(BODY)
    assert (registration.order_id, registration.lines[0].quantity, registration.shipping) == ("ord_1", 2, 0)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *(("lines.0.tax_rate", rate) for rate in ("NaN", "sNaN", "Infinity", "-0.1", "1.1", "0.000001", "ten", None)),
        *(("lines.0.tax_rate", rate) for rate in ("1E-999999", "1E+999999", "-Infinity")),
        *(("lines.0.quantity", quantity) for quantity in (0, -1, 100_001, 1.5, "2", None)),
        *(("lines.0.unit_price", price) for price in (-1, 10**12, 15.5, "1500")),
        *(("lines.0.sku", sku) for sku in ("", "a b", "a\n", "../x", "x" * 129, 1)),
        *(("currency", currency) for currency in ("usd", "US", "USDX", "USD\n", "", "US1")),
        *(
            ("email", email)
            for email in ("", "ann", "ann@", "@x.y", "a b@x.y", "a@x.y\n", "a@x.y\r\nBcc: b@x.y", "ä@x.y")
        ),
        *(("email", email) for email in ("a@x..y", ".a@x.y", "a@x.y,b@x.y", "<a@x.y>", f"{'a' * 251}@x.y", None)),
        *(
            ("placed_at", moment)
            for moment in ("2026-01-01T12:00:00", "1999-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59")
        ),
        *(("placed_at", moment) for moment in ("yesterday", 1767268800, "2026-13-01T00:00:00Z")),
        *(("payment.provider", provider) for provider in ("paypal", "cod", "none", None)),
        *(("payment.reference", reference) for reference in (None, "", "pi/1", "pi_1\n")),
        *(("address.name", name) for name in ("", "a\x00b", "a\nb", "x" * 201)),
        *(("address.country", country) for country in ("us", "USA", "U1")),
        *(("lines", lines) for lines in ([], None, [{"sku": "TEE", "quantity": 1, "unit_price": 1}] * 201)),
        ("nobody", "knows"),
        ("address.planet", "earth"),
    ],
)
def test_a_registration_that_is_wrong_in_one_place_is_refused(path: str, value: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        read(changed(BODY, path, value))


def test_only_stripe_holds_money_under_a_reference() -> None:
    for provider in ("cod", "none"):
        assert read(BODY | {"payment": {"provider": provider}}).payment.reference is None


@given(st.text(max_size=40))
def test_no_tax_rate_whatsoever_breaks_anything(rate: str) -> None:
    with suppress(msgspec.ValidationError):
        read(changed(BODY, "lines.0.tax_rate", rate))


@given(st.datetimes(timezones=st.timezones() | st.none()).map(lambda moment: moment.isoformat()) | st.text(max_size=40))
def test_no_time_whatsoever_breaks_anything(moment: str) -> None:
    with suppress(msgspec.ValidationError):
        assert read(changed(BODY, "placed_at", moment)).placed_at


@given(st.text(max_size=60), st.sampled_from(["email", "lines.0.sku", "order_id", "address.name", "shipment.awb"]))
def test_what_is_taken_has_no_control_characters_in_it(text: str, path: str) -> None:
    try:
        read(changed(BODY, path, text))
    except msgspec.ValidationError:
        return
    assert text.isprintable() or path == "address.name"
    assert not any(ord(letter) < 32 for letter in text)
