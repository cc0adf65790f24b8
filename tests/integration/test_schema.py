"""The walls in SQL: what the rules forbid is refused by Postgres too."""

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import psycopg
import pytest
from psycopg import errors

from shared.domain import edits, emails, intents, orders, payments, refunds, settling, shipments, webhooks
from shared.domain.transitions import moves
from tests.integration.rows import (
    ANSWERED,
    BESIDE,
    Row,
    a_booking,
    a_captured_payment,
    a_guest_cancellation,
    a_history,
    a_job,
    a_payment,
    a_refund,
    a_shipment,
    a_void,
    a_webhook,
    an_edit,
    an_email,
    an_intent,
    an_order,
    insert,
    update,
)

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
    "guest_cancellations": (
        settling.TRANSITIONS,
        settling.CancellationState,
        "state",
        "gcn_1",
        (a_booking, an_intent, a_guest_cancellation),
    ),
    "intents": (intents.TRANSITIONS, intents.IntentState, "state", "int_1", (an_intent,)),
    "order_edits": (
        edits.TRANSITIONS,
        edits.EditState,
        "state",
        "edit_1",
        (an_order, a_payment, an_intent, an_edit),
    ),
    "emails": (emails.TRANSITIONS, emails.EmailState, "state", "mail_1", (an_order, an_email)),
    "shipments": (
        shipments.CANCEL_TRANSITIONS,
        shipments.CancelState,
        "cancel_state",
        "shp_1",
        (an_order, a_shipment),
    ),
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
