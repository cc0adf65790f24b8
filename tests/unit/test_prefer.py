"""How long a client waits, and the key it names: `Prefer` (RFC 7240) and `Idempotency-Key` (IETF draft)."""

from typing import Any

import falcon.testing
import pytest

from gateway.intake import Intake, idempotency_key
from shared.errors import KeyMalformed
from shared.settings import Settings

NOBODY: Any = None


def patience(configuration: Settings, prefer: str | None) -> float:
    headers = {} if prefer is None else {"prefer": prefer}
    return Intake(configuration, NOBODY, NOBODY, NOBODY)._wait(falcon.testing.create_req(headers=headers))


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (None, 10),
        ("", 10),
        ("respond-async", 0),
        ("Respond-Async", 0),
        ("return=minimal, respond-async", 0),
        ("respond-async; foo=bar", 0),
        ("wait=3", 3),
        ("wait = 3", 3),
        ("WAIT=3", 3),
        ('wait="3"', 3),
        ("wait=0", 0),
        ("respond-async, wait=3", 3),
        ("wait=3, respond-async", 3),
        ("wait=60", 60),
        ("wait=61", 60),
        ("wait=99999999999999999999", 60),
        ("wait", 10),
        ("wait=", 10),
        ("wait=-1", 10),
        ("wait=soon", 10),
        ("wait=1.5", 10),
        ("wait=1e9", 10),
        ("wait=inf", 10),
        ("wait=nan", 10),
        ("waiting=3", 10),
        ("respond-asynchronously", 10),
        (",;=,,", 10),
    ],
)
def test_a_client_waits_as_long_as_it_prefers_and_never_longer_than_the_limit(
    configuration: Settings, prefer: str | None, seconds: float
) -> None:
    assert patience(configuration, prefer) == seconds


@pytest.mark.parametrize(
    ("header", "key"),
    [(None, None), ("abc", "abc"), ('"abc"', "abc"), ('""abc""', '"abc"'), ("a" * 255, "a" * 255), ("!~", "!~")],
)
def test_a_key_comes_bare_or_as_a_quoted_string(header: str | None, key: str | None) -> None:
    headers = {} if header is None else {"idempotency-key": header}
    assert idempotency_key(falcon.testing.create_req(headers=headers)) == key


@pytest.mark.parametrize("header", ["", '""', "a b", "a\tb", "ä", "a" * 256, "a\x7f"])
def test_a_key_that_cannot_be_told_apart_from_others_is_refused(header: str) -> None:
    with pytest.raises(KeyMalformed):
        idempotency_key(falcon.testing.create_req(headers={"idempotency-key": header}))
