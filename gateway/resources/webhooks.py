"""Webhooks: what a provider tells us, recorded once an event before it is told that we know."""

import falcon
import structlog

from gateway import bodies, metrics
from gateway.errors import render
from shared.broker import Publisher
from shared.db import Database
from shared.domain.payments import Provider
from shared.domain.webhooks import Concern
from shared.errors import BadSignature, Malformed
from shared.providers import stripe_webhooks
from shared.providers.ports import Notice
from shared.queues import Task
from shared.settings import Settings
from shared.store import webhooks
from shared.store.outbox import Message

log = structlog.get_logger()


class StripeWebhooks:
    """`POST /webhooks/stripe`: 200 once the event is durable; it is acted upon later."""

    def __init__(self, settings: Settings, database: Database, publisher: Publisher) -> None:
        self._settings, self._database, self._publisher = settings, database, publisher

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Take one event in.  A signature that is not Stripe's leaves nothing behind but a line in the log."""
        body = bodies.raw(request, self._settings.webhook_body_limit)
        try:
            notice = self._authentic(body, request.get_header("stripe-signature"))
        except (BadSignature, Malformed) as refusal:
            metrics.WEBHOOKS.labels(Provider.STRIPE, "refused").inc()
            log.warning("webhook_refused", provider=Provider.STRIPE, code=refusal.code)
            raise
        metrics.WEBHOOKS.labels(Provider.STRIPE, self._record(notice)).inc()
        render(response, 200, '{"received":true}')

    def _authentic(self, body: bytes, signature: str | None) -> Notice:
        stripe_webhooks.verify(
            body, signature, self._settings.stripe_webhook_secrets, self._settings.stripe_webhook_tolerance
        )
        return stripe_webhooks.read(body)

    def _record(self, notice: Notice) -> str:
        """Write the event down, send the hint when there is something to do, and say how it went."""
        with self._database.statement() as connection:
            event_id = webhooks.record(connection, Provider.STRIPE, notice, self._settings.patience)
        if event_id is None:
            return "duplicate"
        if notice.concern is Concern.NOTHING:
            return "ignored"
        self._publisher.publish([Message(Task.PROCESS_WEBHOOK, event_id)])
        return "recorded"
