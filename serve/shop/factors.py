"""A user's own second factors over HTTP, and the step-up. The flows are told in ``serve/README.md``."""

import io
from typing import Any, Final

import pyotp
import segno
from litestar import delete, get, post, put
from litestar.params import FromPath, JSONBody

from actors.domain.factors_state import CONFIRM_MS
from actors.domain.token import AccessToken
from schemas.factors import (
    RECOVERY_CODES,
    EnrolTotp,
    FactorAdded,
    FactorProven,
    FactorsChanged,
    ForgetDevices,
    RemoveFactor,
    RenameFactor,
    SetRecoveryCodes,
    SetSms,
)
from schemas.http.factors import (
    Factors,
    FirstCode,
    NewName,
    NewPasskey,
    NewTotp,
    PasskeyOptions,
    PasskeySeen,
    RecoveryCodes,
    SmsSent,
    SteppedUp,
    StepUp,
    TotpDevice,
    TotpSecret,
)
from schemas.ids import id_of, is_id
from schemas.sessions import CheckSession, SessionAlive, SessionGranted
from serve.answers import timestamp
from serve.desk import Desk
from serve.framework import ShopRequest
from serve.notices import tell_of_recovery, tell_owner
from serve.passkeys import STEP_UP, account_name, assertion_options, prove_passkey, register_passkey, registration_options
from serve.proofs import (
    SECRET,
    confirm_totp,
    new_recovery_code,
    new_secret,
    prove_password,
    prove_recovery_code,
    prove_totp,
    recovery_hash,
)
from serve.requests import Refusal
from serve.shop.shown_identities import shown
from serve.signing_in import access_token_of
from serve.sms_factor import check_sms, factors_of, phone_lookup, send_sms
from serve.step_up import require_before_change, step_up_methods

QR_SCALE: Final = 4


def _factor(factor_id: str) -> str:
    """The id, when it can be one. Refusal ``factor_unknown`` before anybody is asked."""
    if not is_id(factor_id, "fac"):
        raise Refusal("factor_unknown")
    return factor_id


@get("/v1/me/factors", operation_id="readFactors")
async def read_factors(request: ShopRequest) -> Factors:
    """What there is, without secrets."""
    desk, user_id = request.desk, request.customer().user_id
    view = await factors_of(desk, user_id)
    return Factors(
        totp=tuple(
            TotpDevice(
                factor_id=one.factor_id,
                name=one.name,
                confirmed=one.confirmed_at_ms > 0,
                added_at=timestamp(one.enrolled_at_ms),
                used_at=timestamp(one.used_at_ms) if one.used_at_ms else None,
            )
            for one in view.totp
        ),
        passkeys=tuple(
            PasskeySeen(
                factor_id=one.factor_id,
                name=one.name,
                backed_up=one.backed_up,
                added_at=timestamp(one.added_at_ms),
                used_at=timestamp(one.used_at_ms) if one.used_at_ms else None,
            )
            for one in view.passkeys
        ),
        recovery_codes_left=view.recovery_codes_left,
        methods=await step_up_methods(desk, user_id, view),
    )


# --- devices that make codes --------------------------------------------------------------------


@post("/v1/me/factors/totp", operation_id="enrolTotp")
async def enrol_totp(request: ShopRequest, data: JSONBody[NewTotp]) -> TotpSecret:
    """A secret for a new device. It counts when its first code has confirmed it; until then a repeat gets the same secret."""
    user_id = (await require_before_change(request)).user_id
    desk = request.desk
    command_id, digest = request.command(user_id, "totp")
    sealed = desk.sealer.seal(SECRET, user_id, new_secret(desk))
    command = EnrolTotp(factor_id=id_of("fac", command_id), name=data.name, sealed=sealed)
    added = await desk.told("factors", user_id, command, command_id=command_id, digest=digest)
    assert isinstance(added, FactorAdded)
    waiting = [one for one in (await factors_of(desk, user_id)).totp if one.factor_id == added.factor_id and not one.confirmed_at_ms]
    if not waiting:
        raise Refusal("factor_unknown")
    secret = desk.sealer.open(SECRET, user_id, added.sealed)
    uri = pyotp.TOTP(secret).provisioning_uri(name=await account_name(desk, user_id), issuer_name=desk.settings.issuer)
    return TotpSecret(
        factor_id=added.factor_id,
        secret=secret,
        uri=uri,
        qr_svg=qr_svg(uri),
        expires_at=timestamp(waiting[0].enrolled_at_ms + CONFIRM_MS),
    )


def qr_svg(uri: str) -> str:
    """The code as one SVG element that a page can hold as it is."""
    out = io.BytesIO()
    segno.make(uri, error="m", micro=False).save(out, kind="svg", scale=QR_SCALE, xmldecl=False, light="#fff", nl=False)
    return out.getvalue().decode()


@post("/v1/me/factors/totp/{factor_id:str}/confirm", operation_id="confirmTotp", status_code=200)
async def confirm(request: ShopRequest, factor_id: FromPath[str], data: JSONBody[FirstCode]) -> SteppedUp:
    """From now on logins by other means ask for a code too. Make recovery codes next: the answer's token may."""
    desk, token = request.desk, request.customer()
    name = await _name_of(desk, token.user_id, _factor(factor_id))
    await confirm_totp(desk, token.user_id, factor_id, data.code)
    tell_owner(request, token.user_id, "factor_added", factor_id, device=name)
    return await _stepped_up(request, token, FactorProven(method="totp", factor_id=factor_id, at_ms=desk.clock.now_ms()))


@put("/v1/me/factors/{factor_id:str}", operation_id="renameFactor", status_code=204)
async def rename_factor(request: ShopRequest, factor_id: FromPath[str], data: JSONBody[NewName]) -> None:
    """Call it something else."""
    user_id = request.customer().user_id
    await request.desk.told("factors", user_id, RenameFactor(factor_id=_factor(factor_id), name=data.name), digest=b"rename")


@delete("/v1/me/factors/{factor_id:str}", operation_id="removeFactor")
async def remove_factor(request: ShopRequest, factor_id: FromPath[str]) -> None:
    """Take it away; with the last one the recovery codes go. Trusted devices are asked again."""
    user_id = (await require_before_change(request)).user_id
    desk = request.desk
    name = await _name_of(desk, user_id, _factor(factor_id))
    removed = await desk.told("factors", user_id, RemoveFactor(factor_id=factor_id), digest=b"remove")
    assert isinstance(removed, FactorsChanged)
    if removed.credential_id:
        await desk.passkeys.remove(removed.credential_id, user_id)
    tell_owner(request, user_id, "factor_removed", factor_id, device=name)


async def _name_of(desk: Desk, user_id: str, factor_id: str) -> str:
    """What the user calls it; "?" when there is none."""
    view = await factors_of(desk, user_id)
    names = {one.factor_id: one.name for one in view.totp} | {one.factor_id: one.name for one in view.passkeys}
    return names.get(factor_id) or "?"


@post("/v1/me/factors/recovery-codes", operation_id="makeRecoveryCodes")
async def make_recovery_codes(request: ShopRequest) -> RecoveryCodes:
    """Ten new codes. It needs no key: a repeat makes others, and only the last ten count."""
    user_id = (await require_before_change(request)).user_id
    desk = request.desk
    codes = tuple(new_recovery_code(desk) for _ in range(RECOVERY_CODES))
    hashes = tuple(recovery_hash(desk, user_id, code) for code in codes)
    command_id = desk.new_id()
    await desk.told("factors", user_id, SetRecoveryCodes(hashes=hashes), command_id=command_id)
    tell_owner(request, user_id, "recovery_renewed", command_id)
    return RecoveryCodes(codes=codes)


@put("/v1/me/factors/sms", operation_id="useSms", status_code=204)
async def use_sms(request: ShopRequest) -> None:
    """Codes to the number that the user has bound count as a second factor from now on: to this number and to no later one."""
    user_id = (await require_before_change(request)).user_id
    desk = request.desk
    phones = [one for one in await desk.identities.of_user(user_id) if one.kind == "phone"]
    if not phones:
        raise Refusal("method_unavailable")
    lookup = phone_lookup(desk, phones[0].subject)
    known = (await factors_of(desk, user_id)).sms
    changed = await desk.told("factors", user_id, SetSms(lookup=lookup))
    assert isinstance(changed, FactorsChanged)
    if known != lookup:
        tell_owner(request, user_id, "factor_added", lookup, str(changed.generation), device=shown(phones[0]))


@delete("/v1/me/factors/sms", operation_id="dropSms")
async def drop_sms(request: ShopRequest) -> None:
    """Codes by SMS are no second factor any more."""
    user_id = (await require_before_change(request)).user_id
    desk = request.desk
    known = (await factors_of(desk, user_id)).sms
    changed = await desk.told("factors", user_id, SetSms(lookup=b""))
    assert isinstance(changed, FactorsChanged)
    if known:
        tell_owner(request, user_id, "factor_removed", known, str(changed.generation), device="SMS")


@delete("/v1/me/trusted-devices", operation_id="forgetDevices")
async def forget_devices(request: ShopRequest) -> None:
    """Every device is asked for a second factor at its next login."""
    await request.desk.told("factors", request.customer().user_id, ForgetDevices())


# --- passkeys -----------------------------------------------------------------------------------


@post("/v1/me/passkeys/options", operation_id="passkeyOptions", status_code=200)
async def passkey_options(request: ShopRequest) -> PasskeyOptions:
    """For ``navigator.credentials.create()``."""
    token = await require_before_change(request)
    return await registration_options(request.desk, token.user_id, token.session_id)


@post("/v1/me/passkeys", operation_id="addPasskey")
async def add_passkey(request: ShopRequest, data: JSONBody[NewPasskey]) -> SteppedUp:
    """What the browser has made. It needs no key: the question in it is good once, and a repeat gets the same passkey."""
    token = await require_before_change(request)
    desk = request.desk
    added = await register_passkey(desk, token.user_id, token.session_id, data)
    tell_owner(request, token.user_id, "factor_added", added.factor_id, device=data.name)
    return await _stepped_up(request, token, FactorProven(method="passkey", factor_id=added.factor_id, at_ms=desk.clock.now_ms()))


# --- step-up ------------------------------------------------------------------------------------


@post("/v1/me/step-up", operation_id="stepUp", status_code=200)
async def step_up(request: ShopRequest, data: JSONBody[StepUp]) -> SteppedUp:
    """Prove a second factor, in this session."""
    token = request.customer()
    proven = await _proven(request.desk, token, data)
    tell_of_recovery(request, token.user_id, proven)
    return await _stepped_up(request, token, proven)


@post("/v1/me/step-up/passkey-options", operation_id="stepUpPasskeyOptions", status_code=200)
async def step_up_passkey_options(request: ShopRequest) -> PasskeyOptions:
    """For ``navigator.credentials.get()`` with one of the user's own passkeys."""
    token = request.customer()
    return await assertion_options(request.desk, STEP_UP, token.user_id, token.session_id)


@post("/v1/me/step-up/sms", operation_id="stepUpSms", status_code=202)
async def step_up_sms(request: ShopRequest) -> SmsSent:
    """To the number that the user has bound, and to no other."""
    return await send_sms(request, request.customer().user_id)


async def _proven(desk: Desk, token: AccessToken, data: StepUp) -> FactorProven:
    user_id = token.user_id
    match data:
        case StepUp(totp=str(code), recovery_code=None, assertion=None, sms=None, password=None):
            return await prove_totp(desk, user_id, code)
        case StepUp(totp=None, recovery_code=str(code), assertion=None, sms=None, password=None):
            return await prove_recovery_code(desk, user_id, code)
        case StepUp(totp=None, recovery_code=None, assertion=assertion, sms=None, password=None) if assertion is not None:
            _, _, proven = await prove_passkey(desk, assertion, STEP_UP, user_id, token.session_id)
            return proven
        case StepUp(totp=None, recovery_code=None, assertion=None, sms=sms, password=None) if sms is not None:
            if "sms" not in await step_up_methods(desk, user_id, await factors_of(desk, user_id)):
                raise Refusal("method_unavailable")
            await check_sms(desk, user_id, sms)
            return FactorProven(method="sms", at_ms=desk.clock.now_ms())
        case StepUp(totp=None, recovery_code=None, assertion=None, sms=None, password=str(password)):
            if "password" not in await step_up_methods(desk, user_id, await factors_of(desk, user_id)):
                raise Refusal("method_unavailable")
            return await prove_password(desk, user_id, password)
    raise Refusal("invalid_request", {"reason": "exactly one of totp, recovery_code, assertion, sms, password"})


async def _stepped_up(request: ShopRequest, token: AccessToken, proven: FactorProven) -> SteppedUp:
    """A token of the same session that says when. Refusal ``token_revoked`` when the session has ended meanwhile."""
    desk = request.desk
    alive = await desk.told("sessions", token.user_id, CheckSession(session_id=token.session_id))
    assert isinstance(alive, SessionAlive)
    granted = SessionGranted(session_id=token.session_id, generation=alive.generation, expires_at_ms=0)
    text = access_token_of(desk, token.user_id, granted, await desk.roles.of(token.user_id), stepped_up_at_ms=proven.at_ms)
    cookie = b"authorization" not in request.head.headers
    if cookie:
        desk.cookies.give_access(request.head, text)
    return SteppedUp(
        access_token=None if cookie else text,
        expires_in=desk.settings.access_token_s,
        stepped_up_at=timestamp(proven.at_ms),
        method=proven.method,
        factor_id=proven.factor_id or None,
        recovery_codes_left=proven.recovery_codes_left if proven.method == "recovery_code" else None,
    )


HANDLERS: Final[list[Any]] = [
    read_factors, enrol_totp, confirm, rename_factor, remove_factor, make_recovery_codes, use_sms, drop_sms, forget_devices,
    passkey_options, add_passkey, step_up, step_up_passkey_options, step_up_sms,
]  # fmt: skip
