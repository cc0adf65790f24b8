"""Alerts and drift: what a person must look at."""

from typing import Any

import falcon
import msgspec

from gateway import bodies
from gateway.auth import Authenticator
from gateway.errors import render
from shared.db import Database
from shared.requests import AlertsAsked, DriftAsked
from shared.store import alerts, drift
from shared.tokens import Role


class Alerts:
    """`GET /api/admin/alerts`: the newest first, page by page."""

    def __init__(self, auth: Authenticator, database: Database) -> None:
        self._auth, self._database = auth, database

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Show one page; `next` is where the following one begins."""
        self._auth.caller(request).allow(Role.ADMIN)
        asked = bodies.query(request, AlertsAsked)
        with self._database.statement() as connection:
            found = alerts.page(connection, asked.state or None, asked.before or None, asked.limit)
        _show(response, "alerts", found, asked.limit)


class Drift:
    """`GET /api/admin/drift`: where our rows and the providers disagree, the newest first, page by page."""

    def __init__(self, auth: Authenticator, database: Database) -> None:
        self._auth, self._database = auth, database

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Show one page; `next` is where the following one begins."""
        self._auth.caller(request).allow(Role.ADMIN)
        asked = bodies.query(request, DriftAsked)
        with self._database.statement() as connection:
            found = drift.page(connection, asked.state, asked.before or None, asked.limit)
        _show(response, "drift", found, asked.limit)


def _show(response: falcon.Response, name: str, found: list[dict[str, Any]], limit: int) -> None:
    """One page of a list; a full one may have another after it."""
    following = found[-1]["id"] if len(found) == limit else None
    render(response, 200, msgspec.json.encode({name: found, "next": following}).decode())
