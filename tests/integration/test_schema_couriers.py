"""The walls in SQL around couriers: a parcel is one order's, and no more is kept of its money than the shipping."""

from collections.abc import Callable
from itertools import product
from typing import Any

import psycopg
import pytest
from psycopg import errors

from shared.domain.intents import Operation
from shared.domain.payments import Provider, VoidState
from shared.domain.shipments import CancelState, Courier, ShipmentStatus
from tests.integration.rows import (
    BESIDE,
    Row,
    a_batch,
    a_payment,
    a_push,
    a_refund,
    a_shipment,
    a_sync,
    a_void,
    a_webhook,
    an_intent,
    an_order,
    insert,
    update,
)

#: What a courier's cancel writes into an order whose parcel was picked up.
TAKEN_BACK = BESIDE["orders"]("canceled") | {"status": "canceled", "cancellation_refund": "less_shipping"}

#: What is written of a parcel that comes back.
COMES_BACK: Row = {"canceled_at": "now", "cancellation_reason": "RT / In Transit", "canceled_before_pickup": False}


def a_paid_order(db: psycopg.Connection, **more: Any) -> None:
    """An order of 1000, of which 100 are the shipping, and all of it is captured."""
    an_order(db, shipping=100)
    a_payment(db, "captured", **more)


def an_order_beside(db: psycopg.Connection) -> None:
    an_order(db, order_id="ord_2")


# Parcels.


def test_a_followed_waybill_is_the_parcel_of_one_order(db: psycopg.Connection) -> None:
    an_order(db)
    an_order_beside(db)
    a_shipment(db)
    with pytest.raises(errors.UniqueViolation, match="shipments_waybill"):
        a_shipment(db, id="shp_2", order_id="ord_2", courier="DELHIVERY")


@pytest.mark.parametrize("first", [None, "delhivery"])
def test_a_waybill_that_is_only_shown_may_stand_at_any_number_of_orders(
    db: psycopg.Connection, first: str | None
) -> None:
    an_order(db)
    an_order_beside(db)
    a_shipment(db, followed_by=first)
    a_shipment(db, id="shp_2", order_id="ord_2", followed_by=None)


def test_an_order_goes_out_by_one_parcel(db: psycopg.Connection) -> None:
    an_order(db)
    a_shipment(db)
    with pytest.raises(errors.UniqueViolation, match="shipments_order_id"):
        a_shipment(db, id="shp_2", awb="2")


def test_a_parcel_is_the_parcel_of_an_order_that_there_is(db: psycopg.Connection) -> None:
    with pytest.raises(errors.ForeignKeyViolation):
        a_shipment(db)


@pytest.mark.parametrize("status", ShipmentStatus)
def test_every_status_of_the_rules_can_be_written(db: psycopg.Connection, status: str) -> None:
    an_order(db)
    a_shipment(db, status=status)


@pytest.mark.parametrize("row", [{"status": "lost"}, {"followed_by": "fedex"}, {"cancel_attempts": -1}])
def test_a_parcel_is_nowhere_else_and_nobody_else_is_followed(db: psycopg.Connection, row: Row) -> None:
    an_order(db)
    with pytest.raises(errors.CheckViolation):
        a_shipment(db, **row)


@pytest.mark.parametrize("missing", COMES_BACK)
def test_of_a_parcel_that_comes_back_all_is_written_or_nothing(db: psycopg.Connection, missing: str) -> None:
    an_order(db)
    a_shipment(db)
    update(db, "shipments", "shp_1", **COMES_BACK)
    with pytest.raises(errors.CheckViolation):
        update(db, "shipments", "shp_1", **{missing: None})


@pytest.mark.parametrize(
    "row",
    [
        *({"cancel_state": state, "cancel_asked_at": None} for state in CancelState),
        {"cancel_state": None, "cancel_asked_at": "now"},
    ],
)
def test_it_is_known_since_when_a_courier_is_to_cancel(db: psycopg.Connection, row: Row) -> None:
    an_order(db)
    with pytest.raises(errors.CheckViolation):
        a_shipment(db, **row)


# What a courier tells.


def test_a_push_is_recorded_once(db: psycopg.Connection) -> None:
    a_push(db)
    with pytest.raises(errors.UniqueViolation, match="courier_events"):
        a_push(db, awb="2")


@pytest.mark.parametrize("row", [{"fingerprint": b""}, {"fingerprint": bytes(31)}, {"courier": "fedex"}])
def test_a_push_has_a_whole_fingerprint_and_a_sender_that_is_followed(db: psycopg.Connection, row: Row) -> None:
    with pytest.raises(errors.CheckViolation):
        a_push(db, **row)


@pytest.mark.parametrize("courier", Courier)
def test_every_courier_is_followed_heard_and_asked_at_its_pace(db: psycopg.Connection, courier: str) -> None:
    an_order(db)
    a_shipment(db, followed_by=courier)
    a_push(db, courier=courier)
    assert db.execute("SELECT count(*) FROM pace WHERE id = %s", [courier]).fetchone() == (1,)


# Syncs.


@pytest.mark.parametrize("state", ["running", "done"])
def test_one_sync_of_beats_runs_at_a_time(db: psycopg.Connection, state: str) -> None:
    a_sync(db, state)
    a_sync(db, "done", id="sync_2")
    if state == "running":
        with pytest.raises(errors.UniqueViolation, match="syncs_one_of_beat"):
            a_sync(db, id="sync_3")
    else:
        a_sync(db, id="sync_3")


def test_syncs_of_operators_run_beside_each_other_and_beside_beats(db: psycopg.Connection) -> None:
    a_sync(db)
    for number in ("2", "3"):
        an_intent(db, id=f"int_{number}", idempotency_key=number)
        a_sync(db, id=f"sync_{number}", intent_id=f"int_{number}")


@pytest.mark.parametrize("state", ["running", "done"])
def test_an_intent_begins_one_sync(db: psycopg.Connection, state: str) -> None:
    an_intent(db)
    a_sync(db, state, intent_id="int_1")
    with pytest.raises(errors.UniqueViolation, match="syncs_intent_id"):
        a_sync(db, id="sync_2", intent_id="int_1")


@pytest.mark.parametrize(
    "row",
    [
        {"state": "running", "ended_at": "now"},
        {"state": "done", "ended_at": None},
        {"state": "lost", "ended_at": "now"},
        {"total": -1},
    ],
)
def test_a_sync_has_ended_just_when_it_is_done(db: psycopg.Connection, row: Row) -> None:
    with pytest.raises(errors.CheckViolation):
        a_sync(db, **row)


@pytest.mark.parametrize("count", [1, 50])
def test_a_batch_is_as_large_as_a_question_to_a_courier(db: psycopg.Connection, count: int) -> None:
    a_sync(db)
    a_batch(db, shipment_ids=["shp_1"] * count)


@pytest.mark.parametrize("count", [0, 51])
def test_a_batch_is_no_larger_and_never_empty(db: psycopg.Connection, count: int) -> None:
    a_sync(db)
    with pytest.raises(errors.CheckViolation, match="shipment_ids"):
        a_batch(db, shipment_ids=["shp_1"] * count)


@pytest.mark.parametrize(
    "row",
    [
        {"state": "waiting", "results": "[]"},
        {"state": "done", "results": None},
        {"state": "failed", "results": None},
        {"state": "failed", "last_error": None},
        {"state": "lost", "results": "[]"},
        {"attempts": -1},
    ],
)
def test_a_batch_has_results_just_when_it_has_ended_and_says_why_it_failed(db: psycopg.Connection, row: Row) -> None:
    a_sync(db)
    with pytest.raises(errors.CheckViolation):
        a_batch(db, **row)


def test_a_batch_is_part_of_a_sync(db: psycopg.Connection) -> None:
    with pytest.raises(errors.ForeignKeyViolation):
        a_batch(db)


@pytest.mark.parametrize(
    ("table", "make", "identifier", "states", "allowed"),
    [
        ("syncs", a_sync, "sync_1", ("running", "done"), {("running", "done")}),
        (
            "sync_batches",
            a_batch,
            "sync_1.0000",
            ("waiting", "done", "failed"),
            {("waiting", "done"), ("waiting", "failed")},
        ),
    ],
)
def test_what_has_ended_does_not_begin_anew(
    db: psycopg.Connection,
    table: str,
    make: Callable[..., None],
    identifier: str,
    states: tuple[str, ...],
    allowed: set[tuple[str, str]],
) -> None:
    found = set()
    for start, end in product(states, states):
        with db.transaction(force_rollback=True):
            if table == "sync_batches":
                a_sync(db)
            make(db, start)
            try:
                with db.transaction():
                    update(db, table, identifier, state=end, **BESIDE[table](end))
            except errors.CheckViolation as refusal:
                assert refusal.diag.message_primary == f"illegal transition of {table}"  # noqa: PT017  # not another wall
            else:
                found.add((start, end))
    assert found == allowed | {(state, state) for state in states}


# Money.


@pytest.mark.parametrize("state", ["initiated", "processing", "completed"])
@pytest.mark.parametrize("given_back", [900, 901, 1000])
def test_an_order_is_canceled_when_what_is_beyond_its_shipping_is_promised_or_given_back(
    db: psycopg.Connection, state: str, given_back: int
) -> None:
    a_paid_order(db)
    a_refund(db, state, amount=given_back)
    update(db, "orders", "ord_1", **TAKEN_BACK)
    db.execute("SET CONSTRAINTS ALL IMMEDIATE")


@pytest.mark.parametrize("state", ["initiated", "processing", "completed"])
@pytest.mark.parametrize("given_back", [1, 899])
def test_an_order_is_not_canceled_keeping_more_than_its_shipping(
    db: psycopg.Connection, state: str, given_back: int
) -> None:
    a_paid_order(db)
    a_refund(db, state, amount=given_back)
    update(db, "orders", "ord_1", **TAKEN_BACK)
    with pytest.raises(errors.CheckViolation, match="without its refund"):
        db.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_what_is_kept_is_reckoned_when_the_transaction_ends(db: psycopg.Connection) -> None:
    a_paid_order(db)
    update(db, "orders", "ord_1", **TAKEN_BACK)
    a_refund(db, amount=900)
    db.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_the_shipping_is_kept_once_of_all_payments_of_an_order(db: psycopg.Connection) -> None:
    a_paid_order(db, amount=600, authorized=600, captured=600)
    a_payment(db, "captured", id="pay_2", reference="pi_2", amount=400, authorized=400, captured=400)
    a_refund(db, amount=500)
    a_refund(db, id="rfd_2", payment_id="pay_2", amount=300)
    update(db, "orders", "ord_1", **TAKEN_BACK)
    with db.transaction(), pytest.raises(errors.CheckViolation, match="without its refund"), db.transaction():
        db.execute("SET CONSTRAINTS ALL IMMEDIATE")
    a_refund(db, id="rfd_3", payment_id="pay_2", amount=100)
    db.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_a_refund_that_has_failed_gives_nothing_back(db: psycopg.Connection) -> None:
    a_paid_order(db)
    a_refund(db, "failed", amount=900)
    update(db, "orders", "ord_1", **TAKEN_BACK)
    with pytest.raises(errors.CheckViolation, match="without its refund"):
        db.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_who_promises_all_of_the_money_does_not_keep_the_shipping(db: psycopg.Connection) -> None:
    a_paid_order(db)
    a_refund(db, amount=900)
    update(db, "orders", "ord_1", **TAKEN_BACK | {"cancellation_refund": "full"})
    with pytest.raises(errors.CheckViolation, match="without its refund"):
        db.execute("SET CONSTRAINTS ALL IMMEDIATE")


@pytest.mark.parametrize("status", ["unpaid", "authorized", "voided"])
def test_nothing_is_owed_of_an_order_for_which_nothing_was_captured(db: psycopg.Connection, status: str) -> None:
    an_order(db)
    a_payment(db, status)
    update(db, "orders", "ord_1", **TAKEN_BACK)
    db.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_nobody_keeps_what_they_like(db: psycopg.Connection) -> None:
    an_order(db)
    with pytest.raises(errors.CheckViolation, match="orders_cancellation_refund_check"):
        update(db, "orders", "ord_1", **TAKEN_BACK | {"cancellation_refund": "half"})


# Holds that lapse.


@pytest.mark.parametrize("state", VoidState)
def test_a_void_is_settled_just_when_its_end_is_known(db: psycopg.Connection, state: str) -> None:
    an_order(db)
    a_payment(db, "voiding")
    a_void(db, state)
    settled = BESIDE["voids"](state)["settled_at"]
    with pytest.raises(errors.CheckViolation, match="voids_settled"):
        update(db, "voids", "void_1", settled_at=None if settled else "now")


@pytest.mark.parametrize("first", ["requested", "lapsing", "released"])
@pytest.mark.parametrize("second", ["requested", "lapsing", "released"])
def test_a_payment_has_one_void_that_may_release_it(db: psycopg.Connection, first: str, second: str) -> None:
    an_order(db)
    a_payment(db, "voiding")
    a_void(db, first)
    with pytest.raises(errors.UniqueViolation, match="voids_one_live"):
        a_void(db, second, "void_2")


@pytest.mark.parametrize("first", ["overtaken", "refused"])
def test_a_void_that_releases_nothing_leaves_room_for_one_that_lapses(db: psycopg.Connection, first: str) -> None:
    an_order(db)
    a_payment(db, "voiding")
    a_void(db, first)
    a_void(db, "lapsing", "void_2")


# Providers and requests.


@pytest.mark.parametrize("provider", Provider)
def test_every_provider_of_the_rules_takes_payments(db: psycopg.Connection, provider: str) -> None:
    an_order(db)
    reference = None if provider in (Provider.COD, Provider.NONE) else "pay_1"
    a_payment(db, "unpaid", provider=provider, reference=reference)


@pytest.mark.parametrize("row", [{"provider": "paypal"}, {"provider": "razorpay", "reference": None}])
def test_nobody_else_does_and_who_holds_money_has_a_name_for_it(db: psycopg.Connection, row: Row) -> None:
    an_order(db)
    with pytest.raises(errors.CheckViolation):
        a_payment(db, **row)


@pytest.mark.parametrize("provider", ["stripe", "razorpay"])
def test_who_holds_money_tells_of_it(db: psycopg.Connection, provider: str) -> None:
    a_webhook(db, provider=provider)


@pytest.mark.parametrize("provider", ["cod", "none", "delhivery"])
def test_nobody_else_tells_of_money(db: psycopg.Connection, provider: str) -> None:
    with pytest.raises(errors.CheckViolation, match="webhook_events_provider_check"):
        a_webhook(db, provider=provider)


@pytest.mark.parametrize("operation", Operation)
def test_every_operation_of_the_rules_can_be_asked_for(db: psycopg.Connection, operation: str) -> None:
    an_intent(db, operation=operation)


def test_no_other_operation_can_be_asked_for(db: psycopg.Connection) -> None:
    with pytest.raises(errors.CheckViolation, match="intents_operation_check"):
        an_intent(db, operation="set_fire")


def test_a_message_of_a_look_is_found_by_when_it_is_due(db: psycopg.Connection) -> None:
    insert(db, "outbox", subject="shp_1", task="courier.track", due_at="now")
    db.execute("SET enable_seqscan = off")
    plan = "EXPLAIN SELECT subject FROM outbox WHERE task = 'courier.track' AND due_at <= now() ORDER BY due_at"
    assert "outbox_tracks" in str(db.execute(plan).fetchall())
