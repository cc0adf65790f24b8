"""Webhooks: what a provider tells us.  They only say where to look: what is there is read at the provider."""

from collections.abc import Mapping
from enum import StrEnum


class Concern(StrEnum):
    """What an event is about, and so what is looked up because of it."""

    PAYMENT = "payment"  # a hold, its capture, its refunds
    DISPUTE = "dispute"  # a cardholder's claim
    NOTHING = "nothing"  # of no use to us


class WebhookState(StrEnum):
    """Where an event stands."""

    RECEIVED = "received"  # durable; nobody has looked yet
    DONE = "done"  # looked up, and followed
    IGNORED = "ignored"  # of no use to us, or about somebody else's payment
    PARKED = "parked"  # it broke again and again; a person decides


class WebhookEvent(StrEnum):
    """What happens to an event."""

    FOLLOWED = "followed"
    IGNORED = "ignored"
    PARKED = "parked"
    RETRIED = "retried"  # put back to work by an operator


TRANSITIONS: Mapping[tuple[WebhookState, WebhookEvent], WebhookState] = {
    (WebhookState.RECEIVED, WebhookEvent.FOLLOWED): WebhookState.DONE,
    (WebhookState.RECEIVED, WebhookEvent.IGNORED): WebhookState.IGNORED,
    (WebhookState.RECEIVED, WebhookEvent.PARKED): WebhookState.PARKED,
    (WebhookState.PARKED, WebhookEvent.RETRIED): WebhookState.RECEIVED,
}
