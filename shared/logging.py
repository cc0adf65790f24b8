"""Structured logs: a constant event name, ids as fields, one JSON object a line on standard error."""

import logging
import sys
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import structlog

#: Where our own code lives; what other people's code did on the way is of no interest.
_HOME = str(Path(__file__).parents[1]) + "/"


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
    fields = {
        "error": type(origin).__name__,
        "sqlstate": getattr(origin, "sqlstate", None),
        "constraint": getattr(getattr(origin, "diag", None), "constraint_name", None),
        "where": [
            f"{frame.filename.removeprefix(_HOME)}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename.startswith(_HOME) and "site-packages" not in frame.filename
        ],
    }
    return {name: value for name, value in fields.items() if value}
