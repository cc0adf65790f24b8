"""Bodies and path segments: read, bounded, and checked for shape before anything is recorded."""

import re
from typing import Any, TypeVar

import falcon
import msgspec

from shared.errors import Invalid, Malformed, NotFound, TooLarge, UnsupportedMediaType
from shared.requests import ID, ID_LENGTH

Body = TypeVar("Body", bound=msgspec.Struct)

_ID = re.compile(ID)


def read(request: falcon.Request, shape: type[Body], limit: int) -> Body:
    """Return the JSON body as `shape`; no body at all stands for `{}`.

    Raises `TooLarge`, `UnsupportedMediaType`, `Malformed` or `Invalid`.
    """
    if (request.content_length or 0) > limit:
        raise TooLarge
    raw = request.stream.read(limit + 1)
    if len(raw) > limit:
        raise TooLarge
    media_type = (request.content_type or "").partition(";")[0].strip().lower()
    if raw and media_type != falcon.MEDIA_JSON:
        raise UnsupportedMediaType
    try:
        return msgspec.json.decode(raw or b"{}", type=shape)
    except msgspec.ValidationError as error:
        raise Invalid(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed("The body is not JSON") from error


def path_id(value: Any) -> str:
    """Return an id from the path.  Raises `NotFound`: nothing can be registered under a malformed id."""
    if len(value) > ID_LENGTH or not _ID.fullmatch(value):
        raise NotFound
    return str(value)
