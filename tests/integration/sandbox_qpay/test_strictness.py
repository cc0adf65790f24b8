"""What QPay refuses, this refuses, and says so in QPay's shapes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.sandbox_qpay.driver import UNKNOWN, Sandbox, refusal, wish


def problems(box: Sandbox, path: str, body: Any) -> dict[str, str]:
    """The type of what is wrong with each field of a body that is refused."""
    answer = box.ask("POST", path, body)
    assert answer.status_code == 400, answer.text
    error: dict[str, dict[str, str]] = answer.json()["error"]
    assert all(not problem["message"].isascii() for problem in error.values())
    return {name: problem["type"] for name, problem in error.items()}


@pytest.mark.parametrize(
    "field",
    ["invoice_code", "sender_invoice_no", "invoice_receiver_code", "invoice_description", "amount", "callback_url"],
)
def test_an_invoice_needs_each_of_its_fields(box: Sandbox, field: str) -> None:
    before = box.tell("GET", "ledger")
    assert problems(box, "invoice", wish(**{field: None})) == {field: "REQUIRED"}
    assert box.tell("GET", "ledger") == before


@pytest.mark.parametrize(
    ("field", "longest"),
    [
        ("invoice_code", 45),
        ("sender_invoice_no", 45),
        ("invoice_receiver_code", 45),
        ("invoice_description", 255),
        ("note", 1000),
    ],
)
def test_a_text_is_as_long_as_its_column_and_no_longer(box: Sandbox, field: str, longest: int) -> None:
    box.invoice(**{field: "ө" * longest})
    assert problems(box, "invoice", wish(**{field: "ө" * (longest + 1)})) == {field: "MAX_LENGTH"}
    assert problems(box, "invoice", wish(**{field: ""})) == {field: "MIN_LENGTH"}
    assert problems(box, "invoice", wish(**{field: 7})) == {field: "STRING"}


@pytest.mark.parametrize(
    ("field", "sent", "type"),
    [
        ("amount", "15000", "NUMBER"),
        ("amount", 15000.5, "NUMBER"),
        ("amount", 15000.0, "NUMBER"),
        ("amount", True, "NUMBER"),
        ("amount", 0, "MIN_NUMBER"),
        ("amount", -1, "MIN_NUMBER"),
        ("amount", 10**30, "MAX_NUMBER"),
        ("colour", "red", "UNKNOWN"),
        ("idempotency_key", "key-1", "UNKNOWN"),
        ("enable_expiry", "false", "BOOLEAN"),
        ("expiry_date", "tomorrow", "DATE"),
        ("minimum_amount", 0, "MIN_NUMBER"),
        ("sender_branch_data", [], "OBJECT"),
        ("transactions", {}, "ARRAY"),
        ("invoice_receiver_data", "Ann", "OBJECT"),
        ("callback_url", "http://127.0.0.1:9/" + "x" * 250, "MAX_LENGTH"),
        ("callback_url", "http://192.0.2.1/callback", "URL"),
        ("callback_url", "https://shop.example/callback", "URL"),
        ("callback_url", "http://127.0.0.1:99999/", "URL"),
        ("callback_url", "ftp://127.0.0.1/", "URL"),
        ("callback_url", "/callback", "URL"),
    ],
)
def test_a_wrong_field_of_an_invoice_is_named(box: Sandbox, field: str, sent: Any, type: str) -> None:
    before = box.tell("GET", "ledger")
    assert problems(box, "invoice", wish(**{field: sent})) == {field: type}
    assert box.tell("GET", "ledger") == before


def test_everything_that_is_wrong_is_said_at_once_also_within_a_part(box: Sandbox) -> None:
    line = {"line_description": "Tee", "line_quantity": 1.5, "line_unit_price": 5000, "size": "M"}
    body = wish(invoice_code=None, lines=[line], invoice_receiver_data={"email": 7})
    assert problems(box, "invoice", body) == {
        "invoice_code": "REQUIRED",
        "line_quantity": "NUMBER",
        "size": "UNKNOWN",
        "email": "STRING",
    }


def test_lines_that_come_to_nothing_or_to_too_much_are_refused(box: Sandbox) -> None:
    line = {"line_description": "Tee", "line_quantity": 10**12, "line_unit_price": 10**12}
    assert problems(box, "invoice", wish(amount=None, lines=[])) == {"amount": "REQUIRED"}
    assert problems(box, "invoice", wish(amount=None, lines=[line])) == {"amount": "MAX_NUMBER"}


@pytest.mark.parametrize(
    ("offset", "wrong"),
    [
        ({"page_number": 1, "page_limit": 0}, {"page_limit": "MIN_NUMBER"}),
        ({"page_number": 1, "page_limit": 101}, {"page_limit": "MAX_NUMBER"}),
        ({"page_number": 0, "page_limit": 100}, {"page_number": "MIN_NUMBER"}),
        ({"page_number": "1", "page_limit": 100}, {"page_number": "NUMBER"}),
        ({"page_number": 0, "page_limit": 0}, {"page_number": "MIN_NUMBER", "page_limit": "MIN_NUMBER"}),
        ({"page": 1}, {"page": "UNKNOWN"}),
        ([1, 100], {"offset": "OBJECT"}),
    ],
)
@pytest.mark.parametrize("path", ["payment/check", "payment/list"])
def test_a_wrong_page_is_named_by_its_field_alone(box: Sandbox, path: str, offset: Any, wrong: dict[str, str]) -> None:
    period = {"start_date": "2026-01-01", "end_date": "2027-01-01"} if path == "payment/list" else {}
    body = {"object_type": "INVOICE", "object_id": box.invoice(), "offset": offset, **period}
    assert problems(box, path, body) == wrong


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, {"object_type": "REQUIRED", "object_id": "REQUIRED"}),
        ({"object_type": "ORDER", "object_id": UNKNOWN}, {"object_type": "ENUM"}),
        ({"object_type": "INVOICE", "object_id": 7}, {"object_id": "STRING"}),
        ({"object_type": "INVOICE", "object_id": UNKNOWN, "sum": True}, {"sum": "UNKNOWN"}),
    ],
)
def test_a_wrong_check_is_refused(box: Sandbox, body: Any, wrong: dict[str, str]) -> None:
    assert problems(box, "payment/check", body) == wrong


@pytest.mark.parametrize("way", ["refund", "cancel"])
@pytest.mark.parametrize(
    ("body", "wrong"), [({"amount": 100}, "UNKNOWN"), ({"note": 7}, "STRING"), ({"callback_url": "no"}, "URL")]
)
def test_a_wrong_refund_is_refused_and_has_no_effect(box: Sandbox, way: str, body: Any, wrong: str) -> None:
    payment = box.pay(box.invoice(), "CARD")
    answer = box.refund(payment, body, way)
    assert (answer.status_code, [problem["type"] for problem in answer.json()["error"].values()]) == (400, [wrong])
    assert box.effects(payment) == [("payment.paid", 15000)]


@pytest.mark.parametrize("content", ["amount=100", "500", "[]", "{"])
def test_a_body_that_is_no_json_object_is_refused(box: Sandbox, content: str) -> None:
    headers = {"Authorization": f"Bearer {box.token}", "Content-Type": "application/json"}
    answer = box.http.post("/v2/invoice", content=content, headers=headers)
    assert refusal(answer) == (400, "INVALID_BODY")


@pytest.mark.parametrize("header", [{}, {"Content-Type": "text/plain"}])
def test_a_body_that_does_not_say_it_is_json_is_refused(box: Sandbox, header: dict[str, str]) -> None:
    headers = {"Authorization": f"Bearer {box.token}", **header}
    answer = box.http.post("/v2/invoice", content=json.dumps(wish()), headers=headers)
    assert refusal(answer) == (400, "INVALID_BODY")


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", f"invoice/{UNKNOWN}", "INVOICE_NOTFOUND"),
        ("DELETE", f"invoice/{UNKNOWN}", "INVOICE_NOTFOUND"),
        ("GET", "payment/1", "PAYMENT_NOTFOUND"),
        ("DELETE", "payment/refund/1", "PAYMENT_NOTFOUND"),
        ("DELETE", "payment/cancel/1", "PAYMENT_NOTFOUND"),
    ],
)
def test_what_is_not_found_is_422(box: Sandbox, method: str, path: str, code: str) -> None:
    assert refusal(box.ask(method, path)) == (422, code)


def test_an_invoice_that_is_not_found_is_not_an_unpaid_one(box: Sandbox) -> None:
    answer = box.ask("POST", "payment/check", {"object_type": "INVOICE", "object_id": UNKNOWN})
    assert refusal(answer) == (422, "INVOICE_NOTFOUND")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "payment/refund/1"),
        ("POST", "payment/cancel/1"),
        ("PUT", f"invoice/{UNKNOWN}"),
        ("DELETE", "invoice"),
        ("GET", "payment/check/1"),
    ],
)
def test_an_address_that_qpay_does_not_have_is_404(box: Sandbox, method: str, path: str) -> None:
    assert refusal(box.ask(method, path)) == (404, "NOT_FOUND")


def test_the_api_lives_under_its_version(box: Sandbox) -> None:
    assert refusal(box.http.post("/auth/token", auth=("merchant", "secret"))) == (404, "NOT_FOUND")
