"""Apple's word, and everything that looks like it."""

import base64
import hashlib
import hmac
import json
import socket
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from actors.adapters.oauth.id_token import SKEW_S, AppleClaims, key_id_of, read_id_token, read_keys

NOW = 1_764_000_000
ISSUER, AUDIENCE, NONCE = "https://appleid.apple.com", "com.example.shop", "n-1"
RSA = RSAKey.generate_key(2048, private=True)
EC = ECKey.generate_key("P-256", private=True)
STRANGER = RSAKey.generate_key(2048, private=True)
RSA_PUBLIC = RSA.as_dict(private=False)
JWKS = {"keys": [{**RSA_PUBLIC, "kid": "R", "use": "sig", "alg": "RS256"}, {**EC.as_dict(private=False), "kid": "E", "use": "sig"}]}
KEYS = read_keys(msgspec.json.encode(JWKS))
CLAIMS = {
    "iss": ISSUER, "aud": AUDIENCE, "exp": NOW + 600, "iat": NOW, "sub": "001.abc", "nonce": NONCE, "nonce_supported": True,
    "email": "kim@example.com", "email_verified": "true",
}  # fmt: skip
GOOD = AppleClaims(subject="001.abc", email="kim@example.com", email_verified=True)


def token(claims: dict[str, Any] | None = None, header: dict[str, Any] | None = None, key: Any = RSA, **changed: Any) -> str:
    told = {**(claims or CLAIMS), **changed}
    full = {"alg": "RS256", "kid": "R", **(header or {})}
    return jwt.encode(full, {name: value for name, value in told.items() if value is not None}, key, algorithms=[full["alg"]])


def by_hand(header: dict[str, Any], mac: Any = lambda signed: b"", claims: Any = ...) -> str:
    """A token of any header: libraries refuse to make the worst ones."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, CLAIMS if claims is ... else claims)]
    signed = b".".join(parts)
    return (signed + b"." + base64.urlsafe_b64encode(mac(signed)).rstrip(b"=")).decode()


def read(text: str, **other: Any) -> Any:
    return read_id_token(text, KEYS, **{"issuer": ISSUER, "audience": AUDIENCE, "nonce": NONCE, "now_s": NOW, **other})


def test_a_token_of_this_login_is_believed_with_either_kind_of_key() -> None:
    assert read(token()) == GOOD
    assert read(token(header={"alg": "ES256", "kid": "E"}, key=EC)) == GOOD


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
def test_f64_a_token_that_says_that_it_is_not_signed_is_refused(algorithm: str) -> None:
    assert read(by_hand({"alg": algorithm, "kid": "R"})) == "algorithm"
    assert read(by_hand({"kid": "R"})) == "algorithm"
    signature = token().rpartition(".")[2]
    assert read(by_hand({"alg": algorithm, "kid": "R"}, lambda _: base64.urlsafe_b64decode(signature + "=="))) == "algorithm"


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_f64_a_public_key_is_nobodys_shared_secret(algorithm: str) -> None:
    """RS/HS confusion: the attacker signs with the public key, in each form that somebody might take for a secret."""
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[algorithm]
    forms = [RSA.as_pem(private=False), RSA.as_der(private=False), json.dumps(RSA_PUBLIC).encode(), RSA_PUBLIC["n"].encode()]
    for secret in forms:
        forged = by_hand({"alg": algorithm, "kid": "R"}, lambda signed, secret=secret: hmac.new(secret, signed, digest).digest())
        assert read(forged) == "algorithm"


def test_f64_an_algorithm_that_the_key_is_not_for_is_refused() -> None:
    for algorithm in ("RS384", "RS512", "PS256"):
        assert read(token(header={"alg": algorithm})) == "algorithm"
    assert read(token(header={"alg": "ES256", "kid": "R"}, key=EC)) == "algorithm"
    assert read(token(header={"alg": "RS256", "kid": "E"})) == "algorithm"


def test_f64_a_foreign_kid_finds_no_key() -> None:
    for kid in ("X", "", "../../keys/R", "R\x00", "r", "' OR 1=1 --", "https://evil.example.com/key"):
        assert read(token(header={"kid": kid}, key=STRANGER)) == "key_unknown"
    assert read(token(key=STRANGER)) == "signature"
    assert read(by_hand({"alg": "RS256"})) == "malformed"
    assert read(by_hand({"alg": "RS256", "kid": ["R"]})) == "malformed"


def test_f64_keys_that_a_token_names_or_brings_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: Any, **__: Any) -> None:
        raise AssertionError("somebody was asked")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr(socket, "create_connection", no_network)
    evil, public = "https://evil.example.com/jwks.json", STRANGER.as_dict(private=False)
    for extra in ({"jku": evil}, {"x5u": evil}, {"jwk": public}, {"x5c": ["MIIB"]}, {"jku": evil, "x5u": evil, "jwk": public}):
        forged = token(header={"alg": "RS256"}, key=STRANGER).rpartition(".")[2]
        assert read(by_hand({"alg": "RS256", "kid": "R", **extra}, lambda _, s=forged: base64.urlsafe_b64decode(s + "=="))) == "signature"


def test_f64_what_a_token_calls_critical_is_not_ignored() -> None:
    assert read(by_hand({"alg": "RS256", "kid": "R", "crit": ["exp"]})) == "algorithm"


def test_f64_shared_keys_and_keys_for_other_uses_are_not_taken_from_a_key_set() -> None:
    shared = OctKey.generate_key(256).as_dict(private=True)
    entries = [
        {**shared, "kid": "O"}, {**RSA_PUBLIC, "kid": "enc", "use": "enc"}, {**RSA_PUBLIC, "kid": "hs", "alg": "HS256"}, RSA_PUBLIC,
        {**ECKey.generate_key("P-384").as_dict(private=False), "kid": "384"}, {"kty": "RSA", "kid": "half", "n": "AQAB"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "off"}, {**RSA_PUBLIC, "kid": "R"},
    ]  # fmt: skip
    assert list(read_keys(msgspec.json.encode({"keys": entries}))) == ["R"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"iss": "https://appleid.apple.com/"}, "issuer"),
        ({"iss": None}, "issuer"),
        ({"aud": "com.example.other"}, "audience"),
        ({"aud": [AUDIENCE, "com.example.other"]}, "audience"),
        ({"aud": None}, "audience"),
        ({"aud": []}, "audience"),
        ({"exp": NOW - SKEW_S}, "expired"),
        ({"exp": None}, "expired"),
        ({"exp": "9999999999"}, "expired"),
        ({"exp": float("nan")}, "expired"),
        ({"exp": float("inf")}, "expired"),
        ({"exp": True}, "expired"),
        ({"iat": NOW + SKEW_S + 1}, "not_yet"),
        ({"iat": None}, "not_yet"),
        ({"nonce": "another"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"nonce": 1}, "nonce"),
        ({"sub": ""}, "subject"),
        ({"sub": None}, "subject"),
        ({"sub": 1}, "subject"),
        ({"sub": "s" * 256}, "subject"),
    ],
)
def test_the_first_thing_that_is_wrong_is_said(changed: dict[str, Any], reason: str) -> None:
    assert read(token(**changed)) == reason


def test_times_have_a_minute_of_tolerance_and_no_more() -> None:
    assert read(token(exp=NOW - SKEW_S + 1, iat=NOW + SKEW_S)) == GOOD
    assert read(token(aud=[AUDIENCE])) == GOOD


@pytest.mark.parametrize(
    ("said", "believed"), [(True, True), ("true", True), (False, False), ("false", False), (1, False), ("True", False)]
)
def test_truths_come_as_truths_and_as_texts(said: Any, believed: bool) -> None:
    found = read(token(email_verified=said, is_private_email=said))
    assert (found.email_verified, found.email_relayed) == (believed, believed)


def test_a_token_without_an_address_is_still_somebody() -> None:
    assert read(token(email=None, email_verified=None)) == AppleClaims(subject="001.abc")
    assert read(token(email=["x"])).email == ""


@pytest.mark.parametrize("text", ["", "a", "a.b", "a.b.c", "..", "a.b.c.d", "ü.b.c", "x" * 9000, "W10.e30.AA", "bnVsbA.e30.AA"])
def test_what_is_no_token_is_malformed(text: str) -> None:
    assert key_id_of(text) is None
    assert read(text) == "malformed"


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=200), cut=st.integers(0, 2000))
def test_no_text_breaks_the_reader_and_no_part_of_a_token_is_one(text: str, cut: int) -> None:
    assert isinstance(read(text), str)
    whole = token()
    assert isinstance(read(whole[:cut] + text + whole[cut + 1 :]), str) or (whole[:cut] + text + whole[cut + 1 :]) == whole


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(claims=st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)))
def test_claims_that_are_no_object_are_refused(claims: Any) -> None:
    def mac(signed: bytes) -> bytes:
        return RSA.private_key.sign(signed, padding.PKCS1v15(), hashes.SHA256())

    assert read(by_hand({"alg": "RS256", "kid": "R"}, mac, claims=claims)) in ("malformed", "signature")


def test_nothing_of_a_person_is_in_a_repr() -> None:
    assert "kim" not in repr(GOOD)
