"""Alerts: what a person must look at, listed, acknowledged, and counted."""

import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.problems import assert_problem
from tests.shop import Shop, eventually

ROUTES = ("/api/admin/alerts", "/api/admin/drift")


def an_alert(shop: Shop, **members: Any) -> str:
    """Open an alert about nothing in particular."""
    alert_id = f"alr_{uuid.uuid4().hex}"
    row = {"id": alert_id, "cause": f"test:{alert_id}", "severity": "warning", "title": "A test", "order_id": None}
    row |= members
    shop.sql("INSERT INTO alerts (id, cause, severity, title, order_id) VALUES (%s, %s, %s, %s, %s)", *row.values())
    return str(row["id"])


def resolve(shop: Shop, alert_id: str) -> None:
    shop.sql("UPDATE alerts SET resolved_at = now() WHERE id = %s", alert_id)


def page(shop: Shop, **query: Any) -> dict[str, Any]:
    answer = shop.http.get("/api/admin/alerts", params=query, headers=shop.bearer("admin", "op_1"))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def every(shop: Shop, **query: Any) -> Iterator[dict[str, Any]]:
    """All alerts, page by page."""
    shown = page(shop, **query)
    yield from shown["alerts"]
    while shown["next"]:
        shown = page(shop, **query, before=shown["next"])
        yield from shown["alerts"]


def acknowledge(shop: Shop, alert_id: str, operator: str = "op_1", **headers: str) -> Any:
    return shop.http.post(
        f"/api/admin/alerts/{alert_id}/acknowledge", headers={**shop.bearer("admin", operator), **headers}
    )


def test_alerts_are_shown_the_newest_first_with_what_a_person_needs(shop):
    purchase = shop.buy()
    alert_id = an_alert(shop, severity="critical", order_id=purchase.order_id, id="alr_zz" + uuid.uuid4().hex)
    shown = page(shop)["alerts"]
    assert [alert["id"] for alert in shown] == sorted((alert["id"] for alert in shown), reverse=True)
    (alert,) = (alert for alert in shown if alert["id"] == alert_id)
    assert (alert["severity"], alert["state"], alert["order_id"]) == ("critical", "open", purchase.order_id)
    assert alert["acknowledged_at"] is alert["acknowledged_by"] is alert["resolved_at"] is None


def test_alerts_are_chosen_by_how_far_they_have_come(shop):
    new, seen, gone, seen_and_gone = (an_alert(shop) for _ in range(4))
    for alert_id in (seen, seen_and_gone):
        assert acknowledge(shop, alert_id).status_code == 200
    for alert_id in (gone, seen_and_gone):
        resolve(shop, alert_id)
    expected = {"open": {new}, "acknowledged": {seen}, "resolved": {gone, seen_and_gone}}
    for state, members in expected.items():
        found = list(every(shop, state=state, limit=200))
        assert {alert["state"] for alert in found} == {state}
        assert {alert["id"] for alert in found} & {new, seen, gone, seen_and_gone} == members


def test_pages_follow_one_another_without_a_gap_or_a_repeat(shop):
    mine = {an_alert(shop) for _ in range(7)}
    found = [alert["id"] for alert in every(shop, limit=3)]
    assert len(found) == len(set(found))
    assert mine <= set(found)
    assert len(page(shop, limit=3)["alerts"]) == 3


@pytest.mark.parametrize(
    "query", [{"state": "lost"}, {"limit": "0"}, {"limit": "201"}, {"limit": "ten"}, {"before": "a b"}, {"sort": "id"}]
)
@pytest.mark.parametrize("route", ROUTES)
def test_a_query_that_makes_no_sense_is_refused(shop, route, query):
    assert_problem(shop.http.get(route, params=query, headers=shop.bearer("admin")), 422, code="invalid")


@pytest.mark.parametrize("route", ROUTES)
def test_only_operators_may_look(shop, route):
    assert_problem(shop.http.get(route), 401, code="unauthorized")
    for headers in (shop.bearer("service"), shop.bearer("customer", "cus_1"), shop.modification("ord_1")):
        assert_problem(shop.http.get(route, headers=headers), 403, code="forbidden")


def test_only_operators_may_acknowledge(shop):
    alert_id = an_alert(shop)
    path = f"/api/admin/alerts/{alert_id}/acknowledge"
    assert_problem(shop.http.post(path), 401, code="unauthorized")
    for headers in (shop.bearer("service"), shop.bearer("customer", "cus_1"), shop.modification("ord_1")):
        assert_problem(shop.http.post(path, headers=headers), 403, code="forbidden")
    assert shop.sql("SELECT acknowledged_at FROM alerts WHERE id = %s", alert_id) == [(None,)]


def test_whoever_acknowledges_first_stays_on_record(shop):
    alert_id = an_alert(shop)
    first = acknowledge(shop, alert_id)
    assert first.status_code == 200, first.text
    alert = first.json()
    assert (alert["id"], alert["state"], alert["acknowledged_by"]) == (alert_id, "acknowledged", "admin:op_1")
    assert acknowledge(shop, alert_id).json() == alert
    assert acknowledge(shop, alert_id, "op_2").json() == alert


def test_an_acknowledgement_under_its_key_is_answered_again_byte_for_byte(shop):
    alert_id = an_alert(shop)
    key = {"Idempotency-Key": uuid.uuid4().hex}
    first = acknowledge(shop, alert_id, **key)
    resolve(shop, alert_id)
    again = acknowledge(shop, alert_id, **key)
    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    assert acknowledge(shop, alert_id).json()["state"] == "resolved"


def test_an_alert_that_there_is_not_cannot_be_acknowledged(shop):
    assert_problem(acknowledge(shop, f"alr_{uuid.uuid4().hex}"), 404, code="not_found")


def test_an_acknowledged_alert_is_still_the_one_of_its_cause(shop):
    """Nobody is alarmed a second time about what somebody looks at already."""
    purchase = shop.buy()
    shop.fault("cancel", "drop_before", reference=purchase.reference, times=-1)
    shop.cancel(purchase)
    ((alert_id,),) = shop.sql("SELECT id FROM alerts WHERE order_id = %s", purchase.order_id)
    assert acknowledge(shop, alert_id).status_code == 200
    attempts = len(shop.requests_to_provider(purchase.reference))
    eventually(lambda: len(shop.requests_to_provider(purchase.reference)) > attempts + 1)
    assert len(shop.alerts(purchase.order_id)) == 1
    shop.behave()
    eventually(lambda: not shop.alerts(purchase.order_id)[0]["open"])
    (alert,) = (alert for alert in every(shop, state="resolved", limit=200) if alert["id"] == alert_id)
    assert alert["acknowledged_by"] == "admin:op_1"


def test_alerts_whose_cause_is_still_there_are_counted_by_severity(shop):
    before = counted(shop)
    alert_id = an_alert(shop, severity="critical")
    assert counted(shop)["critical"] == before["critical"] + 1
    acknowledge(shop, alert_id)
    assert counted(shop)["critical"] == before["critical"] + 1
    resolve(shop, alert_id)
    assert counted(shop) == before


def counted(shop: Shop) -> dict[str, float]:
    metrics = shop.http.get("/metrics").text
    found = re.findall(r'countermand_alerts_unresolved\{.*severity="(\w+)".*\} (\S+)', metrics)
    return {severity: float(count) for severity, count in found}


# An alert about money goes away when all of the money is back, whichever way it went.


def no_alert_is_left(shop, purchase, status):
    assert shop.view(purchase.order_id)["payment"]["status"] == status
    assert [alert["title"] for alert in shop.alerts(purchase.order_id) if alert["open"]] == []


def test_a_refund_that_failed_is_nobodys_concern_once_another_gave_everything_back(shop):
    purchase = shop.buy_captured()
    shop.fault("refund", "decline", reference=purchase.reference)
    shop.refund(purchase.order_id, key="a-part", amount=10)
    assert len(shop.alerts(purchase.order_id)) == 1
    shop.sql("UPDATE refunds SET last_attempt_at = now() - interval '1 day' WHERE order_id = %s", purchase.order_id)
    assert shop.refund(purchase.order_id).status_code == 200
    no_alert_is_left(shop, purchase, "refunded")


def test_a_refund_that_failed_is_nobodys_concern_once_somebody_made_it_at_the_provider(shop):
    purchase = shop.buy_captured()
    shop.fault("refund", "decline", reference=purchase.reference)
    shop.refund(purchase.order_id)
    assert len(shop.alerts(purchase.order_id)) == 1
    shop.provider.v1.refunds.create({"payment_intent": purchase.reference})
    eventually(lambda: shop.view(purchase.order_id)["payment"]["status"] == "refunded")
    no_alert_is_left(shop, purchase, "refunded")


def test_a_void_that_was_refused_is_nobodys_concern_once_a_later_one_released_the_hold(shop):
    purchase = shop.buy()
    shop.fault("cancel", "decline", reference=purchase.reference)
    shop.cancel(purchase)
    assert len(shop.alerts(purchase.order_id)) == 1
    assert shop.refund(purchase.order_id).status_code == 200
    no_alert_is_left(shop, purchase, "voided")


def test_a_capture_that_failed_is_nobodys_concern_once_the_order_is_canceled_and_its_hold_released(shop):
    reference = shop.authorize()
    shop.fault("capture", "decline", reference=reference)
    purchase = shop.overdue(reference)
    eventually(lambda: shop.alerts(purchase.order_id))
    assert shop.cancel_by_operator(purchase.order_id).status_code == 200
    no_alert_is_left(shop, purchase, "voided")


def test_a_capture_in_part_is_nobodys_concern_once_the_order_is_canceled_and_refunded(shop):
    purchase = shop.buy()
    shop.provider.v1.payment_intents.capture(purchase.reference, {"amount_to_capture": 3000})
    eventually(lambda: shop.alerts(purchase.order_id))
    assert shop.cancel_by_operator(purchase.order_id).status_code == 200
    no_alert_is_left(shop, purchase, "refunded")


def test_an_order_without_money_stays_a_persons_concern_though_its_hold_is_released(shop):
    purchase = shop.buy()
    shop.provider.v1.payment_intents.cancel(purchase.reference)
    eventually(lambda: shop.view(purchase.order_id)["payment"]["status"] == "voided")
    shop.compare(purchase.reference)
    assert [alert["open"] for alert in shop.alerts(purchase.order_id)] == [True]


def test_a_look_at_a_completed_refund_that_was_given_up_is_nobodys_concern_once_it_was_looked_at(shop):
    purchase = shop.buy_captured()
    shop.refund(purchase.order_id)
    ((refund_id,),) = shop.sql("SELECT id FROM refunds WHERE order_id = %s", purchase.order_id)
    alert_id = an_alert(shop, cause=f"parked:refund.payment:{refund_id}")
    shop.sql("INSERT INTO outbox (subject, task, due_at) VALUES (%s, 'refund.payment', now())", refund_id)
    eventually(lambda: not shop.sql("SELECT 1 FROM outbox WHERE subject = %s", refund_id))
    assert shop.sql("SELECT 1 FROM alerts WHERE id = %s AND resolved_at IS NULL", alert_id) == []
