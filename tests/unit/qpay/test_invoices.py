"""Invoices of QPay's: what they are made of, and having one canceled."""

from typing import Any

import pytest

from shared.providers.invoices import Canceled, Invoice, InvoiceProvider, Link, Refusal
from shared.providers.ports import Refused, Unknown
from shared.providers.qpay import LIVE, QPay
from tests.unit.qpay.server import INVOICE_ID, Server, invoice

CALLBACK = "https://shop.example/paid?token=unguessable"


def create(provider: InvoiceProvider, amount: int = 1500000) -> Invoice:
    return provider.create("inv-1", amount, "Order 1", CALLBACK)


# What is asked.


def test_an_invoice_is_made_out_in_whole_tugrik_and_is_paid_whole(server: Server, provider: QPay) -> None:
    server.say(200, invoice())
    create(provider)
    (asked,) = server.asked
    assert (asked["method"], asked["path"]) == ("POST", "/invoice")
    assert asked["json"] == {
        "invoice_code": "SHOP_INVOICE",
        "sender_invoice_no": "inv-1",
        "invoice_receiver_code": "terminal",
        "invoice_description": "Order 1",
        "amount": 15000,
        "callback_url": CALLBACK,
        "allow_partial": False,
        "allow_exceed": False,
    }
    assert type(asked["json"]["amount"]) is int


@pytest.mark.parametrize("amount", [1, 99, 101, 1500050, 0, -100, -50])
def test_what_is_no_number_of_whole_tugrik_is_refused_before_anybody_is_asked(
    server: Server, provider: QPay, amount: int
) -> None:
    with pytest.raises(Refused) as caught:
        create(provider, amount)
    assert caught.value.code == Refusal.NOT_AN_AMOUNT == "not_an_amount"
    assert (server.asked, server.logins) == ([], [])


def test_the_real_qpay_is_asked_when_no_other_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getaddrinfo", lambda host, port, *rest: pytest.fail(f"{host}:{port}"))
    provider = QPay("SHOP", "s3cr3t", "SHOP_INVOICE", "", (3, 30), connections=1)
    with pytest.raises(pytest.fail.Exception, match=r"^merchant\.qpay\.mn:443$"):
        create(provider)
    assert LIVE == "https://merchant.qpay.mn/v2"


# What comes of it.


def test_an_invoice_has_its_code_and_a_way_into_every_banks_app(server: Server, provider: QPay) -> None:
    server.say(200, invoice())
    assert create(provider) == Invoice(
        invoice_id=INVOICE_ID,
        qr_text="0002010102121531...6304A1B2",
        qr_image="iVBORw0KGgo=",
        short_url="https://s.qpay.mn/abc",
        links=(
            Link(
                "Khan bank",
                "Хаан банк",
                "https://qpay.mn/q/logo/khanbank.png",
                "khanbank://q?qPay_QRcode=0002010102121531",
            ),
            Link(
                "State bank",
                "Төрийн банк",
                "https://qpay.mn/q/logo/statebank.png",
                "statebank://q?qPay_QRcode=0002010102121531",
            ),
        ),
    )


@pytest.mark.parametrize(
    ("more", "links"),
    [
        ({"urls": []}, ()),
        ({"urls": None}, ()),
        ({"urls": [{"name": "Khan bank", "link": "khanbank://q"}]}, (Link("Khan bank", "", "", "khanbank://q"),)),
        ({"urls": [{"name": None, "logo": None}]}, (Link("", "", "", ""),)),
        ({"urls": [{}], "next_year": True}, (Link("", "", "", ""),)),
    ],
    ids=str,
)
def test_what_an_invoice_can_be_paid_without_may_be_absent(
    server: Server, provider: QPay, more: dict[str, Any], links: tuple[Link, ...]
) -> None:
    server.say(200, invoice(qr_image=None, qPay_shortUrl=None, **more))
    made = create(provider)
    assert (made.qr_image, made.short_url, made.links) == ("", "", links)


@pytest.mark.parametrize(
    "more",
    [
        {"invoice_id": None},
        {"invoice_id": ""},
        {"invoice_id": 17},
        {"invoice_id": "../payment/refund/1"},
        {"invoice_id": f"{INVOICE_ID}\n"},
        {"qr_text": None},
        {"urls": "none"},
        {"urls": ["khanbank://q"]},
    ],
    ids=str,
)
def test_an_invoice_that_nobody_could_pay_or_name_is_unknown(
    server: Server, provider: QPay, more: dict[str, Any]
) -> None:
    server.say(200, invoice(**more))
    with pytest.raises(Unknown):
        create(provider)
    assert len(server.asked) == 1


def test_two_invoices_under_one_number_are_two_invoices(server: Server, provider: QPay) -> None:
    server.say(200, invoice(invoice_id="first"))
    server.say(200, invoice(invoice_id="second"))
    assert [create(provider).invoice_id for _ in range(2)] == ["first", "second"]
    first, second = server.asked
    assert first["json"] == second["json"]


# Having one canceled.


def test_a_cancel_deletes_the_invoice(server: Server, provider: QPay) -> None:
    server.say(200, {})
    assert provider.cancel(INVOICE_ID) is Canceled.CANCELED
    (asked,) = server.asked
    assert (asked["method"], asked["path"], asked["json"]) == ("DELETE", f"/invoice/{INVOICE_ID}", None)


@pytest.mark.parametrize("status", [400, 404, 409, 422])
@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("INVOICE_PAID", Canceled.PAID),
        ("INVOICE_ALREADY_CANCELED", Canceled.ALREADY_CANCELED),  # with one L
        ("INVOICE_NOTFOUND", Canceled.UNKNOWN_INVOICE),
    ],
)
def test_an_invoice_that_cannot_be_canceled_says_why_whatever_the_status(
    server: Server, provider: QPay, status: int, code: str, outcome: Canceled
) -> None:
    server.say(status, {"error": code, "message": "Нэхэмжлэх"})
    assert provider.cancel(INVOICE_ID) is outcome


@pytest.mark.parametrize("body", [{}, {"message": "Нэхэмжлэх олдсонгүй"}, {"error": "Not found"}, {"error": None}])
def test_a_422_is_an_invoice_that_nobody_knows_and_no_outage(server: Server, provider: QPay, body: Any) -> None:
    server.say(422, body)
    assert provider.cancel(INVOICE_ID) is Canceled.UNKNOWN_INVOICE


@pytest.mark.parametrize(
    ("status", "code", "refusal"),
    [
        (400, "INVOICE_IS_ODD", "not_valid:INVOICE_IS_ODD"),
        (422, "INVOICE_IS_ODD", "no_such_id:INVOICE_IS_ODD"),
        (400, "PAYMENT_SETTLED", "settled"),
        (400, "INVOICE_ALREADY_CANCELLED", "not_valid:INVOICE_ALREADY_CANCELLED"),
    ],
)
def test_another_no_to_a_cancel_is_for_a_person(
    server: Server, provider: QPay, status: int, code: str, refusal: str
) -> None:
    server.say(status, {"error": code})
    with pytest.raises(Refused) as caught:
        provider.cancel(INVOICE_ID)
    assert caught.value.code == refusal
