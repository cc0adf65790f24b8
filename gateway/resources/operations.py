"""Operations: is it alive, is it ready, how does it fare, what does it speak."""

import falcon
from sqlalchemy import text

from gateway import metrics
from gateway.errors import render
from gateway.waiting import Doorbell
from shared.db import Database


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
    """`GET /metrics`, in Prometheus' text format."""

    def __init__(self, doorbell: Doorbell) -> None:
        self._doorbell = doorbell

    def on_get(self, _: falcon.Request, response: falcon.Response) -> None:
        """Expose the counters."""
        metrics.WAITING.set(self._doorbell.waiting)
        response.content_type = metrics.CONTENT_TYPE
        response.data = metrics.exposition()


class OpenApi:
    """`GET /openapi.json`: this API, described."""

    def __init__(self, document: str) -> None:
        self._document = document

    def on_get(self, _: falcon.Request, response: falcon.Response) -> None:
        """Hand out the document."""
        render(response, 200, self._document)
