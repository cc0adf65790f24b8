"""What the SDK speaks to Razorpay through: it asks once, for a limited time, and sorts every answer.

The SDK has no time limit, loses the status of an answer and prints what it cannot read.  Here every answer that is not
the object that was asked for is raised before the SDK sees it, so that none of that matters.
"""

import re
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from shared.providers.ports import InProgress, Refused, Unknown

NOT_THE_AMOUNT_HELD, NO_SUCH_ID = "not_the_amount_held", "no_such_id"
KEY_IN_USE, ALREADY_CAPTURED, FULLY_REFUNDED = "key_in_use", "already_captured", "fully_refunded"

#: Part of a description: why it may have happened, or may yet, whatever the status and the code say.  Nothing but the
#: description tells; of several the first counts.
UNDECIDED: Mapping[str, str] = {
    "idempotency key is still in progress": KEY_IN_USE,
    "same idempotency key": "key_reused",
    "duplicate receipt": "receipt_reused",
    "refund has already been processed": "already_processed",
    "operation is in progress": "another_operation",
    "url was not found": "no_such_url",  # a person mends it, and the operation goes on
}

#: Part of a description: the code under which we refuse.
REFUSAL: Mapping[str, str] = {
    "already been captured": ALREADY_CAPTURED,
    "equal to the amount authorized": NOT_THE_AMOUNT_HELD,
    "fully refunded already": FULLY_REFUNDED,
    "greater than amount captured": "above_captured",
    "status should be captured": "not_captured",
    "enough balance": "balance_too_low",
    "amount must be at least": "amount_too_small",
    "6 months old": "too_old",
    "id provided does not exist": NO_SUCH_ID,
    "is not a valid id": NO_SUCH_ID,
}

#: The only code of an answer that says no; after all others the outcome is unknown.
NO = "BAD_REQUEST_ERROR"


class Session(requests.Session):
    """Asks once, for a limited time, and lets nothing through to the SDK but objects; calls share nothing of it."""

    def __init__(self, timeout: tuple[float, float], connections: int) -> None:
        super().__init__()
        self.trust_env = False  # no proxy or netrc look-up in every request
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        for scheme in ("http://", "https://"):
            self.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=connections))
        self._limits = {"timeout": timeout, "allow_redirects": False}

    def request(self, method: str | bytes, url: str | bytes, *rest: Any, **options: Any) -> requests.Response:
        """Ask, and sort what comes back.  Raises `Refused`, `Unknown` or `InProgress`."""
        try:
            answer = super().request(method, url, *rest, **options | self._limits)
        except Exception as error:  # it may have arrived; the SDK would print
            raise Unknown(type(error).__name__) from error
        _sort(answer.status_code, _decoded(answer))
        return answer


def _sort(status: int, body: Any) -> None:
    """Raise what an answer means, unless it is the object that was asked for.

    Only a 400 with the code for it is a no.  A wrong API key is none: a person mends it, and the operation goes on.
    """
    if 200 <= status < 300 and isinstance(body, dict):
        return
    error = body.get("error") if isinstance(body, dict) else None
    error = error if isinstance(error, dict) else {}
    code, reason = _word(error.get("code")), _word(error.get("reason"))
    description = str(error.get("description")).lower()
    undecided = _first(UNDECIDED, description)
    if undecided:
        raise (InProgress if undecided == KEY_IN_USE else Unknown)(undecided)
    if status != 400 or code.upper() != NO:
        raise Unknown(":".join(filter(None, (f"http_{status}", code))))
    raise Refused(_first(REFUSAL, description) or ":".join(filter(None, (code, reason))))


def _first(table: Mapping[str, str], description: str) -> str | None:
    return next((code for words, code in table.items() if words in description), None)


def _decoded(answer: requests.Response) -> Any:
    """What stands in an answer; None when it cannot be read, also when it is a success: it may have happened."""
    try:
        return answer.json()
    except (ValueError, RecursionError):
        return None


def _word(named: Any) -> str:
    """A word of Razorpay's own; never free text, which may name people."""
    return named if isinstance(named, str) and re.fullmatch(r"[A-Za-z_]{1,64}", named) and named != "NA" else ""
