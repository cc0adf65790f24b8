"""Intake: record an intent, publish its id, and answer with its outcome when there is one in time.

Idempotency follows the IETF draft "The Idempotency-Key HTTP Header Field"; waiting follows `Prefer` (RFC 7240).
"""

import hashlib
import re
from dataclasses import dataclass

import falcon
import msgspec

from gateway.auth import Caller
from gateway.errors import render
from gateway.waiting import Doorbell
from shared.broker import Publisher
from shared.db import Database
from shared.domain.intents import TASK_OF, Operation
from shared.errors import CaptureUnconfirmed, KeyMalformed, KeyReused
from shared.ids import new_id
from shared.settings import Settings
from shared.store import intents
from shared.store.intents import Intent, NewIntent
from shared.store.outbox import Message

KEY = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an intent stands when the wait is over."""

    intent: Intent
    replayed: bool


class Intake:
    """Takes intents in.  It never reads a price, decides a rule, locks an order or calls a provider."""

    def __init__(self, settings: Settings, database: Database, publisher: Publisher, doorbell: Doorbell) -> None:
        self._settings = settings
        self._database = database
        self._publisher = publisher
        self._doorbell = doorbell

    def submit(
        self,
        request: falcon.Request,
        response: falcon.Response,
        *,
        operation: Operation,
        subject: str,
        caller: Caller,
        body: msgspec.Struct,
        beside: msgspec.Struct | None = None,
    ) -> Intent | None:
        """Record what is asked, wait for it, and render its answer; the intent, when it has one.

        `beside` is recorded with the body, and no part of what was asked: a repeated request is known without it.
        Raises `KeyMalformed`, `KeyReused`, `Unavailable`, or `CaptureUnconfirmed`.
        """
        asked = msgspec.json.encode(body, order="sorted")
        wait = self._wait(request)
        new = NewIntent(
            id=new_id("int"),
            operation=operation,
            subject=subject,
            actor=caller.actor,
            idempotency_key=idempotency_key(request),
            fingerprint=hashlib.sha256(asked).digest(),
            payload=(_joined(body, beside) if beside else asked).decode(),
            waiter=self._doorbell.queue if wait else None,
            patience=self._settings.patience,
        )
        outcome = self._outcome(new, wait)
        if outcome.replayed:
            response.set_header("Idempotent-Replayed", "true")
        return show(outcome.intent, response)

    def _outcome(self, new: NewIntent, wait: float) -> Outcome:
        while True:
            with self._doorbell.expecting(new.id) as bell:
                if self._database.together(intents.accept_all, new):
                    self._publisher.publish([Message(TASK_OF[new.operation], new.id)])
                    if not wait:
                        return Outcome(new.accepted(), replayed=False)
                    bell.wait(wait)
                    return Outcome(self._read(new.id), replayed=False)
            joined = self._join(new, wait)
            if joined:
                return joined

    def _join(self, new: NewIntent, wait: float) -> Outcome | None:
        """Wait along with the first request of the same scope; None when it has just ended without a key."""
        with self._database.statement() as connection:
            first = intents.join(connection, new)
        if first is None:
            return None
        if first.fingerprint != new.fingerprint:
            raise KeyReused
        if not first.running:
            return Outcome(first, replayed=True)
        with self._doorbell.expecting(first.id) as bell:
            if self._read(first.id).running:  # it may have ended before we listened
                bell.wait(wait)
        return Outcome(self._read(first.id), replayed=False)

    def _read(self, intent_id: str) -> Intent:
        intent = self._database.together(intents.read_all, intent_id)
        if intent is None:
            raise LookupError(intent_id)
        return intent

    def _wait(self, request: falcon.Request) -> float:
        """Seconds to wait; `wait=N` bounds also an asynchronous answer (RFC 7240, section 4.3)."""
        preferences = _preferences(request.get_header("prefer") or "")
        wait = preferences.get("wait", "")
        if wait.isascii() and wait.isdecimal():
            return min(float(wait), self._settings.wait_limit)
        return 0.0 if "respond-async" in preferences else self._settings.wait


def _joined(body: msgspec.Struct, beside: msgspec.Struct) -> bytes:
    return msgspec.json.encode(msgspec.to_builtins(body) | msgspec.to_builtins(beside))


def _preferences(header: str) -> dict[str, str]:
    """Return preferences by name; their parameters, after a semicolon, mean nothing to us."""
    pairs = (part.partition(";")[0].partition("=") for part in header.split(","))
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}


def show(intent: Intent, response: falcon.Response) -> Intent | None:
    """Render a stored answer, or 202 with the place to look; the intent, when it has ended."""
    if intent.answer_status is not None and intent.answer_body is not None:
        render(response, intent.answer_status, intent.answer_body)
        return intent
    response.set_header("Location", f"/intents/{intent.id}")
    if intent.hindrance == CaptureUnconfirmed.code:
        raise CaptureUnconfirmed(intent=intent.id)
    response.set_header("Preference-Applied", "respond-async")
    render(response, 202, msgspec.json.encode({"intent": intent.id, "state": intent.state}).decode())
    return None


def idempotency_key(request: falcon.Request) -> str | None:
    """Return the idempotency key, bare or as the draft's quoted string.  Raises `KeyMalformed`."""
    key = request.get_header("idempotency-key")
    if key is None:
        return None
    if len(key) > 1 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not KEY.fullmatch(key):
        raise KeyMalformed
    return key
