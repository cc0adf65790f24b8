"""Bodies and ids: what is not as it should be is refused before anything is recorded."""

from decimal import Decimal
from typing import Any

import falcon
import falcon.testing
import msgspec
import pytest

from gateway import bodies
from shared.errors import Invalid, Malformed, NotFound, Problem, TooLarge, UnsupportedMediaType
from shared.requests import Nothing, Refund, StockLevel

LIMIT = 64


def request(body: bytes, content_type: str | None = "application/json", **headers: str) -> falcon.Request:
    if content_type is not None:
        headers["content-type"] = content_type
    return falcon.testing.create_req(method="PUT", body=body, headers=headers)


def test_a_body_is_read_as_its_shape() -> None:
    assert bodies.read(request(b'{"quantity": 7}'), StockLevel, LIMIT) == StockLevel(quantity=7)


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", " application/json "])
def test_a_media_type_may_come_with_parameters_and_in_any_case(content_type: str) -> None:
    assert bodies.read(request(b'{"quantity": 7}', content_type), StockLevel, LIMIT).quantity == 7


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/json"])
def test_no_body_at_all_stands_for_an_empty_object_whatever_its_media_type(content_type: str | None) -> None:
    assert bodies.read(request(b"", content_type), Nothing, LIMIT) == Nothing()


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (b"{", Malformed),
        (b"quantity=7", Malformed),
        (b'{"quantity": 7}x', Malformed),
        (b'\xff\xfe{"quantity": 7}', Malformed),
        (b'{"quantity": NaN}', Malformed),
        (b"null", Invalid),
        (b"[]", Invalid),
        (b"[" * LIMIT, Invalid),
        (b"{}", Invalid),
        (b'{"quantity": "7"}', Invalid),
        (b'{"quantity": 7.5}', Invalid),
        (b'{"quantity": true}', Invalid),
        (b'{"quantity": -1}', Invalid),
        (b'{"quantity": 1000000001}', Invalid),
        (b'{"quantity": 99999999999999999999999}', Invalid),
        (b'{"quantity": 7, "quantty": 8}', Invalid),
    ],
)
def test_a_body_that_is_not_of_its_shape_is_refused(body: bytes, refusal: type[Problem]) -> None:
    with pytest.raises(refusal) as caught:
        bodies.read(request(body), StockLevel, LIMIT)
    assert type(caught.value) is refusal


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/x-www-form-urlencoded", "application/jsonp"]
)
def test_a_body_of_another_media_type_is_refused(content_type: str | None) -> None:
    with pytest.raises(UnsupportedMediaType):
        bodies.read(request(b'{"quantity": 7}', content_type), StockLevel, LIMIT)


def test_a_body_may_be_as_large_as_the_limit_and_no_larger() -> None:
    body = b'{"quantity": 7}'
    assert bodies.read(request(body.ljust(LIMIT)), StockLevel, LIMIT).quantity == 7
    with pytest.raises(TooLarge):
        bodies.read(request(body.ljust(LIMIT + 1)), StockLevel, LIMIT)


def test_a_large_body_of_undeclared_length_is_refused_without_being_read_whole() -> None:
    class Endless:
        asked = 0

        def read(self, size: int = -1) -> bytes:
            assert 0 <= size <= LIMIT + 1
            self.asked += 1
            return b" " * size

    stream: Any = Endless()
    chunked = falcon.testing.create_req(method="PUT", headers={"content-type": "application/json"})
    chunked.stream = stream
    with pytest.raises(TooLarge):
        bodies.read(chunked, StockLevel, LIMIT)
    assert stream.asked == 1


@pytest.mark.parametrize("identifier", ["a", "ord_1", "A-b_C.9", "-", "1" * 128])
def test_an_id_that_may_stand_in_a_path_is_taken(identifier: str) -> None:
    assert bodies.path_id(identifier) == identifier


@pytest.mark.parametrize(
    "identifier",
    [
        *(
            "",
            "ord_1\n",
            "\nord_1",
            "ord_1\r",
            "ord 1",
            "ord/1",
            "../ord",
            ".",
            "..",
            "a.",
            ".a",
            "a..b",
            "a:b",
            "ä",
            "a\x00",
        ),
        *("1" * 129, "'; DROP TABLE orders; --", "%2e", "\u0661"),
    ],
)
def test_an_id_that_nothing_can_be_registered_under_is_not_found(identifier: str) -> None:
    with pytest.raises(NotFound):
        bodies.path_id(identifier)


@pytest.mark.parametrize(
    "amount",
    [
        "1.0000000000000000001",  # as a float it would be 1.0
        "0.00999999999999999999999",  # and this 0.01
        "1e400",
        "1e9999999999999999999",
        "-0.0",
        "9" * 5000,
        "0." + "1" * 5000,
    ],
)
def test_no_amount_of_money_becomes_another_one_on_its_way_through_a_float(amount: str) -> None:
    with pytest.raises(Invalid):
        bodies.read(request(f'{{"amount": {amount}}}'.encode()), Refund, 10_000)


@pytest.mark.parametrize(
    "amount",
    [" 1", "1 ", "1_0", "\uff11\uff10", "\u0661", "1\n", "+5", "1e2", "1E2", ".5", "5.", "0x1", "", "1.0000", "1" * 13],
)
def test_a_string_is_an_amount_of_money_only_when_it_is_written_as_one(amount: str) -> None:
    with pytest.raises(Invalid):
        bodies.read(request(msgspec.json.encode({"amount": amount})), Refund, 10_000)


@pytest.mark.parametrize(("amount", "meant"), [('"38.00"', "38.00"), ("38.00", "38"), ('"007"', "7"), ("5e-1", "0.5")])
def test_amounts_of_money_are_read_as_they_are_written(amount: str, meant: str) -> None:
    assert bodies.read(request(f'{{"amount": {amount}}}'.encode()), Refund, 10_000).amount == Decimal(meant)
