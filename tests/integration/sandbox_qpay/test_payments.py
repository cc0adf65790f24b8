"""Payments: made in a bank's app, and seen by whoever looks."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.sandbox_qpay.driver import UNKNOWN, Sandbox, refusal, said


def test_an_unpaid_invoice_has_no_paid_amount(box: Sandbox) -> None:
    assert box.check(box.invoice()) == {"count": 0, "rows": []}


def test_a_check_shows_what_was_paid_with_amounts_as_texts(box: Sandbox) -> None:
    invoice = box.invoice()
    payment = box.pay(invoice)
    assert re.fullmatch(r"[0-9]{15}", payment)
    checked = box.check(invoice)
    assert (checked["count"], checked["paid_amount"]) == (1, 15000)
    (row,) = checked["rows"]
    assert box.show(invoice)["payments"] == [row]
    (transfer,) = row.pop("p2p_transactions")
    assert row == {
        "payment_id": payment,
        "payment_status": "PAID",
        "payment_amount": "15000.00",
        "trx_fee": "0.00",
        "payment_currency": "MNT",
        "payment_wallet": "Sandbox wallet",
        "payment_type": "P2P",
        "card_transactions": [],
    }
    assert set(transfer) == {
        "transaction_bank_code",
        "account_bank_code",
        "account_bank_name",
        "account_number",
        "status",
        "amount",
        "currency",
        "settlement_status",
    }
    assert (transfer["status"], transfer["amount"], transfer["currency"]) == ("SUCCESS", "15000.00", "MNT")


def test_a_payment_is_read_by_its_id(box: Sandbox) -> None:
    invoice = box.invoice()
    read = box.payment(box.pay(invoice, "CARD"))
    (card,) = read["card_transactions"]
    assert set(read) == {
        "payment_id",
        "payment_status",
        "payment_amount",
        "payment_fee",
        "payment_currency",
        "payment_date",
        "payment_wallet",
        "transaction_type",
        "object_type",
        "object_id",
        "card_transactions",
        "p2p_transactions",
    }
    assert (read["payment_status"], read["payment_amount"], read["transaction_type"]) == ("PAID", "15000.00", "CARD")
    assert (read["object_type"], read["object_id"], read["p2p_transactions"]) == ("INVOICE", invoice, [])
    assert datetime.fromisoformat(read["payment_date"]) <= datetime.now(UTC)
    assert set(card) == {
        "card_type",
        "is_cross_border",
        "amount",
        "currency",
        "date",
        "status",
        "settlement_status",
        "settlement_status_date",
    }


@pytest.mark.parametrize("status", ["NEW", "FAILED", "PARTIAL"])
def test_a_payment_that_is_not_paid_is_counted_but_has_not_arrived(box: Sandbox, status: str) -> None:
    invoice = box.invoice()
    box.pay(invoice, status=status)
    checked = box.check(invoice)
    assert (checked["count"], "paid_amount" in checked, checked["rows"][0]["payment_status"]) == (1, False, status)
    assert box.show(invoice)["invoice_status"] == "OPEN"
    assert box.effects(invoice) == [("invoice.created", 15000)]


def test_what_has_arrived_is_the_sum_of_what_is_paid(box: Sandbox) -> None:
    invoice = box.invoice()
    for amount, status in ((5000, "PAID"), (15000, "FAILED"), (4000, "PAID")):
        box.pay(invoice, amount=amount, status=status)
    checked = box.check(invoice)
    assert (checked["count"], checked["paid_amount"], box.show(invoice)["invoice_status"]) == (3, 9000, "OPEN")
    box.pay(invoice, amount=6000)
    assert (box.check(invoice)["paid_amount"], box.show(invoice)["invoice_status"]) == (15000, "CLOSED")


def test_more_than_the_invoice_may_be_paid_and_in_another_currency(box: Sandbox) -> None:
    invoice = box.invoice()
    box.pay(invoice, amount=20000, currency="USD")
    (row,) = box.check(invoice)["rows"]
    assert (row["payment_amount"], row["payment_currency"]) == ("20000.00", "USD")
    (paid,) = [each for each in box.tell("GET", f"ledger?object={invoice}") if each["operation"] == "payment.paid"]
    assert (paid["amount"], paid["currency"], paid["object"]) == (20000, "USD", row["payment_id"])


def test_a_paid_invoice_is_paid_again_only_by_a_shopper_who_had_scanned_before(box: Sandbox) -> None:
    invoice = box.invoice()
    box.pay(invoice)
    answer = box.http.post(f"/_sandbox/pay/{invoice}", json={"type": "P2P"})
    assert refusal(answer) == (400, "INVOICE_PAID")
    box.pay(invoice, late=True)
    assert (box.check(invoice)["paid_amount"], box.show(invoice)["invoice_status"]) == (30000, "CLOSED")


def test_a_check_has_pages_and_its_sums_are_of_all_of_them(box: Sandbox) -> None:
    invoice = box.invoice()
    made = [box.pay(invoice, amount=1000) for _ in range(5)]
    pages = [box.check(invoice, page_number=number, page_limit=2) for number in (1, 2, 3, 4)]
    assert [[row["payment_id"] for row in page["rows"]] for page in pages] == [made[:2], made[2:4], made[4:], []]
    assert {(page["count"], page["paid_amount"]) for page in pages} == {(5, 5000)}


def test_a_check_without_a_page_is_of_the_first(box: Sandbox) -> None:
    invoice = box.invoice()
    box.pay(invoice)
    body = {"object_type": "INVOICE", "object_id": invoice}
    assert said(box.ask("POST", "payment/check", body)) == box.check(invoice)


@pytest.mark.parametrize("object_type", ["QR", "ITEM"])
def test_nobody_pays_codes_or_items_by_themselves(box: Sandbox, object_type: str) -> None:
    invoice = box.invoice()
    box.pay(invoice)
    body = {"object_type": object_type, "object_id": invoice}
    assert said(box.ask("POST", "payment/check", body)) == {"count": 0, "rows": []}


def test_payments_are_listed_between_two_moments(box: Sandbox) -> None:
    invoice = box.invoice()
    made = [box.pay(invoice, amount=1000) for _ in range(3)]
    now = datetime.now(UTC)

    def listed(start: datetime, end: datetime, **more: Any) -> Any:
        period = {"start_date": start.isoformat(), "end_date": end.isoformat()}
        return said(box.ask("POST", "payment/list", {"object_type": "INVOICE", "object_id": invoice, **period, **more}))

    hour = timedelta(hours=1)
    assert listed(now - hour, now + hour) == {"count": 3, "rows": [box.payment(payment) for payment in made]}
    assert listed(now + hour, now + hour) == {"count": 0, "rows": []}
    assert listed(now - hour, now - hour) == {"count": 0, "rows": []}
    page = listed(now - hour, now + hour, offset={"page_number": 2, "page_limit": 2})
    assert (page["count"], [row["payment_id"] for row in page["rows"]]) == (3, made[2:])


def test_whoever_polls_is_seen(box: Sandbox) -> None:
    invoice, other = box.invoice(), box.invoice()
    payment = box.pay(invoice)
    for _ in range(3):
        box.check(invoice)
    box.payment(payment)
    box.check(other)
    assert [operation for operation, _, _ in box.asked(invoice)] == ["check", "check", "check", "payment"]
    assert box.asked(payment) == [("payment", None, 200)]
    assert box.asked(other) == [("check", None, 200)]


def test_the_requests_of_an_order_are_found_by_its_number_also_when_they_are_refused(box: Sandbox) -> None:
    box.ask("POST", "invoice", {"sender_invoice_no": "ORD-refused"})
    invoice = box.invoice(sender_invoice_no="ORD-refused")
    box.payment(box.pay(invoice))
    assert box.asked("ORD-refused") == [("invoice", None, 400), ("invoice", None, 200), ("payment", None, 200)]


@pytest.mark.parametrize(
    "purse",
    [
        {},
        {"type": "CASH"},
        {"type": "P2P", "amount": 0},
        {"type": "P2P", "amount": "15000"},
        {"type": "P2P", "currency": "tugrik"},
        {"type": "P2P", "status": "REFUND"},
        {"type": "P2P", "callback": "put"},
        {"type": "P2P", "callback": {"times": -1}},
        {"type": "P2P", "callback": {"often": 3}},
        {"type": "P2P", "tip": 500},
    ],
)
def test_a_payment_that_makes_no_sense_is_refused(box: Sandbox, purse: Any) -> None:
    invoice = box.invoice()
    assert box.http.post(f"/_sandbox/pay/{invoice}", json=purse).status_code == 400
    assert box.check(invoice) == {"count": 0, "rows": []}


def test_only_what_there_is_can_be_paid_settled_or_called_about(box: Sandbox) -> None:
    assert refusal(box.http.post(f"/_sandbox/pay/{UNKNOWN}", json={"type": "P2P"})) == (422, "INVOICE_NOTFOUND")
    for act in ("settle", "callback"):
        assert refusal(box.http.post(f"/_sandbox/{act}/1")) == (422, "PAYMENT_NOTFOUND")
    assert box.http.post("/_sandbox/dance/1").status_code == 404
    assert box.http.get("/_sandbox/ledger?since=yesterday").status_code == 400
