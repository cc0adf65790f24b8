"""Settings: read once from an environment, or refused with the variable that is to blame."""

import dataclasses

import pytest

from shared import settings
from shared.settings import Settings, SettingsError


def test_an_environment_makes_a_configuration_with_sensible_defaults(environment: dict[str, str]) -> None:
    loaded = settings.load(environment)
    assert loaded.profile == "production"
    assert (loaded.grace_period, loaded.wait, loaded.body_limit) == (3600, 10, 65536)
    assert (loaded.quote_validity, loaded.guest_token_leeway) == (600, 2592000)
    assert loaded.provider_read_timeout < loaded.wait


def test_numbers_and_truth_values_are_read_from_their_text(environment: dict[str, str]) -> None:
    environment |= {
        "COUNTERMAND_WAIT": "2.5",
        "COUNTERMAND_BREAKAGE_LIMIT": "3",
        "COUNTERMAND_SMTP_START_TLS": "false",
        "COUNTERMAND_SMTP_HOST": "127.0.0.1",
    }
    loaded = settings.load(environment)
    assert (loaded.wait, loaded.breakage_limit, loaded.smtp_start_tls) == (2.5, 3, False)


def test_variables_of_others_are_left_alone(environment: dict[str, str]) -> None:
    assert settings.load(environment | {"COUNTERMAND_UNHEARD_OF": "1", "WAIT": "5"}).wait == 10


def test_a_configuration_never_changes(configuration: Settings) -> None:
    with pytest.raises((AttributeError, dataclasses.FrozenInstanceError)):
        configuration.wait = 1.0  # type: ignore[misc]


@pytest.mark.parametrize("missing", ["DATABASE_URL", "BROKER_URL", "JWT_KEYS"])
def test_a_missing_variable_is_named(environment: dict[str, str], missing: str) -> None:
    del environment[f"COUNTERMAND_{missing}"]
    with pytest.raises(SettingsError, match=f"(?i){missing}.*COUNTERMAND_"):
        settings.load(environment)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WAIT", "soon"),
        ("WAIT", "0"),
        ("WAIT", "-1"),
        ("BODY_LIMIT", "1.5"),
        ("BODY_LIMIT", "0"),
        ("PROFILE", "staging"),
        ("JWT_ALGORITHM", "none"),
        ("JWT_KEYS", "secret"),
        ("JWT_KEYS", "{}"),
        ("JWT_KEYS", '["a"]'),
        ("JWT_KEYS", '{"kid": 1}'),
        ("SMTP_START_TLS", "perhaps"),
    ],
)
def test_a_malformed_variable_is_named(environment: dict[str, str], name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"(?i){name}"):
        settings.load(environment | {f"COUNTERMAND_{name}": value})


@pytest.mark.parametrize("key", ['{"kid": "hunter2hunter2hunter2"', '{"kid": ["hunter2hunter2hunter2"]}'])
def test_a_malformed_secret_does_not_stand_in_the_error(environment: dict[str, str], key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.load(environment | {"COUNTERMAND_JWT_KEYS": key})
    assert "hunter2" not in str(caught.value)


def test_mail_does_not_leave_the_machine_unencrypted(environment: dict[str, str]) -> None:
    environment |= {"COUNTERMAND_SMTP_START_TLS": "false", "COUNTERMAND_SMTP_HOST": "mail.example.com"}
    with pytest.raises(SettingsError, match="SMTP_START_TLS"):
        settings.load(environment)
