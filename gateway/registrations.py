"""Answers of registrations: what is stored, and the token that goes with it, which stands in no row."""

import hashlib
from datetime import datetime
from typing import Any

import msgspec

from gateway.auth import Caller
from shared import tokens
from shared.domain.intents import Operation
from shared.ids import new_id
from shared.settings import Settings
from shared.store.intents import Intent

#: Requests whose answer carries a token.
WITH_TOKEN = (Operation.REGISTER_ORDER, Operation.REGISTER_BOOKING, Operation.INVITE_GUEST)


def with_token(settings: Settings, intent: Intent, caller: Caller) -> str:
    """Return an intent's stored answer, with the token that belongs to it; the same intent gives the same bytes.

    A guest's token is for whoever has asked for it: nobody else, not even an operator, becomes that guest.
    """
    answer = str(intent.answer_body)
    if intent.operation not in WITH_TOKEN or intent.answer_status not in (200, 201):
        return answer
    members: dict[str, Any] = msgspec.json.decode(answer)
    if intent.operation is Operation.REGISTER_ORDER:
        grace_until = datetime.fromisoformat(members["grace_until"])
        expires_at = int(grace_until.timestamp() + settings.modification_token_leeway)
        members["modification_token"] = tokens.modification_token(settings, members["order_id"], expires_at)
    else:
        named = members["guest_token"]
        is_theirs = caller.actor == intent.actor
        members["guest_token"] = tokens.guest_token(settings, named["kid"], named["id"]) if is_theirs else None
    return msgspec.json.encode(members).decode()


def own_id(prefix: str, caller: Caller, key: str | None) -> str:
    """An id of ours for what has none of the shop's; the same key names the same."""
    if key is None:
        return new_id(prefix)
    return f"{prefix}_{hashlib.sha256(f'{caller.actor} {key}'.encode()).hexdigest()[:32]}"
