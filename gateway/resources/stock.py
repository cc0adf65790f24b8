"""Stock: the units of a SKU that can be sold."""

import falcon
import msgspec

from gateway import bodies
from gateway.auth import Authenticator
from gateway.errors import render
from gateway.intake import Intake
from shared.db import Database
from shared.domain.intents import Operation
from shared.errors import NotFound
from shared.requests import StockLevel
from shared.settings import Settings
from shared.store import stock
from shared.tokens import Role


class Stock:
    """`PUT /stock/{sku}` sets how many can be sold; `GET` tells."""

    def __init__(self, settings: Settings, auth: Authenticator, database: Database, intake: Intake) -> None:
        self._settings, self._auth, self._database, self._intake = settings, auth, database, intake

    def on_put(self, request: falcon.Request, response: falcon.Response, sku: str) -> None:
        """Set the units that can be sold."""
        caller = self._auth.caller(request)
        caller.allow(Role.SERVICE)
        sku = bodies.path_id(sku)
        body = bodies.read(request, StockLevel, self._settings.body_limit)
        self._intake.submit(request, response, operation=Operation.SET_STOCK, subject=sku, caller=caller, body=body)

    def on_get(self, request: falcon.Request, response: falcon.Response, sku: str) -> None:
        """Tell the units that can be sold."""
        self._auth.caller(request).allow(Role.SERVICE, Role.ADMIN)
        sku = bodies.path_id(sku)
        with self._database.statement() as connection:
            quantity = stock.read(connection, sku)
        if quantity is None:
            raise NotFound("Nobody told us of this SKU's stock")
        render(response, 200, msgspec.json.encode({"sku": sku, "quantity": quantity}).decode())
