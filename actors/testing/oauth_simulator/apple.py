"""Apple's side: checks our client secret and PKCE, and signs id_tokens."""

import base64
import hashlib
import json
import secrets
from typing import Any, Final

from aiohttp import web
from joserfc import jwt
from joserfc.errors import JoseError

from actors.testing.oauth_simulator.answers import Call, Desk, json_answer
from actors.testing.oauth_simulator.books import Grant
from actors.testing.oauth_simulator.plan import PEOPLE, AppleTold, Twist

SECRET_S_MAX: Final = 15_777_000
"""Six months, as Apple counts them."""

TOKEN_S: Final = 86_400


def _error(code: str) -> web.Response:
    return json_answer({"error": code, "error_description": "simulated"}, status=400)


def keys(desk: Desk, call: Call) -> web.Response:
    """``auth/keys``."""
    return web.Response(body=desk.keys.jwks(), content_type="application/json")


def token(desk: Desk, call: Call) -> web.Response:
    """``auth/token``."""
    form, given = call.form, desk.keys.given
    if call.error:
        return _error(call.error)
    if form.get("grant_type") != "authorization_code":
        return _error("unsupported_grant_type")
    if form.get("client_id") != given.apple_client_id or not _secret_is_good(desk, form.get("client_secret", "")):
        return _error("invalid_client")
    grant = desk.books.redeem(form.get("code", ""), "apple", given.apple_client_id, desk.plan.code_s)
    if not isinstance(grant, Grant) or form.get("redirect_uri") != grant.redirect_uri:
        return _error("invalid_grant")
    if grant.challenge and _challenge(form.get("code_verifier", "")) != grant.challenge:
        return _error("invalid_grant")
    return json_answer(
        {
            "access_token": desk.books.token(grant),
            "token_type": "Bearer",
            "expires_in": 3600,
            "refresh_token": "simulated",
            "id_token": id_token(desk, grant, call.twist),
        }
    )


def id_token(desk: Desk, grant: Grant, twist: Twist) -> str:
    """The signed word, with what is to be wrong in it."""
    now, person = int(desk.books.now_s()), PEOPLE[grant.who]
    truth: Any = "true" if twist == "text_truth" else True
    claims: dict[str, Any] = {
        "iss": "https://id.example.com" if twist == "issuer" else desk.url,
        "aud": "com.example.other" if twist == "audience" else grant.app_id,
        "exp": now - 3600 if twist == "expired" else now + TOKEN_S,
        "iat": now + 3600 if twist == "future" else now,
        "sub": _subject(grant.who),
        "nonce": "another" if twist == "nonce" else grant.nonce,
        "nonce_supported": True,
        "email": person.email,
        "email_verified": truth,
        "auth_time": now,
    }
    if person.email.endswith("@privaterelay.appleid.com"):
        claims["is_private_email"] = truth
    return _signed(desk, claims, twist)


def notification(desk: Desk, told: AppleTold) -> str:
    """The token of a server-to-server notification: its ``events`` are JSON within a text, and it does not expire."""
    now = int(desk.books.now_s()) - told.age_s
    event: dict[str, Any] = {"type": told.kind, "sub": _subject(told.who), "event_time": now * 1000}
    if told.kind.startswith("email-"):
        event |= {"email": PEOPLE[told.who].email, "is_private_email": "true"}
    claims = {
        "iss": "https://id.example.com" if told.twist == "issuer" else desk.url,
        "aud": "com.example.other" if told.twist == "audience" else desk.keys.given.apple_app_id,
        "iat": now + 3600 if told.twist == "future" else now,
        "jti": secrets.token_urlsafe(18),
        "events": json.dumps(event),
    }
    return _signed(desk, claims, told.twist)


def _signed(desk: Desk, claims: dict[str, Any], twist: Twist) -> str:
    kid, key = list(desk.keys.apple.items())[-1]
    if twist in ("key", "forged"):
        key = desk.keys.unpublished
    header = {"alg": "RS256", "kid": "UNPUBLISHED" if twist == "key" else kid}
    return jwt.encode(header, claims, key, algorithms=["RS256"])


def _subject(who: str) -> str:
    digest = hashlib.sha256(b"apple:" + who.encode()).hexdigest()
    return f"001234.{digest[:32]}.0456"


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _secret_is_good(desk: Desk, text: str) -> bool:
    given, now = desk.keys.given, desk.books.now_s()
    try:
        read = jwt.decode(text, desk.keys.apple_app, algorithms=["ES256"])
    except (JoseError, ValueError):
        return False
    claims = read.claims
    return (
        read.header.get("kid") == given.apple_key_id
        and (claims.get("iss"), claims.get("sub"), claims.get("aud")) == (given.apple_team_id, given.apple_client_id, desk.url)
        and claims.get("iat", now + 61) <= now + 60
        and now < claims.get("exp", 0) <= now + SECRET_S_MAX
    )
