"""The walls in SQL: what the rules forbid is refused by Postgres too, and no statement reads a whole table."""

import importlib
import json
import pkgutil
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import errors, sql
from sqlalchemy import TextClause

import shared.store
from shared.domain import emails, intents, orders, payments, refunds, webhooks
from shared.domain.transitions import moves
from shared.store.migrate import upgrade
from tests.shop import Shop, eventually

ROOT = Path(__file__).parents[2]

Row = dict[str, Any]


@pytest.fixture(scope="module")
def empty_database(shop: Shop) -> Iterator[Callable[[str], str]]:
    """Makes databases beside the mesh's own one, and drops them when the module is done; gives their URLs."""
    url = shop.settings.database_url
    made: list[str] = []

    def make(name: str) -> str:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        made.append(name)
        return url.replace("@/countermand?", f"@/{name}?")

    yield make
    with psycopg.connect(url, autocommit=True) as connection:
        for name in made:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def migrated(empty_database: Callable[[str], str]) -> str:
    """The URL of a database with our schema and no rows."""
    url = empty_database("walls")
    upgrade(url)
    return url


@pytest.fixture
def db(migrated: str) -> Iterator[psycopg.Connection]:
    """A transaction that is never committed."""
    with psycopg.connect(migrated) as connection:
        yield connection
        connection.rollback()


# Rows in any state, as an INSERT may write them: only changes are guarded by transitions.

ANSWERED = {"answer_status": 200, "answer_body": "{}", "ended_at": "now"}
UNANSWERED = {"answer_status": None, "answer_body": None, "ended_at": None}

#: What must stand beside each state.
BESIDE: Mapping[str, Callable[[str], Row]] = {
    "orders": lambda state: (
        {"canceled_at": "now", "cancellation_source": "test"}
        if state == "canceled"
        else {"canceled_at": None, "cancellation_source": None}
    ),
    "payments": lambda state: {
        "voided": {"captured": 0, "released": 1000, "refunded": 0},
        "captured": {"captured": 1000, "released": 0, "refunded": 0},
        "partially_captured": {"captured": 400, "released": 600, "refunded": 0},
        "partially_refunded": {"captured": 1000, "released": 0, "refunded": 600},
        "refunded": {"captured": 1000, "released": 0, "refunded": 1000},
    }.get(state, {"captured": 0, "released": 0, "refunded": 0}),
    "capture_jobs": lambda state: {},
    "voids": lambda state: {"settled_at": None if state == "requested" else "now"},
    "refunds": lambda state: {
        "settled_at": "now" if state in ("completed", "failed") else None,
        "provider_id": "re_1" if state == "completed" else None,
        "last_error": "declined" if state == "failed" else None,
    },
    "intents": lambda state: UNANSWERED if state in intents.RUNNING else ANSWERED,
    "emails": lambda state: {"sent_at": "now" if state == "sent" else None},
    "webhook_events": lambda state: {"ended_at": None if state == "received" else "now"},
}


def insert(db: psycopg.Connection, table: str, **row: Any) -> None:
    columns = sql.SQL(", ").join(map(sql.Identifier, row))
    values = sql.SQL(", ").join(map(sql.Placeholder, row))
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(sql.Identifier(table), columns, values)
    db.execute(statement, row)


def update(db: psycopg.Connection, table: str, identifier: str, **row: Any) -> None:
    changes = sql.SQL(", ").join(sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in row)
    statement = sql.SQL("UPDATE {} SET {} WHERE id = %(id)s").format(sql.Identifier(table), changes)
    changed = db.execute(statement, row | {"id": identifier})
    assert changed.rowcount == 1


def an_order(db: psycopg.Connection, status: str = "pending", order_id: str = "ord_1") -> None:
    row = {
        "currency": "USD",
        "total": 1000,
        "shipping": 0,
        "email": "ann@example.com",
        "fingerprint": b"",
        "kind": "retail",
    }
    times = {"placed_at": "now", "grace_until": "now"}
    insert(db, "orders", id=order_id, status=status, **row, **times, **BESIDE["orders"](status))


def a_payment(db: psycopg.Connection, status: str = "authorized", **more: Any) -> None:
    row = {"id": "pay_1", "order_id": "ord_1", "provider": "stripe", "reference": "pi_1", "currency": "USD"}
    insert(db, "payments", **row | {"status": status, "authorized": 1000} | BESIDE["payments"](status) | more)


def a_job(db: psycopg.Connection, state: str = "waiting", job_id: str = "cap_1") -> None:
    insert(db, "capture_jobs", id=job_id, order_id="ord_1", payment_id="pay_1", due_at="now", state=state)


def a_void(db: psycopg.Connection, state: str = "requested", void_id: str = "void_1") -> None:
    row = {"id": void_id, "order_id": "ord_1", "payment_id": "pay_1", "state": state}
    insert(db, "voids", **row, **BESIDE["voids"](state))


def a_refund(db: psycopg.Connection, state: str = "initiated", **more: Any) -> None:
    row = {"id": "rfd_1", "order_id": "ord_1", "payment_id": "pay_1", "amount": 600, "source": "refund", "actor": "a"}
    insert(db, "refunds", **row | {"state": state} | BESIDE["refunds"](state) | more)


def a_captured_payment(db: psycopg.Connection) -> None:
    a_payment(db, "captured")


def an_intent(db: psycopg.Connection, state: str = "accepted", **more: Any) -> None:
    row = {
        "id": "int_1",
        "operation": "cancel_order",
        "subject": "ord_1",
        "actor": "modification:ord_1",
        "fingerprint": b"f",
    }
    insert(db, "intents", **row | {"payload": "{}", "state": state} | BESIDE["intents"](state) | more)


def an_email(db: psycopg.Connection, state: str = "pending", **more: Any) -> None:
    row = {"id": "mail_1", "order_id": "ord_1", "cause": "ord_1", "template": "t.v1", "recipient": "ann@example.com"}
    insert(db, "emails", **row | {"context": "{}", "state": state} | BESIDE["emails"](state) | more)


def a_webhook(db: psycopg.Connection, state: str = "received", **more: Any) -> None:
    row = {"id": "whe_1", "provider": "stripe", "event_id": "evt_1", "type": "payment_intent.succeeded"}
    row |= {"concern": "payment", "object_id": "pi_1", "reference": "pi_1", "created": "now", "livemode": False}
    insert(db, "webhook_events", **row | {"state": state} | BESIDE["webhook_events"](state) | more)


def a_history(db: psycopg.Connection) -> None:
    an_order(db)
    insert(db, "timeline", order_id="ord_1", event="e", source="s", actor="a", data="{}")


#: Each guarded table: its rules, its state column, and how a row of it comes into any state.
GUARDED: Mapping[str, tuple[Mapping[Any, Any], Any, str, str, tuple[Callable[..., None], ...]]] = {
    "orders": (orders.TRANSITIONS, orders.OrderStatus, "status", "ord_1", (an_order,)),
    "payments": (payments.TRANSITIONS, payments.PaymentStatus, "status", "pay_1", (an_order, a_payment)),
    "capture_jobs": (
        payments.CAPTURE_TRANSITIONS,
        payments.CaptureState,
        "state",
        "cap_1",
        (an_order, a_payment, a_job),
    ),
    "voids": (payments.VOID_TRANSITIONS, payments.VoidState, "state", "void_1", (an_order, a_payment, a_void)),
    "refunds": (
        refunds.TRANSITIONS,
        refunds.RefundState,
        "state",
        "rfd_1",
        (an_order, a_captured_payment, a_refund),
    ),
    "intents": (intents.TRANSITIONS, intents.IntentState, "state", "int_1", (an_intent,)),
    "emails": (emails.TRANSITIONS, emails.EmailState, "state", "mail_1", (an_order, an_email)),
    "webhook_events": (webhooks.TRANSITIONS, webhooks.WebhookState, "state", "whe_1", (a_webhook,)),
}


@pytest.mark.parametrize("table", GUARDED)
def test_postgres_allows_just_those_changes_of_state_that_the_rules_allow(migrated: str, table: str) -> None:
    rules, states, column, identifier, (*before, make) = GUARDED[table]
    allowed = set()
    with psycopg.connect(migrated) as db:
        for start, end in product(states, states):
            for prerequisite in before:
                prerequisite(db)
            make(db, start)
            try:
                update(db, table, identifier, **{column: end}, **BESIDE[table](end))
            except errors.CheckViolation as refusal:
                assert refusal.diag.message_primary == f"illegal transition of {table}"  # noqa: PT017  # not another wall
            else:
                allowed.add((str(start), str(end)))
            db.rollback()
    assert allowed == moves(rules) | {(str(state), str(state)) for state in states}


@pytest.mark.parametrize("table", GUARDED)
def test_a_state_that_there_is_not_cannot_be_written(db: psycopg.Connection, table: str) -> None:
    _, _, column, identifier, makers = GUARDED[table]
    for make in makers:
        make(db)
    with pytest.raises(errors.CheckViolation):
        update(db, table, identifier, **{column: "lost"})


@pytest.mark.parametrize("table", GUARDED)
def test_every_state_of_the_rules_can_be_written(migrated: str, table: str) -> None:
    _, states, _, _, (*before, make) = GUARDED[table]
    with psycopg.connect(migrated) as db:
        for state in states:
            for prerequisite in before:
                prerequisite(db)
            make(db, state)
            db.rollback()


# Money.


@pytest.mark.parametrize(
    "amounts",
    [
        {"captured": 600, "released": 401},
        {"captured": 1001},
        {"released": 1001},
        {"captured": 400, "refunded": 401},
        {"refunded": 1},
        {"captured": -1},
        {"released": -1},
        {"authorized": -1},
    ],
)
def test_more_money_than_there_is_cannot_be_written(db: psycopg.Connection, amounts: Row) -> None:
    an_order(db)
    a_payment(db)
    with pytest.raises(errors.CheckViolation):
        update(db, "payments", "pay_1", **amounts)


@pytest.mark.parametrize(
    "row",
    [
        {"status": "voided", "captured": 1, "released": 999},
        {"status": "voided", "captured": 0, "released": 999},
        {"status": "captured", "captured": 0, "released": 1000},
    ],
)
def test_a_payment_is_never_both_captured_and_voided(db: psycopg.Connection, row: Row) -> None:
    an_order(db)
    with pytest.raises(errors.CheckViolation):
        a_payment(db, **row)


@pytest.mark.parametrize("status", ["canceled", "captured"])
def test_no_capture_starts_on_an_order_that_does_not_stand(db: psycopg.Connection, status: str) -> None:
    an_order(db, status)
    a_payment(db)
    with pytest.raises(errors.CheckViolation, match="not pending"):
        update(db, "payments", "pay_1", status="capturing")


@pytest.mark.parametrize("status", ["capturing", "captured", "partially_captured"])
def test_no_order_is_canceled_whose_money_is_being_taken_or_was(db: psycopg.Connection, status: str) -> None:
    an_order(db)
    a_payment(db, status)
    with pytest.raises(errors.CheckViolation, match="is captured"):
        update(db, "orders", "ord_1", status="canceled", **BESIDE["orders"]("canceled"))


@pytest.mark.parametrize("status", ["unpaid", "authorized", "voiding", "voided"])
def test_an_order_is_canceled_whose_money_is_free_or_held(db: psycopg.Connection, status: str) -> None:
    an_order(db)
    a_payment(db, status)
    update(db, "orders", "ord_1", status="canceled", **BESIDE["orders"]("canceled"))


@pytest.mark.parametrize(
    ("provider", "reference"), [("stripe", None), ("cod", "pi_1"), ("none", "pi_1"), ("paypal", "x")]
)
def test_only_who_holds_money_has_a_reference_for_it(db: psycopg.Connection, provider: str, reference: str) -> None:
    an_order(db)
    with pytest.raises(errors.CheckViolation):
        a_payment(db, provider=provider, reference=reference)


def test_one_hold_carries_one_order(db: psycopg.Connection) -> None:
    an_order(db)
    an_order(db, order_id="ord_2")
    a_payment(db)
    with pytest.raises(errors.UniqueViolation):
        a_payment(db, id="pay_2", order_id="ord_2")


@pytest.mark.parametrize("first", ["waiting", "active", "done"])
def test_a_payment_has_one_capture_that_may_move_its_money(db: psycopg.Connection, first: str) -> None:
    an_order(db)
    a_payment(db)
    a_job(db, first)
    with pytest.raises(errors.UniqueViolation):
        a_job(db, job_id="cap_2")


@pytest.mark.parametrize("first", ["removed", "failed"])
def test_a_capture_that_ended_without_effect_leaves_room_for_another(db: psycopg.Connection, first: str) -> None:
    an_order(db)
    a_payment(db)
    a_job(db, first)
    a_job(db, job_id="cap_2")


@pytest.mark.parametrize("first", ["requested", "released"])
def test_a_payment_has_one_void_that_may_release_its_money(db: psycopg.Connection, first: str) -> None:
    an_order(db)
    a_payment(db)
    a_void(db, first)
    with pytest.raises(errors.UniqueViolation):
        a_void(db, void_id="void_2")


@pytest.mark.parametrize("first", ["refused", "overtaken"])
def test_a_void_that_ended_without_effect_leaves_room_for_another(db: psycopg.Connection, first: str) -> None:
    an_order(db)
    a_payment(db)
    a_void(db, first)
    a_void(db, void_id="void_2")


# Refunds.


def sums(db: psycopg.Connection) -> tuple[Any, ...]:
    """The payment's status, what is promised of it, and what is back."""
    found = db.execute("SELECT status, refunding, refunded FROM payments WHERE id = 'pay_1'").fetchone()
    assert found
    return found


def test_a_payment_follows_its_refunds(db: psycopg.Connection) -> None:
    an_order(db)
    a_payment(db, "captured")
    a_refund(db, amount=600)
    assert sums(db) == ("captured", 600, 0)
    update(db, "refunds", "rfd_1", state="processing")
    assert sums(db) == ("captured", 600, 0)
    update(db, "refunds", "rfd_1", state="completed", **BESIDE["refunds"]("completed"))
    assert sums(db) == ("partially_refunded", 0, 600)
    a_refund(db, "completed", id="rfd_2", amount=400, provider_id="re_2")
    assert sums(db) == ("refunded", 0, 1000)
    update(db, "refunds", "rfd_1", state="failed", **BESIDE["refunds"]("failed"))
    assert sums(db) == ("partially_refunded", 0, 400)
    update(db, "refunds", "rfd_2", state="failed", **BESIDE["refunds"]("failed"))
    assert sums(db) == ("captured", 0, 0)
    update(db, "refunds", "rfd_2", state="initiated", **BESIDE["refunds"]("initiated"))
    assert sums(db) == ("captured", 400, 0)


def test_a_payment_that_was_captured_in_part_is_that_again_when_its_refund_fails(db: psycopg.Connection) -> None:
    an_order(db)
    a_payment(db, "partially_captured")
    a_refund(db, "completed", amount=400)
    assert sums(db) == ("refunded", 0, 400)
    update(db, "refunds", "rfd_1", state="failed", **BESIDE["refunds"]("failed"))
    assert sums(db) == ("partially_captured", 0, 0)


@pytest.mark.parametrize("first", ["initiated", "processing", "completed"])
@pytest.mark.parametrize("second", ["initiated", "processing", "completed"])
def test_no_more_is_promised_and_given_back_than_was_captured(db: psycopg.Connection, first: str, second: str) -> None:
    an_order(db)
    a_payment(db, "captured")
    a_refund(db, first, amount=600, provider_id="re_1")
    with pytest.raises(errors.CheckViolation):
        a_refund(db, second, id="rfd_2", amount=401, provider_id="re_2")


def test_a_refund_that_failed_gives_its_share_back_and_takes_it_again_when_it_is_retried(
    db: psycopg.Connection,
) -> None:
    an_order(db)
    a_payment(db, "captured")
    a_refund(db, "failed", amount=600)
    a_refund(db, id="rfd_2", amount=600)
    with pytest.raises(errors.CheckViolation):
        update(db, "refunds", "rfd_1", state="initiated", **BESIDE["refunds"]("initiated"))


@pytest.mark.parametrize("status", ["unpaid", "authorized", "capturing", "voiding", "voided"])
def test_nothing_is_refunded_that_was_not_captured(db: psycopg.Connection, status: str) -> None:
    an_order(db)
    a_payment(db, status)
    with pytest.raises(errors.CheckViolation):
        a_refund(db, amount=1)


@pytest.mark.parametrize("amount", [0, -1])
def test_a_refund_is_of_something(db: psycopg.Connection, amount: int) -> None:
    an_order(db)
    a_payment(db, "captured")
    with pytest.raises(errors.CheckViolation):
        a_refund(db, amount=amount)


@pytest.mark.parametrize("change", [{"amount": 599}, {"generation": 4}, {"generation": 1}])
def test_a_refund_is_for_one_amount_and_its_keys_are_used_in_turn(db: psycopg.Connection, change: Row) -> None:
    an_order(db)
    a_payment(db, "captured")
    a_refund(db, "processing")
    update(db, "refunds", "rfd_1", generation=2)
    with pytest.raises(errors.CheckViolation):
        update(db, "refunds", "rfd_1", **change)


def test_a_refund_is_never_forgotten(db: psycopg.Connection) -> None:
    an_order(db)
    a_payment(db, "captured")
    a_refund(db)
    with pytest.raises(errors.CheckViolation):
        db.execute("DELETE FROM refunds")


def test_two_refunds_of_60_on_100_started_at_once_never_both_stand(migrated: str) -> None:
    """Nobody holds the order's lock here: it is the payment's row that the two meet at."""
    with psycopg.connect(migrated) as first, psycopg.connect(migrated) as second:
        an_order(first)
        a_payment(first, "captured")
        first.commit()
        try:
            a_refund(first, amount=600)
            meeting = threading.Thread(target=refused_in_the_end, args=(second,))
            meeting.start()
            eventually(lambda: waits_for(first, second))
            first.commit()
            meeting.join()
            assert sums(first) == ("captured", 600, 0)
        finally:
            first.rollback()
            first.execute("SET session_replication_role = replica")  # the one way to take a refund off the records
            for table in ("refunds", "payments", "orders"):
                first.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
            first.commit()


def refused_in_the_end(db: psycopg.Connection) -> None:
    with pytest.raises(errors.CheckViolation):
        a_refund(db, id="rfd_2", amount=600)
    db.rollback()


def waits_for(first: psycopg.Connection, second: psycopg.Connection) -> bool:
    """Whether the second session waits for the first."""
    blocked = first.execute("SELECT pg_blocking_pids(%s)", (second.info.backend_pid,)).fetchone()
    return blocked == ([first.info.backend_pid],)


@pytest.mark.parametrize("status", ["captured", "partially_captured", "partially_refunded"])
def test_an_order_that_was_paid_for_is_canceled_with_a_refund_of_the_rest_or_knowingly_without(
    db: psycopg.Connection, status: str
) -> None:
    an_order(db, "captured")
    a_payment(db, status)
    canceled = BESIDE["orders"]("canceled") | {"status": "canceled"}
    with pytest.raises(errors.CheckViolation, match="is captured"), db.transaction():
        update(db, "orders", "ord_1", **canceled)
    db.execute("SET CONSTRAINTS ALL IMMEDIATE")
    with pytest.raises(errors.CheckViolation, match="without its refund"), db.transaction():
        update(db, "orders", "ord_1", **canceled, cancellation_refund="full")
    update(db, "orders", "ord_1", **canceled, cancellation_refund="skipped")


def test_an_order_that_was_paid_for_is_canceled_together_with_its_refund(db: psycopg.Connection) -> None:
    an_order(db, "captured")
    a_payment(db, "captured")
    update(db, "orders", "ord_1", status="canceled", **BESIDE["orders"]("canceled"), cancellation_refund="full")
    a_refund(db, amount=1000)
    db.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_an_order_whose_money_is_being_taken_is_not_canceled_by_anybody(db: psycopg.Connection) -> None:
    an_order(db)
    a_payment(db, "capturing")
    with pytest.raises(errors.CheckViolation, match="is captured"):
        update(db, "orders", "ord_1", status="canceled", **BESIDE["orders"]("canceled"), cancellation_refund="skipped")


# Goods.


@pytest.mark.parametrize("reserved", [-1, 3])
def test_a_line_holds_no_more_units_than_were_bought_and_no_fewer_than_none(
    db: psycopg.Connection, reserved: int
) -> None:
    an_order(db)
    line = {"order_id": "ord_1", "line": 1, "sku": "TEE", "quantity": 2, "unit_price": 1, "tax_rate": 0}
    with pytest.raises(errors.CheckViolation):
        insert(db, "order_lines", **line, reserved=reserved)


# Intents and their answers.


@pytest.mark.parametrize(
    "row",
    [
        {"state": "done", "answer_status": 503},
        {"state": "refused", "answer_status": 503},
        {"state": "parked", "answer_status": 503},
        {"state": "done", "answer_status": None},
        {"state": "done", "answer_body": None},
        {"state": "done", "ended_at": None},
        {"state": "accepted", "answer_status": 200},
        {"state": "working", **ANSWERED},
    ],
)
def test_an_intent_has_an_answer_just_when_it_has_ended_and_never_a_503(db: psycopg.Connection, row: Row) -> None:
    with pytest.raises(errors.CheckViolation):
        an_intent(db, **row)


def test_a_client_key_names_one_intent_for_ever(db: psycopg.Connection) -> None:
    an_intent(db, "done", idempotency_key="k")
    with pytest.raises(errors.UniqueViolation):
        an_intent(db, id="int_2", idempotency_key="k", fingerprint=b"other")


@pytest.mark.parametrize(
    "other",
    [{"actor": "customer:1"}, {"operation": "set_stock"}, {"subject": "ord_2"}, {"idempotency_key": "other"}],
)
def test_a_client_key_counts_for_its_actor_operation_and_subject_only(db: psycopg.Connection, other: Row) -> None:
    an_intent(db, "done", idempotency_key="k")
    an_intent(db, **{"id": "int_2", "idempotency_key": "k"} | other)


def test_the_same_request_without_a_key_joins_the_one_that_runs_and_is_new_when_that_has_ended(
    db: psycopg.Connection,
) -> None:
    an_intent(db, "done", id="int_0")
    an_intent(db)
    with db.transaction(), pytest.raises(errors.UniqueViolation), db.transaction():
        an_intent(db, "working", id="int_2")
    an_intent(db, id="int_3", fingerprint=b"another request")


# History, mail and alerts.


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE timeline SET event = 'another'",
        "UPDATE timeline SET data = '{\"x\": 1}' WHERE order_id = 'ord_1'",
        "DELETE FROM timeline",
        "TRUNCATE timeline",
        "TRUNCATE orders CASCADE",
    ],
)
def test_history_is_only_ever_added_to(db: psycopg.Connection, statement: str) -> None:
    a_history(db)
    with pytest.raises(errors.CheckViolation, match="append-only"):
        db.execute(statement)


def test_an_order_with_a_history_cannot_be_deleted(db: psycopg.Connection) -> None:
    a_history(db)
    with pytest.raises(errors.ForeignKeyViolation):
        db.execute("DELETE FROM orders")


def test_one_cause_mails_the_same_words_to_the_same_person_once(db: psycopg.Connection) -> None:
    an_order(db)
    an_email(db, "sent")
    an_email(db, id="mail_2", recipient="bob@example.com")
    with pytest.raises(errors.UniqueViolation):
        an_email(db, id="mail_3")


def test_a_cause_has_one_open_alert_and_may_come_back(db: psycopg.Connection) -> None:
    for alert_id, resolved in (("alr_1", "now"), ("alr_2", None)):
        insert(db, "alerts", id=alert_id, cause="c", severity="warning", title="t", resolved_at=resolved)
    with pytest.raises(errors.UniqueViolation):
        insert(db, "alerts", id="alr_3", cause="c", severity="warning", title="t")


@pytest.mark.parametrize("half", [{"acknowledged_at": "now"}, {"acknowledged_by": "admin:op_1"}])
def test_an_acknowledged_alert_names_who_and_when(db: psycopg.Connection, half: Row) -> None:
    with pytest.raises(errors.CheckViolation):
        insert(db, "alerts", id="alr_1", cause="c", severity="warning", title="t", **half)


# Webhooks and drift.


def test_an_event_of_a_provider_is_recorded_once(db: psycopg.Connection) -> None:
    a_webhook(db, "done")
    with pytest.raises(errors.UniqueViolation):
        a_webhook(db, id="whe_2")


@pytest.mark.parametrize(
    "row",
    [
        {"state": "received", "ended_at": "now"},
        {"state": "done", "ended_at": None},
        {"state": "parked", "ended_at": None},
        {"state": "received", "concern": "nothing"},
        {"state": "done", "concern": "nothing"},
    ],
)
def test_an_event_that_is_of_use_has_ended_or_is_to_be_followed(db: psycopg.Connection, row: Row) -> None:
    with pytest.raises(errors.CheckViolation):
        a_webhook(db, **row)


def test_a_payment_has_one_open_drift_of_a_kind_and_it_may_come_back(db: psycopg.Connection) -> None:
    an_order(db)
    a_payment(db)
    drift = {"payment_id": "pay_1", "order_id": "ord_1", "ours": "{}", "theirs": "{}"}
    insert(db, "drift", id="drift_1", kind="hold", resolved_at="now", **drift)
    insert(db, "drift", id="drift_2", kind="hold", **drift)
    insert(db, "drift", id="drift_3", kind="refunds", **drift)
    with pytest.raises(errors.UniqueViolation):
        insert(db, "drift", id="drift_4", kind="hold", **drift)


# Migrations.


def test_a_schema_that_is_up_to_date_is_left_as_it_is(empty_database: Callable[[str], str]) -> None:
    url = empty_database("twice")
    upgrade(url)
    with psycopg.connect(url) as db:
        an_order(db)
    before = described(url)
    upgrade(url)
    assert described(url) == before
    with psycopg.connect(url) as db:
        assert db.execute("SELECT count(*) FROM orders").fetchone() == (1,)


def test_deployments_that_migrate_at_once_take_turns(shop: Shop, empty_database: Callable[[str], str]) -> None:
    url = empty_database("at_once")
    environment = shop.stack.environment() | {"COUNTERMAND_DATABASE_URL": url}
    command = [sys.executable, "-m", "sandbox.cli", "migrate"]
    with psycopg.connect(url) as slow:
        slow.execute("CREATE TABLE alembic_version (version_num text)")  # everybody's first step; now they all wait
        running = [subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.PIPE) for _ in range(4)]
        eventually(lambda: waiting(shop, "at_once") == len(running), 60)
        slow.rollback()
    outputs = [process.communicate()[1] for process in running]
    assert [process.returncode for process in running] == [0] * 4, outputs
    assert described(url) == described(shop.settings.database_url)


def waiting(shop: Shop, database: str) -> int:
    """How many sessions of a database wait for a lock."""
    statement = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
    ((count,),) = shop.sql(statement, database)
    return int(count)


def described(url: str) -> list[tuple[Any, ...]]:
    """Every column, constraint, index and trigger of a schema."""
    with psycopg.connect(url) as db:
        return db.execute("""
            SELECT table_name::text, column_name::text, data_type::text || is_nullable FROM information_schema.columns
                WHERE table_schema = 'public'
            UNION ALL SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
                WHERE connamespace = 'public'::regnamespace
            UNION ALL SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
            UNION ALL SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger
                WHERE NOT tgisinternal
            ORDER BY 1, 2, 3
        """).fetchall()


# Plans.

#: Rows in each table; enough that reading them all is never the cheapest way.
MANY = 20_000

FILL = """
    INSERT INTO orders (id, kind, status, currency, total, shipping, email, fingerprint, placed_at, grace_until)
        SELECT 'ord_' || n, 'retail', 'pending', 'USD', 1, 0, 'e', '', now(), now() FROM generate_series(1, {many}) n;
    INSERT INTO order_lines SELECT id, 1, 'SKU' || id, 1, 1, 0, 1 FROM orders;
    INSERT INTO stock SELECT 'SKU' || id, 1 FROM orders;
    INSERT INTO payments (id, order_id, provider, reference, status, currency, authorized)
        SELECT 'pay_' || id, id, 'stripe', 'pi_' || id, 'authorized', 'USD', 1 FROM orders;
    INSERT INTO capture_jobs (id, order_id, payment_id, due_at)
        SELECT 'cap_' || id, order_id, id, now() FROM payments;
    INSERT INTO voids (id, order_id, payment_id) SELECT 'void_' || id, order_id, id FROM payments;
    INSERT INTO refunds (id, order_id, payment_id, amount, source, actor, state, last_error, settled_at)
        SELECT 'rfd_' || id, order_id, id, 1, 's', 'a', 'failed', 'e', now() FROM payments;
    INSERT INTO intents (id, operation, subject, actor, idempotency_key, fingerprint, payload)
        SELECT 'int_' || id, 'cancel_order', id, 'a', nullif(length(id) % 2, 0), '', '{{}}' FROM orders;
    INSERT INTO outbox SELECT id, 'void.payment', now() + interval '1 hour' FROM voids;
    INSERT INTO emails (id, order_id, cause, template, recipient, context)
        SELECT 'mail_' || id, id, id, 't', 'r', '{{}}' FROM orders;
    INSERT INTO timeline (order_id, event, source, actor, data) SELECT id, 'e', 's', 'a', '{{}}' FROM orders;
    INSERT INTO alerts (id, cause, severity, title, order_id) SELECT 'alr_' || id, id, 'warning', 't', id FROM orders;
    INSERT INTO webhook_events (id, provider, event_id, type, concern, reference, created, livemode)
        SELECT 'whe_' || id, 'stripe', 'evt_' || id, 't', 'payment', id, now(), false FROM orders;
    INSERT INTO drift (id, payment_id, order_id, kind, ours, theirs)
        SELECT 'drift_' || id, id, order_id, 'hold', '{{}}', '{{}}' FROM payments;
    UPDATE payments SET check_at = now() + interval '1 hour';
    INSERT INTO pace SELECT id FROM orders;
    ANALYZE;
"""


def statements() -> dict[str, str]:
    """Every SQL statement of `shared.store`, by its name."""
    found = {}
    for module in pkgutil.iter_modules(shared.store.__path__):
        if not module.ispkg and module.name != "migrate":
            for name, value in vars(importlib.import_module(f"shared.store.{module.name}")).items():
                if isinstance(value, TextClause):
                    found[f"{module.name}.{name}"] = value.text
    return found


@pytest.fixture(scope="module")
def filled(empty_database: Callable[[str], str]) -> str:
    """The URL of a database with many rows in every table."""
    url = empty_database("filled")
    upgrade(url)
    with psycopg.connect(url, autocommit=True) as db:
        for statement in FILL.format(many=MANY).split(";\n"):
            db.execute(statement)
    return url


def test_there_are_statements_to_be_planned() -> None:
    assert len(statements()) > 25


@pytest.mark.parametrize("name", statements())
def test_no_statement_reads_a_whole_table(filled: str, name: str) -> None:
    names: dict[str, int] = {}
    numbered = re.sub(
        r"(?<!:):([a-z_]+)", lambda found: f"${names.setdefault(found[1], len(names) + 1)}", statements()[name]
    )
    with psycopg.connect(filled) as db:
        ((plan,),) = db.execute(f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {numbered}").fetchall()
    nodes = list(walked(plan[0]["Plan"]))
    whole = [node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"]
    unbounded = [node["Index Name"] for node in nodes if "Index Name" in node and "Index Cond" not in node]
    assert not whole, json.dumps(plan, indent=1)
    assert not unbounded, json.dumps(plan, indent=1)


def walked(plan: Row) -> Iterator[Row]:
    """A plan's node and all below it."""
    yield plan
    for below in plan.get("Plans", []):
        yield from walked(below)
