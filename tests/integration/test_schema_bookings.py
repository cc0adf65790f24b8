"""The walls in SQL around bookings: the money comes first, and no more of it is kept than the fee."""

from typing import Any

import psycopg
import pytest
from psycopg import errors

from tests.integration.rows import (
    BESIDE,
    Row,
    a_booking,
    a_guest_cancellation,
    a_guest_token,
    a_job,
    a_payment,
    a_policy,
    a_refund,
    an_intent,
    an_order,
    update,
)

#: What a guest's cancel writes into the order, with the money where the policy wants it.
TAKEN_BACK = BESIDE["orders"]("canceled") | {"status": "canceled", "cancellation_refund": "policy"}


def a_cancel(db: psycopg.Connection, state: str = "settling", **more: Any) -> None:
    """A guest takes the booking back, of which 1000 were paid, and 400 are the fee."""
    an_intent(db)
    a_guest_cancellation(db, state, **more)


# Money first.


def test_only_a_booking_has_its_money_settled_before_it_is_canceled(db: psycopg.Connection) -> None:
    an_order(db)
    with pytest.raises(errors.CheckViolation, match="orders_money_first"), db.transaction():
        update(db, "orders", "ord_1", status="canceling")
    update(db, "orders", "ord_1", status="canceling", kind="booking")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("pending", {"status": "canceling"}),
        ("captured", {"status": "canceling"}),
        ("pending", TAKEN_BACK),
        ("canceling", TAKEN_BACK),
        ("canceling", TAKEN_BACK | {"cancellation_refund": "skipped"}),
    ],
)
def test_nobody_takes_a_booking_back_while_its_money_is_being_taken(
    db: psycopg.Connection, before: str, after: Row
) -> None:
    a_booking(db, before)
    a_payment(db, "capturing")
    with pytest.raises(errors.CheckViolation, match="is captured, or held"):
        update(db, "orders", "ord_1", **after)


@pytest.mark.parametrize("status", ["authorized", "voiding", "captured", "partially_captured"])
def test_a_booking_is_being_canceled_wherever_its_money_is(db: psycopg.Connection, status: str) -> None:
    a_booking(db)
    a_payment(db, status)
    update(db, "orders", "ord_1", status="canceling")


@pytest.mark.parametrize("before", ["pending", "canceling"])
@pytest.mark.parametrize("status", ["authorized", "voiding"])
def test_a_guest_has_not_taken_a_booking_back_while_its_money_is_held(
    db: psycopg.Connection, status: str, before: str
) -> None:
    a_booking(db, before)
    a_payment(db, status)
    with pytest.raises(errors.CheckViolation, match="is captured, or held"):
        update(db, "orders", "ord_1", **TAKEN_BACK)


@pytest.mark.parametrize("status", ["unpaid", "voided", "refunded"])
def test_a_guest_takes_a_booking_back_for_which_nobody_holds_or_keeps_anything(
    db: psycopg.Connection, status: str
) -> None:
    a_booking(db, "canceling")
    a_payment(db, status)
    update(db, "orders", "ord_1", **TAKEN_BACK)
    db.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_what_a_guest_has_paid_is_not_kept_as_if_the_cancel_were_free(db: psycopg.Connection) -> None:
    a_booking(db, "canceling")
    a_payment(db, "captured")
    with pytest.raises(errors.CheckViolation, match="is captured, or held"):
        update(db, "orders", "ord_1", **TAKEN_BACK | {"cancellation_refund": "none"})


# The fee.


@pytest.mark.parametrize("state", ["initiated", "processing", "completed"])
@pytest.mark.parametrize("before", ["pending", "captured", "canceling"])
@pytest.mark.parametrize("given_back", [600, 601, 1000])
def test_a_booking_is_canceled_when_what_is_beyond_the_fee_is_promised_or_given_back(
    db: psycopg.Connection, before: str, state: str, given_back: int
) -> None:
    a_booking(db, before)
    a_payment(db, "captured")
    a_cancel(db, "done")
    a_refund(db, state, amount=given_back)
    update(db, "orders", "ord_1", **TAKEN_BACK)
    db.execute("SET CONSTRAINTS ALL IMMEDIATE")


@pytest.mark.parametrize("state", ["initiated", "processing", "completed"])
@pytest.mark.parametrize("before", ["pending", "captured", "canceling"])
@pytest.mark.parametrize("given_back", [1, 599])
def test_a_booking_is_not_canceled_when_more_than_the_fee_is_kept(
    db: psycopg.Connection, before: str, state: str, given_back: int
) -> None:
    a_booking(db, before)
    a_payment(db, "captured")
    a_cancel(db, "done")
    a_refund(db, state, amount=given_back)
    update(db, "orders", "ord_1", **TAKEN_BACK)
    with pytest.raises(errors.CheckViolation, match="more than the fee is kept"):
        db.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_what_is_kept_is_reckoned_when_the_transaction_ends(db: psycopg.Connection) -> None:
    a_booking(db, "canceling")
    a_payment(db, "captured")
    update(db, "orders", "ord_1", **TAKEN_BACK)
    a_cancel(db, "done")
    a_refund(db, amount=600)
    db.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_a_refund_that_has_failed_gives_nothing_back(db: psycopg.Connection) -> None:
    a_booking(db, "canceling")
    a_payment(db, "captured")
    a_cancel(db, "done")
    a_refund(db, "failed", amount=600)
    update(db, "orders", "ord_1", **TAKEN_BACK)
    with pytest.raises(errors.CheckViolation, match="more than the fee is kept"):
        db.execute("SET CONSTRAINTS ALL IMMEDIATE")


@pytest.mark.parametrize("state", [None, "settling", "refused"])
def test_a_fee_is_kept_only_for_a_cancel_that_is_done(db: psycopg.Connection, state: str | None) -> None:
    a_booking(db, "canceling")
    a_payment(db, "captured")
    if state:
        a_cancel(db, state)
    a_refund(db, amount=600)
    update(db, "orders", "ord_1", **TAKEN_BACK)
    with pytest.raises(errors.CheckViolation, match="more than the fee is kept"):
        db.execute("SET CONSTRAINTS ALL IMMEDIATE")


@pytest.mark.parametrize(("amount", "is_the_fee"), [(1000, False), (401, False), (400, True), (1, True)])
def test_of_what_is_held_for_a_booking_that_is_being_canceled_no_more_than_the_fee_is_captured(
    db: psycopg.Connection, amount: int, is_the_fee: bool
) -> None:
    a_booking(db, "canceling")
    a_payment(db, amount=amount)
    a_cancel(db)
    if is_the_fee:
        update(db, "payments", "pay_1", status="capturing")
    else:
        with pytest.raises(errors.CheckViolation, match="not pending"):
            update(db, "payments", "pay_1", status="capturing")


def test_nothing_is_captured_of_a_booking_that_is_being_canceled_for_no_fee_at_all(db: psycopg.Connection) -> None:
    a_booking(db, "canceling")
    a_payment(db)
    with pytest.raises(errors.CheckViolation, match="not pending"):
        update(db, "payments", "pay_1", status="capturing")


@pytest.mark.parametrize("state", ["done", "refused"])
def test_what_a_cancel_has_cost_is_not_written_anew(db: psycopg.Connection, state: str) -> None:
    a_booking(db)
    a_cancel(db, state)
    with pytest.raises(errors.CheckViolation, match="append-only"):
        update(db, "guest_cancellations", "gcn_1", fee=500, refund=500)


def test_a_link_to_another_booking_cancels_nothing(db: psycopg.Connection) -> None:
    a_booking(db)
    with pytest.raises(errors.ForeignKeyViolation, match="token_id"):
        a_cancel(db, token_id="gtk_2")


@pytest.mark.parametrize("status", ["canceled", "captured"])
def test_nothing_is_captured_of_a_booking_that_is_canceled_or_paid_for(db: psycopg.Connection, status: str) -> None:
    a_booking(db, status)
    a_payment(db)
    with pytest.raises(errors.CheckViolation, match="not pending"):
        update(db, "payments", "pay_1", status="capturing")


@pytest.mark.parametrize("row", [{"fee": 401}, {"refund": 601}, {"paid": 999}, {"fee": 1001, "refund": -1}])
def test_fee_and_refund_are_what_was_paid(db: psycopg.Connection, row: Row) -> None:
    a_booking(db)
    with pytest.raises(errors.CheckViolation):
        a_cancel(db, **row)


@pytest.mark.parametrize("row", [{"paid": 0, "fee": 0, "refund": 0}, {"fee": 0, "refund": 1000}])
def test_a_cancel_may_cost_nothing(db: psycopg.Connection, row: Row) -> None:
    a_booking(db)
    a_cancel(db, **row)


# One cancel at a time.


@pytest.mark.parametrize("first", ["settling", "done"])
@pytest.mark.parametrize("second", ["settling", "done"])
def test_a_booking_has_one_cancel_that_may_move_its_money(db: psycopg.Connection, first: str, second: str) -> None:
    a_booking(db)
    a_cancel(db, first)
    an_intent(db, id="int_2", idempotency_key="k")
    with pytest.raises(errors.UniqueViolation, match="guest_cancellations_one_live"):
        a_guest_cancellation(db, second, id="gcn_2", intent_id="int_2")


def test_a_cancel_that_the_provider_has_refused_leaves_room_for_another(db: psycopg.Connection) -> None:
    a_booking(db)
    a_cancel(db, "refused")
    an_intent(db, id="int_2", idempotency_key="k")
    a_guest_cancellation(db, id="gcn_2", intent_id="int_2")


def test_an_intent_begins_one_cancel(db: psycopg.Connection) -> None:
    a_booking(db)
    a_cancel(db, "refused")
    with pytest.raises(errors.UniqueViolation, match="guest_cancellations_intent_id"):
        a_guest_cancellation(db, id="gcn_2")


@pytest.mark.parametrize(
    "row",
    [
        {"state": "settling", "settled_at": "now"},
        {"state": "done", "settled_at": None},
        {"state": "refused", "settled_at": None},
    ],
)
def test_a_cancel_has_ended_just_when_it_is_known_how(db: psycopg.Connection, row: Row) -> None:
    a_booking(db)
    with pytest.raises(errors.CheckViolation):
        a_cancel(db, **row)


def test_the_keys_of_two_refunds_never_begin_alike_when_they_are_fixed(db: psycopg.Connection) -> None:
    an_order(db)
    a_payment(db, "captured")
    a_refund(db, amount=1, key="guest_cancel_refund:ord_1")
    a_refund(db, id="rfd_2", amount=1)
    a_refund(db, id="rfd_3", amount=1)
    with pytest.raises(errors.UniqueViolation, match="refunds_key"):
        a_refund(db, id="rfd_4", amount=1, key="guest_cancel_refund:ord_1")


def test_the_capture_of_a_fee_is_the_only_one(db: psycopg.Connection) -> None:
    a_booking(db, "canceling")
    a_payment(db, amount=400)
    a_job(db)
    with pytest.raises(errors.UniqueViolation, match="capture_jobs_one_live"):
        a_job(db, job_id="cap_2")


# Terms and links.


@pytest.mark.parametrize(
    "statement", ["UPDATE policies SET body = '{\"free_hours\": 24}'", "UPDATE policies SET version = 2"]
)
def test_a_policy_that_somebody_may_have_agreed_to_is_never_changed(db: psycopg.Connection, statement: str) -> None:
    a_policy(db)
    with pytest.raises(errors.CheckViolation, match="append-only"):
        db.execute(statement)


@pytest.mark.parametrize("statement", ["DELETE FROM policies", "TRUNCATE policies CASCADE"])
def test_a_policy_is_never_deleted(db: psycopg.Connection, statement: str) -> None:
    a_policy(db)
    with pytest.raises(errors.CheckViolation, match="append-only"):
        db.execute(statement)


def test_a_version_of_a_policy_is_written_once(db: psycopg.Connection) -> None:
    a_policy(db)
    a_policy(db, version=2)
    a_policy(db, id="strict")
    with pytest.raises(errors.UniqueViolation):
        a_policy(db, version=2)


@pytest.mark.parametrize("row", [{"policy_version": 2}, {"policy_id": "strict"}])
def test_a_booking_is_made_under_a_version_that_there_is(db: psycopg.Connection, row: Row) -> None:
    with pytest.raises(errors.ForeignKeyViolation):
        a_booking(db, **row)


@pytest.mark.parametrize("check_out", ["2026-07-01 15:00", "2026-06-30 11:00"])
def test_a_stay_ends_after_it_begins(db: psycopg.Connection, check_out: str) -> None:
    with pytest.raises(errors.CheckViolation):
        a_booking(db, check_out=check_out)


def test_a_token_opens_one_booking(db: psycopg.Connection) -> None:
    a_booking(db)
    with pytest.raises(errors.UniqueViolation, match="guest_tokens_hash"):
        a_guest_token(db, id="gtk_2")


@pytest.mark.parametrize("hash", [b"", bytes(31), bytes(33), b"gt_" + b"x" * 43])
def test_of_a_token_only_a_hash_is_kept(db: psycopg.Connection, hash: bytes) -> None:
    a_booking(db)
    with pytest.raises(errors.CheckViolation):
        a_guest_token(db, id="gtk_2", hash=hash)


@pytest.mark.parametrize("actions", [["view"], ["cancel"], ["cancel", "view"]])
def test_a_token_is_good_for_one_thing_or_both(db: psycopg.Connection, actions: list[str]) -> None:
    a_booking(db)
    a_guest_token(db, id="gtk_2", hash=b"x" * 32, actions=actions)


@pytest.mark.parametrize("actions", [[], ["refund"], ["view", "approve"], ["view", None]])
def test_a_token_is_good_for_nothing_else(db: psycopg.Connection, actions: list[str | None]) -> None:
    a_booking(db)
    with pytest.raises(errors.CheckViolation):
        a_guest_token(db, id="gtk_2", hash=b"x" * 32, actions=actions)


@pytest.mark.parametrize("table", ["guest_tokens", "guest_cancellations"])
def test_only_a_booking_has_links_and_is_taken_back_by_its_guest(db: psycopg.Connection, table: str) -> None:
    a_booking(db)
    an_intent(db)
    an_order(db, order_id="ord_2")
    make = {"guest_tokens": a_guest_token, "guest_cancellations": a_guest_cancellation}[table]
    with pytest.raises(errors.ForeignKeyViolation):
        make(db, id="other", order_id="ord_2", **({"hash": b"x" * 32} if table == "guest_tokens" else {}))


def test_an_order_is_of_a_kind_that_there_is(db: psycopg.Connection) -> None:
    with pytest.raises(errors.CheckViolation, match="orders_kind_check"):
        an_order(db, kind="rental")
