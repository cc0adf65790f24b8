"""Invariant 7: losing, doubling, delaying or reordering messages changes when things happen, never what happens."""

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from shared.ids import new_id
from shared.queues import QUEUE_OF, Queue, Task
from tests.faults import invariants
from tests.faults.mesh import RECOVERY, Mesh, Sale
from tests.shop import eventually

Messages = list[tuple[str, str]]


def everything_published_so_far(mesh: Mesh) -> Messages:
    """Every message (task, subject) that the mesh's rows ever caused."""
    return mesh.sql(
        """
        SELECT CASE operation WHEN 'register_order' THEN 'register.order' WHEN 'set_stock' THEN 'register.stock'
               ELSE 'cancel.order' END, id FROM intents
        UNION ALL SELECT 'capture.payment', id FROM capture_jobs
        UNION ALL SELECT 'void.payment', id FROM voids
        UNION ALL SELECT 'email.send', id FROM emails
        """
    )


def outcome(mesh: Mesh) -> invariants.World:
    """All there is to see of what happened: rows, ledgers and mail, but no request that had no effect."""
    world = invariants.look(mesh)
    return replace(world, requests={})


def canceled(mesh: Mesh, sale: Sale) -> bool:
    """Whether an order's money and goods are back where they were."""
    return mesh.view(sale.order_id)["payment"]["status"] == "voided" and mesh.stock(sale.sku) == 10


@pytest.mark.parametrize("queue", [Queue.CANCEL, Queue.VOID, Queue.EMAIL])
def test_a_cancel_whose_message_the_broker_loses_is_carried_out(mesh: Mesh, queue: Queue) -> None:
    sale = mesh.sell()
    with mesh.broker.nobody_consumes(queue):
        intent = mesh.start_cancel(sale)
        eventually(lambda: mesh.broker.waiting(queue))
        assert mesh.broker.lose(queue)
    assert mesh.answer_of(intent)["body"]["payment_action"] == "voided"
    invariants.check(mesh, RECOVERY)
    assert canceled(mesh, sale)
    assert len(mesh.mails_to(sale.email)) == 1


def test_a_registration_and_a_stock_level_whose_messages_the_broker_loses_are_carried_out(mesh: Mesh) -> None:
    body = mesh.order(mesh.authorize())
    with mesh.broker.nobody_consumes(Queue.REGISTER):
        order = mesh.register(body, Prefer="respond-async").json()["intent"]
        level = mesh.http.put(
            "/stock/LOST", json={"quantity": 7}, headers=mesh.bearer("service") | {"Prefer": "respond-async"}
        ).json()["intent"]
        eventually(lambda: mesh.broker.waiting(Queue.REGISTER) >= 2)
        assert mesh.broker.lose(Queue.REGISTER) >= 2
    assert mesh.answer_of(order)["status"] == 201
    assert mesh.answer_of(level)["body"] == {"sku": "LOST", "quantity": 7}
    invariants.check(mesh, RECOVERY)


def test_a_capture_whose_message_the_broker_loses_is_carried_out(mesh: Mesh) -> None:
    with mesh.broker.nobody_consumes(Queue.CAPTURE):
        sale = mesh.sell_overdue()
        eventually(lambda: mesh.broker.waiting(Queue.CAPTURE))
        assert mesh.broker.lose(Queue.CAPTURE)
    eventually(lambda: mesh.view(sale.order_id)["status"] == "captured", RECOVERY)
    invariants.check(mesh, RECOVERY)


def test_wake_ups_that_the_broker_loses_only_cost_time(mesh: Mesh) -> None:
    with mesh.broker.nobody_consumes(Queue.HOUSEKEEPING):
        sale = mesh.sell_overdue()  # only a sweep finds it
        eventually(lambda: mesh.broker.waiting(Queue.HOUSEKEEPING))
        assert mesh.broker.lose(Queue.HOUSEKEEPING)
        assert mesh.view(sale.order_id)["status"] == "pending"
    eventually(lambda: mesh.view(sale.order_id)["status"] == "captured", RECOVERY)
    invariants.check(mesh, RECOVERY)


def test_every_message_published_again_twice_in_any_order_changes_nothing(mesh: Mesh) -> None:
    for sale in [mesh.sell(), mesh.sell(), mesh.sell_overdue(), mesh.sell_overdue()]:
        mesh.cancel(sale.purchase)
    mesh.sell()  # whose capture waits
    invariants.check(mesh, RECOVERY)
    before = outcome(mesh)
    messages = everything_published_so_far(mesh) * 2
    random.Random(7).shuffle(messages)
    mesh.broker.publish_and_wait(messages)
    assert outcome(mesh) == before
    invariants.check(mesh, RECOVERY)


def test_messages_that_come_twice_and_in_any_order_while_things_happen_leave_one_outcome(mesh: Mesh) -> None:
    sales = [mesh.sell() for _ in range(8)]
    overdue = [mesh.sell_overdue() for _ in range(4)]
    shuffled = random.Random(11)
    with ThreadPoolExecutor(len(sales)) as shoppers:
        answers = [shoppers.submit(mesh.cancel, sale.purchase) for sale in sales]
        while not all(answer.done() for answer in answers):
            messages = everything_published_so_far(mesh)
            mesh.broker.publish(shuffled.sample(messages, len(messages)))
            # Faster than workers take them, they would only pile up, and the shoppers' own wait behind them.
            eventually(lambda: not any(map(mesh.broker.waiting, Queue)), RECOVERY)
    assert {answer.result().json()["payment_action"] for answer in answers} == {"voided"}
    invariants.check(mesh, RECOVERY)
    assert all(canceled(mesh, sale) for sale in sales)
    assert [len(mesh.mails_to(sale.email)) for sale in sales] == [1] * len(sales)
    assert {mesh.view(sale.order_id)["status"] for sale in overdue} == {"captured"}


def test_messages_about_nothing_change_nothing(mesh: Mesh) -> None:
    invariants.check(mesh, RECOVERY)
    before = outcome(mesh)
    messages: Messages = [(task, subject) for task in QUEUE_OF for subject in (new_id("int"), "", "'; --")]
    mesh.broker.publish_and_wait([message for message in messages if message[0] != Task.SWEEP_OUTBOX])
    assert outcome(mesh) == before


def test_a_message_that_no_task_can_read_is_dropped_and_stops_nobody(mesh: Mesh) -> None:
    mesh.broker.forget_unacknowledged()
    for queue in Queue:
        mesh.broker.send("no.such.task", ("int_1",), queue=queue)
    for task in Task:
        mesh.broker.send(task, ("too", "many", "things"))
        mesh.broker.send(task, (), kwargs={"unknown": 1})
        mesh.broker.send(task, ({"not": "an id"},))
    sale = mesh.sell()
    assert mesh.cancel(sale.purchase).json()["payment_action"] == "voided"
    invariants.check(mesh, RECOVERY)
    eventually(lambda: mesh.broker.is_drained())


def test_a_capture_that_is_asked_for_before_its_hour_waits_for_it(mesh: Mesh) -> None:
    sale = mesh.sell()
    ((job_id,),) = mesh.sql("SELECT id FROM capture_jobs WHERE order_id = %s", sale.order_id)
    mesh.broker.publish_and_wait([(Task.CAPTURE_PAYMENT, job_id)])
    assert mesh.sql("SELECT state FROM capture_jobs WHERE id = %s", job_id) == [("waiting",)]
    assert "payment_intent.captured" not in mesh.ledger(sale.reference)
    assert mesh.cancel(sale.purchase).json()["payment_action"] == "voided"
    mesh.broker.publish_and_wait([(Task.CAPTURE_PAYMENT, job_id)])
    invariants.check(mesh, RECOVERY)


def test_a_void_that_is_settled_does_not_reach_the_provider_again(mesh: Mesh) -> None:
    sale = mesh.sell()
    mesh.cancel(sale.purchase)
    invariants.check(mesh, RECOVERY)
    asked = mesh.requests_to_provider(sale.reference)
    ((void_id,),) = mesh.sql("SELECT id FROM voids WHERE order_id = %s", sale.order_id)
    mesh.broker.publish_and_wait([(Task.VOID_PAYMENT, void_id)] * 5)
    assert mesh.requests_to_provider(sale.reference) == asked
    invariants.check(mesh, RECOVERY)
