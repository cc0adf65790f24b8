"""Tracking is looked at without any push, of one order or of many; and the shop tells by which parcel one goes."""

import uuid

import pytest

from shared.broker import celery_app
from shared.queues import Task
from tests.depot import PRICE, SHIPPING, Parcel
from tests.outside import waybill
from tests.problems import assert_problem

EVERYTHING = 5000


def line_of(report: dict, parcel: Parcel) -> dict:
    """What a report tells of one order."""
    (line,) = (each for each in report["data"]["details"] if each["orderId"] == parcel.order_id)
    return line


# One order.


def test_a_sync_of_a_delivered_order_tells_so_and_leaves_it_as_it_is(depot):
    parcel = depot.paid()
    depot.scan(parcel, "DL", "Delivered", picked_up=True)
    body = depot.sync(parcel).json()
    assert (body["success"], body["message"]) == (True, "Status synced successfully")
    assert (body["data"]["status"], body["data"]["cancellationDetected"]) == ("Delivered", False)
    assert body["data"]["order"]["shipment"]["status"] == "delivered"
    depot.stands(parcel)


def test_a_sync_of_an_order_without_a_shipment_that_we_follow_is_refused(depot):
    bare = depot.register({"provider": "cod"}, shipment=None)
    other = depot.register({"provider": "cod"}, shipment={"courier": "BlueDart", "awb": "1"})
    for parcel in (bare, other):
        assert_problem(depot.sync(parcel), 409, code="no_shipment")


def test_a_sync_of_a_waybill_that_delhivery_does_not_know_says_so_and_is_an_alarm_only_after_its_hour(depot):
    parcel = depot.register({"provider": "cod"}, awb=waybill())
    assert_problem(depot.sync(parcel), 409, code="waybill_unknown")
    assert depot.shipment(parcel)["status"] == "unknown"
    assert depot.alarms(parcel) == {}
    aged = "UPDATE shipments SET registered_at = registered_at - interval '61 minutes' WHERE awb = %s"
    depot.shop.sql(aged, parcel.awb)
    assert_problem(depot.sync(parcel), 409, code="waybill_unknown")
    assert depot.alarms(parcel) == {"waybill_unknown": True}
    assert depot.shop.view(parcel.order_id)["status"] == "pending"
    depot.manifest(parcel.awb)
    assert depot.sync(parcel).json()["data"]["status"] == "Manifested"
    assert depot.alarms(parcel) == {"waybill_unknown": False}


def test_a_sync_that_delhivery_does_not_answer_at_first_is_answered_in_the_end(depot):
    parcel = depot.paid()
    depot.returns(parcel)
    depot.misbehave("delhivery", "track", "drop_before", parcel.awb)
    headers = depot.shop.bearer("admin") | {"Prefer": "wait=30"}
    path = f"/api/admin/orders/{parcel.order_id}/sync-delhivery"
    answer = depot.shop.http.post(path, headers=headers, timeout=40)
    assert (answer.status_code, answer.json()["data"]["cancellationDetected"]) == (200, True)
    assert [each["fault"] for each in depot.questions(parcel)] == ["drop_before", None]


@pytest.mark.parametrize("path", ["bulk-sync-delhivery", "{}/sync-delhivery"])
def test_only_operators_sync(depot, path):
    parcel, shop = depot.cash_on_delivery(), depot.shop
    path = f"/api/admin/orders/{path.format(parcel.order_id)}"
    for headers in (shop.bearer("service"), shop.bearer("customer", "cus_1"), parcel.credential):
        assert_problem(shop.http.post(path, headers=headers), 403, code="forbidden")
    assert_problem(shop.http.post(path), 401, code="unauthorized")
    assert depot.questions(parcel) == []


def test_a_sync_of_no_order_at_all_is_not_found(depot):
    path = f"/api/admin/orders/ord_{uuid.uuid4().hex}/sync-delhivery"
    assert_problem(depot.shop.http.post(path, headers=depot.shop.bearer("admin")), 404, code="not_found")


# Many.


def test_a_bulk_sync_reports_each_parcel_and_counts_them_by_what_was_found(depot):
    back, moving, unknown = depot.paid(), depot.paid(), depot.register({"provider": "cod"}, awb=waybill())
    depot.returns(back)
    depot.scan(moving, "UD", "In Transit", picked_up=True)
    report = depot.bulk_sync(limit=EVERYTHING).json()
    assert (report["success"], report["message"]) == (True, "Bulk sync completed with errors")
    assert line_of(report, back) == {
        "orderId": back.order_id,
        "awb": back.awb,
        "success": True,
        "status": "In Transit",
        "cancellationDetected": True,
        "error": None,
    }
    assert line_of(report, moving)["cancellationDetected"] is False
    lost = {"success": False, "status": None, "error": "waybill_unknown", "cancellationDetected": False}
    assert line_of(report, unknown) | lost == line_of(report, unknown)
    data = report["data"]
    assert data["errors"] == len([each for each in data["details"] if not each["success"]]) >= 1
    assert data["cancelled"] == len([each for each in data["details"] if each["cancellationDetected"]]) >= 1
    assert data["total"] == len(data["details"]) == data["synced"] + data["cancelled"] + data["errors"]
    assert depot.canceled(back)["cancellation_source"] == "delhivery_sync"
    assert depot.refunded(back)["amount"] == PRICE - SHIPPING
    assert depot.shop.view(moving.order_id)["status"] == "captured"


def test_a_batch_that_delhivery_never_answers_is_reported_as_failed_and_the_others_are_not(depot):
    silent = depot.paid()
    depot.returns(silent)
    depot.misbehave("delhivery", "track", "error_500_before", silent.awb, times=-1)
    report = depot.bulk_sync(limit=EVERYTHING).json()
    line = line_of(report, silent)
    assert (line["success"], line["cancellationDetected"], line["error"]) == (False, False, "http_500")
    failed = [each for each in report["data"]["details"] if each["error"] == "http_500"]
    assert 1 <= len(failed) <= 50
    assert report["data"]["errors"] >= len(failed)
    assert len(depot.questions(silent)) == depot.shop.settings.delhivery_batch_attempts
    depot.stands(silent)
    depot.shop.behave()
    report = depot.bulk_sync(limit=len(failed)).json()  # the next sync begins with them
    assert line_of(report, silent)["cancellationDetected"] is True


def test_a_bulk_sync_looks_up_no_more_than_it_was_asked_for_and_the_longest_unseen_first(depot):
    parcels = [depot.cash_on_delivery() for _ in range(3)]
    depot.bulk_sync(limit=EVERYTHING)
    statement = "UPDATE shipments SET tracked_at = now() - %s * interval '1 day' WHERE awb = %s"
    for days, parcel in enumerate(parcels, start=1000):
        depot.shop.sql(statement, days, parcel.awb)
    report = depot.bulk_sync(limit=2).json()
    assert {each["orderId"] for each in report["data"]["details"]} == {each.order_id for each in parcels[1:]}
    assert (report["data"]["total"], report["message"]) == (2, "Bulk sync completed successfully")


@pytest.mark.parametrize("limit", [0, -1, 5001, "10", None, 1.5])
def test_a_limit_that_is_none_is_refused(depot, limit):
    assert_problem(depot.bulk_sync(limit=limit), 422, code="invalid")


def test_what_beat_begins_by_itself_finds_a_parcel_that_nobody_told_us_of(depot):
    depot.bulk_sync(limit=EVERYTHING)  # so that it is the one that was not looked up for longest
    parcel = depot.paid()
    depot.returns(parcel)
    app = celery_app(depot.shop.settings)
    try:
        app.send_task(Task.START_SYNC)
        assert depot.canceled(parcel)["cancellation_source"] == "delhivery_sync"
    finally:
        app.close()
    depot.refunded(parcel)
    assert depot.refunds(parcel) == [PRICE - SHIPPING]


# By which parcel an order goes out.


def test_the_shop_tells_the_parcel_later_and_it_is_followed_from_then_on(depot):
    parcel = depot.register({"provider": "cod"}, shipment=None)
    assert depot.shop.view(parcel.order_id)["shipment"] is None
    answer = depot.ship(parcel.order_id, parcel.awb)
    told = {"order_id": parcel.order_id, "courier": "Delhivery", "awb": parcel.awb}
    assert (answer.status_code, answer.json()) == (200, told)
    assert depot.ship(parcel.order_id, parcel.awb).json() == told
    (entry,) = depot.entries(parcel, "shipment_registered")
    assert entry | {"courier": "Delhivery", "awb": parcel.awb} == entry
    depot.never_leaves(parcel, push="default")
    depot.canceled(parcel)


def test_a_parcel_in_the_place_of_another_is_the_one_that_counts(depot):
    parcel, former = depot.register({"provider": "cod"}), depot.manifest()
    parcel_before = Parcel(parcel.order_id, parcel.token, None, former, parcel.sku, parcel.email)
    assert depot.ship(parcel.order_id, former).status_code == 200
    assert depot.ship(parcel.order_id, parcel.awb).status_code == 200
    assert [entry["awb"] for entry in depot.entries(parcel, "shipment_replaced")] == [former, parcel.awb]
    depot.never_leaves(parcel_before, push="default")
    assert depot.sync(parcel).json()["data"]["cancellationDetected"] is False
    depot.never_leaves(parcel, push="default")
    assert depot.canceled(parcel)["shipment"]["awb"] == parcel.awb


def test_a_waybill_belongs_to_one_order(depot):
    one, other = depot.cash_on_delivery(), depot.cash_on_delivery()
    assert_problem(depot.ship(other.order_id, one.awb), 409, code="shipment_conflict")
    assert_problem(depot.ship(other.order_id, one.awb, "DELHIVERY"), 409, code="shipment_conflict")
    body = depot.shop.order(None, payment={"provider": "cod"}, shipment={"courier": "delhivery", "awb": one.awb})
    assert_problem(depot.shop.register(body), 409, code="shipment_conflict")
    assert depot.shipment(other)["awb"] == other.awb


def test_a_canceled_order_goes_out_by_no_parcel(depot):
    parcel = depot.cash_on_delivery()
    assert depot.shop.cancel_by_operator(parcel.order_id).status_code == 200
    assert_problem(depot.ship(parcel.order_id, depot.manifest()), 409, code="order_canceled")
    assert depot.ship(parcel.order_id, parcel.awb).status_code == 200  # what is so already


def test_only_the_shop_tells_the_parcel_and_of_an_order_that_there_is(depot):
    parcel, shop = depot.cash_on_delivery(), depot.shop
    body = {"courier": "Delhivery", "awb": depot.manifest()}
    path = f"/orders/{parcel.order_id}/shipment"
    for headers in (shop.bearer("admin"), shop.bearer("customer", "cus_1"), parcel.credential):
        assert_problem(shop.http.put(path, json=body, headers=headers), 403, code="forbidden")
    assert_problem(shop.http.put(path, json=body), 401, code="unauthorized")
    assert_problem(depot.ship(f"ord_{uuid.uuid4().hex}", body["awb"]), 404, code="not_found")
    for wrong in ("", "1 2", "x" * 129):
        assert_problem(depot.ship(parcel.order_id, wrong), 422, code="invalid")
    assert depot.shipment(parcel)["awb"] == parcel.awb
