"""What operators ask for: each route takes a body, and makes it an intent about what its path names."""

import falcon
import msgspec

from gateway import bodies
from gateway.auth import Authenticator
from gateway.intake import Intake
from shared.domain.intents import Operation
from shared.requests import BulkSync, Nothing, OrderCancellation, Refund, Retry
from shared.settings import Settings
from shared.tokens import Role

#: Each route, the operation that it asks for, and the body that it takes.
ROUTES: tuple[tuple[str, Operation, type[msgspec.Struct]], ...] = (
    ("/api/admin/orders/{order_id}/cancel", Operation.CANCEL_ORDER_BY_OPERATOR, OrderCancellation),
    ("/api/admin/orders/{order_id}/refund", Operation.REFUND_ORDER, Refund),
    ("/api/admin/orders/{order_id}/sync-delhivery", Operation.SYNC_ORDER, Nothing),
    ("/api/admin/orders/bulk-sync-delhivery", Operation.SYNC_SHIPMENTS, BulkSync),
    ("/api/admin/intents/{intent_id}/retry", Operation.RETRY_INTENT, Retry),
    ("/api/admin/alerts/{alert_id}/acknowledge", Operation.ACKNOWLEDGE_ALERT, Nothing),
)


#: The subject of what a path names nothing for.
EVERYTHING = "all"


class ByOperator:
    """`POST` of one of these routes."""

    def __init__(
        self, settings: Settings, auth: Authenticator, intake: Intake, operation: Operation, body: type[msgspec.Struct]
    ) -> None:
        self._settings, self._auth, self._intake = settings, auth, intake
        self._operation, self._body = operation, body

    def on_post(self, request: falcon.Request, response: falcon.Response, **named: str) -> None:
        """Take in what an operator asks for."""
        caller = self._auth.caller(request)
        caller.allow(Role.ADMIN)
        subject = next(map(bodies.path_id, named.values()), EVERYTHING)
        body = bodies.read(request, self._body, self._settings.body_limit)
        self._intake.submit(request, response, operation=self._operation, subject=subject, caller=caller, body=body)
