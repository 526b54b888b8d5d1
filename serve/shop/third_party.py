"""Log in with WeChat, QQ, Alipay or Apple; link one to an account, list and unlink."""

import hashlib
from typing import Any, Final, assert_never

import structlog
from litestar import delete, get, post
from litestar.params import FromPath, JSONBody

from actors.ports.oauth import LoginProvider
from actors.storage.identities import IDENTITIES_MAX
from actors.storage.oauth_flows import Flow
from schemas.http.third_party import (
    BeginLogin,
    FinishLogin,
    FinishMiniProgram,
    FinishNative,
    LoginBegun,
    LoginFinished,
    LoginsOffered,
    OwnIdentities,
    OwnIdentity,
)
from schemas.identity import ProvenIdentity
from schemas.ids import is_id
from schemas.oauth import ExternalIdentity, LoginDenied, LoginReturn, LoginStart, LoginUnknown, Proof, Provider
from serve.answers import timestamp
from serve.desk import Desk
from serve.framework import ShopRequest
from serve.notices import tell_of_added, tell_owner
from serve.requests import Refusal
from serve.shop.shown_identities import shown
from serve.signing_in import signed_in
from serve.step_up import require_where_protected
from serve.third_party_flows import FLOW_S, FlowSecrets, new_secrets

log = structlog.get_logger("stampede.logins")

NAME_MAX: Final = 100
"""Characters of a name that are kept: it is for greeting."""

_APPLE: Final = "apple"
_WECHAT: Final = "wechat"


@get("/v1/logins", operation_id="listLogins")
async def list_logins(request: ShopRequest) -> LoginsOffered:
    """The third parties that this shop has keys for."""
    logins = request.desk.services.logins
    mini: tuple[Provider, ...] = ("wechat",) if logins.mini_program is not None else ()
    return LoginsOffered(providers=tuple(logins.providers), mini_programs=mini)


@post("/v1/logins/{provider:str}", operation_id="beginLogin")
async def begin_login(request: ShopRequest, provider: FromPath[str], data: JSONBody[BeginLogin]) -> LoginBegun:
    """Begin: where to send the person, and what to keep until they are back. A repeat begins another login."""
    desk = request.desk
    found = _offered(desk, provider)
    request.desk.check_login_tries(request.head)
    user_id = (await require_where_protected(request)).user_id if data.purpose == "link" else None
    return_url = desk.login_pages.allowed(data.return_url)
    if return_url is None:
        raise Refusal("invalid_request", {"reason": "return_url is none of the pages of this shop"})
    redirect_uri = desk.login_pages.apple_hook if found.name == _APPLE else return_url
    secrets, now_ms = new_secrets(desk.services.random_bytes), desk.clock.now_ms()
    flow = Flow(
        provider=found.name, purpose=data.purpose, user_id=user_id, redirect_uri=redirect_uri, return_url=return_url,
        expires_at_ms=now_ms + FLOW_S * 1000,
    )  # fmt: skip
    await desk.oauth_flows.add(secrets.flow_hash, secrets.secret_hash, flow, now_ms)
    start = LoginStart(redirect_uri=redirect_uri, state=secrets.state, nonce=secrets.nonce, code_verifier=secrets.code_verifier)
    native = found.name == _APPLE and desk.services.logins.apple_native is not None
    return LoginBegun(
        authorize_url=found.authorize_url(start), state=secrets.state, login_secret=secrets.secret, expires_in=FLOW_S,
        nonce=secrets.nonce if native else None,
    )  # fmt: skip


@post("/v1/logins/{provider:str}/callback", operation_id="finishLogin", status_code=200)
async def finish_login(request: ShopRequest, provider: FromPath[str], data: JSONBody[FinishLogin]) -> LoginFinished:
    """Finish: works once, whatever comes of it; after a refusal the person begins again."""
    desk = request.desk
    found = _offered(desk, provider)
    secrets = FlowSecrets(state=data.state, secret=data.login_secret)
    flow = await desk.oauth_flows.take(secrets.flow_hash, secrets.secret_hash, found.name, desk.clock.now_ms())
    if flow is None or (flow.purpose == "link" and request.customer().user_id != flow.user_id):
        raise Refusal("state_invalid")
    if data.code is None:
        raise Refusal("login_denied")
    back = LoginReturn(
        code=data.code, redirect_uri=flow.redirect_uri, nonce=secrets.nonce, code_verifier=secrets.code_verifier, user=data.user or ""
    )
    proven = _proven(found.name, await found.identify(back, desk.clock.now_ms() // 1000))
    if flow.purpose == "link":
        return await _linked(request, str(flow.user_id), proven)
    return await _signed_in(request, proven, secrets.flow_hash, data.guest_token, cookie=data.cookie)


@post("/v1/logins/{provider:str}/native", operation_id="finishNativeLogin", status_code=200)
async def finish_native(request: ShopRequest, provider: FromPath[str], data: JSONBody[FinishNative]) -> LoginFinished:
    """Finish with what Apple's system gave our app. Works once, as a finish by code does: the token is of this login's nonce."""
    desk = request.desk
    apple = desk.services.logins.apple_native
    if apple is None or provider != _APPLE:
        raise Refusal("login_not_offered")
    secrets, now_ms = FlowSecrets(state=data.state, secret=data.login_secret), desk.clock.now_ms()
    flow = await desk.oauth_flows.take(secrets.flow_hash, secrets.secret_hash, _APPLE, now_ms)
    if flow is None or (flow.purpose == "link" and request.customer().user_id != flow.user_id):
        raise Refusal("state_invalid")
    proven = _proven("apple", await apple.identify_native(data.id_token, secrets.nonce, data.user or "", now_ms // 1000))
    if flow.purpose == "link":
        return await _linked(request, str(flow.user_id), proven)
    return await _signed_in(request, proven, secrets.flow_hash, data.guest_token)


@post("/v1/logins/{provider:str}/mini-program", operation_id="finishMiniProgramLogin", status_code=200)
async def finish_mini_program(request: ShopRequest, provider: FromPath[str], data: JSONBody[FinishMiniProgram]) -> LoginFinished:
    """Log in, or link, with the code that WeChat gave our program. There is no page to go to, and nothing to begin."""
    desk = request.desk
    mini_program = desk.services.logins.mini_program
    if mini_program is None or provider != _WECHAT:
        raise Refusal("login_not_offered")
    request.desk.check_login_tries(request.head)
    user_id = (await require_where_protected(request)).user_id if data.purpose == "link" else ""
    proven = _proven("wechat", await mini_program.identify_mini_program(data.code, desk.clock.now_ms() // 1000))
    if user_id:
        return await _linked(request, user_id, proven)
    return await _signed_in(request, proven, hashlib.sha256(b"mini\0" + data.code.encode()).digest(), data.guest_token)


async def _signed_in(
    request: ShopRequest, proven: ProvenIdentity, key: bytes, guest_token: str | None, *, cookie: bool = False
) -> LoginFinished:
    tokens = await signed_in(request, proven, key, guest_token, cookie=cookie)
    desk = request.desk
    if await desk.users.find(proven) is None:
        # Known by the name for all apps: next time the provider may say this app's name alone. Full is no reason to turn back.
        await desk.identities.add(tokens.user_id, proven)
    await desk.identities.learn_union(proven)
    return LoginFinished(purpose="login", tokens=tokens)


async def _linked(request: ShopRequest, user_id: str, proven: ProvenIdentity) -> LoginFinished:
    desk = request.desk
    before = await desk.identities.of_user(user_id)
    if await desk.identities.find(proven) not in (None, user_id):
        raise Refusal("identity_taken")
    code = await desk.identities.add(user_id, proven)
    if code:
        raise Refusal(code, {"limit": IDENTITIES_MAX} if code == "identities_full" else None)
    await desk.identities.learn_union(proven)
    tell_of_added(request, user_id, proven, before)
    return LoginFinished(purpose="link")


def _offered(desk: Desk, name: str) -> LoginProvider:
    found = next((one for one in desk.services.logins.providers.values() if one.name == name), None)
    if found is None:
        raise Refusal("login_not_offered")
    return found


def _proven(provider: Provider, proof: Proof) -> ProvenIdentity:
    """Who it is. Refusal ``login_denied``, ``provider_unavailable``: the reasons are for our logs, not for whoever tries."""
    match proof:
        case ExternalIdentity():
            return ProvenIdentity(
                kind=provider, subject=proof.subject, union_subject=proof.union_subject, name=proof.display_name[:NAME_MAX]
            )
        case LoginDenied():
            log.info("login_denied", provider=provider, reason=proof.reason, detail=proof.detail)
            raise Refusal("login_denied")
        case LoginUnknown():
            log.warning("login_unknown", provider=provider, detail=proof.detail)
            raise Refusal("provider_unavailable")
        case _:
            assert_never(proof)


@get("/v1/me/identities", operation_id="listIdentities")
async def list_identities(request: ShopRequest) -> OwnIdentities:
    """By what one may log in."""
    token = request.customer()
    found = await request.desk.identities.of_user(token.user_id)
    return OwnIdentities(
        identities=tuple(
            OwnIdentity(identity_id=one.identity_id, kind=one.kind, shown=shown(one), added_at=timestamp(one.added_at_ms)) for one in found
        )
    )


@delete("/v1/me/identities/{identity_id:str}", operation_id="removeIdentity")
async def remove_identity(request: ShopRequest, identity_id: FromPath[str]) -> None:
    """Log in by this no more. The last one stays."""
    token = await require_where_protected(request)
    if not is_id(identity_id, "idn"):
        raise Refusal("identity_unknown")
    before = await request.desk.identities.of_user(token.user_id)
    code = await request.desk.identities.remove(token.user_id, identity_id)
    if code:
        raise Refusal(code)
    for gone in before:
        if gone.identity_id == identity_id:
            change = (identity_id, str(gone.added_at_ms))
            tell_owner(request, token.user_id, "identity_removed", *change, before=before, identity=shown(gone) or gone.kind)


HANDLERS: Final[list[Any]] = [list_logins, begin_login, finish_login, finish_native, finish_mini_program, list_identities, remove_identity]
