"""Webhooks: what providers and couriers tell us, recorded once before they are told that we know."""

from collections.abc import Callable
from dataclasses import asdict

import falcon
import structlog

from gateway import bodies, metrics
from gateway.errors import render
from shared.broker import Publisher
from shared.db import Database
from shared.domain.payments import Provider
from shared.domain.shipments import Courier
from shared.domain.webhooks import Concern
from shared.errors import BadSecret, BadSignature, Malformed
from shared.providers import delhivery_push, razorpay_webhooks, stripe_webhooks
from shared.providers.ports import Notice
from shared.queues import Task
from shared.settings import Settings
from shared.store import shipments, webhooks
from shared.store.outbox import Message

log = structlog.get_logger()

#: Returns what an authentic body is about.  Raises `BadSignature` or `Malformed`.
Read = Callable[[Settings, falcon.Request, bytes], Notice]


def stripe(settings: Settings, request: falcon.Request, body: bytes) -> Notice:
    """Read an event of Stripe's."""
    signature = request.get_header("stripe-signature")
    stripe_webhooks.verify(body, signature, settings.stripe_webhook_secrets, settings.stripe_webhook_tolerance)
    return stripe_webhooks.read(body)


def razorpay(settings: Settings, request: falcon.Request, body: bytes) -> Notice:
    """Read an event of Razorpay's, whose id stands beside it."""
    razorpay_webhooks.verify(body, request.get_header("x-razorpay-signature"), settings.razorpay_webhook_secrets)
    return razorpay_webhooks.read(body, request.get_header("x-razorpay-event-id"))


class ProviderWebhooks:
    """`POST /webhooks/{provider}`: 200 once the event is durable; it is acted upon later."""

    def __init__(
        self, settings: Settings, database: Database, publisher: Publisher, provider: Provider, read: Read
    ) -> None:
        self._settings, self._database, self._publisher = settings, database, publisher
        self._provider, self._read = provider, read

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Take one event in.  A signature that is not the provider's leaves nothing behind but a line in the log."""
        body = bodies.raw(request, self._settings.webhook_body_limit)
        try:
            notice = self._read(self._settings, request, body)
        except (BadSignature, Malformed) as refusal:
            _count_refusal(self._provider, refusal)
            raise
        metrics.WEBHOOKS.labels(self._provider, self._record(notice)).inc()
        render(response, 200, '{"received":true}')

    def _record(self, notice: Notice) -> str:
        """Write the event down, send the hint when there is something to do, and say how it went."""
        with self._database.statement() as connection:
            event_id = webhooks.record(connection, self._provider, notice, self._settings.patience)
        if event_id is None:
            return "duplicate"
        if notice.concern is Concern.NOTHING:
            return "ignored"
        self._publisher.publish([Message(Task.PROCESS_WEBHOOK, event_id)])
        return "recorded"


class CourierPushes:
    """`POST /api/shipping/delhivery/webhook`: 200 once the look at the parcel is staged, whatever was said of it."""

    def __init__(self, settings: Settings, database: Database, publisher: Publisher) -> None:
        self._settings, self._database, self._publisher = settings, database, publisher

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Take one push in.  A secret that is not ours leaves nothing behind but a line in the log."""
        try:
            delhivery_push.verify(request.get_header("x-delhivery-secret"), self._settings.delhivery_webhook_secrets)
            push = delhivery_push.read(bodies.raw(request, self._settings.webhook_body_limit))
        except (BadSecret, Malformed) as refusal:
            _count_refusal(Courier.DELHIVERY, refusal)
            raise
        metrics.WEBHOOKS.labels(Courier.DELHIVERY, self._record(push)).inc()
        render(response, 200, '{"success":true,"message":"Webhook processed successfully"}')

    def _record(self, push: delhivery_push.Push) -> str:
        """Write the push down, send the hint when an order has that waybill, and say how it went."""
        values = asdict(push) | {"courier": Courier.DELHIVERY}
        with self._database.statement() as connection:
            is_news, shipment_id = shipments.record(connection, values, self._settings.patience)
        if shipment_id is None:
            return "ignored" if is_news else "duplicate"
        self._publisher.publish([Message(Task.TRACK_SHIPMENT, shipment_id)])
        return "recorded"


def _count_refusal(sender: Provider | Courier, refusal: BadSignature | BadSecret | Malformed) -> None:
    metrics.WEBHOOKS.labels(sender, "refused").inc()
    log.warning("webhook_refused", provider=sender, code=refusal.code)
