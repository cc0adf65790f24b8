"""Intents: how a request that was accepted has fared."""

import falcon
import msgspec

from gateway import bodies
from gateway.auth import Authenticator
from gateway.errors import render
from gateway.guests import Guests
from gateway.registrations import with_token
from shared.db import Database
from shared.domain.intents import Operation
from shared.errors import NotFound
from shared.settings import Settings
from shared.store import intents, syncs
from shared.store.intents import Intent as Stored
from shared.tokens import Role


class Intent:
    """`GET /intents/{intent_id}`: its state and, when it ended, its stored answer; for its actor and for operators."""

    def __init__(self, settings: Settings, auth: Authenticator, guests: Guests, database: Database) -> None:
        self._settings, self._auth, self._guests, self._database = settings, auth, guests, database

    def on_get(self, request: falcon.Request, response: falcon.Response, intent_id: str) -> None:
        """Show one intent."""
        caller = self._guests.asking(request) or self._auth.caller(request)
        intent = self._database.together(intents.read_all, bodies.path_id(intent_id))
        if intent is None:
            raise NotFound("There is no such intent")
        if caller.role is not Role.ADMIN:
            caller.allow_actor(intent.actor)
        body = with_token(self._settings, intent, caller) if intent.answer_body else None
        shown = {
            "intent": intent.id,
            "operation": intent.operation,
            "subject": intent.subject,
            "state": intent.state,
            "accepted_at": intent.accepted_at,
            "progress": self._progress(intent),
            "answer": {"status": intent.answer_status, "body": msgspec.Raw(body.encode())} if body else None,
        }
        response.set_header("Cache-Control", "no-store")
        render(response, 200, msgspec.json.encode(shown).decode())

    def _progress(self, intent: Stored) -> dict[str, int] | None:
        """How far long work has come, of those requests that are long."""
        if intent.operation is not Operation.SYNC_SHIPMENTS:
            return None
        with self._database.statement() as connection:
            return syncs.progress(connection, intent.id)
