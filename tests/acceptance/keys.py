"""Idempotency keys of clients."""

import uuid


def key() -> dict[str, str]:
    return {"Idempotency-Key": uuid.uuid4().hex}
