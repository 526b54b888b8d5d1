"""The way into the pages: a login by password and second factor, cookies, and their renewal while somebody works.

A session's access token ends after minutes. A page that is asked for after that sends the browser to ``/staff/session``, where
the other cookie is, and gets it back with a new token: nobody notices. What is typed into a form at that moment is sent again.
"""

import secrets
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import msgspec
from litestar import Response, get, post

from schemas.http.accounts import Tokens
from schemas.identity import ProvenIdentity
from schemas.problems import problem_of
from schemas.sessions import Revoke
from serve.codes import canonical_destination
from serve.framework import ShopRequest
from serve.notices import tell_of_recovery
from serve.proofs import prove_recovery_code, prove_totp
from serve.requests import Refusal
from serve.second_factor import ticket_of
from serve.shop.sessions import exchanged
from serve.signing_in import session_opened
from serve.web.forms import FORMS, form_of
from serve.web.pages import HOME, LOGIN, RENEW, PageRefused, language_of_page, page, page_reply, place_of, see_other

Key = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{8,64}$")]
Place = Annotated[str, msgspec.Meta(max_length=500)]


class LogInForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """name: an e-mail address or a phone number. key: of this form, so that a double click is one session."""

    name: Annotated[str, msgspec.Meta(min_length=3, max_length=254)]
    password: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    key: Key
    next: Place = HOME


class SecondFactorForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of the two proofs, and the ticket of the login that it finishes."""

    ticket: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
    totp: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{6}$")] | None = None
    recovery_code: Annotated[str, msgspec.Meta(min_length=1, max_length=40)] | None = None
    next: Place = HOME


class LogOutForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing but the wish."""


FORMS["staffLogIn"] = LogInForm
FORMS["staffSecondFactor"] = SecondFactorForm
FORMS["staffLogOut"] = LogOutForm


def _fields(values: dict[str, str]) -> dict[str, str]:
    return {"problem": "", "ticket": "", "name": "", "key": secrets.token_hex(12), "next": HOME} | values


def _named(name: str) -> ProvenIdentity:
    """Whom somebody says to be. Refusal ``invalid_request``, ``phone_invalid``."""
    if "@" in name:
        return ProvenIdentity(kind="email", subject=canonical_destination("email", name))
    return ProvenIdentity(kind="phone", subject=canonical_destination("sms", name))


def _again(request: ShopRequest, refused: Refusal, **values: str) -> PageRefused:
    """The form again, with what was wrong. It is raised: a try that ended well would be held against nobody."""
    problem = problem_of(refused.code, refused.params, language=language_of_page(request.head))
    said = "" if refused.code == "second_factor_required" else problem.title
    reply = page_reply(request.head, "entrance.html", problem.status, refused.code, fields=_fields({**values, "problem": said}))
    return PageRefused(refused, reply)


def _inside(request: ShopRequest, tokens: Tokens, place: str) -> Response[str]:
    """On, with the session's cookies."""
    assert tokens.access_token is not None
    assert tokens.refresh_token is not None
    request.desk.cookies.give(request.head, tokens.access_token, tokens.refresh_token, RENEW)
    return see_other(place_of(place))


@get(LOGIN, operation_id="staffLoginPage", media_type="text/html")
async def login_page(request: ShopRequest) -> Response[str]:
    """The form of the login."""
    return page(request, "entrance.html", fields=_fields({"next": place_of(request.query_params.get("next", HOME))}))


@post(LOGIN, operation_id="staffLogIn", media_type="text/html", status_code=303)
async def log_in(request: ShopRequest) -> Response[str]:
    """By password; an unknown name takes as long to refuse as a wrong one."""
    form = await form_of(request, LogInForm)
    desk = request.desk
    try:
        named = _named(form.name)
        desk.check_login_tries(request.head, named.subject)
        account = await desk.users.find(named)
        kept = account.password_hash if account else None
        if not await desk.passwords.fits(form.password, kept) or account is None or kept is None:
            raise Refusal("wrong_credentials")
        tokens = await session_opened(request, account, form.key.encode())
    except Refusal as refused:
        if refused.code == "second_factor_required" and refused.params is not None:
            raise _again(request, refused, ticket=refused.params["login_ticket"], next=place_of(form.next)) from None
        raise _again(request, refused, name=form.name, next=place_of(form.next)) from None
    return _inside(request, tokens, form.next)


@post("/staff/login/second-factor", operation_id="staffSecondFactor", media_type="text/html", status_code=303)
async def second_factor(request: ShopRequest) -> Response[str]:
    """The second step of a login."""
    form = await form_of(request, SecondFactorForm)
    desk = request.desk
    try:
        desk.check_login_tries(request.head)
        ticket = ticket_of(desk, form.ticket)
    except Refusal as refused:
        raise _again(request, refused, next=place_of(form.next)) from None
    try:
        if (form.totp is None) == (form.recovery_code is None):
            raise Refusal("invalid_request", {"reason": "exactly one of totp, recovery_code"})
        if form.totp is not None:
            proven = await prove_totp(desk, ticket.user_id, form.totp)
        else:
            proven = await prove_recovery_code(desk, ticket.user_id, form.recovery_code or "")
        account = await desk.users.one(ticket.user_id)
        if account is None:
            raise Refusal("account_disabled")
        tell_of_recovery(request, ticket.user_id, proven)
        tokens = await session_opened(request, account, ticket.key, stepped_up_at_ms=proven.at_ms)
    except Refusal as refused:
        raise _again(request, refused, ticket=form.ticket, next=place_of(form.next)) from None
    return _inside(request, tokens, form.next)


@get(RENEW, operation_id="staffRenewSession", media_type="text/html", status_code=303)
async def renew(request: ShopRequest) -> Response[str]:
    """Another access token for whoever has a session's other cookie; the login for whoever has none."""
    place = place_of(request.query_params.get("next", HOME))
    desk = request.desk
    text = desk.cookies.refresh_token(request.head)
    try:
        if text is None:
            raise Refusal("unauthenticated")
        return _inside(request, await exchanged(request, text), place)
    except Refusal as refused:
        if refused.code in ("busy", "deadline_passed", "refresh_raced"):
            raise
        desk.cookies.take_back(request.head, RENEW)
        return see_other(LOGIN if place == HOME else f"{LOGIN}?{urlencode({'next': place})}")


@post("/staff/logout", operation_id="staffLogOut", media_type="text/html", status_code=303)
async def log_out(request: ShopRequest) -> Response[str]:
    """End this session."""
    await form_of(request, LogOutForm)
    token, desk = request.customer(), request.desk
    await desk.told("sessions", token.user_id, Revoke(session_id=token.session_id), digest=b"revoke")
    desk.revocations.end([token.session_id])
    desk.cookies.take_back(request.head, RENEW)
    return see_other(LOGIN)


HANDLERS: Final[list[Any]] = [login_page, log_in, second_factor, renew, log_out]
