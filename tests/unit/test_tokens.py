"""Tokens: who calls is believed only with a good signature, of a known key, for this audience, and in time."""

import time
from typing import Any

import jwt
import pytest

from shared import tokens
from shared.settings import Settings
from shared.tokens import API, MODIFICATION, Role, TokenError

LATER = int(time.time()) + 3600


def signed(configuration: Settings, claims: dict[str, Any], *, kid: Any = "new", **how: Any) -> str:
    """A token made by hand, right but for what is changed."""
    key = how.pop("key", configuration.jwt_keys["new"])
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode(claims, key, algorithm=how.pop("algorithm", "HS256"), headers=headers, **how)


def test_what_is_minted_is_verified(configuration: Settings) -> None:
    token = tokens.mint(configuration, role=Role.CUSTOMER, subject="cus_1", order_id=None, expires_in=60)
    claims = tokens.verify(configuration, token, API)
    assert (claims["role"], claims["sub"]) == ("customer", "cus_1")


def test_a_modification_token_names_its_order_and_is_the_same_each_time(configuration: Settings) -> None:
    token = tokens.modification_token(configuration, "ord_1", LATER)
    assert tokens.verify(configuration, token, MODIFICATION)["order_id"] == "ord_1"
    assert token == tokens.modification_token(configuration, "ord_1", LATER)


def test_a_modification_token_without_an_order_is_not_minted(configuration: Settings) -> None:
    with pytest.raises(TokenError):
        tokens.mint(configuration, role=Role.MODIFICATION, subject=None, order_id=None, expires_in=60)


def test_the_first_key_signs_and_every_key_verifies_so_that_keys_can_be_rotated(configuration: Settings) -> None:
    fresh = tokens.mint(configuration, role=Role.ADMIN, subject=None, order_id=None, expires_in=60)
    assert jwt.get_unverified_header(fresh)["kid"] == "new"
    former = signed(
        configuration, {"aud": API, "exp": LATER, "role": "admin"}, kid="old", key=configuration.jwt_keys["old"]
    )
    assert tokens.verify(configuration, former, API)["role"] == "admin"


CLAIMS = {"aud": API, "exp": LATER, "role": "admin", "sub": "op_1"}


@pytest.mark.parametrize(
    ("claims", "how"),
    [
        pytest.param(CLAIMS, {"kid": "unknown"}, id="an unknown key"),
        pytest.param(CLAIMS, {"kid": None}, id="no key named"),
        pytest.param(CLAIMS, {"kid": "old"}, id="another key's signature"),
        pytest.param(CLAIMS, {"key": "stranger" * 8}, id="a stranger's signature"),
        pytest.param(CLAIMS, {"algorithm": "none", "key": ""}, id="no signature"),
        pytest.param(CLAIMS, {"algorithm": "HS512"}, id="another algorithm"),
        pytest.param({**CLAIMS, "exp": int(time.time()) - 1}, {}, id="expired"),
        pytest.param({**CLAIMS, "exp": "tomorrow"}, {}, id="an expiry that is no time"),
        pytest.param({**CLAIMS, "nbf": LATER}, {}, id="not valid yet"),
        pytest.param({name: CLAIMS[name] for name in ("aud", "role")}, {}, id="no expiry"),
        pytest.param({name: CLAIMS[name] for name in ("exp", "role")}, {}, id="no audience"),
        pytest.param({**CLAIMS, "aud": MODIFICATION}, {}, id="another audience"),
    ],
)
def test_a_token_is_refused_with(configuration: Settings, claims: dict[str, Any], how: dict[str, Any]) -> None:
    with pytest.raises(TokenError):
        tokens.verify(configuration, signed(configuration, claims, **how), API)


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE"])
def test_a_token_that_claims_to_need_no_signature_is_refused(configuration: Settings, algorithm: str) -> None:
    payload = signed(configuration, CLAIMS).split(".")[1]
    header = jwt.utils.base64url_encode(f'{{"alg":"{algorithm}","kid":"new"}}'.encode()).decode()
    for signature in ("", "AA"):
        with pytest.raises(TokenError):
            tokens.verify(configuration, f"{header}.{payload}.{signature}", API)


@pytest.mark.parametrize("kid", [["new"], {"new": 1}, 1, ""])
def test_a_key_id_that_is_no_name_is_refused(configuration: Settings, kid: object) -> None:
    payload, signature = signed(configuration, CLAIMS).split(".")[1:]
    header = jwt.utils.base64url_encode(jwt.api_jws.json.dumps({"alg": "HS256", "kid": kid}).encode()).decode()
    with pytest.raises(TokenError):
        tokens.verify(configuration, f"{header}.{payload}.{signature}", API)


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "x" * 10_000, "\x00", "ä.ö.ü", "e30.e30.e30", "bnVsbA.e30."])
def test_what_is_no_token_is_refused(configuration: Settings, token: str) -> None:
    with pytest.raises(TokenError):
        tokens.verify(configuration, token, API)


def test_a_token_whose_claims_were_changed_is_refused(configuration: Settings) -> None:
    header, _, signature = signed(configuration, CLAIMS).split(".")
    claims = signed(configuration, {**CLAIMS, "role": "service"}).split(".")[1]
    with pytest.raises(TokenError):
        tokens.verify(configuration, f"{header}.{claims}.{signature}", API)
