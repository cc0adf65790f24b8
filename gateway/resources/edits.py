"""Edits: the shopper changes an order in its grace period.

With `?dry_run=true` nothing is recorded: the rules by which a worker judges tell what the edit would come to.
"""

from datetime import UTC, datetime

import falcon
import msgspec

from gateway import bodies
from gateway.auth import Authenticator, Caller
from gateway.errors import render
from gateway.intake import Intake, idempotency_key
from shared.db import Database
from shared.domain import edits as rules
from shared.domain.edits import Editable, MoneyAction
from shared.domain.intents import Operation
from shared.errors import KeyRequired, NotFound, OutOfStock
from shared.requests import Address as Recipient
from shared.requests import EditAsked, ItemChange, ItemQuantity, NewItem
from shared.settings import Settings
from shared.store import edits, stock
from shared.tokens import Role

#: Digits of the longest number that a line can have.
LINE_DIGITS = 9


class Edit:
    """What the routes of edits share."""

    def __init__(self, settings: Settings, auth: Authenticator, database: Database, intake: Intake) -> None:
        self._settings, self._auth, self._database, self._intake = settings, auth, database, intake

    def _caller(self, request: falcon.Request, order_id: str) -> tuple[Caller, str]:
        """Who edits which order."""
        caller = self._auth.caller(request)
        caller.allow(Role.MODIFICATION, Role.CUSTOMER)
        order_id = bodies.path_id(order_id)
        caller.allow_order(order_id)
        return caller, order_id

    def _edit(
        self,
        request: falcon.Request,
        response: falcon.Response,
        caller: Caller,
        order_id: str,
        wish: NewItem | ItemChange | Recipient,
        operation: Operation,
    ) -> None:
        """Record the edit, or tell what it would come to."""
        if bodies.query(request, EditAsked).dry_run:
            render(response, 200, self._preview(caller, order_id, wish))
            return
        self._intake.submit(request, response, operation=operation, subject=order_id, caller=caller, body=wish)

    def _preview(self, caller: Caller, order_id: str, wish: NewItem | ItemChange | Recipient) -> str:
        with self._database.statement() as connection:
            order = edits.editable(connection, order_id)
            if caller.role is Role.CUSTOMER:
                caller.allow_customer(order.customer_id)
            rules.judge(order, datetime.now(UTC), None)
            if isinstance(wish, Recipient):
                return _previewed(order_id, order, order.total, MoneyAction.NONE)
            plan = edits.plan(connection, order, wish, self._settings.increment_unavailable)
            if plan.units > 0 and stock.lacks(connection, plan.after.sku, plan.units):
                raise OutOfStock(sku=plan.after.sku)
        return _previewed(order_id, order, plan.total, plan.money)


class Items(Edit):
    """`POST /store/orders/{order_id}/items`: units of a SKU are added."""

    def on_post(self, request: falcon.Request, response: falcon.Response, order_id: str) -> None:
        """Add an item."""
        caller, order_id = self._caller(request, order_id)
        body = bodies.read(request, NewItem, self._settings.body_limit)
        if idempotency_key(request) is None:
            raise KeyRequired("Repeated without an Idempotency-Key, it would add as many once more")
        self._edit(request, response, caller, order_id, body, Operation.ADD_ITEM)


class Item(Edit):
    """`POST /store/orders/{order_id}/items/{item_id}`: a line gets another quantity; with 0 it is removed."""

    def on_post(self, request: falcon.Request, response: falcon.Response, order_id: str, item_id: str) -> None:
        """Change an item."""
        caller, order_id = self._caller(request, order_id)
        body = bodies.read(request, ItemQuantity, self._settings.body_limit)
        change = ItemChange(_line(item_id), body.quantity)
        self._edit(request, response, caller, order_id, change, Operation.SET_QUANTITY)


class Address(Edit):
    """`POST /store/orders/{order_id}/address`: the goods go somewhere else."""

    def on_post(self, request: falcon.Request, response: falcon.Response, order_id: str) -> None:
        """Change where the goods go."""
        caller, order_id = self._caller(request, order_id)
        body = bodies.read(request, Recipient, self._settings.body_limit)
        self._edit(request, response, caller, order_id, body, Operation.SET_ADDRESS)


def _previewed(order_id: str, order: Editable, total: int, money: MoneyAction) -> str:
    """The body of a dry run: the total before and after, and what would become of the money."""
    return msgspec.json.encode(
        {
            "order_id": order_id,
            "dry_run": True,
            "currency": order.currency,
            "total_before": order.total,
            "total": total,
            "authorized": order.authorized,
            "payment_action": money,
        }
    ).decode()


def _line(item_id: str) -> int:
    """The line that a path names.  Raises `NotFound`: no other word can be one."""
    if not (item_id.isascii() and item_id.isdecimal() and len(item_id) <= LINE_DIGITS):
        raise NotFound("The order has no such item")
    return int(item_id)
