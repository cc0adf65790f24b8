"""Rows in any state, as an INSERT may write them: only changes are guarded by transitions."""

from collections.abc import Callable, Mapping
from typing import Any

import psycopg
from psycopg import sql

from shared.domain import intents

Row = dict[str, Any]

ANSWERED = {"answer_status": 200, "answer_body": "{}", "ended_at": "now"}
UNANSWERED = {"answer_status": None, "answer_body": None, "ended_at": None}

#: What must stand beside each state.
BESIDE: Mapping[str, Callable[[str], Row]] = {
    "orders": lambda state: {
        "canceled": {"canceled_at": "now", "cancellation_source": "test"},
        "canceling": {"canceled_at": None, "cancellation_source": None, "kind": "booking"},
    }.get(state, {"canceled_at": None, "cancellation_source": None}),
    "payments": lambda state: {
        "voided": {"captured": 0, "released": 1000, "refunded": 0},
        "captured": {"captured": 1000, "released": 0, "refunded": 0},
        "partially_captured": {"captured": 400, "released": 600, "refunded": 0},
        "partially_refunded": {"captured": 1000, "released": 0, "refunded": 600},
        "refunded": {"captured": 1000, "released": 0, "refunded": 1000},
    }.get(state, {"captured": 0, "released": 0, "refunded": 0}),
    "capture_jobs": lambda state: {},
    "voids": lambda state: {"settled_at": None if state in ("requested", "lapsing") else "now"},
    "refunds": lambda state: {
        "settled_at": "now" if state in ("completed", "failed") else None,
        "provider_id": "re_1" if state == "completed" else None,
        "last_error": "declined" if state == "failed" else None,
    },
    "intents": lambda state: UNANSWERED if state in intents.RUNNING else ANSWERED,
    "guest_cancellations": lambda state: {"settled_at": None if state == "settling" else "now"},
    "order_edits": lambda state: {"settled_at": None if state == "authorizing" else "now"},
    "emails": lambda state: {"sent_at": "now" if state == "sent" else None},
    "webhook_events": lambda state: {"ended_at": None if state == "received" else "now"},
    "shipments": lambda state: {},
    "syncs": lambda state: {"ended_at": None if state == "running" else "now"},
    "sync_batches": lambda state: {
        "results": None if state == "waiting" else "[]",
        "last_error": "http_500" if state == "failed" else None,
    },
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


def an_order(db: psycopg.Connection, status: str = "pending", order_id: str = "ord_1", **more: Any) -> None:
    row = {
        "currency": "USD",
        "total": 1000,
        "shipping": 0,
        "email": "ann@example.com",
        "fingerprint": b"",
        "kind": "retail",
    }
    times = {"placed_at": "now", "grace_until": "now"}
    row |= {"id": order_id, "status": status} | times | BESIDE["orders"](status)
    insert(db, "orders", **row | more)
    insert(db, "payment_collections", order_id=order_id, amount=1000)


def a_payment(db: psycopg.Connection, status: str = "authorized", **more: Any) -> None:
    row = {"id": "pay_1", "order_id": "ord_1", "provider": "stripe", "reference": "pi_1", "currency": "USD"}
    row |= {"status": status, "amount": 1000, "authorized": 1000}
    insert(db, "payments", **row | BESIDE["payments"](status) | more)


def a_job(db: psycopg.Connection, state: str = "waiting", job_id: str = "cap_1") -> None:
    insert(db, "capture_jobs", id=job_id, order_id="ord_1", payment_id="pay_1", due_at="now", state=state)


def a_void(db: psycopg.Connection, state: str = "requested", void_id: str = "void_1") -> None:
    row = {"id": void_id, "order_id": "ord_1", "payment_id": "pay_1", "state": state}
    insert(db, "voids", **row, **BESIDE["voids"](state))


def a_refund(db: psycopg.Connection, state: str = "initiated", **more: Any) -> None:
    row = {"id": "rfd_1", "order_id": "ord_1", "payment_id": "pay_1", "amount": 600, "source": "refund", "actor": "a"}
    insert(db, "refunds", **row | {"state": state} | BESIDE["refunds"](state) | more)


def an_edit(db: psycopg.Connection, state: str = "authorizing", **more: Any) -> None:
    row = {"id": "edit_1", "order_id": "ord_1", "intent_id": "int_1", "payment_id": "pay_1", "authorize": 1200}
    row |= {
        "before": "{}",
        "after": "{}",
        "total_before": 1000,
        "total_after": 1200,
        "money": "increment",
        "state": state,
    }
    insert(db, "order_edits", **row | BESIDE["order_edits"](state) | more)


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


def a_policy(db: psycopg.Connection, **more: Any) -> None:
    insert(db, "policies", **{"id": "flexible", "version": 1, "body": "{}"} | more)


def a_booking(db: psycopg.Connection, status: str = "pending", **more: Any) -> None:
    """A booking of two nights, and the link to it."""
    an_order(db, status, kind="booking")
    a_policy(db)
    row = {"order_id": "ord_1", "hotel": "sea", "hotel_name": "Sea", "hotel_email": "desk@example.com"}
    row |= {"check_in": "2026-07-01 15:00", "check_out": "2026-07-03 11:00", "time_zone": "Europe/Lisbon"}
    row |= {"ends_at": "2026-07-03 10:00Z", "policy_id": "flexible", "policy_version": "1"}
    insert(db, "bookings", **row | more)
    a_guest_token(db)


def a_guest_token(db: psycopg.Connection, **more: Any) -> None:
    row = {"id": "gtk_1", "hash": bytes(32), "kid": "new", "order_id": "ord_1", "actions": ["view", "cancel"]}
    insert(db, "guest_tokens", **row | {"expires_at": "now"} | more)


def a_guest_cancellation(db: psycopg.Connection, state: str = "settling", **more: Any) -> None:
    row = {"id": "gcn_1", "order_id": "ord_1", "intent_id": "int_1", "token_id": "gtk_1", "reason": "r"}
    row |= {
        "priced_at": "now",
        "paid": 1000,
        "fee": 400,
        "refund": 600,
        "rule": "rule_1",
        "description": "d",
        "was": "captured",
        "approved": False,
    }
    insert(db, "guest_cancellations", **row | {"state": state} | BESIDE["guest_cancellations"](state) | more)


def a_shipment(db: psycopg.Connection, cancel_state: str | None = "requested", **more: Any) -> None:
    """The parcel of an order, which its courier is to cancel unless there is no state of that."""
    row = {"id": "shp_1", "order_id": "ord_1", "courier": "Delhivery", "awb": "1", "followed_by": "delhivery"}
    row |= {"cancel_state": cancel_state, "cancel_asked_at": "now" if cancel_state else None}
    insert(db, "shipments", **row | BESIDE["shipments"](cancel_state or "") | more)


def a_push(db: psycopg.Connection, **more: Any) -> None:
    row = {"fingerprint": bytes(32), "courier": "delhivery", "awb": "1", "hints": False}
    insert(db, "courier_events", **row | more)


def a_sync(db: psycopg.Connection, state: str = "running", **more: Any) -> None:
    """A sync of beat's."""
    insert(db, "syncs", **{"id": "sync_1", "state": state} | BESIDE["syncs"](state) | more)


def a_batch(db: psycopg.Connection, state: str = "waiting", **more: Any) -> None:
    row = {"id": "sync_1.0000", "sync_id": "sync_1", "shipment_ids": ["shp_1"], "state": state}
    insert(db, "sync_batches", **row | BESIDE["sync_batches"](state) | more)


def a_history(db: psycopg.Connection) -> None:
    an_order(db)
    insert(db, "timeline", order_id="ord_1", event="e", source="s", actor="a", data="{}")
