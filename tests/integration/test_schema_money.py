"""The walls in SQL around money: never more than there is, and never two ways at once."""

import threading
from typing import Any

import psycopg
import pytest
from psycopg import errors, sql

from tests.integration.rows import (
    BESIDE,
    Row,
    a_job,
    a_payment,
    a_refund,
    a_void,
    an_edit,
    an_intent,
    an_order,
    update,
)
from tests.shop import eventually

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
            for table in ("refunds", "payments", "payment_collections", "orders"):
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


@pytest.mark.parametrize("table", ["payments", "payment_collections"])
def test_a_collections_payments_bring_what_it_says(db: psycopg.Connection, table: str) -> None:
    an_order(db)
    a_payment(db)
    db.execute("SET CONSTRAINTS ALL IMMEDIATE")
    with pytest.raises(errors.CheckViolation, match="do not bring what it costs"):
        db.execute(sql.SQL("UPDATE {} SET amount = 999").format(sql.Identifier(table)))


def test_nobody_moves_the_money_of_an_order_that_is_being_edited(db: psycopg.Connection) -> None:
    an_order(db)
    a_payment(db)
    update(db, "orders", "ord_1", edit_status="editing")
    with pytest.raises(errors.CheckViolation, match="is being edited"), db.transaction():
        update(db, "payments", "pay_1", status="capturing")
    with pytest.raises(errors.CheckViolation, match="is being edited"), db.transaction():
        update(db, "orders", "ord_1", status="canceled", **BESIDE["orders"]("canceled"))


def test_an_order_is_edited_by_one_at_a_time(db: psycopg.Connection) -> None:
    an_order(db)
    a_payment(db)
    an_intent(db)
    an_intent(db, id="int_2", idempotency_key="k")
    an_edit(db)
    with pytest.raises(errors.UniqueViolation, match="order_edits_one_in_flight"):
        an_edit(db, id="edit_2", intent_id="int_2")
