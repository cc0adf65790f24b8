"""What a field may hold; a shape is the fields of a body, or of a part of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from sandbox.http import refuse_beyond_loopback
from sandbox.qpay.refusals import Invalid, Problems, Wrong

#: Judges what was sent, and returns it; raises Wrong, or Invalid when it has fields of its own.
Check = Callable[[Any], Any]


@dataclass(frozen=True)
class Shape:
    """The fields that may be sent, and those that must be; it is a Check, too."""

    checks: Mapping[str, Check]
    required: Collection[str] = ()

    def __call__(self, sent: Any) -> dict[str, Any]:
        """What was sent, when all of it is right; raises Invalid with everything that is wrong with it."""
        if not isinstance(sent, dict):
            raise Wrong("OBJECT")
        problems = {name: Wrong("REQUIRED").problem for name in self.required if name not in sent}
        for name, value in sent.items():
            problems |= self._problems(name, value)
        if problems:
            raise Invalid(problems)
        return sent

    def _problems(self, name: str, value: Any) -> Problems:
        try:
            self.checks.get(name, unknown)(value)
        except Wrong as wrong:
            return {name: wrong.problem}
        except Invalid as inner:
            return inner.problems
        return {}


def unknown(sent: Any) -> Any:
    """A field that nobody knows."""
    raise Wrong("UNKNOWN")


def text(longest: int) -> Check:
    """Text of so many characters at most, and not empty."""

    def check(sent: Any) -> str:
        if not isinstance(sent, str):
            raise Wrong("STRING")
        if not sent:
            raise Wrong("MIN_LENGTH", 1)
        if len(sent) > longest:
            raise Wrong("MAX_LENGTH", longest)
        return sent

    return check


def number(least: int, most: int) -> Check:
    """A whole number as JSON has it: neither a text nor a fraction."""

    def check(sent: Any) -> int:
        if type(sent) is not int:  # a truth value would be an int, too
            raise Wrong("NUMBER")
        if sent < least:
            raise Wrong("MIN_NUMBER", least)
        if sent > most:
            raise Wrong("MAX_NUMBER", most)
        return sent

    return check


def flag(sent: Any) -> bool:
    """A truth value."""
    if not isinstance(sent, bool):
        raise Wrong("BOOLEAN")
    return sent


def moment(sent: Any) -> str:
    """A date, or a date and time, as ISO 8601 writes it."""
    try:
        datetime.fromisoformat(text(45)(sent))
    except ValueError:
        raise Wrong("DATE") from None
    return str(sent)


def callback_url(sent: Any) -> str:
    """An address that may be called back; loopback only, for a stand-in calls nobody else."""
    address: str = text(255)(sent)
    try:
        target = urlsplit(address)
        refuse_beyond_loopback(target.hostname or "")
        is_callable = target.scheme in ("http", "https") and target.port != 0
    except ValueError:  # also of a port that is none
        raise Wrong("URL") from None
    if not is_callable:
        raise Wrong("URL")
    return address


def choice(*words: str) -> Check:
    """One of these words."""

    def check(sent: Any) -> str:
        if sent not in words:
            raise Wrong("ENUM")
        return str(sent)

    return check


def listing(each: Check) -> Check:
    """A list of things that each pass this check."""

    def check(sent: Any) -> list[Any]:
        if not isinstance(sent, list):
            raise Wrong("ARRAY")
        return [each(one) for one in sent]

    return check


def members(sent: Any) -> dict[str, Any]:
    """An object with any members."""
    if not isinstance(sent, dict):
        raise Wrong("OBJECT")
    return sent
