"""The keys and passwords of one stack: made at its first start, kept in a file that only its owner reads."""

import json
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sandbox.stack.layout import write_private


def _secret() -> str:
    return secrets.token_urlsafe(32)


@dataclass(frozen=True)
class Secrets:
    """What nobody else may know."""

    #: Signs the development tokens (kid "development").
    jwt_key: str = field(default_factory=_secret)
    postgres_password: str = field(default_factory=_secret)
    #: Of the user "operator".
    flower_password: str = field(default_factory=_secret)
    #: Signs the events of Stripe's stand-in.
    stripe_webhook_secret: str = field(default_factory=lambda: f"whsec_{_secret()}")
    #: Signs the events of Razorpay's stand-in.
    razorpay_webhook_secret: str = field(default_factory=_secret)
    #: Comes with every push of Delhivery's stand-in.
    delhivery_push_secret: str = field(default_factory=_secret)


def load_or_make(path: Path) -> Secrets:
    """The secrets in `path`; those that it does not hold yet are made, and kept."""
    kept = json.loads(path.read_text()) if path.exists() else {}
    made = Secrets(**kept)
    if asdict(made) != kept:
        write_private(path, json.dumps(asdict(made), indent=2))
    return made
