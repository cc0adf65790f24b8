"""Hooks: what providers and a courier tell the gateway, each in its own form; sent again it is the same."""

import hashlib
import hmac
import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, ClassVar

import stripe

from shared.settings import Settings

#: When what is told has happened, in unix seconds.
CREATED = 1_790_000_000


@dataclass(frozen=True)
class Hook:
    """Something that is told to the gateway, in whose answer nobody is interested but for its status."""

    path: ClassVar[str]
    #: What it is about, in the words of whoever tells it.
    type: str

    @property
    def body(self) -> str:
        """What is sent."""
        raise NotImplementedError

    def headers(self, settings: Settings) -> dict[str, str]:
        """What shows who tells it."""
        raise NotImplementedError


@dataclass(frozen=True)
class StripeEvent(Hook):
    """What Stripe tells of one of its objects."""

    path = "/webhooks/stripe"

    object: dict[str, Any] = field(hash=False)
    event_id: str = field(default_factory=lambda: f"evt_{uuid.uuid4().hex}")

    @property
    def body(self) -> str:
        event = {"id": self.event_id, "object": "event", "type": self.type, "livemode": False}
        when = {"api_version": "2026-10-28.endive", "created": CREATED}
        return json.dumps(event | when | {"data": {"object": self.object}})

    def headers(self, settings: Settings) -> dict[str, str]:
        secret, now = settings.stripe_webhook_secrets[-1], int(time.time())
        return {"Stripe-Signature": stripe.WebhookSignature.generate_signature_header(self.body, secret, now)}


@dataclass(frozen=True)
class RazorpayEvent(Hook):
    """What Razorpay tells of a payment."""

    path = "/webhooks/razorpay"

    reference: str
    event_id: str = field(default_factory=lambda: f"evt_{uuid.uuid4().hex}")

    @property
    def body(self) -> str:
        payload = {"payment": {"entity": {"id": self.reference}}}
        if self.type.startswith("refund."):
            payload |= {"refund": {"entity": {"id": "rfnd_1", "payment_id": self.reference}}}
        return json.dumps({"entity": "event", "event": self.type, "payload": payload, "created_at": CREATED})

    def headers(self, settings: Settings) -> dict[str, str]:
        secret = settings.razorpay_webhook_secrets[-1].encode()
        signature = hmac.new(secret, self.body.encode(), hashlib.sha256).hexdigest()
        return {"X-Razorpay-Signature": signature, "x-razorpay-event-id": self.event_id}


@dataclass(frozen=True)
class Push(Hook):
    """What Delhivery tells of a parcel; whatever its words are, they only have tracking looked at."""

    path = "/api/shipping/delhivery/webhook"
    waybill: str

    @property
    def body(self) -> str:
        return json.dumps({"awb": self.waybill, "status": self.type})

    def headers(self, settings: Settings) -> dict[str, str]:
        return {"X-Delhivery-Secret": settings.delhivery_webhook_secrets[-1]}
