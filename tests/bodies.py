"""Bodies of requests, as tests vary them."""

from typing import Any

import msgspec


def changed(body: Any, path: str, value: Any) -> dict[str, Any]:
    """A copy of a body with one member changed, by its path such as `lines.0.sku`."""
    copy: Any = msgspec.json.decode(msgspec.json.encode(body))
    *way, name = (int(part) if part.isdigit() else part for part in path.split("."))
    inner = copy
    for part in way:
        inner = inner[part]
    inner[name] = value
    return copy  # type: ignore[no-any-return]
