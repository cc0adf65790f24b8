"""What was paid of an invoice, and giving it back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import money
from shared.providers.invoices import Paid, PaidBy, PaidStatus, Refusal, Traced
from shared.providers.ports import Refused, Unknown
from shared.providers.qpay import QPay, _decode, _paid, _Payment
from tests.unit.qpay.server import (
    CHARGE,
    INVOICE_ID,
    PAYMENT_ID,
    TRANSFER,
    Asked,
    Server,
    page,
    payment,
    raw,
    row,
)


def check(server: Server, provider: QPay, *rows: Asked) -> list[Paid]:
    """What is read of payments that are shown like this."""
    server.say(200, page(*rows))
    return provider.payments(INVOICE_ID)


# Every payment of an invoice.


def test_a_check_asks_for_the_payments_of_one_invoice(server: Server, provider: QPay) -> None:
    assert check(server, provider, row()) == [Paid(PAYMENT_ID, PaidStatus.PAID, 1500000, "MNT", PaidBy.P2P)]
    (asked,) = server.asked
    assert (asked["method"], asked["path"]) == ("POST", "/payment/check")
    assert asked["json"] == {
        "object_type": "INVOICE",
        "object_id": INVOICE_ID,
        "offset": {"page_number": 1, "page_limit": 100},
    }


def test_an_invoice_that_nobody_paid_has_no_payments_and_no_sum(server: Server, provider: QPay) -> None:
    server.say(200, '{"count": 0, "rows": []}')
    assert provider.payments(INVOICE_ID) == []


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        ("NEW", PaidStatus.NEW),
        ("FAILED", PaidStatus.FAILED),
        ("PAID", PaidStatus.PAID),
        ("PARTIAL", PaidStatus.PARTIAL),
        ("REFUND", PaidStatus.REFUNDED),
        ("REFUNDED", PaidStatus.REFUNDED),
    ],
)
def test_a_payment_that_is_counted_is_paid_only_when_it_says_so(
    server: Server, provider: QPay, status: str, meaning: PaidStatus
) -> None:
    (found,) = check(server, provider, row(status))
    assert found.status is meaning
    assert (found.status is PaidStatus.PAID) == (status == "PAID")


@pytest.mark.parametrize("status", ["", "paid", "SETTLED", "CANCELED"])
def test_a_status_of_next_year_leaves_every_payment_unknown(server: Server, provider: QPay, status: str) -> None:
    with pytest.raises(Unknown, match=r"^unexplained_status$"):
        check(server, provider, row(), row(status, "2"))


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("15000.00", "MNT", 1500000),
        ("15000", "MNT", 1500000),
        ("0.29", "MNT", 29),
        ("0.00", "MNT", 0),
        ("999999999999.99", "MNT", 99999999999999),
        (15000, "MNT", 1500000),
        (1.15, "USD", 115),
        ("15000", "JPY", 15000),
        ("1.234", "KWD", 1234),
        ("19.99", "usd", 1999),
    ],
)
def test_an_amount_is_a_text_or_a_number_and_becomes_minor_units_of_its_currency(
    server: Server, provider: QPay, amount: Any, currency: str, minor: int
) -> None:
    (found,) = check(server, provider, row(payment_amount=amount, payment_currency=currency))
    assert (found.amount, found.currency) == (minor, currency.upper())


@given(amount=st.integers(0, 10**14 - 1), currency=st.sampled_from(["MNT", "USD", "CNY"]))
def test_any_amount_is_read_to_the_last_minor_unit(amount: int, currency: str) -> None:
    shown = row(payment_amount=money.plain(amount, currency), payment_currency=currency)
    assert _paid(_decode(raw(shown), _Payment)).amount == amount


@pytest.mark.parametrize(
    "more",
    [
        *({"payment_amount": amount} for amount in ("", "a lot", "15,000.00", "-1.00", None, True, [])),
        *({"payment_amount": amount} for amount in ("0.001", "NaN", "sNaN", "Infinity", "1E+999999")),
        {"payment_amount": "1000000000000.00"},
        {"payment_amount": "0.5", "payment_currency": "JPY"},
        {"payment_currency": ""},
        {"payment_currency": None},
        {"payment_currency": "TUGRIK"},
        {"payment_currency": "MNT\n"},
        {"payment_id": 17},
        {"payment_id": ""},
        {"payment_id": "../1"},
        {"payment_status": None},
        {"card_transactions": "none"},
    ],
    ids=str,
)
def test_a_payment_that_cannot_be_read_leaves_every_payment_unknown(
    server: Server, provider: QPay, more: dict[str, Any]
) -> None:
    with pytest.raises(Unknown):
        check(server, provider, row(), row() | more)


@pytest.mark.parametrize("body", [{}, {"count": 0}, {"count": 1, "paid_amount": 15000}, {"rows": None}], ids=str)
def test_a_check_without_rows_is_not_one_of_nothing_paid(server: Server, provider: QPay, body: Any) -> None:
    server.say(200, body)
    with pytest.raises(Unknown):
        provider.payments(INVOICE_ID)


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"payment_type": "P2P"}, PaidBy.P2P),
        ({"payment_type": "CARD"}, PaidBy.CARD),
        ({"payment_type": None, "transaction_type": "CARD"}, PaidBy.CARD),
        ({"payment_type": None, "transaction_type": "P2P"}, PaidBy.P2P),
        ({"payment_type": None, "card_transactions": [CHARGE], "p2p_transactions": []}, PaidBy.CARD),
        ({"payment_type": "WALLET", "card_transactions": [CHARGE], "p2p_transactions": None}, PaidBy.CARD),
        ({"payment_type": None, "card_transactions": None, "p2p_transactions": [TRANSFER]}, PaidBy.P2P),
        ({"payment_type": "WALLET", "card_transactions": [CHARGE], "p2p_transactions": [TRANSFER]}, PaidBy.OTHER),
        ({"payment_type": "WALLET", "card_transactions": [], "p2p_transactions": []}, PaidBy.OTHER),
        ({"payment_type": None, "card_transactions": None, "p2p_transactions": None}, PaidBy.OTHER),
    ],
    ids=str,
)
def test_a_payment_was_made_with_what_qpay_says_or_with_what_there_are_transactions_of(
    server: Server, provider: QPay, more: dict[str, Any], kind: PaidBy
) -> None:
    (found,) = check(server, provider, row(**more))
    assert found.kind is kind


def test_nothing_of_anybodys_account_is_kept(server: Server, provider: QPay) -> None:
    found = check(server, provider, row(), row(payment_id="2", card_transactions=[CHARGE]))
    assert not any(word in repr(found) for word in ("Ann", "5550100", "050000", "VISA"))


# Page by page.


def rows(first: int, last: int) -> list[Asked]:
    return [row(payment_id=str(number)) for number in range(first, last + 1)]


def test_every_payment_is_read_page_by_page(server: Server, provider: QPay) -> None:
    for first, last in ((1, 100), (101, 200), (201, 250)):
        server.say(200, page(*rows(first, last)))
    assert [found.payment_id for found in provider.payments(INVOICE_ID)] == [str(number) for number in range(1, 251)]
    assert [asked["json"]["offset"] for asked in server.asked] == [
        {"page_number": number, "page_limit": 100} for number in (1, 2, 3)
    ]


def test_after_a_full_page_an_empty_one_is_the_last(server: Server, provider: QPay) -> None:
    server.say(200, page(*rows(1, 100)))
    server.say(200, page())
    assert len(provider.payments(INVOICE_ID)) == 100


def test_a_payment_that_a_newer_one_moves_to_the_next_page_counts_once(server: Server, provider: QPay) -> None:
    server.say(200, page(*rows(1, 100)))
    server.say(200, page(*rows(100, 101)))
    assert len(provider.payments(INVOICE_ID)) == 101


def test_a_page_that_comes_again_and_again_does_not_go_on_forever(server: Server, provider: QPay) -> None:
    for _ in range(2):
        server.say(200, page(*rows(1, 100)))
    with pytest.raises(Unknown, match=r"^endless_pages$"):
        provider.payments(INVOICE_ID)


def test_a_page_that_is_lost_on_the_way_leaves_everything_unknown(server: Server, provider: QPay) -> None:
    server.say(200, page(*rows(1, 100)))
    server.say(500, {"error": "SYSTEM_BUSY"})
    with pytest.raises(Unknown):
        provider.payments(INVOICE_ID)


# One payment.


def test_a_payment_is_read_with_the_invoice_that_it_belongs_to(server: Server, provider: QPay) -> None:
    server.say(200, payment())
    paid = Paid(PAYMENT_ID, PaidStatus.PAID, 1500000, "MNT", PaidBy.CARD)
    assert provider.read_payment(PAYMENT_ID) == Traced(paid, INVOICE_ID)
    (asked,) = server.asked
    assert (asked["method"], asked["path"], asked["json"]) == ("GET", f"/payment/{PAYMENT_ID}", None)


@pytest.mark.parametrize(
    "more", [{"object_type": "QR"}, {"object_type": "ITEM"}, {"object_type": None}, {"object_id": None}], ids=str
)
def test_a_payment_of_something_else_belongs_to_no_invoice(
    server: Server, provider: QPay, more: dict[str, Any]
) -> None:
    server.say(200, payment(**more))
    found = provider.read_payment(PAYMENT_ID)
    assert found is not None
    assert found.invoice_id is None


@pytest.mark.parametrize(
    ("status", "body"), [(422, {}), (422, {"error": "PAYMENT_NOTFOUND"}), (400, {"message": "PAYMENT_NOTFOUND"})]
)
def test_a_payment_that_nobody_knows_is_none(server: Server, provider: QPay, status: int, body: Any) -> None:
    server.say(status, body)
    assert provider.read_payment(PAYMENT_ID) is None


def test_another_payment_than_was_asked_for_says_nothing(server: Server, provider: QPay) -> None:
    server.say(200, payment(payment_id="2"))
    with pytest.raises(Unknown, match=r"^another_payment$"):
        provider.read_payment(PAYMENT_ID)


# Giving one back.


def methods(server: Server) -> list[str]:
    return [asked["method"] for asked in server.asked]


def test_a_refund_looks_at_the_payment_and_gives_all_of_it_back(server: Server, provider: QPay) -> None:
    server.say(200, payment())
    server.say(200, {})
    provider.refund(PAYMENT_ID)
    look, refund = server.asked
    assert (look["method"], look["path"]) == ("GET", f"/payment/{PAYMENT_ID}")
    assert (refund["method"], refund["path"], refund["json"]) == ("DELETE", f"/payment/refund/{PAYMENT_ID}", {})


@pytest.mark.parametrize("status", ["REFUND", "REFUNDED"])
def test_a_payment_that_was_given_back_is_done_and_not_asked_for_again(
    server: Server, provider: QPay, status: str
) -> None:
    server.say(200, payment(status))
    provider.refund(PAYMENT_ID)
    assert methods(server) == ["GET"]


@pytest.mark.parametrize("status", [400, 409, 422])
def test_a_payment_that_is_given_back_while_we_look_is_done(server: Server, provider: QPay, status: int) -> None:
    server.say(200, payment())
    server.say(status, {"error": "PAYMENT_ALREADY_CANCELED"})
    provider.refund(PAYMENT_ID)


@pytest.mark.parametrize(
    "shown",
    [
        payment(transaction_type="P2P"),
        payment(transaction_type="P2P", card_transactions=[], p2p_transactions=[TRANSFER]),
        payment(transaction_type=None, card_transactions=[], p2p_transactions=[TRANSFER]),
        payment(transaction_type=None, card_transactions=[]),
    ],
)
def test_what_was_not_paid_by_card_is_refused_and_nobody_is_asked_to_give_it_back(
    server: Server, provider: QPay, shown: Asked
) -> None:
    server.say(200, shown)
    with pytest.raises(Refused) as caught:
        provider.refund(PAYMENT_ID)
    assert caught.value.code == Refusal.NOT_A_CARD_PAYMENT == "not_a_card_payment"
    assert methods(server) == ["GET"]


@pytest.mark.parametrize("status", [400, 409, 422])
@pytest.mark.parametrize(
    ("code", "refusal"),
    [
        ("PAYMENT_SETTLED", Refusal.SETTLED),
        ("PAYMENT_NOT_PAID", Refusal.NOT_PAID),
        ("PAYMENT_NOTFOUND", Refusal.NO_SUCH_ID),
    ],
)
def test_a_no_to_a_refund_has_a_code_for_whoever_decides_what_then(
    server: Server, provider: QPay, status: int, code: str, refusal: Refusal
) -> None:
    server.say(200, payment())
    server.say(status, {"error": code, "message": "Төлбөр"})
    with pytest.raises(Refused) as caught:
        provider.refund(PAYMENT_ID)
    assert caught.value.code == refusal


def test_a_payment_that_nobody_knows_is_not_given_back(server: Server, provider: QPay) -> None:
    server.say(422, {"error": "PAYMENT_NOTFOUND"})
    with pytest.raises(Refused) as caught:
        provider.refund(PAYMENT_ID)
    assert caught.value.code == Refusal.NO_SUCH_ID
    assert methods(server) == ["GET"]


def test_a_refund_whose_answer_was_lost_is_found_done_the_next_time(server: Server, provider: QPay) -> None:
    server.say(200, payment())
    server.answers.append((0, "dropped", b""))
    with pytest.raises(Unknown):
        provider.refund(PAYMENT_ID)
    server.say(200, payment("REFUNDED"))
    provider.refund(PAYMENT_ID)
    assert methods(server) == ["GET", "DELETE", "GET"]
