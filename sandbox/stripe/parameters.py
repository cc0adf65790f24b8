"""Form bodies with brackets, and the checks that Stripe makes on every parameter before it does anything.

A check takes a parameter's name and what was sent, and returns its value or raises a Refusal.  An endpoint's
parameters are a mapping from name to check; what stands in none is refused as unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import parse_qsl

from sandbox.stripe.amounts import CURRENCIES
from sandbox.stripe.refusals import Refusal

#: What a form holds under one name: text, or more names (a list's names are its indexes).
Form = dict[str, Any]
Check = Callable[[str, Any], Any]

#: More digits than these no amount and no moment has.
INTEGER = re.compile(r"-?[0-9]{1,15}")


def parse_form(encoded: str) -> Form:
    """A form body or query as nested names: `a[b]=1&c[]=2` is {"a": {"b": "1"}, "c": {"0": "2"}}."""
    form: Form = {}
    for name, value in parse_qsl(encoded, keep_blank_values=True):
        first, *rest = name.replace("]", "").split("[")
        node, last = form, first
        for key in rest:
            if not isinstance(node.get(last), dict):
                node[last] = {}
            node = node[last]
            last = key or str(len(node))
        node[last] = value
    return form


def read(form: Form, checks: Mapping[str, Check], required: Collection[str] = (), within: str = "") -> dict[str, Any]:
    """The checked values of a form; raises the Refusal Stripe would answer with."""
    unknown = [_inside(within, name) for name in form if name not in checks]
    if unknown:
        word = "parameter" if len(unknown) == 1 else "parameters"
        message = f"Received unknown {word}: {', '.join(unknown)}"
        raise Refusal(400, message, code="parameter_unknown", param=unknown[0])
    for name in required:
        if name not in form:
            full_name = _inside(within, name)
            raise Refusal(400, f"Missing required param: {full_name}.", code="parameter_missing", param=full_name)
    return {name: checks[name](_inside(within, name), sent) for name, sent in form.items()}


def _inside(within: str, name: str) -> str:
    return f"{within}[{name}]" if within else name


def _refuse_form(name: str, sent: Any) -> None:
    if not isinstance(sent, str):
        raise Refusal(400, "Invalid string: must be a string", param=name)


def text(name: str, sent: Any) -> str | None:
    """Any text; the empty one unsets."""
    _refuse_form(name, sent)
    return sent or None


def identifier(name: str, sent: Any) -> str:
    """The id of another object: text that is not empty."""
    _refuse_form(name, sent)
    if not sent:
        raise _empty(name)
    return str(sent)


def integer(name: str, sent: Any) -> int:
    """A whole number."""
    if sent == "":
        raise _empty(name)
    if not isinstance(sent, str) or not INTEGER.fullmatch(sent):
        raise Refusal(400, f"Invalid integer: {sent}", code="parameter_invalid_integer", param=name)
    return int(sent)


def positive(name: str, sent: Any) -> int:
    """A whole number of at least 1."""
    return _at_least(1, integer(name, sent), name)


def not_negative(name: str, sent: Any) -> int:
    """A whole number of at least 0."""
    return _at_least(0, integer(name, sent), name)


def page_size(name: str, sent: Any) -> int:
    """How many a list answers with: 1 to 100."""
    limit = _at_least(1, integer(name, sent), name)
    if limit > 100:
        message = "This value must be less than or equal to 100."
        raise Refusal(400, message, code="parameter_invalid_integer", param=name)
    return limit


def _at_least(least: int, value: int, name: str) -> int:
    if value < least:
        message = f"This value must be greater than or equal to {least}."
        raise Refusal(400, message, code="parameter_invalid_integer", param=name)
    return value


def _empty(name: str) -> Refusal:
    message = (
        f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset a parameter; "
        f"however '{name}' cannot be unset. You should remove '{name}' from your request or supply a non-empty value."
    )
    return Refusal(400, message, code="parameter_invalid_empty", param=name)


def boolean(name: str, sent: Any) -> bool:
    """`true` or `false`."""
    if sent not in ("true", "false"):
        raise Refusal(400, f"Invalid boolean: {sent}", param=name)
    return bool(sent == "true")


def currency(name: str, sent: Any) -> str:
    """A currency Stripe charges in, in lower case."""
    code = identifier(name, sent).lower()
    if code not in CURRENCIES:
        known = ", ".join(sorted(CURRENCIES))
        raise Refusal(400, f"Invalid currency: {code}. Stripe currently supports these currencies: {known}", param=name)
    return code


def metadata(name: str, sent: Any) -> dict[str, str | None]:
    """At most 50 names with text of at most 500 characters; a name with an empty value is to be removed."""
    if sent == "":
        return {}
    if not isinstance(sent, dict):
        raise Refusal(400, "Invalid object", param=name)
    for key, value in sent.items():
        _refuse_form(_inside(name, key), value)
        if len(key) > 40 or len(value) > 500:
            message = "Metadata keys can be up to 40 characters long, and values up to 500 characters."
            raise Refusal(400, message, param=_inside(name, key))
    if len(sent) > 50:
        raise Refusal(400, "You can only specify up to 50 metadata keys.", param=name)
    return {key: value or None for key, value in sent.items()}


def anything(name: str, sent: Any) -> Any:
    """A parameter of Stripe's that has no meaning here: taken, and otherwise ignored."""
    return sent


def choice(*values: str) -> Check:
    """One of these words."""
    options = " or ".join([", ".join(values[:-1]), values[-1]] if len(values) > 1 else values)

    def check(name: str, sent: Any) -> str:
        if sent not in values:
            raise Refusal(400, f"Invalid {name}: must be one of {options}", param=name)
        return str(sent)

    return check


def nested(checks: Mapping[str, Check], required: Collection[str] = ()) -> Check:
    """A mapping with its own known parameters."""

    def check(name: str, sent: Any) -> dict[str, Any]:
        if not isinstance(sent, dict):
            raise Refusal(400, "Invalid object", param=name)
        return read(sent, checks, required, within=name)

    return check


def listing(item: Check) -> Check:
    """A list, sent as `name[]=` or `name[0]=`."""

    def check(name: str, sent: Any) -> list[Any]:
        if not isinstance(sent, dict):
            raise Refusal(400, "Invalid array", param=name)
        return [item(_inside(name, index), value) for index, value in sent.items()]

    return check
