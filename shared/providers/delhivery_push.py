"""Delhivery's pushes: is it Delhivery who speaks, and of which shipment?

A push is not signed: it only carries a secret that was agreed on, so all that comes of it is a look at the shipment.
Each scan is pushed once, again at once when we are slow, and never after that; scans overtake each other.
"""

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec

from shared.domain.shipments import TAKEN_BACK, hints_at_cancellation
from shared.errors import BadSecret, Malformed
from shared.providers.delhivery import code, utc, words
from shared.providers.delhivery_statuses import meaning

WAYBILL = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Push:
    """What a push says; its free text is listened to, and left behind."""

    waybill: str
    status_type: str | None
    status: str | None
    code: str | None
    #: When it was scanned, in UTC; None when the push does not say.
    at: datetime | None
    #: Whether it sounds as if the parcel was canceled or is coming back.
    hints: bool
    #: The same for every repetition of one scan: pushes carry no id.
    fingerprint: bytes
    #: Whether a time is in the fingerprint; without one, a later scan may look the same.
    is_dated: bool


class _Status(msgspec.Struct, rename="pascal"):
    status: Any = None
    status_type: Any = None
    status_date_time: Any = None
    instructions: Any = None


class _Scan(msgspec.Struct, rename="pascal"):
    """What is pushed by default."""

    waybill: Any = msgspec.field(default=None, name="AWB")
    code: Any = msgspec.field(default=None, name="NSLCode")
    status: _Status = msgspec.field(default_factory=_Status)


class _Body(msgspec.Struct):
    """A scan, or the few members that a shop had Delhivery map it to; these do not tell the type."""

    scan: _Scan | None = msgspec.field(default=None, name="Shipment")
    awb: Any = None
    waybill: Any = None
    status: Any = None
    current_status: Any = None


def verify(given: str | None, secrets: Sequence[str]) -> None:
    """Raise `BadSecret` unless it is one of our secrets; how long that takes does not tell how near it came."""
    offered = (given or "").encode(errors="surrogatepass")
    matches = [hmac.compare_digest(offered, secret.encode()) for secret in secrets if secret.strip()]
    if not any(matches):
        raise BadSecret


def read(body: bytes) -> Push:
    """Return what a push says, in whichever of its forms.  Raises `Malformed` when it is none."""
    try:
        pushed = msgspec.json.decode(body, type=_Body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed("The body is not a push") from error
    return _mapped(pushed) if pushed.scan is None else _scanned(pushed.scan)


def _scanned(scan: _Scan) -> Push:
    waybill, status = _waybill(scan.waybill), scan.status
    said = [_text(one) for one in (scan.code, status.status_type, status.status, status.status_date_time)]
    nsl_code, status_type, name, moment = said
    taken_back = meaning(status_type, name, nsl_code) in TAKEN_BACK
    at = utc(moment)
    return Push(
        waybill=waybill,
        status_type=code(status_type),
        status=words(name),
        code=code(nsl_code),
        at=at,
        hints=taken_back or hints_at_cancellation(name, _text(status.instructions)),
        fingerprint=_fingerprint(waybill, *said),
        is_dated=at is not None,
    )


def _mapped(pushed: _Body) -> Push:
    waybill = _waybill(pushed.waybill if pushed.awb is None else pushed.awb)
    said = [_text(one) for one in (pushed.status, pushed.current_status)]
    return Push(
        waybill=waybill,
        status_type=None,
        status=words(said[0]),
        code=None,
        at=None,
        hints=hints_at_cancellation(*said),
        fingerprint=_fingerprint(waybill, *said),
        is_dated=False,
    )


def _waybill(named: Any) -> str:
    if not isinstance(named, str) or not WAYBILL.fullmatch(named):
        raise Malformed("The body names no waybill")
    return named


def _text(said: Any) -> str:
    return said if isinstance(said, str) else ""


def _fingerprint(*said: str) -> bytes:
    return sha256(msgspec.json.encode(said)).digest()
