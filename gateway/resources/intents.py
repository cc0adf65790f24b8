"""Intents: how a request that was accepted has fared, and how a parked one goes on."""

import falcon
import msgspec

from gateway import bodies
from gateway.auth import Authenticator
from gateway.errors import render
from gateway.intake import Intake
from gateway.registrations import with_token
from shared.db import Database
from shared.domain.intents import Operation
from shared.errors import NotFound
from shared.requests import Retry as RetryBody
from shared.settings import Settings
from shared.store import intents
from shared.tokens import Role


class Intent:
    """`GET /intents/{intent_id}`: its state and, when it ended, its stored answer; for its actor and for operators."""

    def __init__(self, settings: Settings, auth: Authenticator, database: Database) -> None:
        self._settings, self._auth, self._database = settings, auth, database

    def on_get(self, request: falcon.Request, response: falcon.Response, intent_id: str) -> None:
        """Show one intent."""
        caller = self._auth.caller(request)
        intent = self._database.together(intents.read_all, bodies.path_id(intent_id))
        if intent is None:
            raise NotFound("There is no such intent")
        if caller.role is not Role.ADMIN:
            caller.allow_actor(intent.actor)
        body = intent.answer_body
        if body and intent.operation is Operation.REGISTER_ORDER and intent.answer_status in (200, 201):
            body = with_token(self._settings, body)
        shown = {
            "intent": intent.id,
            "operation": intent.operation,
            "subject": intent.subject,
            "state": intent.state,
            "accepted_at": intent.accepted_at,
            "answer": {"status": intent.answer_status, "body": msgspec.Raw(body.encode())} if body else None,
        }
        render(response, 200, msgspec.json.encode(shown).decode())


class Retry:
    """`POST /api/admin/intents/{intent_id}/retry`: an operator puts back to work what is parked."""

    def __init__(self, settings: Settings, auth: Authenticator, intake: Intake) -> None:
        self._settings, self._auth, self._intake = settings, auth, intake

    def on_post(self, request: falcon.Request, response: falcon.Response, intent_id: str) -> None:
        """Retry one intent, or the one void, refund or capture that is named instead."""
        caller = self._auth.caller(request)
        caller.allow(Role.ADMIN)
        intent_id = bodies.path_id(intent_id)
        body = bodies.read(request, RetryBody, self._settings.body_limit)
        operation = Operation.RETRY_INTENT
        self._intake.submit(request, response, operation=operation, subject=intent_id, caller=caller, body=body)
