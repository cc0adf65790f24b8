"""What unit tests share: a configuration, and examples that do not depend on how fast or when they are tried."""

import json

import hypothesis
import pytest

from shared import settings
from shared.settings import Settings

hypothesis.settings.register_profile("steady", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("steady")

#: The least that makes a configuration; keys are as long as any HMAC wants them (RFC 7518, section 3.2).
ENVIRONMENT = {
    "COUNTERMAND_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "COUNTERMAND_BROKER_URL": "redis://127.0.0.1:1",
    "COUNTERMAND_JWT_KEYS": json.dumps({"new": f"new-{'secret' * 12}", "old": f"old-{'secret' * 12}"}),
}


@pytest.fixture
def environment() -> dict[str, str]:
    """An environment that makes a configuration, to be changed at will."""
    return dict(ENVIRONMENT)


@pytest.fixture
def configuration() -> Settings:
    """A configuration of a process that connects to nothing."""
    return settings.load(ENVIRONMENT)
