"""A sync of five thousand shipments: whoever dies in its middle, every batch has its end, and nothing is done twice."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sandbox.stack import StackOptions
from tests.conftest import QUICK, started
from tests.depot import PRICE, SHIPPING, Depot, Parcel
from tests.shop import Shop, eventually

MANY, BATCH = 5_000, 50

#: The shipments that come back, and the first ones of the batches that the courier does not answer; of these shipments
#: two come back.
RETURNING = range(25, MANY + 1, 125)
UNANSWERED = [number * BATCH + 1 for number in (3, 50, 97)]
UNHEARD = [number for first in UNANSWERED for number in range(first, first + BATCH)]

#: As many questions a second as the stand-in can answer: the pace has its own tests.
ENVIRONMENT = QUICK | {"COUNTERMAND_DELHIVERY_RATE": "200"}

#: Milliseconds of each answer, so that there is a middle in which somebody can die.
SLOW = 200

#: Syncs in which the memory of a worker that has done one is watched, and the mebibytes by which it may grow in all of
#: them together.  It holds a batch for each of its 32 greenlets and, at the end of each sync, a report of a mebibyte,
#: and how well those fit where former ones were is worth a few; if it kept of every shipment no more than the 420 bytes
#: that the fewest words about one take, that would be over.
WATCHED, GROWTH = 5, 10.0

FILL = (
    "INSERT INTO stock VALUES ('TEE', 0)",
    """
    INSERT INTO orders (id, kind, status, currency, total, shipping, email, fingerprint, placed_at, grace_until)
        SELECT 'ord_' || lpad(n::text, 13, '0'), 'retail', 'captured', 'INR', %(price)s, %(shipping)s,
               n || '@example.com', '', now(), now() FROM generate_series(1, %(many)s) n
    """,
    "INSERT INTO order_lines SELECT id, 1, 'TEE', 2, 1500, 0.10, 2 FROM orders",
    "INSERT INTO payment_collections SELECT id, total FROM orders",
    """
    INSERT INTO payments (id, order_id, provider, reference, status, currency, amount, authorized, captured)
        SELECT 'pay_' || id, id, 'razorpay', coalesce(reference, 'pay_' || id), 'captured', 'INR', total, total, total
        FROM orders LEFT JOIN unnest(%(orders)s::text[], %(references)s::text[]) AS paid (id, reference) USING (id)
    """,
    """
    INSERT INTO shipments (id, order_id, courier, awb, followed_by)
        SELECT 'shp_' || id, id, 'Delhivery', substr(id, 5), 'delhivery' FROM orders
    """,
    "ANALYZE",
)


@pytest.fixture(scope="module")
def depot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Depot]:
    """A depot of its own, in which nothing has been looked up yet."""
    options = StackOptions(only={"stores", "outside", "gateway", "workers", "beat"}, environment=ENVIRONMENT)
    with started(tmp_path_factory.mktemp("scale"), options) as stack, Shop(stack) as shop:
        depot = Depot(shop)
        returning = [parcel(number, depot.pay(status="captured")) for number in RETURNING]
        with psycopg.connect(shop.settings.database_url, autocommit=True) as db:
            orders, references = ([getattr(each, name) for each in returning] for name in ("order_id", "reference"))
            values = {"orders": orders, "references": references, "many": MANY, "price": PRICE, "shipping": SHIPPING}
            for statement in FILL:
                db.execute(statement, values if "%" in statement else None)
        shipments = [{"awb": awb(number), "reference_no": f"ORD-{number}"} for number in range(1, MANY + 1)]
        assert shop.outside.post(f"{depot.delhivery}/_sandbox/shipments", json=shipments).status_code == 200
        for each in returning:
            depot.returns(each)
        yield depot


@pytest.fixture(scope="module")
def interrupted(depot: Depot) -> dict[str, Any]:
    """The report of a sync of everything, of whose batches three are never answered, and whose worker was killed."""
    latency = {"milliseconds": SLOW, "operation": "track"}
    depot.shop.outside.post(f"{depot.delhivery}/_sandbox/latency", json=latency)
    for number in UNANSWERED:
        depot.misbehave("delhivery", "track", "error_500_before", awb(number), times=-1)
    intent = begin(depot)
    eventually(lambda: ended(depot) >= MANY / BATCH / 4)
    os.kill(worker(depot), signal.SIGKILL)
    assert ended(depot) < MANY / BATCH * 3 / 4, "it was killed in the middle"
    report = reported(depot, intent)
    depot.shop.behave()
    return report


@pytest.fixture(scope="module")
def following(depot: Depot, interrupted: dict[str, Any]) -> dict[str, Any]:
    """The report of the next sync of everything, which nothing disturbs."""
    return reported(depot, begin(depot))


@pytest.mark.timeout(180)
def test_a_sync_whose_worker_is_killed_looks_up_every_batch_that_is_answered(interrupted: dict[str, Any]) -> None:
    told = {name: interrupted[name] for name in ("total", "synced", "cancelled", "errors")}
    canceled = len([number for number in RETURNING if number not in UNHEARD])
    errors = len(UNHEARD)
    assert told == {"total": MANY, "synced": MANY - canceled - errors, "cancelled": canceled, "errors": errors}
    assert sorted(line["awb"] for line in interrupted["details"]) == [awb(number) for number in range(1, MANY + 1)]
    detected = sorted(line["awb"] for line in interrupted["details"] if line["cancellationDetected"])
    assert detected == [awb(number) for number in RETURNING if number not in UNHEARD]


def test_each_shipment_of_a_batch_that_has_failed_is_reported_with_its_reason(interrupted: dict[str, Any]) -> None:
    failed = [line for line in interrupted["details"] if not line["success"]]
    assert sorted(failed, key=lambda line: str(line["awb"])) == [
        {
            "orderId": order_id(number),
            "awb": awb(number),
            "success": False,
            "status": None,
            "cancellationDetected": False,
            "error": "http_500",
        }
        for number in UNHEARD
    ]


@pytest.mark.timeout(180)
def test_the_next_sync_begins_with_the_shipments_of_the_batches_that_have_failed(
    following: dict[str, Any],
) -> None:
    assert sorted(line["awb"] for line in following["details"][: len(UNHEARD)]) == [awb(number) for number in UNHEARD]
    told = tuple(following[name] for name in ("total", "errors", "cancelled"))
    assert told == (MANY, 0, len(RETURNING))


@pytest.mark.usefixtures("following")
def test_each_order_whose_parcel_comes_back_is_canceled_and_refunded_once(depot: Depot) -> None:
    eventually(lambda: not depot.shop.sql("SELECT 1 FROM refunds WHERE state <> 'completed'"))
    eventually(lambda: not depot.shop.sql("SELECT 1 FROM emails WHERE state <> 'sent'"))
    returning = [order_id(number) for number in RETURNING]
    assert counted(depot, "SELECT id FROM orders WHERE status = 'canceled'") == returning
    assert counted(depot, "SELECT order_id FROM timeline WHERE event = 'order_canceled'") == returning
    assert counted(depot, "SELECT order_id FROM emails WHERE template LIKE 'shipment_canceled%'") == returning
    assert depot.shop.sql("SELECT quantity FROM stock") == [(2 * len(RETURNING),)]
    statement = "SELECT order_id, reference FROM payments WHERE order_id = ANY(%s)"
    for order, reference in depot.shop.sql(statement, returning):
        assert depot.refunds(parcel(int(order.removeprefix("ord_")), reference)) == [PRICE - SHIPPING]


@pytest.mark.usefixtures("following")
def test_a_worker_does_not_grow_with_the_shipments_that_it_has_looked_up(depot: Depot) -> None:
    before, pid = mebibytes(worker(depot)), worker(depot)
    for _ in range(WATCHED):
        reported(depot, begin(depot))
    assert worker(depot) == pid
    assert mebibytes(pid) - before < GROWTH


def awb(number: int) -> str:
    return f"{number:013d}"


def order_id(number: int) -> str:
    return f"ord_{awb(number)}"


def parcel(number: int, reference: str) -> Parcel:
    return Parcel(order_id(number), "", reference, awb(number), "TEE", f"{number}@example.com")


def begin(depot: Depot) -> str:
    """Ask for a sync of everything, and do not wait; returns where it is told how that goes."""
    answer = depot.shop.http.post(
        "/api/admin/orders/bulk-sync-delhivery",
        json={"limit": MANY},
        headers=depot.shop.bearer("admin", "op_1") | {"Prefer": "respond-async"},
    )
    assert answer.status_code == 202, answer.text
    return str(answer.headers["Location"])


def reported(depot: Depot, intent: str) -> dict[str, Any]:
    """What a sync reports when its last batch has ended."""
    operator = depot.shop.bearer("admin", "op_1")
    shown = eventually(lambda: (found := depot.shop.intent(intent, operator))["answer"] and found, within=120)
    assert shown["answer"]["status"] == 200, shown
    report: dict[str, Any] = shown["answer"]["body"]["data"]
    return report


def ended(depot: Depot) -> int:
    """How many batches have ended."""
    ((count,),) = depot.shop.sql("SELECT count(*) FROM sync_batches WHERE state <> 'waiting'")
    return int(count)


def counted(depot: Depot, statement: str) -> list[str]:
    """The orders that a statement finds, as often as it finds them."""
    return sorted(order for (order,) in depot.shop.sql(statement))


def worker(depot: Depot) -> int:
    """The process that looks shipments up; 0 while it is being started again."""
    return depot.shop.stack.pids().get("worker-hooks", 0)


def mebibytes(pid: int) -> float:
    """The memory that a process has in use."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status["VmRSS"].split()[0]) / 1024
