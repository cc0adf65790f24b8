"""Bodies and path segments: read, bounded, and checked for shape before anything is recorded."""

import re
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

import falcon
import msgspec

from shared.errors import Invalid, Malformed, NotFound, TooLarge, UnsupportedMediaType
from shared.requests import ID, ID_LENGTH, PLAIN

Body = TypeVar("Body", bound=msgspec.Struct)

_ID = re.compile(ID)
_PLAIN = re.compile(PLAIN)

#: Reads numbers as they are written: no float is ever an amount of money.
_exact = msgspec.json.Decoder(float_hook=Decimal)

#: Longer numbers are no integers that anybody sends.
DIGITS = 20


def read(request: falcon.Request, shape: type[Body], limit: int, *, required: bool = False) -> Body:
    """Return the JSON body as `shape`; no body at all stands for `{}`, unless one is `required`.

    Raises `TooLarge`, `UnsupportedMediaType`, `Malformed` or `Invalid`.
    """
    body = raw(request, limit)
    if required and not body:
        raise Malformed("A body is required")
    media_type = (request.content_type or "").partition(";")[0].strip().lower()
    if body and media_type != falcon.MEDIA_JSON:
        raise UnsupportedMediaType
    try:
        found = _decoded(body or b"{}", shape)
        _refuse_fancy_amounts(found, body)
    except msgspec.ValidationError as error:
        raise Invalid(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed("The body is not JSON") from error
    return found


def raw(request: falcon.Request, limit: int) -> bytes:
    """Return the body's bytes as they came.  Raises `TooLarge`."""
    if (request.content_length or 0) > limit:
        raise TooLarge
    body: bytes = request.stream.read(limit + 1)
    if len(body) > limit:
        raise TooLarge
    return body


def _decoded(raw: bytes, shape: type[Body]) -> Body:
    try:
        return msgspec.json.decode(raw, type=shape)
    except msgspec.ValidationError as error:
        try:  # JSON knows one kind of number: 10.0 is the integer 10
            return msgspec.convert(_with_integers(_exact.decode(raw)), shape)
        except msgspec.ValidationError:
            raise
        except (msgspec.DecodeError, RecursionError, InvalidOperation):  # the last: an exponent beyond all bounds
            raise error from None


def _refuse_fancy_amounts(found: msgspec.Struct, raw: bytes) -> None:
    names = zip(found.__struct_fields__, found.__struct_encode_fields__, strict=True)
    amounts = [name for field, name in names if isinstance(getattr(found, field), Decimal)]
    written = _exact.decode(raw) if amounts else {}
    for name in amounts:
        if isinstance(written[name], str) and not _PLAIN.match(written[name]):
            raise msgspec.ValidationError(f"{name} must be written in digits, such as 1500.00")


def _with_integers(value: Any) -> Any:
    if isinstance(value, Decimal) and value.adjusted() < DIGITS and value == value.to_integral_value():
        return int(value)
    if isinstance(value, list):
        return [_with_integers(item) for item in value]
    if isinstance(value, dict):
        return {name: _with_integers(item) for name, item in value.items()}
    return value


def query(request: falcon.Request, shape: type[Body]) -> Body:
    """Return the query as `shape`.  Raises `Invalid`, also for a parameter that there is not."""
    try:
        return msgspec.convert(request.params, shape, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(str(error)) from error


def path_id(value: Any) -> str:
    """Return an id from the path.  Raises `NotFound`: nothing can be registered under a malformed id."""
    if len(value) > ID_LENGTH or not _ID.fullmatch(value):
        raise NotFound
    return str(value)
