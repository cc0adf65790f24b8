"""One renderer for everything that goes wrong: RFC 9457 problem documents."""

import math
from datetime import UTC, datetime
from typing import Any

import falcon
import msgspec
import structlog

from shared.db import Locked
from shared.errors import (
    Malformed,
    MethodNotAllowed,
    NotFound,
    Problem,
    RefundCooldown,
    TooLarge,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
)
from shared.logging import blame

log = structlog.get_logger()

PROBLEM_JSON = "application/problem+json"

#: Falcon's own refusals in our words.
TRANSLATION: dict[int, type[Problem]] = {
    400: Malformed,
    404: NotFound,
    405: MethodNotAllowed,
    413: TooLarge,
    415: UnsupportedMediaType,
}


def install(app: falcon.App[Any, Any]) -> None:
    """Answer every exception with a problem document."""
    app.add_error_handler(Exception, _unforeseen)
    app.add_error_handler(falcon.HTTPError, _falcon)
    app.add_error_handler(Locked, _locked)
    app.add_error_handler(Problem, _problem)


def render(response: falcon.Response, status: int, body: str) -> None:
    """Send a stored or fresh answer: a problem document from 400 on."""
    response.status = status
    response.content_type = falcon.MEDIA_JSON if status < 400 else PROBLEM_JSON
    response.text = body
    retry_at = msgspec.json.decode(body).get("retry_at") if status == RefundCooldown.http_status else None
    if retry_at is not None:
        response.set_header("Retry-After", str(_seconds_until(retry_at)))


def _seconds_until(moment: str) -> int:
    """The wait that is left, also when a stored answer is given again."""
    return max(math.ceil((datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds()), 0)


def _problem(_: falcon.Request, response: falcon.Response, problem: Problem, __: Any) -> None:
    if problem.retry_after is not None:
        response.set_header("Retry-After", str(problem.retry_after))
    if isinstance(problem, Unauthorized):
        response.set_header("WWW-Authenticate", "Bearer")
    render(response, problem.http_status, problem.body())


def _falcon(request: falcon.Request, response: falcon.Response, error: falcon.HTTPError, params: Any) -> None:
    if error.headers:
        response.set_headers(error.headers)
    problem = TRANSLATION.get(error.status_code, Malformed if error.status_code < 500 else Problem)
    _problem(request, response, problem(), params)


def _locked(request: falcon.Request, response: falcon.Response, _: Locked, params: Any) -> None:
    _problem(request, response, Unavailable(), params)


def _unforeseen(request: falcon.Request, response: falcon.Response, error: Exception, params: Any) -> None:
    log.error("request_broke", path=request.uri_template, **blame(error))
    _problem(request, response, Problem("Something went wrong on our side"), params)
