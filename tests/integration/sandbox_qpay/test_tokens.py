"""Tokens: they end at a moment, and a refresh token is used once."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

from tests.integration.sandbox_qpay.driver import UNKNOWN, Sandbox, refusal, said, sandbox
from tests.shop import at_once

DAY = 24 * 3600


def test_a_merchant_gets_tokens_that_end_at_absolute_times(box: Sandbox) -> None:
    tokens = box.log_in()
    assert set(tokens) == {
        "token_type",
        "access_token",
        "expires_in",
        "refresh_token",
        "refresh_expires_in",
        "scope",
        "not-before-policy",
        "session_state",
    }
    assert (tokens["token_type"], tokens["not-before-policy"]) == ("bearer", "0")
    assert tokens["expires_in"] == pytest.approx(time.time() + DAY, abs=60)
    assert tokens["refresh_expires_in"] > tokens["expires_in"]
    assert tokens["access_token"].count(".") == tokens["refresh_token"].count(".") == 2


def test_a_refresh_token_is_dead_once_it_was_used(box: Sandbox) -> None:
    first = box.log_in()
    second = said(box.refresh(first["refresh_token"]))
    assert refusal(box.refresh(first["refresh_token"])) == (401, "NO_CREDENTIALS")
    box.token = second["access_token"]
    box.invoice()
    assert said(box.refresh(second["refresh_token"]))["access_token"] != second["access_token"]


def test_of_two_refreshes_at_once_one_is_answered_with_tokens(box: Sandbox) -> None:
    token = box.log_in()["refresh_token"]
    box.tell("POST", "latency", json={"milliseconds": 500, "operation": "token"})
    answers = at_once(2, lambda _: box.refresh(token))
    assert sorted(answer.status_code for answer in answers) == [200, 401]


def test_an_access_token_does_not_refresh_and_a_refresh_token_opens_nothing(box: Sandbox) -> None:
    tokens = box.log_in()
    assert refusal(box.refresh(tokens["access_token"])) == (401, "NO_CREDENTIALS")
    headers = {"Authorization": f"Bearer {tokens['refresh_token']}"}
    assert refusal(box.http.get(f"/v2/invoice/{UNKNOWN}", headers=headers)) == (401, "NO_CREDENTIALS")


@pytest.mark.parametrize("username_and_password", [("", "secret"), ("merchant", "")])
def test_a_merchant_needs_a_name_and_a_password(box: Sandbox, username_and_password: tuple[str, str]) -> None:
    answer = box.http.post("/v2/auth/token", auth=username_and_password)
    assert refusal(answer) == (401, "AUTHENTICATION_FAILED")


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer merchant"}, {"Authorization": "Basic \xff"}])
def test_a_merchant_shows_them_by_http_basic(box: Sandbox, header: dict[str, str]) -> None:
    headers = httpx.Headers(header, encoding="latin-1")
    assert refusal(box.http.post("/v2/auth/token", headers=headers)) == (401, "AUTHENTICATION_FAILED")


def test_the_body_of_a_request_for_tokens_is_empty(box: Sandbox) -> None:
    answer = box.http.post("/v2/auth/token", auth=("merchant", "secret"), json={"grant_type": "client"})
    assert (answer.status_code, answer.json()["error"]["grant_type"]["type"]) == (400, "UNKNOWN")


@pytest.mark.parametrize("scheme", ["", "bearer ", "Basic ", "Token "])
def test_an_access_token_is_shown_as_bearer_and_in_no_other_way(box: Sandbox, scheme: str) -> None:
    invoice = box.invoice()
    headers = {"Authorization": scheme + box.token}
    assert refusal(box.http.delete(f"/v2/invoice/{invoice}", headers=headers)) == (401, "NO_CREDENTIALS")
    assert box.effects(invoice) == [("invoice.created", 15000)]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "invoice"),
        ("GET", f"invoice/{UNKNOWN}"),
        ("DELETE", f"invoice/{UNKNOWN}"),
        ("POST", "payment/check"),
        ("POST", "payment/list"),
        ("GET", "payment/1"),
        ("DELETE", "payment/refund/1"),
        ("DELETE", "payment/cancel/1"),
    ],
)
def test_nothing_is_open_to_an_unknown_token(box: Sandbox, method: str, path: str) -> None:
    answer = box.http.request(method, f"/v2/{path}", headers={"Authorization": "Bearer a.b.c"})
    assert refusal(answer) == (401, "NO_CREDENTIALS")


def test_all_access_tokens_can_be_ended_at_once_and_refresh_tokens_live_on(box: Sandbox) -> None:
    tokens = [box.log_in() for _ in range(2)]
    assert box.tell("POST", "expire_tokens")["expired"] >= 2
    for token in tokens:
        box.token = token["access_token"]
        assert refusal(box.ask("GET", f"invoice/{UNKNOWN}")) == (401, "NO_CREDENTIALS")
    box.token = said(box.refresh(tokens[0]["refresh_token"]))["access_token"]
    assert box.ask("GET", f"invoice/{UNKNOWN}").status_code == 422


def test_refresh_tokens_can_be_ended_too(box: Sandbox) -> None:
    tokens = box.log_in()
    box.tell("POST", "expire_tokens", json={"kind": "refresh"})
    assert refusal(box.refresh(tokens["refresh_token"])) == (401, "NO_CREDENTIALS")
    box.token = tokens["access_token"]
    box.invoice()


def test_how_often_tokens_were_asked_for_is_counted(box: Sandbox) -> None:
    before = box.tell("GET", "tokens")
    box.refresh(box.log_in()["refresh_token"])
    box.refresh("a.b.c")
    assert box.tell("GET", "tokens") == {"token": before["token"] + 1, "refresh": before["refresh"] + 2}


def test_a_token_that_ended_is_refused_and_its_request_meets_no_fault(box: Sandbox) -> None:
    invoice = box.invoice()
    box.arm("cancel", "drop_after")
    box.tell("POST", "expire_tokens")
    assert refusal(box.cancel(invoice)) == (401, "NO_CREDENTIALS")
    box.token = box.log_in()["access_token"]
    with pytest.raises(httpx.RemoteProtocolError):
        box.cancel(invoice)
    assert box.asked(invoice) == [("cancel", None, 401), ("cancel", "drop_after", None)]


def test_access_tokens_end_by_themselves_after_the_time_that_was_set(tmp_path: Path) -> None:
    with sandbox(tmp_path, "--token-seconds", "1") as (box, _):
        tokens = box.log_in()
        time.sleep(max(0.0, tokens["expires_in"] - time.time()))  # the moment itself is what is tested
        box.token = tokens["access_token"]
        assert refusal(box.ask("POST", "invoice")) == (401, "NO_CREDENTIALS")
        assert box.refresh(tokens["refresh_token"]).status_code == 200
