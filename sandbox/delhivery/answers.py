"""The forms of an answer: JSON, XML, and the pages of those who stand in front of Delhivery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from xml.sax.saxutils import escape

from sandbox.http import Response

HTML = {"Content-Type": "text/html; charset=utf-8"}
XML = {"Content-Type": "application/xml; charset=utf-8"}


def xml(members: Mapping[str, object], status: int = 200) -> Response:
    """These members as Delhivery writes XML."""
    return Response(status, f"<root>{_elements(members)}</root>".encode(), dict(XML))


def _elements(members: Mapping[str, object]) -> str:
    return "".join(f"<{name}>{_text(value)}</{name}>" for name, each in members.items() for value in _values(each))


def _values(value: object) -> Iterator[object]:
    """A list repeats the element of its name."""
    if isinstance(value, list):
        yield from value
    else:
        yield value


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return _elements(value)
    return "" if value is None else escape(str(value))


def page(status: int, text: str) -> Response:
    """A page, where the caller expects data."""
    return Response(status, text.encode(), dict(HTML))


def unauthorized() -> Response:
    """401: there is no token."""
    return page(401, "Login or API Key Required")


def firewall() -> Response:
    """403: the firewall's page; a caller that is too fast is never told 429."""
    return page(403, "<html><head><title>403 Forbidden</title></head><body><h1>403 Forbidden</h1></body></html>")


def not_found() -> Response:
    """404: nothing has this address."""
    return page(404, "<h1>Not Found</h1>")


def server_error() -> Response:
    """500: something went wrong, nobody says what."""
    return page(500, "<h1>Server Error (500)</h1>")


def bad_gateway() -> Response:
    """502: a proxy's answer in Delhivery's place."""
    return page(502, "<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>")


def gibberish() -> Response:
    """200 with a body that is neither the JSON that it claims to be, nor XML."""
    return Response(200, b"<p>We are on it", {"Content-Type": "application/json"})
