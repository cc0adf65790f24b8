"""Invoices: made, read, canceled, and paid in the meantime."""

from __future__ import annotations

import base64
import binascii
import struct
import uuid
import zlib
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.integration.sandbox_qpay.driver import NOBODY, Sandbox, refusal, said
from tests.shop import at_once, eventually


def pay_by_app(box: Sandbox, invoice: str) -> httpx.Response:
    """Let a shopper pay, and take whatever is answered."""
    return box.http.post(f"/_sandbox/pay/{invoice}", json={"type": "P2P", "callback": "none"})


def test_an_invoice_is_answered_with_everything_a_shopper_pays_with(box: Sandbox) -> None:
    made = box.create()
    assert set(made) == {"invoice_id", "qr_text", "qr_image", "qPay_shortUrl", "urls"}
    assert str(uuid.UUID(made["invoice_id"])) == made["invoice_id"]
    assert made["qPay_shortUrl"].startswith("https://")
    assert len(made["urls"]) >= 3
    for bank in made["urls"]:
        assert set(bank) == {"name", "description", "logo", "link"}
        assert bank["link"].endswith(f"://q?qPay_QRcode={made['qr_text']}")
    assert len({bank["link"].partition(":")[0] for bank in made["urls"]}) == len(made["urls"])


def test_the_text_of_the_code_is_emvco_with_amount_and_checksum(box: Sandbox) -> None:
    text = box.create(amount=25500)["qr_text"]
    fields, rest = {}, text
    while rest:
        tag, length = rest[:2], int(rest[2:4])
        fields[tag], rest = rest[4 : 4 + length], rest[4 + length :]
    assert (fields["00"], fields["53"], fields["54"], fields["58"]) == ("01", "496", "25500", "MN")
    assert list(fields)[-1] == "63"
    assert int(fields["63"], 16) == binascii.crc_hqx(text[:-4].encode(), 0xFFFF)


def test_the_picture_of_the_code_is_a_real_png(box: Sandbox) -> None:
    first, second = (base64.b64decode(box.create()["qr_image"], validate=True) for _ in range(2))
    assert first != second
    assert first.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, rest = {}, first[8:]
    while rest:
        length = int.from_bytes(rest[:4], "big")
        kind, data, checksum = rest[4:8], rest[8 : 8 + length], rest[8 + length : 12 + length]
        assert zlib.crc32(kind + data) == int.from_bytes(checksum, "big")
        chunks[kind], rest = data, rest[12 + length :]
    width, height, depth, color = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert (depth, color, list(chunks)[-1]) == (1, 0, b"IEND")
    assert len(zlib.decompress(chunks[b"IDAT"])) == height * (1 + width // 8)


def test_an_invoice_shows_its_amount_as_a_text_and_as_a_number(box: Sandbox) -> None:
    invoice = box.invoice(sender_invoice_no="ORD-shown", note="gift", sender_branch_code="UB-1")
    shown = box.show(invoice)
    assert (shown["invoice_id"], shown["invoice_status"], shown["sender_invoice_no"]) == (invoice, "OPEN", "ORD-shown")
    assert (shown["total_amount"], shown["gross_amount"], shown["tax_amount"]) == ("15000.00", 15000, 0)
    assert (shown["callback_url"], shown["note"], shown["sender_branch_code"]) == (NOBODY, "gift", "UB-1")
    assert (shown["lines"], shown["transactions"], shown["payments"]) == ([], [], [])


def test_an_invoice_may_have_lines_in_place_of_an_amount(box: Sandbox) -> None:
    lines = [
        {"line_description": "Tee", "line_quantity": 2, "line_unit_price": 5000, "taxes": []},
        {"line_description": "Cap", "line_quantity": 1, "line_unit_price": 3000},
    ]
    shown = box.show(box.invoice(amount=None, lines=lines))
    assert (shown["total_amount"], shown["lines"]) == ("13000.00", lines)


def test_the_same_number_twice_makes_two_invoices(box: Sandbox) -> None:
    first, second = box.invoice(sender_invoice_no="ORD-again"), box.invoice(sender_invoice_no="ORD-again")
    assert first != second
    assert box.effects("ORD-again") == [("invoice.created", 15000)] * 2
    box.pay(first)
    assert [box.show(invoice)["invoice_status"] for invoice in (first, second)] == ["CLOSED", "OPEN"]


def test_an_open_invoice_is_canceled_once(box: Sandbox) -> None:
    invoice = box.invoice()
    assert said(box.cancel(invoice)) == {}
    assert box.show(invoice)["invoice_status"] == "CANCELED"
    assert refusal(box.cancel(invoice)) == (400, "INVOICE_ALREADY_CANCELED")
    assert box.effects(invoice) == [("invoice.created", 15000), ("invoice.canceled", 15000)]


def test_a_paid_invoice_is_not_canceled(box: Sandbox) -> None:
    invoice = box.invoice()
    box.pay(invoice)
    assert refusal(box.cancel(invoice)) == (400, "INVOICE_PAID")
    assert box.show(invoice)["invoice_status"] == "CLOSED"


def test_an_invoice_that_was_paid_in_part_is_open_and_is_not_canceled(box: Sandbox) -> None:
    invoice = box.invoice()
    box.pay(invoice, amount=5000)
    assert box.show(invoice)["invoice_status"] == "OPEN"
    assert refusal(box.cancel(invoice)) == (400, "INVOICE_PAID")


def test_a_payment_that_failed_does_not_keep_an_invoice_from_being_canceled(box: Sandbox) -> None:
    invoice = box.invoice()
    for status in ("NEW", "FAILED", "PARTIAL"):
        box.pay(invoice, status=status)
    assert said(box.cancel(invoice)) == {}


def test_a_canceled_invoice_is_not_paid_any_more(box: Sandbox) -> None:
    invoice = box.invoice()
    box.cancel(invoice)
    assert refusal(pay_by_app(box, invoice)) == (400, "INVOICE_ALREADY_CANCELED")
    assert box.check(invoice) == {"count": 0, "rows": []}


def test_a_shopper_who_had_scanned_before_pays_a_canceled_invoice(box: Sandbox) -> None:
    invoice = box.invoice()
    box.cancel(invoice)
    payment = box.pay(invoice, late=True)
    assert box.show(invoice)["invoice_status"] == "CANCELED"
    assert [row["payment_id"] for row in box.check(invoice)["rows"]] == [payment]
    assert [name for name, _ in box.effects(invoice)] == ["invoice.created", "invoice.canceled", "payment.paid"]
    assert refusal(box.cancel(invoice)) == (400, "INVOICE_ALREADY_CANCELED")


def test_of_a_payment_and_a_cancel_at_once_exactly_one_wins(box: Sandbox) -> None:
    for _ in range(20):
        invoice = box.invoice()
        acts = [lambda invoice=invoice: pay_by_app(box, invoice), lambda invoice=invoice: box.cancel(invoice)]
        paid, canceled = at_once(2, lambda each, acts=acts: acts[each]())  # type: ignore[misc]
        effects = [name for name, _ in box.effects(invoice)[1:]]
        if paid.status_code == 200:
            assert (refusal(canceled), effects) == ((400, "INVOICE_PAID"), ["payment.paid"])
        else:
            assert (refusal(paid), effects) == ((400, "INVOICE_ALREADY_CANCELED"), ["invoice.canceled"])
            assert said(canceled) == {}


def test_a_payment_that_lands_while_a_cancel_is_on_its_way_wins(box: Sandbox) -> None:
    invoice = box.invoice()
    box.tell("POST", "latency", json={"milliseconds": 1000, "operation": "cancel"})
    with ThreadPoolExecutor(1) as pool:
        canceling = pool.submit(lambda: box.cancel(invoice))
        eventually(lambda: box.asked(invoice) == [("cancel", None, None)])
        box.pay(invoice)
        assert refusal(canceling.result(timeout=5)) == (400, "INVOICE_PAID")


def test_a_payment_that_lands_after_a_cancel_whose_answer_is_on_its_way_loses(box: Sandbox) -> None:
    invoice = box.invoice()
    box.arm("cancel", "timeout_after")
    with ThreadPoolExecutor(1) as pool:
        canceling = pool.submit(lambda: box.cancel(invoice))
        eventually(lambda: box.effects(invoice)[-1] == ("invoice.canceled", 15000))
        assert refusal(pay_by_app(box, invoice)) == (400, "INVOICE_ALREADY_CANCELED")
        box.tell("DELETE", "faults")
        assert isinstance(canceling.exception(timeout=5), httpx.RemoteProtocolError)
