"""Answers of registrations: what is stored, and the shopper's token, which stands in no row."""

from datetime import datetime
from typing import Any

import msgspec

from shared import tokens
from shared.settings import Settings


def with_token(settings: Settings, answer: str) -> str:
    """Add the modification token to a stored answer; the same order gives the same bytes."""
    members: dict[str, Any] = msgspec.json.decode(answer)
    grace_until = datetime.fromisoformat(members["grace_until"])
    expires_at = int(grace_until.timestamp() + settings.modification_token_leeway)
    members["modification_token"] = tokens.modification_token(settings, members["order_id"], expires_at)
    return msgspec.json.encode(members).decode()
