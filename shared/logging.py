"""Structured logs: a constant event name, ids as fields, one JSON object a line on standard error."""

import logging
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any

import structlog


def configure(process: str) -> None:
    """Set up logging once for this process, named e.g. `gateway` or `worker`."""

    def name_process(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["process"] = process
        return event

    structlog.configure(
        processors=[
            name_process,
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def blame(error: BaseException) -> dict[str, Any]:
    """Return the fields that say what broke and where; never the message, which may quote a row or an address."""
    origin = getattr(error, "orig", error)
    frames = traceback.extract_tb(error.__traceback__)
    fields = {
        "error": type(origin).__name__,
        "where": [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames[-8:]],
    }
    constraint = getattr(getattr(origin, "diag", None), "constraint_name", None)
    return fields | ({"constraint": constraint} if constraint else {})
