"""Misbehavior to order, and what can be seen of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.integration.sandbox_qpay.driver import NUMBERS, Sandbox, refusal, wish
from tests.shop import eventually

#: Each fault before the effect, and the status it is answered with, None when the answer is withheld.
BEFORE: list[tuple[str, int | None]] = [
    ("timeout_before", None),
    ("drop_before", None),
    ("error_500_before", 500),
    ("rate_limit", 429),
    ("unauthorized", 401),
    ("html_502", 502),
]
AFTER: list[tuple[str, int | None]] = [
    ("timeout_after", None),
    ("drop_after", None),
    ("error_500_after", 500),
    ("not_json", 200),
]
CODES = {"error_500_before": "SYSTEM_BUSY", "error_500_after": "SYSTEM_BUSY", "unauthorized": "NO_CREDENTIALS"}


@dataclass(frozen=True)
class Move:
    """One operation that changes something: how it is asked for, about what, and its name in the ledger."""

    box: Sandbox
    #: What a fault is armed for; an invoice that is yet to be made is known by its number only.
    about: str
    effect: str
    act: Callable[[], httpx.Response]

    def effects(self) -> int:
        """How often it took effect, by the ledger."""
        return [name for name, _ in self.box.effects(self.about)].count(self.effect)


def move(box: Sandbox, operation: str) -> Move:
    """One that has everything it needs and has not been asked for yet."""
    number = next(NUMBERS)
    if operation == "invoice":
        body = wish(sender_invoice_no=number)
        return Move(box, number, "invoice.created", lambda: box.ask("POST", "invoice", body))
    invoice = box.invoice(sender_invoice_no=number)
    if operation == "cancel":
        return Move(box, invoice, "invoice.canceled", lambda: box.cancel(invoice))
    payment = box.pay(invoice, "CARD")
    return Move(box, payment, "payment.refunded", lambda: box.refund(payment))


def disturbed(act: Callable[[], httpx.Response], fault: str, status: int | None) -> None:
    """Ask under a fault, and see what is to be seen of it."""
    if status is None:
        with pytest.raises(httpx.RemoteProtocolError):
            act()
        return
    answer = act()
    assert answer.status_code == status
    if fault in CODES:
        assert refusal(answer) == (status, CODES[fault])
    if fault in ("html_502", "not_json"):
        with pytest.raises(ValueError, match="Expecting value"):
            answer.json()


@pytest.mark.parametrize("operation", ["invoice", "cancel", "refund"])
@pytest.mark.parametrize(("fault", "status"), BEFORE)
def test_a_fault_before_the_effect_leaves_nothing(box: Sandbox, operation: str, fault: str, status: int | None) -> None:
    moved = move(box, operation)
    box.arm(operation, fault, object=moved.about, seconds=0.2)
    disturbed(moved.act, fault, status)
    assert moved.effects() == 0
    assert moved.act().status_code == 200
    assert moved.effects() == 1
    assert box.asked(moved.about)[-2:] == [(operation, fault, status), (operation, None, 200)]


@pytest.mark.parametrize("operation", ["invoice", "cancel", "refund"])
@pytest.mark.parametrize(("fault", "status"), AFTER)
def test_a_fault_after_the_effect_hides_it(box: Sandbox, operation: str, fault: str, status: int | None) -> None:
    moved = move(box, operation)
    box.arm(operation, fault, object=moved.about, seconds=0.2)
    disturbed(moved.act, fault, status)
    assert moved.effects() == 1
    assert box.asked(moved.about)[-1] == (operation, fault, status)


def test_an_invoice_whose_answer_was_lost_is_made_again_for_there_is_no_key(box: Sandbox) -> None:
    moved = move(box, "invoice")
    box.arm("invoice", "drop_after", object=moved.about)
    disturbed(moved.act, "drop_after", None)
    assert moved.act().status_code == 200
    assert moved.effects() == 2


@pytest.mark.parametrize(
    ("operation", "code"), [("cancel", "INVOICE_ALREADY_CANCELED"), ("refund", "PAYMENT_ALREADY_CANCELED")]
)
def test_what_was_done_under_a_lost_answer_is_told_by_the_next(box: Sandbox, operation: str, code: str) -> None:
    moved = move(box, operation)
    box.arm(operation, "timeout_after", object=moved.about, seconds=0.2)
    disturbed(moved.act, "timeout_after", None)
    assert refusal(moved.act()) == (400, code)
    assert moved.effects() == 1


@pytest.mark.parametrize("operation", ["check", "payment", "retrieve", "token"])
@pytest.mark.parametrize(("fault", "status"), [*BEFORE, *AFTER])
def test_every_read_can_be_disturbed_and_is_right_again(
    box: Sandbox, operation: str, fault: str, status: int | None
) -> None:
    invoice = box.invoice()
    payment = box.pay(invoice)
    reads: dict[str, Callable[[], httpx.Response]] = {
        "check": lambda: box.ask("POST", "payment/check", {"object_type": "INVOICE", "object_id": invoice}),
        "payment": lambda: box.ask("GET", f"payment/{payment}"),
        "retrieve": lambda: box.ask("GET", f"invoice/{invoice}"),
        "token": lambda: box.http.post("/v2/auth/token", auth=("merchant", "secret")),
    }
    box.arm(operation, fault, seconds=0.1)
    disturbed(reads[operation], fault, status)
    assert reads[operation]().json()


def test_a_refresh_token_whose_answer_was_lost_is_dead(box: Sandbox) -> None:
    token = box.log_in()["refresh_token"]
    box.arm("token", "drop_after")
    disturbed(lambda: box.refresh(token), "drop_after", None)
    assert refusal(box.refresh(token)) == (401, "NO_CREDENTIALS")


def test_a_fault_is_met_as_often_as_it_was_told_and_by_whom(box: Sandbox) -> None:
    first, second = box.invoice(), box.invoice()
    box.arm("any", "rate_limit", times=2, object=first)
    assert box.check(second)["count"] == 0
    assert box.ask("GET", f"invoice/{first}").status_code == 429
    payment = box.pay(first)
    assert refusal(box.ask("GET", f"payment/{payment}")) == (429, "TOO_MANY_REQUESTS")
    assert box.check(first)["count"] == 1


@pytest.mark.parametrize(
    "fault",
    [
        {"operation": "capture", "fault": "drop"},
        {"operation": "refund", "fault": "decline"},
        {"operation": "refund", "fault": "twice"},
        {"operation": "callback", "fault": "rate_limit"},
        {"operation": "refund"},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(box: Sandbox, fault: Any) -> None:
    assert box.http.post("/_sandbox/faults", json=fault).status_code == 400
    assert box.tell("GET", "faults") == []


def test_clearing_the_faults_drops_the_requests_that_hang(box: Sandbox) -> None:
    moved = move(box, "refund")
    box.arm("refund", "timeout_after")
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(moved.act)
        eventually(lambda: moved.effects() == 1)
        box.tell("DELETE", "faults")
        with pytest.raises(httpx.RemoteProtocolError):
            hanging.result(timeout=3)


def test_latency_is_added_to_the_operation_it_is_for(box: Sandbox) -> None:
    invoice = box.invoice()
    box.tell("POST", "latency", json={"milliseconds": 300, "operation": "check"})
    started = time.monotonic()
    box.check(invoice)
    assert time.monotonic() - started >= 0.3


def test_the_ledger_can_be_read_on_from_where_one_stopped(box: Sandbox) -> None:
    invoice = box.invoice(sender_invoice_no="ORD-ledger")
    last = box.tell("GET", "ledger")[-1]
    assert (last["object"], last["invoice"], last["sender_invoice_no"]) == (invoice, invoice, "ORD-ledger")
    payment = box.pay(invoice)
    (row,) = box.tell("GET", f"ledger?since={last['seq']}")
    assert (row["operation"], row["object"], row["invoice"]) == ("payment.paid", payment, invoice)
    assert (row["amount"], row["currency"], row["sender_invoice_no"]) == (15000, "MNT", "ORD-ledger")
    assert abs(row["at"] - time.time()) < 60
    for object in (invoice, "ORD-ledger"):
        assert box.tell("GET", f"ledger?object={object}") == [last, row]
    assert box.tell("GET", f"ledger?object={payment}") == [row]
