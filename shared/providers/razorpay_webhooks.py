"""Razorpay's webhooks: is it Razorpay who speaks, and what is it about?  https://razorpay.com/docs/webhooks.

A signature covers neither the time nor the event's id, which comes in a header: what was signed once can be sent again
forever.  Of the body only ids are taken: whoever acts upon an event reads the payment again, so that neither an old
event nor one out of order tells anything wrong.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from shared.domain.webhooks import Concern
from shared.errors import BadSignature, Malformed
from shared.providers.ports import Notice

#: What each type is about, and which types a webhook should enable: those after which the payment or its refunds look
#: different.  One that failed looks like one that nobody has paid yet, and the speed of a refund is not looked at.
CONCERNS: Mapping[str, Concern] = {
    "payment.authorized": Concern.PAYMENT,
    "payment.captured": Concern.PAYMENT,
    "refund.created": Concern.PAYMENT,  # also of a hold that lapsed
    "refund.processed": Concern.PAYMENT,
    "refund.failed": Concern.PAYMENT,
}

#: What an id of use looks like.
WORD = re.compile(r"[A-Za-z0-9_.-]{1,255}")

#: A name of Razorpay's.
Word = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]+$(?!\n)", max_length=255)]

Seconds = Annotated[int, msgspec.Meta(ge=0, le=99_999_999_999)]


class _Payload(msgspec.Struct):
    """What happened to: other objects are of no use."""

    payment: Any = None
    refund: Any = None
    #: Where one of Razorpay's samples has it.
    created_at: Seconds | None = None


class _Event(msgspec.Struct, tag_field="entity", tag="event"):
    """An event, without what may name people."""

    event: Word
    payload: _Payload
    created_at: Seconds | None = None


def verify(body: bytes, signature: str | None, secrets: Sequence[str]) -> None:
    """Raise `BadSignature` unless one of our secrets signed this very body.

    The SDK would take no bytes, trip over a signature that is missing or not ASCII, and accept an empty secret.
    """
    given = (signature or "").lower().encode(errors="replace")
    if not any(hmac.compare_digest(_signature(body, secret), given) for secret in secrets if secret.strip()):
        raise BadSignature


def read(body: bytes, event_id: str | None) -> Notice:
    """Return what a verified body is about; `event_id` comes in a header.  Raises `Malformed` when it is no event."""
    event = _decoded(body)
    created = event.created_at or event.payload.created_at
    concern = CONCERNS.get(event.event, Concern.NOTHING)
    payment, refund = _entity(event.payload.payment), _entity(event.payload.refund)
    object_id = _id((refund if event.event.startswith("refund.") else payment).get("id"))
    reference = _id(payment.get("id")) or _id(refund.get("payment_id"))
    if created is None or (concern is not Concern.NOTHING and not (object_id and reference)):
        raise Malformed("The body is not an event")
    if event_id is None or not WORD.fullmatch(event_id):
        raise Malformed("The event has no id")
    return Notice(
        event_id=event_id,
        type=event.event,
        concern=concern,
        object_id=object_id,
        reference=reference,
        created=datetime.fromtimestamp(created, UTC),
        api_version=None,
        livemode=False,  # nobody says it
    )


def _signature(body: bytes, secret: str) -> bytes:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest().encode()


def _decoded(body: bytes) -> _Event:
    try:
        return msgspec.json.decode(body, type=_Event)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed("The body is not an event") from error


def _entity(carried: Any) -> dict[str, Any]:
    """An object that an event carries; empty when it carries none."""
    entity = carried.get("entity") if isinstance(carried, dict) else None
    return entity if isinstance(entity, dict) else {}


def _id(named: Any) -> str | None:
    return named if isinstance(named, str) and WORD.fullmatch(named) else None
