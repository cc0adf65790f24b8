"""Races: the cancel, the capture and an edit of one order started together, and many cancels of one order."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from shared.broker import Publisher, celery_app
from shared.queues import Task
from shared.store.outbox import Message
from tests.shop import Purchase, Shop, at_once, eventually


@dataclass
class Handicap:
    """How many seconds the capture starts after the cancel, so that the two arrive together on any machine.

    Whoever won starts a little later the next time, by a part of what a cancel takes here.
    """

    seconds: float = 0.0
    _cancel_takes: float = 0.05
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def learn(self, canceled: bool, took: float) -> None:
        """Take a finish into account, whose cancel was answered after so many seconds."""
        with self._lock:
            self._cancel_takes += (took - self._cancel_takes) / 10
            self.seconds += self._cancel_takes / (-10 if canceled else 10)
            self.seconds = max(-self._cancel_takes, min(self.seconds, 2 * self._cancel_takes))


class Racecourse:
    """Runs races on one mesh; the capture's message is published by hand, at the moment of the cancel."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._handicap = Handicap()
        self._app = celery_app(shop.settings)
        self._publisher = Publisher(self._app)

    def close(self) -> None:
        """Hang up on the broker."""
        self._app.close()

    def capture(self, job_id: str) -> None:
        """Publish the message of a capture."""
        assert self._publisher.publish([Message(Task.CAPTURE_PAYMENT, job_id)])

    def race(self, purchase: Purchase, job_id: str, **headers: str) -> httpx.Response:
        """Start the cancel and the capture together; returns the answer to the cancel."""
        lead = self._handicap.seconds
        answers: list[httpx.Response] = []

        def cancel() -> None:
            time.sleep(max(-lead, 0.0))  # the aim of the handicap
            began = time.monotonic()
            answer = self._shop.cancel(purchase, **headers)
            self._handicap.learn(answer.status_code == 200, time.monotonic() - began)
            answers.append(answer)

        def capture() -> None:
            time.sleep(max(lead, 0.0))  # the aim of the handicap
            self.capture(job_id)

        at_once(2, lambda number: (cancel, capture)[number]())
        (answer,) = answers
        assert answer.status_code in (200, 409), answer.text
        return answer


def together(number: int, edit: Callable[[], httpx.Response], other: Callable[[], object]) -> list[Any]:
    """Start an edit and something else, one of them a few milliseconds later than the other; what each came to."""
    lead = (number % 5 - 2) * 0.01

    def later(act: Callable[[], Any], seconds: float) -> Any:
        time.sleep(max(seconds, 0.0))  # the aim of the handicap
        return act()

    return at_once(2, lambda place: later(other, lead) if place else later(edit, -lead))


def assert_all_went_back(shop: Shop, purchase: Purchase, edit: httpx.Response, cancel: httpx.Response) -> None:
    """The order is canceled, and all that was held for it released, with or without what the edit had added."""
    assert cancel.status_code == 200, cancel.text
    assert edit.status_code in (200, 409), edit.text
    if edit.status_code == 409:
        assert edit.json()["code"] == "late_edit"
    held = edit.json()["total"] if edit.status_code == 200 else purchase.total
    assert _rows(shop, purchase) == ("canceled", "voided", 0, held, 0, ["removed"], ["released"])
    raised = [("payment_intent.incremented", held)] if edit.status_code == 200 else []
    assert _moves(shop, purchase) == [*raised, ("payment_intent.canceled", held)]


def assert_captured_as_it_costs(shop: Shop, purchase: Purchase, edit: httpx.Response, units: int) -> None:
    """The capture took what the order costs: with the edit, or without it, which came too late then."""
    eventually(lambda: shop.view(purchase.order_id)["status"] == "captured")
    assert edit.status_code in (200, 409), edit.text
    if edit.status_code == 409:
        assert edit.json()["code"] == "late_edit"
    cost = edit.json()["total"] if edit.status_code == 200 else purchase.total
    assert shop.view(purchase.order_id)["total"] == cost
    expected = ("captured", "captured", cost, 0, 2 + units * (edit.status_code == 200), ["done"], [])
    assert _rows(shop, purchase) == expected
    raised = [("payment_intent.incremented", cost)] if edit.status_code == 200 else []
    assert _moves(shop, purchase) == [*raised, ("payment_intent.captured", cost)]


def assert_one_winner(shop: Shop, purchase: Purchase, answer: httpx.Response) -> None:
    """The answer, the rows, the provider's ledger, the stock and the mail all tell of the same one winner."""
    if answer.status_code == 200:
        _assert_canceled(shop, purchase, answer)
    else:
        _assert_captured(shop, purchase, answer)


def _assert_canceled(shop: Shop, purchase: Purchase, answer: httpx.Response) -> None:
    assert answer.json() == {"order_id": purchase.order_id, "status": "canceled", "payment_action": "voided"}
    assert _rows(shop, purchase) == ("canceled", "voided", 0, purchase.total, 0, ["removed"], ["released"])
    assert _moves(shop, purchase) == [("payment_intent.canceled", purchase.total)]
    assert [request["operation"] for request in shop.requests_to_provider(purchase.reference)].count("capture") == 0
    assert shop.events(purchase.order_id) == ["order_registered", "order_canceled", "void_started", "payment_voided"]
    assert len(eventually(lambda: shop.mails(purchase.order_id))) == 1


def _assert_captured(shop: Shop, purchase: Purchase, answer: httpx.Response) -> None:
    problem = answer.json()
    assert (problem["code"], problem["message"]) == ("late_cancel", "Order already processed")
    eventually(lambda: shop.view(purchase.order_id)["status"] == "captured")
    assert _rows(shop, purchase) == ("captured", "captured", purchase.total, 0, 2, ["done"], [])
    assert _moves(shop, purchase) == [("payment_intent.captured", purchase.total)]
    assert [request["operation"] for request in shop.requests_to_provider(purchase.reference)].count("cancel") == 0
    assert shop.events(purchase.order_id) == [
        "order_registered",
        "capture_started",
        "payment_captured",
        "order_captured",
    ]
    assert shop.mails(purchase.order_id) == []


def _rows(shop: Shop, purchase: Purchase) -> tuple[object, ...]:
    """How order, payment, stock, capture jobs and voids stand in the mesh's own rows."""
    (row,) = shop.sql(
        """
        SELECT o.status, p.status, p.captured, p.released,
               (SELECT sum(reserved)::int FROM order_lines WHERE order_id = o.id),
               ARRAY(SELECT state FROM capture_jobs WHERE order_id = o.id),
               ARRAY(SELECT state FROM voids WHERE order_id = o.id)
        FROM orders o JOIN payments p ON p.order_id = o.id WHERE o.id = %s
        """,
        purchase.order_id,
    )
    return row


def _moves(shop: Shop, purchase: Purchase) -> list[tuple[str, int]]:
    """What happened to the money at the provider after it was held."""
    return [
        (effect["operation"], effect["amount"])
        for effect in shop.effects(purchase.reference)
        if effect["operation"] not in ("payment_intent.created", "payment_intent.authorized")
    ]


def assert_canceled_once(shop: Shop, purchase: Purchase, sku: str, answers: list[httpx.Response]) -> None:
    """All answers are alike, and there was one void, one mail, and one restock of a SKU of which there were ten."""
    expected = {"order_id": purchase.order_id, "status": "canceled", "payment_action": "voided"}
    assert [answer.status_code for answer in answers] == [200] * len(answers), [answer.text for answer in answers]
    assert answers[0].json() == expected
    assert {answer.content for answer in answers} == {answers[0].content}
    assert shop.ledger(purchase.reference).count("payment_intent.canceled") == 1
    requests = [r for r in shop.requests_to_provider(purchase.reference) if r["operation"] == "cancel"]
    assert len({request["idempotency_key"] for request in requests}) == 1
    assert shop.stock(sku) == 10
    assert shop.events(purchase.order_id) == ["order_registered", "order_canceled", "void_started", "payment_voided"]
    assert shop.sql("SELECT count(*) FROM voids WHERE order_id = %s", purchase.order_id) == [(1,)]
    assert shop.sql("SELECT count(*) FROM emails WHERE order_id = %s", purchase.order_id) == [(1,)]
    assert len(eventually(lambda: shop.mails(purchase.order_id))) == 1
    states = shop.sql(
        "SELECT DISTINCT state, answer_status FROM intents WHERE subject = %s AND operation = 'cancel_order'",
        purchase.order_id,
    )
    assert states == [("done", 200)]
    eventually(lambda: _nothing_is_left_to_do(shop, purchase))
    assert len(shop.mails(purchase.order_id)) == 1


def _nothing_is_left_to_do(shop: Shop, purchase: Purchase) -> bool:
    """Whether no message about the order stands in the outbox."""
    return not shop.sql(
        """
        WITH mine AS (SELECT %s::text AS id)
        SELECT subject FROM outbox WHERE subject IN (
            SELECT i.id FROM intents i JOIN mine ON mine.id = i.subject
            UNION SELECT v.id FROM voids v JOIN mine ON mine.id = v.order_id
            UNION SELECT e.id FROM emails e JOIN mine ON mine.id = e.order_id
            UNION SELECT j.id FROM capture_jobs j JOIN mine ON mine.id = j.order_id)
        """,
        purchase.order_id,
    )
