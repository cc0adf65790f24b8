"""Loaded by schemathesis: every request with an idempotency key gets a key that no other request has."""

import re
import uuid
from typing import Any

import schemathesis


@schemathesis.hook
def before_call(_: Any, case: schemathesis.Case, **__: Any) -> None:
    """Make a valid key unique; an invalid one stays as it is."""
    key = (case.headers or {}).get("Idempotency-Key")
    if key and re.fullmatch(r"[\x21-\x7e]{1,200}", str(key)) and not str(key).startswith('"'):
        case.headers["Idempotency-Key"] = f"{key}{uuid.uuid4().hex}"
