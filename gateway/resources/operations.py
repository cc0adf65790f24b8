"""Operations: is it alive, is it ready, how does it fare, what does it speak."""

from contextlib import suppress

import falcon
from sqlalchemy import text

from gateway import metrics
from gateway.errors import render
from gateway.waiting import Doorbell
from shared.db import Database, Locked
from shared.errors import Unavailable
from shared.store import alerts


class Health:
    """`GET /healthz`: the process answers."""

    def on_get(self, _: falcon.Request, response: falcon.Response) -> None:
        """Say so."""
        render(response, 200, '{"status":"ok"}')


class Readiness:
    """`GET /readyz`: intents can be recorded.  The broker may be away: the sweep publishes what it missed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def on_get(self, _: falcon.Request, response: falcon.Response) -> None:
        """Ask Postgres.  Raises `Unavailable`."""
        with self._database.statement() as connection:
            connection.execute(text("SELECT"))
        render(response, 200, '{"status":"ready"}')


class Metrics:
    """`GET /metrics`, in Prometheus' text format.  Without Postgres it tells what it knows by itself."""

    def __init__(self, doorbell: Doorbell, database: Database) -> None:
        self._doorbell, self._database = doorbell, database

    def on_get(self, _: falcon.Request, response: falcon.Response) -> None:
        """Expose the counters."""
        metrics.WAITING.set(self._doorbell.waiting)
        with suppress(Unavailable, Locked), self._database.statement() as connection:
            for severity, count in alerts.count_open(connection).items():
                metrics.ALERTS.labels(severity).set(count)
        response.content_type = metrics.CONTENT_TYPE
        response.data = metrics.exposition()


class OpenApi:
    """`GET /openapi.json`: this API, described."""

    def __init__(self, document: str) -> None:
        self._document = document

    def on_get(self, _: falcon.Request, response: falcon.Response) -> None:
        """Hand out the document."""
        render(response, 200, self._document)
