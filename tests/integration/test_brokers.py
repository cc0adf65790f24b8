"""What the mesh promises holds on Redis and on RabbitMQ, and neither loses, repeats or forgets a message."""

import contextlib
import os
import signal
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kombu import Message
from kombu import Queue as KombuQueue

from beat_schedule import beat_schedule
from shared.broker import DEAD_LETTERS, celery_app
from shared.queues import Queue, Task
from tests.brokers import unfinished
from tests.races import Racecourse, assert_canceled_once, assert_one_winner
from tests.shop import Purchase, Shop, at_once, eventually, in_turn

pytestmark = pytest.mark.timeout(300)

BURST = 100
RACES = 30

#: What a cancel leads to.
OF_CANCELS = (Task.CANCEL_ORDER, Task.VOID_PAYMENT, Task.SEND_EMAIL)


@pytest.fixture
def sku(any_shop: Shop) -> str:
    """A SKU of its own, of which there are ten."""
    sku = f"SKU-{uuid.uuid4().hex}"
    any_shop.put_stock(sku, 10)
    return sku


def buy(shop: Shop, sku: str, **changes: Any) -> Purchase:
    return shop.buy(lines=[{"sku": sku, "quantity": 2, "unit_price": 1500, "tax_rate": "0.10"}], **changes)


def test_a_canceled_order_is_voided_restocked_and_mailed(any_shop, sku):
    purchase = buy(any_shop, sku)
    assert any_shop.stock(sku) == 8
    answer = any_shop.cancel(purchase)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"order_id": purchase.order_id, "status": "canceled", "payment_action": "voided"}
    assert any_shop.ledger(purchase.reference)[-1] == "payment_intent.canceled"
    assert any_shop.stock(sku) == 10
    assert len(eventually(lambda: any_shop.mails(purchase.order_id))) == 1
    assert any_shop.events(purchase.order_id) == [
        "order_registered",
        "order_canceled",
        "void_started",
        "payment_voided",
    ]


def test_an_order_whose_hour_is_over_is_captured(any_shop, sku):
    purchase = any_shop.buy_overdue(amount=5000)
    view = eventually(lambda: (seen := any_shop.view(purchase.order_id))["status"] == "captured" and seen)
    assert view["payment"] | {"captured": 3800, "released": 1200} == view["payment"]
    effect = any_shop.effects(purchase.reference)[-1]
    assert (effect["operation"], effect["amount"]) == ("payment_intent.captured", 3800)
    assert any_shop.cancel(purchase).json()["code"] == "late_cancel"


def test_of_cancels_and_captures_started_together_exactly_one_wins_each_time(any_shop, sku):
    course = Racecourse(any_shop)

    def run(_: int) -> bool:
        purchase = buy(any_shop, sku)
        answer = course.race(purchase, any_shop.hurry(purchase))
        assert_one_winner(any_shop, purchase, answer)
        return answer.status_code == 200

    try:
        canceled = in_turn(RACES, run)
    finally:
        course.close()
    assert 0 < sum(canceled) < RACES, "one side won every race: this was no photo finish"
    assert any_shop.stock(sku) == 10 - 2 * (RACES - sum(canceled))


@pytest.mark.parametrize("keyed", [False, True], ids=["without keys", "with a key each"])
def test_fifty_cancels_at_once_are_one_cancel(any_shop, sku, keyed):
    purchase = buy(any_shop, sku)
    headers = [{"Idempotency-Key": uuid.uuid4().hex} if keyed else {} for _ in range(50)]
    answers = at_once(50, lambda number: any_shop.cancel(purchase, **headers[number]))
    assert_canceled_once(any_shop, purchase, sku, answers)


def test_a_burst_of_cancels_leaves_no_message_over_and_repeats_none(any_shop):
    """Without beat there is no sweep that could make up for a message: each is published once, and comes once."""
    purchases = in_turn(BURST, lambda _: any_shop.buy())
    eventually(lambda: not unfinished(any_shop.settings.broker_url))
    with frozen(any_shop, "beat"), tasks_of(any_shop) as (received, succeeded):
        answers = in_turn(BURST, lambda number: any_shop.cancel(purchases[number]), at_a_time=25)
        assert [answer.json()["payment_action"] for answer in answers] == ["voided"] * BURST
        eventually(lambda: mailed(any_shop, purchases).total() >= BURST)
        eventually(lambda: not unfinished(any_shop.settings.broker_url))
        assert set(mailed(any_shop, purchases).values()) == {1}
        wanted = Counter(
            f"{task}({subject!r})"
            for order_id in (purchase.order_id for purchase in purchases)
            for task, subject in messages_of(any_shop, order_id)
        )
        assert len(wanted) == 3 * BURST
        eventually(lambda: succeeded.keys() >= wanted.keys())
        assert not any_shop.sql("SELECT subject FROM outbox WHERE task = ANY(%s)", list(OF_CANCELS))
    assert received == wanted
    assert succeeded == wanted
    # What the provider tells of the voids may come later.
    eventually(lambda: not any_shop.sql("SELECT subject FROM outbox WHERE task <> %s", Task.CAPTURE_PAYMENT))


def test_a_burst_of_captures_leaves_no_message_over(any_shop):
    purchases = in_turn(30, lambda _: any_shop.buy_overdue())
    for purchase in purchases:
        eventually(lambda order_id=purchase.order_id: any_shop.view(order_id)["status"] == "captured")
        assert any_shop.ledger(purchase.reference).count("payment_intent.captured") == 1
    eventually(lambda: not unfinished(any_shop.settings.broker_url))


def test_no_task_broke_in_all_of_this(rabbit_shop):
    assert rabbit_shop.logged("worker", event="task_broke") == []
    assert rabbit_shop.logged("gateway", event="request_broke") == []


def test_messages_that_kill_their_worker_again_and_again_have_a_place_to_go(rabbit_shop):
    assert ready(rabbit_shop, DEAD_LETTERS) == 0, "nothing has killed a worker in these tests"


def test_what_waits_and_what_is_in_hand_is_counted_by_these_tests(any_shop):
    """The counts of the bursts can fail: with its worker frozen, a message is found."""
    purchase = any_shop.buy()
    with frozen(any_shop, "worker-mail"):
        assert any_shop.cancel(purchase).json()["payment_action"] == "voided"
        assert eventually(lambda: unfinished(any_shop.settings.broker_url)).total() > 0
    assert len(eventually(lambda: any_shop.mails(purchase.order_id))) == 1
    eventually(lambda: not unfinished(any_shop.settings.broker_url))


def test_a_wake_up_waits_for_its_worker_however_long_and_is_no_dead_letter(rabbit_shop):
    """One that expired would be moved to the dead letters, which are for what a person must look at."""
    with celery_app(rabbit_shop.settings) as app, frozen(rabbit_shop, "worker-upkeep"):
        for wake_up in beat_schedule(rabbit_shop.settings).values():
            for _ in range(20):  # more than the worker keeps in hand
                app.send_task(wake_up["task"], **wake_up["options"])
        waiting = messages_in(rabbit_shop, Queue.HOUSEKEEPING)
        assert {message.headers["task"] for message in waiting} == {Task.SWEEP_OUTBOX, Task.RECONCILE}
        assert not any("expiration" in message.properties for message in waiting)
    eventually(lambda: ready(rabbit_shop, Queue.HOUSEKEEPING) == 0)
    assert ready(rabbit_shop, DEAD_LETTERS) == 0


def ready(shop: Shop, queue: str) -> int:
    """How many messages wait in a queue of RabbitMQ; raises when there is no such queue."""
    with celery_app(shop.settings) as app, app.connection_for_read() as connection:
        return int(connection.default_channel.queue_declare(queue, passive=True).message_count)


def messages_in(shop: Shop, queue: Queue) -> list[Message]:
    """The messages that wait in a queue of RabbitMQ; they go back there, since none is acknowledged."""
    with celery_app(shop.settings) as app, app.connection_for_read() as connection:
        return list(iter(KombuQueue(queue, channel=connection).get, None))


@contextmanager
def frozen(shop: Shop, program: str) -> Iterator[None]:
    """Stop a program of the mesh from running until the block ends."""
    pid = shop.stack.pids()[program]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def tasks_of(shop: Shop) -> Iterator[tuple[Counter[str], Counter[str]]]:
    """Count what workers say they received and carried out for cancels, as `task('id')`."""
    received: Counter[str] = Counter()
    succeeded: Counter[str] = Counter()
    names: dict[str, str] = {}
    ready, done = threading.Event(), threading.Event()

    def on_received(event: dict[str, Any]) -> None:
        if event["name"] in OF_CANCELS:
            names[event["uuid"]] = event["name"] + event["args"].replace(",)", ")")
            received[names[event["uuid"]]] += 1

    def on_succeeded(event: dict[str, Any]) -> None:
        if event["uuid"] in names:
            succeeded[names[event["uuid"]]] += 1

    def watch() -> None:
        with celery_app(shop.settings) as app, app.connection_for_read() as connection:
            handlers = {"task-received": on_received, "task-succeeded": on_succeeded, "*": lambda _: ready.set()}
            receiver = app.events.Receiver(connection, handlers=handlers)
            with receiver.consumer_context() as (consuming, *_):
                while not done.is_set():
                    with contextlib.suppress(TimeoutError):
                        consuming.drain_events(timeout=0.2)

    watching = threading.Thread(target=watch)
    watching.start()
    assert ready.wait(20), "no worker's heartbeat was heard: on Redis nobody listens before the first look"
    try:
        yield received, succeeded
    finally:
        done.set()
        watching.join()


def mailed(shop: Shop, purchases: list[Purchase]) -> Counter[str]:
    """How many e-mails about each of these orders were delivered."""
    delivered = Counter(
        entry["message_id"] for entry in shop.outside.get(f"{shop.urls['mailbox']}/_sandbox/ledger").json()
    )
    names = {
        purchase.order_id: f"<{purchase.order_id}.order_canceled.v1@countermand.example>" for purchase in purchases
    }
    return Counter({order_id: delivered[name] for order_id, name in names.items()})


def messages_of(shop: Shop, order_id: str) -> list[tuple[str, str]]:
    """The task and subject of every message that the cancel of an order needs."""
    return [
        (task, subject)
        for task, statement in (
            (Task.CANCEL_ORDER, "SELECT id FROM intents WHERE subject = %s AND operation = 'cancel_order'"),
            (Task.VOID_PAYMENT, "SELECT id FROM voids WHERE order_id = %s"),
            (Task.SEND_EMAIL, "SELECT id FROM emails WHERE order_id = %s"),
        )
        for (subject,) in shop.sql(statement, order_id)
    ]
