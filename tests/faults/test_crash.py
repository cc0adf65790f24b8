"""A process that is killed at the worst moment: whoever carries on comes to the same outcome, with one effect."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import pytest

from shared.db import Database
from shared.queues import Queue
from shared.store import emails
from tests.faults import invariants
from tests.faults.mesh import RECOVERY, Mesh, Sale
from tests.shop import eventually

#: Seconds that an e-mail stays in the hands of whoever claimed it (workers/email.py, which only a worker can import).
LEASE = 120.0

VOIDED = {"status": "canceled", "payment_action": "voided"}


def assert_canceled_once(mesh: Mesh, sale: Sale, intent_id: str, *, mails: int = 1) -> None:
    """The whole outcome of one cancel, wherever it was interrupted."""
    assert mesh.answer_of(intent_id) == {"status": 200, "body": {"order_id": sale.order_id} | VOIDED}
    eventually(lambda: not invariants.moving(mesh), RECOVERY)
    assert mesh.ledger(sale.reference).count("payment_intent.canceled") == 1
    (void_id,) = [row[0] for row in mesh.sql("SELECT id FROM voids WHERE order_id = %s", sale.order_id)]
    cancels = [each for each in mesh.requests_to_provider(sale.reference) if each["operation"] == "cancel"]
    assert {cancel["idempotency_key"] for cancel in cancels} == {f"void:{void_id}"}
    assert mesh.stock(sale.sku) == 10
    assert len(mesh.mails_to(sale.email)) == mails
    assert mesh.events(sale.order_id) == ["order_registered", "order_canceled", "void_started", "payment_voided"]
    invariants.check(mesh)


def assert_captured_once(mesh: Mesh, sale: Sale) -> None:
    """The whole outcome of one capture, wherever it was interrupted."""
    eventually(lambda: mesh.view(sale.order_id)["status"] == "captured", RECOVERY)
    assert mesh.ledger(sale.reference).count("payment_intent.captured") == 1
    (job_id,) = [row[0] for row in mesh.sql("SELECT id FROM capture_jobs WHERE order_id = %s", sale.order_id)]
    captures = [each for each in mesh.requests_to_provider(sale.reference) if each["operation"] == "capture"]
    assert {capture["idempotency_key"] for capture in captures} == {f"capture:{job_id}"}
    assert mesh.view(sale.order_id)["payment"]["captured"] == sale.purchase.total
    assert mesh.events(sale.order_id) == ["order_registered", "capture_started", "payment_captured", "order_captured"]
    assert mesh.stock(sale.sku) == 8
    invariants.check(mesh)


def test_a_worker_killed_right_before_the_void_reaches_the_provider_leaves_one_void(mesh: Mesh) -> None:
    sale = mesh.sell()
    mesh.misbehave("stripe", "cancel", "timeout_before", sale.reference)
    intent = mesh.start_cancel(sale)
    eventually(lambda: mesh.is_held_at_provider(sale, "cancel"))
    mesh.kill("worker-money")
    mesh.behave()
    assert_canceled_once(mesh, sale, intent)


@pytest.mark.parametrize("forgetful", [False, True], ids=["key-remembered", "key-forgotten"])
def test_a_worker_killed_right_after_the_void_took_effect_leaves_one_void(mesh: Mesh, forgetful: bool) -> None:
    sale = mesh.sell()
    mesh.misbehave("stripe", "cancel", "timeout_after", sale.reference)
    intent = mesh.start_cancel(sale)
    eventually(lambda: "payment_intent.canceled" in mesh.ledger(sale.reference))
    mesh.kill("worker-money")
    if forgetful:  # as the provider may after a day
        mesh.outside.delete(f"{mesh.urls['stripe']}/_sandbox/idempotency_keys")
    mesh.behave()
    assert_canceled_once(mesh, sale, intent)


def test_a_worker_killed_right_before_the_capture_reaches_the_provider_captures_once(mesh: Mesh) -> None:
    sale = mesh.sell_overdue(("capture", "timeout_before"))
    eventually(lambda: mesh.is_held_at_provider(sale, "capture"))
    mesh.kill("worker-money")
    late = mesh.cancel(sale.purchase)
    assert (late.status_code, late.json()["code"]) == (409, "late_cancel")
    mesh.behave()
    assert_captured_once(mesh, sale)


@pytest.mark.parametrize("forgetful", [False, True], ids=["key-remembered", "key-forgotten"])
def test_a_worker_killed_right_after_the_capture_took_effect_captures_once(mesh: Mesh, forgetful: bool) -> None:
    sale = mesh.sell_overdue(("capture", "timeout_after"))
    eventually(lambda: "payment_intent.captured" in mesh.ledger(sale.reference))
    mesh.kill("worker-money")
    if forgetful:
        mesh.outside.delete(f"{mesh.urls['stripe']}/_sandbox/idempotency_keys")
    mesh.behave()
    assert_captured_once(mesh, sale)


def test_a_worker_killed_between_commit_and_publish_loses_nothing(mesh: Mesh) -> None:
    sale, intent = committed_and_not_published(mesh)
    assert mesh.sql("SELECT 1 FROM outbox WHERE task = 'void.payment'")
    assert_canceled_once(mesh, sale, intent)


def committed_and_not_published(mesh: Mesh) -> tuple[Sale, str]:
    """A canceled order whose worker was killed with the void and the e-mail committed, and neither published."""
    while True:
        sale = mesh.sell()
        with ExitStack() as held:
            lock = held.enter_context(mesh.order_locked(sale))
            intent = mesh.start_cancel(sale)
            eventually(mesh.somebody_waits_for_a_lock)
            held.enter_context(mesh.broker.takes_nothing())
            lock.rollback()
            if is_judged(mesh, intent):
                mesh.kill("worker-orders")
                assert mesh.broker.waiting(Queue.VOID) == mesh.broker.waiting(Queue.EMAIL) == 0
                return sale, intent
        # The worker gave up waiting for the lock before it was let go: this machine was too slow, so once more.


def is_judged(mesh: Mesh, intent: str) -> bool:
    """Wait until the worker has decided on a cancel; whether it carries it out, or will come back to it."""
    statement = "SELECT state FROM intents WHERE id = %s AND (state <> 'accepted' OR hindrance IS NOT NULL)"
    ((state,),) = eventually(lambda: mesh.sql(statement, intent))
    return bool(state == "working")


@pytest.mark.parametrize(("fault", "mails"), [("timeout_before", 1), ("timeout_after", 2)])
def test_a_worker_killed_while_it_mails_leaves_one_message_or_the_same_one_twice(
    mesh: Mesh, fault: str, mails: int
) -> None:
    sale = mesh.sell()
    mesh.misbehave("mailbox", "data", fault, sale.email)
    intent = mesh.start_cancel(sale)
    eventually(lambda: mesh.has_met_its_fault("mailbox"))
    mesh.kill("worker-mail")
    mesh.behave()
    (email_id,) = [row[0] for row in mesh.sql("SELECT id FROM emails WHERE order_id = %s", sale.order_id)]
    assert not is_claimed_by_another(mesh, email_id), "a twin mails while the first one may still be at it"
    mesh.expire_lease(sale)
    assert_canceled_once(mesh, sale, intent, mails=mails)
    assert len({letter["message_id"] for letter in mesh.mails_to(sale.email)}) == 1


def is_claimed_by_another(mesh: Mesh, email_id: str) -> bool:
    """Whether a second worker gets an e-mail that is in a first one's hands."""
    database = Database(mesh.settings.database_url, pool_size=1)
    try:
        with database.statement() as connection:
            return emails.claim(connection, email_id, LEASE) is not None
    finally:
        database.close()


def test_beat_and_the_worker_that_it_wakes_are_killed_and_what_is_due_is_still_done(mesh: Mesh) -> None:
    mesh.kill("beat")
    mesh.kill("worker-upkeep")
    assert_captured_once(mesh, mesh.sell_overdue())  # only a sweep finds it


def test_a_gateway_killed_between_recording_and_publishing_has_accepted_the_intent(mesh: Mesh) -> None:
    sale = mesh.sell()
    key = {"Idempotency-Key": "the-gateway-died"}
    before = mesh.stack.pids()["gateway"]
    with ThreadPoolExecutor(1) as shopper:
        with mesh.broker.takes_nothing():
            asked = shopper.submit(mesh.start_cancel, sale, **key)
            recorded = eventually(
                lambda: mesh.sql(
                    "SELECT id FROM intents WHERE subject = %s AND operation = 'cancel_order'", sale.order_id
                )
            )
            mesh.kill("gateway")
            assert mesh.broker.waiting(Queue.CANCEL) == 0
        with pytest.raises(httpx.TransportError):
            asked.result()
    eventually(lambda: mesh.stack.pids().get("gateway", before) != before and is_ready(mesh), RECOVERY)
    again = mesh.cancel(sale.purchase, **key)
    assert (again.status_code, again.json()) == (200, {"order_id": sale.order_id} | VOIDED)
    assert_canceled_once(mesh, sale, recorded[0][0])


def is_ready(mesh: Mesh) -> bool:
    """Whether the gateway takes requests."""
    try:
        return mesh.http.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False
