"""Stripe's webhooks: is it Stripe who speaks, and what is it about?  https://docs.stripe.com/webhooks.

The signature is checked by Stripe's own SDK.  Of the body only ids are taken: whoever acts upon an event reads the
object again, so that neither an old event nor one out of order tells anything wrong.
"""

import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from stripe import SignatureVerificationError, WebhookSignature

from shared.domain.webhooks import Concern
from shared.errors import BadSignature, Malformed
from shared.providers.ports import Notice

#: What each type is about, and which types an endpoint should enable.  Of several that Stripe sends for one change
#: the one that comes with every version of its API is enough.
CONCERNS: Mapping[str, Concern] = {
    "payment_intent.amount_capturable_updated": Concern.PAYMENT,
    "payment_intent.succeeded": Concern.PAYMENT,
    "payment_intent.canceled": Concern.PAYMENT,
    "charge.refunded": Concern.PAYMENT,
    "refund.created": Concern.PAYMENT,
    "refund.updated": Concern.PAYMENT,
    "refund.failed": Concern.PAYMENT,
    "charge.dispute.created": Concern.DISPUTE,
    "charge.dispute.updated": Concern.DISPUTE,
    "charge.dispute.closed": Concern.DISPUTE,
}

#: What an id of an object of use looks like.
WORD = re.compile(r"[A-Za-z0-9_.-]{1,255}")

#: An id or a name of Stripe's.
Word = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]+$(?!\n)", max_length=255)]


class _Object(msgspec.Struct):
    """What happened to: of a kind that we may not know, whose ids may look otherwise, e.g. those of coupons."""

    id: Any = None
    object: Any = None
    payment_intent: Any = None


class _Data(msgspec.Struct):
    object: _Object


class _Event(msgspec.Struct, tag_field="object", tag="event"):
    """An event, without what may name people."""

    id: Word
    type: Word
    created: Annotated[int, msgspec.Meta(ge=0, le=99_999_999_999)]
    data: _Data
    api_version: Word | None = None
    livemode: bool = False


def verify(body: bytes, header: str | None, secrets: Sequence[str], tolerance: float) -> None:
    """Raise `BadSignature` unless one of our secrets signed this very body, at most `tolerance` seconds away.

    The SDK refuses only what is too old; a time ahead of ours is refused here.
    """
    if not any(_is_signed(body, header, secret, tolerance) for secret in secrets):
        raise BadSignature
    if _timestamp(header or "") > time.time() + tolerance:
        raise BadSignature


def read(body: bytes) -> Notice:
    """Return what a verified body is about.  Raises `Malformed` when it is no event."""
    try:
        event = msgspec.json.decode(body, type=_Event)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed("The body is not an event") from error
    about = event.data.object
    concern = CONCERNS.get(event.type, Concern.NOTHING)
    object_id = about.id if isinstance(about.id, str) and WORD.fullmatch(about.id) else None
    if concern is not Concern.NOTHING and object_id != about.id:
        raise Malformed("The body is not an event")
    return Notice(
        event_id=event.id,
        type=event.type,
        concern=concern,
        object_id=object_id,
        reference=object_id if about.object == "payment_intent" else _id(about.payment_intent),
        created=datetime.fromtimestamp(event.created, UTC),
        api_version=event.api_version,
        livemode=event.livemode,
    )


def _is_signed(body: bytes, header: str | None, secret: str, tolerance: float) -> bool:
    try:
        WebhookSignature.verify_header(body, header, secret, tolerance)
    except (SignatureVerificationError, UnicodeDecodeError, TypeError):
        return False  # the SDK trips over bodies that are not UTF-8, and over signatures that are not ASCII
    return True


def _timestamp(header: str) -> int:
    """The time of a header that the SDK has verified: the first one it names."""
    found = re.search(r"(?:^|,)t=([^,=]*)", header)
    return int(found[1]) if found else 0


def _id(named: Any) -> str | None:
    """An id, which stands there by itself or in the expanded object."""
    found = named.get("id") if isinstance(named, dict) else named
    return found if isinstance(found, str) and re.fullmatch(r"[A-Za-z0-9_]{1,255}", found) else None
