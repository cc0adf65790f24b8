"""Delhivery, by its B2C interface: where shipments are, and having one canceled.

An answer tells of people and places; nothing is taken of it but a waybill, its status and two times.  There are no
idempotency keys: a repeated cancel is answered like the first one, and only tracking shows what became of it.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, TypeVar
from xml.etree.ElementTree import ParseError

import msgspec
import requests
from defusedxml import DefusedXmlException, ElementTree
from requests.adapters import HTTPAdapter

from shared.domain.shipments import Tracked
from shared.providers.couriers import Throttled
from shared.providers.delhivery_statuses import meaning
from shared.providers.ports import Refused, Unknown

LIVE = "https://track.delhivery.com"

#: Waybills in one question; the most that Delhivery takes.
BATCH = 50

#: Its firewall turns away more than 750 requests in 5 minutes, by a 403 and not by a 429.
THROTTLING = (403, 429)

#: Seconds; asked sooner, the firewall would only turn us away again.
PAUSE = 30.0

#: What Delhivery says when it knows none of the waybills; another "Success": false is no such answer.
NOT_KNOWN = ("Data does not exists for provided Waybill(s)", "No such waybill or Order Id found")

#: What a wrong token is told, also with a status of 200.
NOT_LET_IN = b"Login or API Key Required"

#: India keeps one clock all year, and Delhivery's times do not say that they are its.
IST = timezone(timedelta(hours=5, minutes=30))

#: A status is a few words and a code is one; whatever is longer may name people.
WORDS = re.compile(r"[A-Za-z]{1,20}(?:[ _/-]{1,3}[A-Za-z]{1,20}){0,3}")
CODE = re.compile(r"[A-Za-z0-9_-]{1,32}")

#: Why a cancel is refused: what Delhivery says of it is free text.
REFUSED = "courier_refused"

#: Why nobody can tell what an answer means.
UNEXPLAINED = "unexplained_answer"

Form = TypeVar("Form", bound=msgspec.Struct)


class _Status(msgspec.Struct, rename="pascal"):
    """Of kinds that we take as they come: what is empty is a null, a text or a list."""

    status: Any = None
    status_type: Any = None
    status_code: Any = None
    status_date_time: Any = None


class _Shipment(msgspec.Struct, rename="pascal"):
    """A shipment, without what names people."""

    waybill: str = msgspec.field(name="AWB")
    status: _Status = msgspec.field(default_factory=_Status)
    #: When it was taken over; the PickUpDate beside it may be one that is only agreed on.
    pickedup_date: Any = None


class _Entry(msgspec.Struct, rename="pascal"):
    shipment: _Shipment


class _Found(msgspec.Struct):
    """What a look comes to: shipments, or a word of why there are none."""

    entries: list[_Entry] | None = msgspec.field(default=None, name="ShipmentData")
    success: Any = msgspec.field(default=None, name="Success")
    error: Any = msgspec.field(default=None, name="Error")
    remark: Any = msgspec.field(default=None, name="rmk")


class _Edited(msgspec.Struct):
    """What an edit comes to; `status` is a boolean, or the text of one."""

    status: Any = None
    waybill: Any = None


class Delhivery:
    """A `CourierService` whose waybills are AWB numbers."""

    batch = BATCH

    def __init__(self, token: str, api_base: str, timeout: tuple[float, float], connections: int) -> None:
        """`timeout` is (connect, read) in seconds; `connections` are kept open, for as many calls at once."""
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy or netrc look-up in every request
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=connections))
        self._session.headers.update({"Accept": "application/json", "Authorization": f"Token {token}"})
        self._base, self._timeout = (api_base or LIVE).rstrip("/"), timeout

    def track(self, waybills: Sequence[str]) -> Mapping[str, Tracked]:
        """Return where these shipments are, without their history.  Raises `ValueError` for more than a batch."""
        if len(waybills) > BATCH:
            raise ValueError(f"{len(waybills)} waybills, at most {BATCH}")
        if not waybills:
            return {}
        wish = {"waybill": ",".join(waybills), "verbose": "0"}
        found = _decode(self._ask("GET", "/api/v1/packages/json/", params=wish), _Found)
        if found.entries is None and not _knows_none(found):
            raise Unknown(UNEXPLAINED)
        seen = [_tracked(entry.shipment) for entry in found.entries or ()]
        return {shipment.waybill: shipment for shipment in seen if shipment.waybill in waybills}

    def cancel(self, waybill: str) -> None:
        """Ask for the cancellation; Delhivery takes it until a shipment is out for delivery."""
        wish = {"waybill": waybill, "cancellation": "true"}
        edited = _edited(self._ask("POST", "/api/p/edit", json=wish))
        if edited.waybill and str(edited.waybill).strip() != waybill:
            raise Unknown("another_waybill")
        accepted = str(edited.status).strip().casefold()
        if accepted == "false":
            raise Refused(REFUSED)
        if accepted != "true":
            raise Unknown(UNEXPLAINED)

    def _ask(self, method: str, path: str, **wish: Any) -> bytes:
        """Make one call and sort its failure.  Raises `Unknown` or `Throttled`."""
        try:
            answer = self._session.request(
                method, self._base + path, timeout=self._timeout, allow_redirects=False, **wish
            )
        except requests.RequestException as error:
            raise Unknown(type(error).__name__) from error
        if answer.status_code in THROTTLING:
            raise Throttled(f"http_{answer.status_code}", PAUSE)
        if answer.status_code == 401 or NOT_LET_IN in answer.content:  # a person mends the token, and it goes on
            raise Unknown("not_let_in")
        if answer.status_code != 200:
            raise Unknown(f"http_{answer.status_code}")
        return answer.content


def utc(moment: Any) -> datetime | None:
    """A time of Delhivery's in UTC; None when it cannot be read."""
    try:
        read = datetime.fromisoformat(moment)
        return (read if read.tzinfo else read.replace(tzinfo=IST)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def words(said: Any) -> str | None:
    """A status of Delhivery's; None for what is none."""
    return _matching(WORDS, said)


def code(said: Any) -> str | None:
    """A type or a code of Delhivery's; None for what is none."""
    return _matching(CODE, said)


def _matching(pattern: re.Pattern[str], said: Any) -> str | None:
    text = said.strip() if isinstance(said, str) else ""
    return text if pattern.fullmatch(text) else None


def _tracked(shipment: _Shipment) -> Tracked:
    seen = shipment.status
    status_type, status, status_code = code(seen.status_type) or "", words(seen.status) or "", code(seen.status_code)
    return Tracked(
        waybill=shipment.waybill,
        status_type=status_type,
        status=status,
        code=status_code,
        at=utc(seen.status_date_time),
        picked_up=bool(shipment.pickedup_date),
        meaning=meaning(status_type, status, status_code),
    )


def _knows_none(found: _Found) -> bool:
    said = f"{found.error} {found.remark}"
    return found.success is False and any(sentence in said for sentence in NOT_KNOWN)


def _edited(body: bytes) -> _Edited:
    """What an edit comes to, in the form that was asked for or in XML, which is Delhivery's habit."""
    if not body.lstrip().startswith(b"<"):
        return _decode(body, _Edited)
    try:
        root = ElementTree.fromstring(body)
    except (ParseError, DefusedXmlException, LookupError, ValueError) as error:
        raise Unknown(type(error).__name__) from error
    return _Edited(status=root.findtext("status"), waybill=root.findtext("waybill"))


def _decode(body: bytes, form: type[Form]) -> Form:
    try:
        return msgspec.json.decode(body, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unknown(type(error).__name__) from error
