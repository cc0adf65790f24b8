"""The bare handler: one INSERT and one publish behind the same door, and the measure of our gateway's accepts.

gunicorn ... benchmarks.bare_handler:application
"""

from typing import Any

import falcon
from sqlalchemy import text

from benchmarks.bare_chain import Health
from shared import settings
from shared.broker import celery_app
from shared.db import Database
from shared.ids import new_id
from shared.queues import Task

_INSERT = text("INSERT INTO bare_accepts (id, subject) VALUES (:id, :subject)")

_configuration = settings.load()
_app = celery_app(_configuration)
_database = Database(_configuration.database_url, _configuration.database_pool)


class Cancellation:
    """`POST /store/orders/{order_id}/cancel`: insert, publish, answer 202."""

    def on_post(self, _: falcon.Request, response: falcon.Response, order_id: str) -> None:
        """Accept one cancel."""
        intent_id = new_id("int")
        with _database.statement() as connection:
            connection.execute(_INSERT, {"id": intent_id, "subject": order_id})
        _app.send_task(Task.CANCEL_ORDER, (intent_id,), retry=False)
        response.status = 202
        response.text = "{}"


application: falcon.App[Any, Any] = falcon.App()
application.add_route("/store/orders/{order_id}/cancel", Cancellation())
application.add_route("/healthz", Health())
