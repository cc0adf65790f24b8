"""Tokens: who calls is believed only with a good signature, of a known key, for this audience, and in time."""

import hashlib
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from shared import tokens
from shared.settings import Settings
from shared.tokens import API, MODIFICATION, QUOTE, Role, TokenError

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


# The links of guests.


@pytest.fixture(scope="module")
def halves() -> tuple[str, str]:
    """A private key, and its half that verifies."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


def test_a_guests_token_is_the_same_each_time_for_one_name_and_key(configuration: Settings) -> None:
    token = tokens.guest_token(configuration, "new", "gtk_1")
    assert token == tokens.guest_token(configuration, "new", "gtk_1")
    others = [("new", "gtk_2"), ("old", "gtk_1"), ("old", "gtk_2")]
    assert len({token, *(tokens.guest_token(configuration, *other) for other in others)}) == 4


def test_a_guests_token_says_nothing_and_may_stand_in_a_url(configuration: Settings) -> None:
    token = tokens.guest_token(configuration, "new", "gtk_1")
    assert token is not None
    assert token.startswith("gt_")
    assert len(token) == len("gt_") + 43  # 256 bits
    assert token.replace("-", "").replace("_", "").isalnum()


def test_a_guests_token_outlives_the_rotation_of_keys_but_not_its_own_key(configuration: Settings) -> None:
    token = tokens.guest_token(configuration, "old", "gtk_1")
    keys = {"newer": "x" * 64, **configuration.jwt_keys}
    assert tokens.guest_token(msgspec.structs.replace(configuration, jwt_keys=keys), "old", "gtk_1") == token
    del keys["old"]
    assert tokens.guest_token(msgspec.structs.replace(configuration, jwt_keys=keys), "old", "gtk_1") is None


def test_no_token_is_derived_from_what_everybody_may_know(configuration: Settings, halves: tuple[str, str]) -> None:
    private, public = halves
    both = msgspec.structs.replace(configuration, jwt_algorithm="RS256", jwt_keys={"new": private, "old": public})
    assert tokens.guest_token(both, "new", "gtk_1") is not None
    assert tokens.guest_token(both, "old", "gtk_1") is None


def test_what_is_kept_of_a_guests_token_is_its_sha_256() -> None:
    assert tokens.fingerprint("gt_1") == hashlib.sha256(b"gt_1").digest()


# Quotes.

MOMENT = datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)


@pytest.mark.parametrize("at", [MOMENT, MOMENT.replace(microsecond=0), MOMENT.astimezone(timezone(timedelta(hours=5)))])
@pytest.mark.parametrize("shown", ["nothing", "held", "taken"])
def test_what_was_quoted_is_known_again_to_the_microsecond(configuration: Settings, at: datetime, shown: str) -> None:
    assert tokens.quoted(configuration, tokens.quote(configuration, "bkg_1", at, shown), "bkg_1") == (at, shown)


def test_a_quote_is_for_one_booking(configuration: Settings) -> None:
    with pytest.raises(TokenError, match="another booking"):
        tokens.quoted(configuration, tokens.quote(configuration, "bkg_1", MOMENT, "held"), "bkg_2")


QUOTED = {"aud": QUOTE, "booking_id": "bkg_1", "at": MOMENT.isoformat(), "shown": "held"}


def test_a_quote_made_by_hand_with_our_key_is_what_we_sign(configuration: Settings) -> None:
    assert tokens.quoted(configuration, signed(configuration, QUOTED), "bkg_1") == (MOMENT, "held")


@pytest.mark.parametrize(
    ("claims", "how"),
    [
        pytest.param(QUOTED, {"key": "stranger" * 8}, id="a stranger's signature"),
        pytest.param(QUOTED, {"kid": "unknown"}, id="an unknown key"),
        pytest.param(QUOTED, {"kid": "old"}, id="another key's signature"),
        pytest.param(QUOTED, {"algorithm": "none", "key": ""}, id="no signature"),
        pytest.param({**QUOTED, "aud": API}, {}, id="another audience"),
        pytest.param({**QUOTED, "aud": MODIFICATION}, {}, id="the audience of shoppers"),
        *(
            pytest.param({name: QUOTED[name] for name in QUOTED if name != missing}, {}, id=f"no {missing}")
            for missing in QUOTED
        ),
    ],
)
def test_a_quote_is_refused_with(configuration: Settings, claims: dict[str, Any], how: dict[str, Any]) -> None:
    with pytest.raises(TokenError):
        tokens.quoted(configuration, signed(configuration, claims, **how), "bkg_1")


def test_a_quote_whose_moment_was_changed_is_refused(configuration: Settings) -> None:
    header, _, signature = tokens.quote(configuration, "bkg_1", MOMENT, "held").split(".")
    claims = signed(configuration, {**QUOTED, "at": (MOMENT - timedelta(days=30)).isoformat()}).split(".")[1]
    with pytest.raises(TokenError):
        tokens.quoted(configuration, f"{header}.{claims}.{signature}", "bkg_1")


@pytest.mark.parametrize("quote_id", ["", "quote", "a.b.c", "x" * 10_000, "\x00", "ä.ö.ü"])
def test_what_is_no_quote_is_refused(configuration: Settings, quote_id: str) -> None:
    with pytest.raises(TokenError):
        tokens.quoted(configuration, quote_id, "bkg_1")


def test_no_token_is_a_quote_and_no_quote_lets_anybody_in(configuration: Settings) -> None:
    let_in = [
        tokens.modification_token(configuration, "bkg_1", LATER),
        tokens.mint(configuration, role=Role.SERVICE, subject=None, order_id=None, expires_in=60),
        str(tokens.guest_token(configuration, "new", "gtk_1")),
    ]
    for token in let_in:
        with pytest.raises(TokenError):
            tokens.quoted(configuration, token, "bkg_1")
    for audience in (API, MODIFICATION, QUOTE):  # of the last: it has no expiry
        with pytest.raises(TokenError):
            tokens.verify(configuration, tokens.quote(configuration, "bkg_1", MOMENT, "held"), audience)
