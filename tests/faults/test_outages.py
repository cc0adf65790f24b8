"""The broker, Postgres, the provider or the mail server is away: what was accepted is carried out when it returns."""

import os
import signal
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from sqlalchemy import text

from shared.db import Database
from tests.faults import invariants
from tests.faults.mesh import RECOVERY, Mesh, Sale
from tests.shop import eventually

GROUPS = ("orders", "money", "hooks", "mail", "upkeep")


def assert_carried_out(mesh: Mesh, sale: Sale) -> None:
    """The order is taken back and its hold voided, once, and its shopper knows."""
    eventually(lambda: mesh.view(sale.order_id)["payment"]["status"] == "voided", RECOVERY)
    eventually(lambda: not invariants.moving(mesh), RECOVERY)
    assert mesh.ledger(sale.reference).count("payment_intent.canceled") == 1
    assert mesh.stock(sale.sku) == 10
    assert {letter["subject"] for letter in mesh.mails_to(sale.email)} == {f"Your order {sale.order_id} is canceled"}
    invariants.check(mesh, RECOVERY)


# The broker.


def test_while_the_broker_is_away_the_gateway_accepts_and_the_intent_is_carried_out_when_it_returns(
    mesh: Mesh,
) -> None:
    sale = mesh.sell()
    with mesh.broker.unreachable():
        intent = mesh.start_cancel(sale)
        assert mesh.http.get("/readyz").status_code == 200
        overdue = mesh.sell_unanswered()
        assert mesh.answer_so_far(intent) is None
    assert mesh.answer_of(intent)["body"]["payment_action"] == "voided"
    assert mesh.answer_of(overdue)["status"] == 201
    assert_carried_out(mesh, sale)


def test_a_client_that_waits_while_the_broker_is_away_is_answered_202_and_joins_its_intent_later(mesh: Mesh) -> None:
    sale = mesh.sell()
    with mesh.broker.unreachable():
        first = mesh.cancel(sale.purchase, Prefer="wait=1")
        assert (first.status_code, first.headers["Location"]) == (202, f"/intents/{first.json()['intent']}")
    eventually(lambda: mesh.cancel(sale.purchase).status_code == 200, RECOVERY)
    assert_carried_out(mesh, sale)


def test_a_broker_that_hangs_does_not_keep_the_gateway_from_accepting(mesh: Mesh) -> None:
    sale = mesh.sell()
    with mesh.frozen("redis"):
        intent = mesh.start_cancel(sale)
    assert mesh.answer_of(intent)["body"]["payment_action"] == "voided"
    assert_carried_out(mesh, sale)


def test_every_worker_consumes_again_after_the_broker_was_killed(mesh: Mesh) -> None:
    sales = [mesh.sell() for _ in range(6)]
    with ThreadPoolExecutor(len(sales)) as shoppers:
        answers = [shoppers.submit(mesh.cancel, sale.purchase) for sale in sales]
        mesh.kill("redis")
        assert {answer.result().status_code for answer in answers} <= {200, 202}
    eventually(lambda: mesh.broker.consuming() == set(GROUPS), RECOVERY)
    for sale in sales:
        eventually(lambda sale=sale: mesh.cancel(sale.purchase).status_code == 200, RECOVERY)
        mesh.expire_lease(sale)
    for sale in sales:
        assert_carried_out(mesh, sale)


# Postgres.


def test_while_postgres_is_away_every_request_gets_503_and_nothing_is_recorded(mesh: Mesh) -> None:
    sale = mesh.sell()
    registration = mesh.order(mesh.authorize())
    key = {"Idempotency-Key": uuid.uuid4().hex}
    with mesh.postgres_unreachable(), mesh.hasty():
        refused = [
            mesh.cancel(sale.purchase, **key),
            mesh.register(registration),
            mesh.http.put(f"/stock/{sale.sku}", json={"quantity": 99}, headers=mesh.bearer("service")),
            mesh.http.get(f"/orders/{sale.order_id}", headers=mesh.bearer("admin")),
            mesh.http.get("/intents/int_1", headers=mesh.bearer("admin")),
            mesh.http.get("/readyz"),
        ]
        for answer in refused:
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            assert int(answer.headers["Retry-After"]) > 0
            assert answer.headers["Content-Type"] == "application/problem+json"
        assert mesh.http.get("/healthz").status_code == 200
    assert not mesh.sql("SELECT 1 FROM intents WHERE idempotency_key = %s", key["Idempotency-Key"])
    assert not mesh.sql("SELECT 1 FROM intents WHERE subject = %s", registration["order_id"])
    assert mesh.stock(sale.sku) == 8
    answer = mesh.cancel(sale.purchase, **key)
    assert (answer.status_code, answer.json()["payment_action"]) == (200, "voided")
    assert "Idempotent-Replayed" not in answer.headers
    assert_carried_out(mesh, sale)


def test_a_postgres_that_lets_nobody_in_is_answered_503(mesh: Mesh) -> None:
    sale = mesh.sell()
    postmaster = mesh.stack.pids()["postgres"]
    with mesh.postgres_unreachable():  # nobody keeps a connection from before
        os.kill(postmaster, signal.SIGSTOP)
    try:
        with mesh.hasty():
            answer = mesh.cancel(sale.purchase)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    finally:
        os.kill(postmaster, signal.SIGCONT)
    answer = mesh.cancel(sale.purchase)
    assert answer.status_code == 200
    assert_carried_out(mesh, sale)


def test_a_restart_of_postgres_that_nobody_noticed_costs_nobody_a_statement(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.db.IDLE", 0.0)  # every connection counts as idle for long
    database = Database(mesh.settings.database_url, pool_size=4)

    def ask(_: int) -> int:
        with database.transaction() as connection:
            return int(connection.execute(text("SELECT 1 FROM pg_sleep(0.1)")).scalar_one())

    with ThreadPoolExecutor(4) as processes:
        assert list(processes.map(ask, range(4))) == [1] * 4
        with mesh.postgres_unreachable():
            pass
        assert list(processes.map(ask, range(8))) == [1] * 8
    database.close()


@pytest.mark.parametrize("fault", ["timeout_before", "timeout_after"])
def test_postgres_killed_while_a_void_is_under_way_leaves_one_void(mesh: Mesh, fault: str) -> None:
    sale = mesh.sell()
    mesh.misbehave("stripe", "cancel", fault, sale.reference)
    intent = mesh.start_cancel(sale)
    eventually(lambda: mesh.is_held_at_provider(sale, "cancel"))
    mesh.kill("postgres")
    mesh.behave()  # the worker has its answer now, and nowhere to write it
    assert mesh.answer_of(intent)["status"] == 200
    assert_carried_out(mesh, sale)


# The provider.


def test_a_registration_waits_for_its_provider_and_is_carried_out_when_it_returns(mesh: Mesh) -> None:
    reference = mesh.authorize()
    mesh.misbehave("stripe", "retrieve", "drop_before", reference, times=-1)
    answer = mesh.register(mesh.order(reference), Prefer="wait=1")
    assert answer.status_code == 202, answer.text
    intent = answer.json()["intent"]
    eventually(lambda: len(mesh.requests_to_provider(reference)) >= 3)  # its making, and two attempts to read it
    assert mesh.answer_so_far(intent) is None
    mesh.behave()
    assert mesh.answer_of(intent)["status"] == 201
    invariants.check(mesh, RECOVERY)


def test_a_void_is_retried_under_one_key_until_the_provider_answers(mesh: Mesh) -> None:
    faults = ["drop_before", "drop_after", "error_500_before", "error_500_after", "rate_limit", "html_502"]
    sales = [mesh.sell() for _ in faults]
    for sale, fault in zip(sales, faults, strict=True):
        mesh.misbehave("stripe", "cancel", fault, sale.reference)
    for sale in sales:
        answer = mesh.cancel(sale.purchase)
        assert (answer.status_code, answer.json()["payment_action"]) == (200, "void_failed")
    for sale in sales:
        assert_carried_out(mesh, sale)
        assert [(alert["severity"], alert["open"]) for alert in mesh.alerts(sale.order_id)] == [("critical", False)]


def test_a_capture_is_retried_under_one_key_until_the_provider_answers(mesh: Mesh) -> None:
    faults = ["drop_before", "drop_after", "error_500_before", "rate_limit", "html_502"]
    sales = [mesh.sell_overdue(("capture", fault)) for fault in faults]
    for sale in sales:
        assert_captured(mesh, sale)


def test_a_capture_whose_answer_is_an_error_for_ever_is_read_back(mesh: Mesh) -> None:
    assert_captured(mesh, mesh.sell_overdue(("capture", "error_500_after")))


def test_a_key_that_a_twin_is_using_right_now_is_no_failure(mesh: Mesh) -> None:
    """The provider answers 409 to the second one; the first one knows the outcome, and nobody is alarmed."""
    voided = mesh.sell()
    mesh.misbehave("stripe", "cancel", "conflict", voided.reference)
    intent = mesh.start_cancel(voided)
    captured = mesh.sell_overdue(("capture", "conflict"))
    assert mesh.answer_of(intent)["body"]["payment_action"] == "voided"
    eventually(lambda: mesh.view(captured.order_id)["status"] == "captured", RECOVERY)
    assert mesh.alerts(voided.order_id) == mesh.alerts(captured.order_id) == []
    assert_carried_out(mesh, voided)


def assert_captured(mesh: Mesh, sale: Sale) -> None:
    """The money is taken, once, and whoever was told of the trouble was told of its end."""
    eventually(lambda: mesh.view(sale.order_id)["status"] == "captured", RECOVERY)
    assert mesh.ledger(sale.reference).count("payment_intent.captured") == 1
    assert [(alert["severity"], alert["open"]) for alert in mesh.alerts(sale.order_id)] == [("warning", False)]
    invariants.check(mesh, RECOVERY)


# The mail server.


def test_a_greylisted_message_is_sent_again_and_arrives_once(mesh: Mesh) -> None:
    sale = mesh.sell()
    mesh.misbehave("mailbox", "rcpt", "451", sale.email, times=2)
    assert mesh.cancel(sale.purchase).status_code == 200
    assert_carried_out(mesh, sale)
    assert mesh.email(sale) == ("sent", 3)
    assert len(mesh.mails_to(sale.email)) == 1
    assert mesh.alerts(sale.order_id) == []


@pytest.mark.parametrize(("operation", "fault"), [("rcpt", "drop_before"), ("data", "drop_before"), ("data", "451")])
def test_a_message_that_the_server_did_not_take_is_sent_again_and_arrives_once(
    mesh: Mesh, operation: str, fault: str
) -> None:
    sale = mesh.sell()
    mesh.misbehave("mailbox", operation, fault, sale.email)
    assert mesh.cancel(sale.purchase).status_code == 200
    assert_carried_out(mesh, sale)
    assert mesh.email(sale) == ("sent", 2)
    assert len(mesh.mails_to(sale.email)) == 1


def test_a_message_whose_acknowledgement_is_lost_comes_twice_under_one_message_id(mesh: Mesh) -> None:
    sale = mesh.sell()
    mesh.misbehave("mailbox", "data", "drop_after", sale.email)
    assert mesh.cancel(sale.purchase).status_code == 200
    assert_carried_out(mesh, sale)
    letters = mesh.mails_to(sale.email)
    assert len(letters) == 2
    assert len({letter["message_id"] for letter in letters}) == 1


@pytest.mark.parametrize("operation", ["rcpt", "data"])
def test_a_message_that_the_server_will_never_take_is_given_up_and_a_person_is_told(mesh: Mesh, operation: str) -> None:
    sale = mesh.sell()
    mesh.misbehave("mailbox", operation, "550", sale.email, times=-1)
    assert mesh.cancel(sale.purchase).json()["payment_action"] == "voided"
    eventually(lambda: mesh.email(sale) == ("refused", 1), RECOVERY)
    assert [(alert["severity"], alert["open"]) for alert in mesh.alerts(sale.order_id)] == [("warning", True)]
    assert mesh.mails_to(sale.email) == []
    invariants.check(mesh, RECOVERY)


def test_a_mail_server_that_was_killed_gets_its_messages_when_it_is_back(mesh: Mesh) -> None:
    sale = mesh.sell()
    with mesh.frozen("worker-mail"):
        assert mesh.cancel(sale.purchase).status_code == 200
        mesh.kill("mailbox")
    eventually(lambda: is_delivered(mesh, sale), RECOVERY)
    assert len(mesh.mails_to(sale.email)) == 1
    assert_carried_out(mesh, sale)


def is_delivered(mesh: Mesh, sale: Sale) -> bool:
    """Whether the mailbox runs and holds the shopper's message."""
    try:
        return bool(mesh.mails_to(sale.email))
    except httpx.TransportError:
        return False
