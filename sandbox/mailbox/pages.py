"""The messages as JSON and HTML, and what a test may ask and tell under /_sandbox/."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from html import escape
from typing import Any
from urllib.parse import parse_qs

import msgspec

from sandbox.faults import Faults
from sandbox.http import Request, Response, Router
from sandbox.mailbox.store import Kept, Store

#: How many messages a list shows when it is not told.
PAGE = 200

#: Nothing is fetched and no script runs, whatever a mail holds; its links still work.
SAFE = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .4rem .8rem .4rem 0; border-bottom: 1px solid #8884; vertical-align: top; }
:root { color-scheme: light dark; }
"""

Answer = Callable[[dict[str, list[str]], list[str]], Response]


class Pages:
    """The mailbox's HTTP side."""

    def __init__(self, store: Store, faults: Faults) -> None:
        self._store = store
        self._faults = faults
        self._router: Router[Answer] = Router(
            {
                "GET /": self._list_page,
                "GET /messages": self._list,
                "GET /messages/{id}": self._message,
                "DELETE /messages": lambda query, ids: Response.json({"forgotten": store.clear()}),
                "GET /_sandbox/health": lambda query, ids: Response.json({"status": "ok"}),
                "GET /_sandbox/ledger": lambda query, ids: Response.json(store.ledger(_number(query, "since", 0))),
                "GET /_sandbox/count": lambda query, ids: Response.json(store.count()),
            }
        )

    async def handle(self, request: Request) -> Response:
        """Answer one request; 404 for what is not known, 400 for what makes no sense."""
        answer = self._faults.control(request)
        if answer is not None:
            return answer
        found = self._router.find(request.method, request.path)
        if found is None:
            return _not_found()
        carry_out, ids = found
        try:
            return carry_out(parse_qs(request.query), ids)
        except ValueError as problem:
            return Response.json({"error": str(problem)}, 400)

    def _found(self, query: dict[str, list[str]]) -> list[Kept]:
        to, message_id = query.get("to", [None])[0], query.get("message_id", [None])[0]
        return self._store.newest(to, message_id, _number(query, "limit", PAGE))

    def _list(self, query: dict[str, list[str]], ids: list[str]) -> Response:
        return Response.json([shown(kept) for kept in self._found(query)])

    def _list_page(self, query: dict[str, list[str]], ids: list[str]) -> Response:
        rows = "".join(_row(shown(kept)) for kept in self._found(query)) or "<tr><td colspan=4>No mail yet.</td></tr>"
        page = (
            f"<!doctype html><html lang=en><meta charset=utf-8><title>Mailbox</title><style>{STYLE}</style>"
            "<h1>Mailbox</h1><p>What the mesh sent, the newest first. Nothing here ever left this machine.</p>"
            f"<table><thead><tr><th>Received (UTC)<th>To<th>Subject<th>As</tr></thead><tbody>{rows}</tbody></table>"
        )
        return Response(200, page.encode(), dict(SAFE))

    def _message(self, query: dict[str, list[str]], ids: list[str]) -> Response:
        """One message: as JSON, or by its ending as the HTML or the source that was sent."""
        number, _, ending = ids[0].partition(".")
        kept = self._store.find(int(number)) if number.isascii() and number.isdigit() else None
        match ending:
            case _ if kept is None:
                return _not_found()
            case "":
                return Response.json(shown(kept))
            case "html":
                return Response(200, _html(kept).encode(), dict(SAFE))
            case "eml":
                return Response(200, kept.source, {"Content-Type": "message/rfc822"})
        return _not_found()


def shown(kept: Kept) -> dict[str, Any]:
    """A message as JSON shows it; `to` and `from` are those of the envelope, `received_at` is in unix seconds."""
    message = _parse(kept)
    return {
        "id": kept.id,
        "to": msgspec.json.decode(kept.recipients),
        "from": kept.sender,
        "subject": str(message["Subject"] or ""),
        "message_id": kept.message_id,
        "received_at": kept.received_at,
        "text": _part(message, "plain"),
        "html": _part(message, "html"),
    }


def _parse(kept: Kept) -> EmailMessage:
    return message_from_bytes(kept.source, policy=policy.default)


def _part(message: EmailMessage, kind: str) -> str | None:
    part = message.get_body((kind,))
    return str(part.get_content()) if part is not None else None


def _html(kept: Kept) -> str:
    """The HTML that was sent, or the text in its place."""
    message = _parse(kept)
    return _part(message, "html") or f"<!doctype html><pre>{escape(_part(message, 'plain') or '')}</pre>"


def _row(message: dict[str, Any]) -> str:
    id, received = message["id"], datetime.fromtimestamp(message["received_at"], UTC)
    return (
        f"<tr><td>{received:%Y-%m-%d %H:%M:%S}<td>{escape(', '.join(message['to']))}"
        f"<td><a href='/messages/{id}.html'>{escape(message['subject'] or '(no subject)')}</a>"
        f"<td><a href='/messages/{id}'>JSON</a> <a href='/messages/{id}.eml'>source</a></tr>"
    )


def _number(query: dict[str, list[str]], name: str, otherwise: int) -> int:
    return int(query[name][0]) if name in query else otherwise


def _not_found() -> Response:
    return Response.json({"error": "there is nothing here"}, 404)
