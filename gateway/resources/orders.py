"""Orders: register one, look at one, take one back."""

from dataclasses import replace
from typing import Any

import falcon
import msgspec

from gateway import bodies
from gateway.auth import Authenticator
from gateway.errors import render
from gateway.intake import Intake, idempotency_key
from gateway.registrations import own_id, with_token
from shared.db import Database
from shared.domain.intents import Operation
from shared.errors import NotFound
from shared.requests import Nothing, Registration
from shared.requests import Shipment as ShipmentBody
from shared.settings import Settings
from shared.store import orders, refunds, timeline
from shared.tokens import Role

#: Who may read what operators write.
OPERATIONS = (Role.ADMIN, Role.SERVICE)


class Registrations:
    """`POST /orders`: the shop registers what was bought."""

    def __init__(self, settings: Settings, auth: Authenticator, intake: Intake) -> None:
        self._settings, self._auth, self._intake = settings, auth, intake

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Register an order; the answer carries the shopper's modification token."""
        caller = self._auth.caller(request)
        caller.allow(Role.SERVICE)
        body = bodies.read(request, Registration, self._settings.body_limit)
        ended = self._intake.submit(
            request,
            response,
            operation=Operation.REGISTER_ORDER,
            subject=body.order_id or own_id("ord", caller, idempotency_key(request)),
            caller=caller,
            body=body,
        )
        if ended:
            response.text = with_token(self._settings, ended, caller)


class Order:
    """`GET /orders/{order_id}`: state, amounts and timeline, for whoever may see it."""

    def __init__(self, auth: Authenticator, database: Database) -> None:
        self._auth, self._database = auth, database

    def on_get(self, request: falcon.Request, response: falcon.Response, order_id: str) -> None:
        """Show one order."""
        caller = self._auth.caller(request)
        order_id = bodies.path_id(order_id)
        caller.allow_order(order_id)
        with self._database.statement() as connection:
            view = orders.view(connection, order_id)
            if view is None:
                raise NotFound("There is no such order")
            if caller.role is Role.CUSTOMER:
                caller.allow_customer(view["customer_id"])
            view["refunds"] = refunds.of_order(connection, order_id)
            view["timeline"] = timeline.of_order(connection, order_id)
        if caller.role not in OPERATIONS:
            withhold_reasons(view)
        render(response, 200, msgspec.json.encode(view).decode())


def withhold_reasons(view: dict[str, Any]) -> None:
    """Take out what operators have written for each other."""
    view["refunds"] = [replace(refund, reason=None) for refund in view["refunds"]]
    for entry in view["timeline"]:
        entry["data"].pop("reason", None)


class Shipment:
    """`PUT /orders/{order_id}/shipment`: the shop tells by which parcel an order goes out."""

    def __init__(self, settings: Settings, auth: Authenticator, intake: Intake) -> None:
        self._settings, self._auth, self._intake = settings, auth, intake

    def on_put(self, request: falcon.Request, response: falcon.Response, order_id: str) -> None:
        """Set the parcel, in the place of any former one."""
        caller = self._auth.caller(request)
        caller.allow(Role.SERVICE)
        order_id = bodies.path_id(order_id)
        body = bodies.read(request, ShipmentBody, self._settings.body_limit)
        self._intake.submit(
            request, response, operation=Operation.SET_SHIPMENT, subject=order_id, caller=caller, body=body
        )


class Cancellation:
    """`POST /store/orders/{order_id}/cancel`: the shopper takes an order back in its grace period."""

    def __init__(self, settings: Settings, auth: Authenticator, intake: Intake) -> None:
        self._settings, self._auth, self._intake = settings, auth, intake

    def on_post(self, request: falcon.Request, response: falcon.Response, order_id: str) -> None:
        """Cancel one order."""
        caller = self._auth.caller(request)
        caller.allow(Role.MODIFICATION, Role.CUSTOMER)
        order_id = bodies.path_id(order_id)
        caller.allow_order(order_id)
        body = bodies.read(request, Nothing, self._settings.body_limit)
        self._intake.submit(
            request, response, operation=Operation.CANCEL_ORDER, subject=order_id, caller=caller, body=body
        )
