"""Previews of policies: what a cancel would cost a guest, told as JSON or as a picture, and recorded nowhere."""

import json
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.problems import assert_problem, nothing_recorded
from tests.shop import Shop

ROUTE = "/policies/preview"
SVG = "image/svg+xml"

POLICY: dict[str, Any] = {
    "rules": [
        {"days_before": 7, "percent": "50"},
        {"hours_before": 48, "nights": 2},
        {"days_before": 1, "amount": 45000},
    ],
    "no_show": {"percent": "100"},
    "refundable": True,
    "free_hours": 24,
    "minimum": 1000,
    "maximum": 50000,
    "currency": "EUR",
    "capture_fee": False,
}
BOOKING: dict[str, Any] = {
    "currency": "EUR",
    "total": 60000,
    "placed_at": "2024-12-20T09:30:00Z",
    "check_in": "2024-12-24T15:00",
    "check_out": "2024-12-27T11:00",
    "time_zone": "Europe/Berlin",
}


def preview(shop: Shop, policy: dict[str, Any] | None = None, *, role: str = "service", **options: Any):
    """Ask for a preview; `paid` and members of the booking may be named, and `headers` or `params` given."""
    headers = shop.bearer(role) | options.pop("headers", {})
    params = options.pop("params", {})
    paid = {"paid": options.pop("paid")} if "paid" in options else {}
    body = {"policy": POLICY if policy is None else policy, "booking": BOOKING | options} | paid
    return shop.http.post(ROUTE, json=body, headers=headers, params=params)


@pytest.mark.parametrize("role", ["service", "admin"])
def test_a_policy_is_previewed_step_by_step_and_nothing_is_recorded(shop, role):
    with nothing_recorded(shop):
        answer = preview(shop, role=role, placed_at="2024-06-01T12:00:00Z")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    week, days, day, arrival = (f"2024-12-{date}T14:00:00Z" for date in (17, 22, 23, 24))
    window = "2024-06-02T12:00:00Z"
    before = "Cancellation less than"
    assert answer.json() == {
        "currency": "EUR",
        "paid": 60000,
        "steps": [
            step(None, window, 0, "free_window", f"{before} 24 hours after booking: free of charge"),
            step(window, week, 0, "free", "Cancellation is free of charge"),
            step(week, days, 30000, "rule_1", f"{before} 7 days before check-in: 50% of the price"),
            step(days, day, 40000, "rule_2", f"{before} 48 hours before check-in: the price of 2 nights"),
            step(day, arrival, 45000, "rule_3", f"{before} 1 day before check-in: 450.00 EUR"),
            step(
                arrival,
                None,
                50000,
                "no_show",
                "No-show, or cancellation after check-in: 100% of the price, but at most 500.00 EUR",
            ),
        ],
    }


def step(begins: str | None, ends: str | None, fee: int, rule: str, description: str) -> dict[str, Any]:
    times = {"from": begins, "until": ends}
    return times | {"fee": fee, "refund": 60000 - fee, "rule": rule, "description": description}


def test_no_more_is_kept_than_a_guest_has_paid(shop):
    steps = preview(shop, paid=20000).json()["steps"]
    assert [(step["fee"], step["refund"]) for step in steps] == [(0, 20000), *[(20000, 0)] * (len(steps) - 1)]
    assert preview(shop, paid=0).json()["paid"] == 0


def test_an_empty_policy_is_free_until_check_in(shop):
    steps = preview(shop, {}).json()["steps"]
    assert [(step["fee"], step["rule"]) for step in steps] == [(0, "free"), (60000, "no_show")]


@pytest.mark.parametrize("currency", ["JPY", "KWD"])
def test_any_currency_is_reckoned_in_its_own_minor_units(shop, currency):
    policy = {"rules": [{"days_before": 7, "percent": "12.5"}, {"days_before": 1, "amount": 5}], "currency": currency}
    steps = preview(shop, policy, currency=currency, total=20).json()["steps"]
    assert [step["fee"] for step in steps] == [0, 3, 5, 20]


@pytest.mark.parametrize(
    "how",
    [
        {"headers": {"Accept": SVG}},
        {"headers": {"Accept": f"application/json;q=0.5, {SVG}"}},
        {"headers": {"Accept": "image/*"}},
        {"params": {"format": "svg"}},
        {"params": {"format": "svg"}, "headers": {"Accept": "application/json"}},
    ],
    ids=str,
)
def test_a_preview_can_be_had_as_a_picture_on_the_hotels_clock(shop, how):
    with nothing_recorded(shop):
        answer = preview(shop, **how)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == SVG
    assert answer.headers["vary"] == "Accept"
    svg = ElementTree.fromstring(answer.content)  # noqa: S314  # it is our own
    assert svg.tag == "{http://www.w3.org/2000/svg}svg"
    assert {"24 Dec 2024", "15:00 CET", "450.00 EUR"} <= {element.text for element in svg.iter()}


@pytest.mark.parametrize(
    "how",
    [
        {"headers": {"Accept": "*/*"}},
        {"headers": {"Accept": "application/json"}},
        {"headers": {"Accept": "text/html"}},
        {"headers": {"Accept": "neither this / nor that"}},
        {"params": {"format": "json"}, "headers": {"Accept": SVG}},
    ],
    ids=str,
)
def test_whoever_does_not_ask_for_a_picture_gets_json(shop, how):
    answer = preview(shop, **how)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")


def test_only_the_shop_and_its_operators_may_ask(shop):
    with nothing_recorded(shop):
        assert_problem(preview(shop, role="customer"), 403, code="forbidden")
        order = shop.modification("ord_1")
        assert_problem(shop.http.post(ROUTE, json={}, headers=order), 403, code="forbidden")
        assert_problem(shop.http.post(ROUTE, json={}), 401, code="unauthorized")


@pytest.mark.parametrize(
    ("policy", "booking", "reason"),
    [
        ({"no_show": {}}, {}, "exactly one of percent, amount, nights"),
        ({"minimum": 1}, {}, "currency is required"),
        ({"minimum": 1, "currency": "USD"}, {}, "the policy's amounts are in USD"),
        ({"rules": [{"days_before": 1, "hours_before": 1, "nights": 1}]}, {}, "exactly one of days_before"),
        ({"rules": [{"days_before": 1, "percent": "12.345"}]}, {}, "$.policy.rules[0].percent"),
        ({}, {"time_zone": "Europe/Atlantis"}, "there is no such time zone"),
        ({}, {"time_zone": "../../etc/passwd"}, "$.booking.time_zone"),
        ({}, {"time_zone": "right/Europe/Paris"}, "there is no such time zone"),
        ({}, {"check_in": "2024-12-24T15:00+01:00"}, "$.booking.check_in"),
        ({}, {"check_out": "2024-12-24T15:00"}, "check_out must be after check_in"),
        ({}, {"placed_at": "2024-12-20T09:30:00"}, "$.booking.placed_at"),
        ({}, {"guest": "Ann"}, "guest"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_reason(shop, policy, booking, reason):
    with nothing_recorded(shop):
        document = assert_problem(preview(shop, policy, **booking), 422, code="invalid")
        assert reason in document["message"]


@pytest.mark.parametrize("params", [{"format": "pdf"}, {"format": ""}, {"today": "2024-12-24"}], ids=str)
def test_another_query_is_refused(shop, params):
    assert_problem(preview(shop, params=params), 422, code="invalid")


def test_the_body_is_one_json_document_of_a_bounded_size(shop):
    headers = shop.bearer("service") | {"Content-Type": "application/json"}
    body = json.dumps({"policy": POLICY, "booking": BOOKING}).encode()
    with nothing_recorded(shop):
        assert_problem(shop.http.post(ROUTE, content=b"{", headers=headers), 400, code="malformed")
        assert_problem(shop.http.post(ROUTE, headers=headers), 422, code="invalid")
        large = body[:-1] + b" " * (64 * 1024) + b"}"
        assert_problem(shop.http.post(ROUTE, content=large, headers=headers), 413, code="body_too_large")
        text = headers | {"Content-Type": "text/plain"}
        assert_problem(shop.http.post(ROUTE, content=body, headers=text), 415, code="unsupported_media_type")
        assert_problem(shop.http.get(ROUTE, headers=headers), 405, code="method_not_allowed")


def test_a_preview_takes_no_idempotency_key_since_it_changes_nothing(shop):
    first = preview(shop, headers={"Idempotency-Key": "once"})
    other = preview(shop, {}, headers={"Idempotency-Key": "once"})
    assert (first.status_code, other.status_code) == (200, 200)
    assert first.json() != other.json()
