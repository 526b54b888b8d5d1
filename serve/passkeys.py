"""Passkeys (WebAuthn): questions for a browser, and its authenticator's answers.

A question is a signed text that says what it is for, whose it is and until when; it comes back within the answer. Nothing is
kept when it is asked, except for logins that name nobody. That it is answered once is decided by the user's factors, or for
those logins by a row that goes when it is taken. Which passkey it is, and whose, is found by its credential id.
"""

import re
from typing import Any, Final

import msgspec
import structlog
from webauthn import (
    base64url_to_bytes,
    generate_authentication_options,
    generate_registration_options,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import options_to_json_dict, parse_client_data_json
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)
from webauthn.registration.verify_registration_response import VerifiedRegistration

from actors.domain.signing import sign, verified
from schemas.factors import AcceptAssertion, AddPasskey, FactorAdded, FactorProven, FactorsView, PasskeyView
from schemas.http.factors import Assertion, Attestation, NewPasskey, PasskeyOptions
from schemas.ids import derived_id, id_of
from schemas.settings import Settings
from serve.desk import Desk
from serve.requests import Refusal
from serve.sms_factor import factors_of

log = structlog.get_logger("stampede.factors")

CHALLENGE_MS: Final = 5 * 60_000
"""A person finds the right finger within that."""

REGISTER: Final = "register"
LOGIN: Final = "login"
STEP_UP: Final = "step_up"
SECOND_FACTOR: Final = "second_factor"

REFUSED_FOR_GOOD: Final = frozenset({"challenge_invalid", "invalid_request", "rate_limited", "too_many_factors"})

_CHALLENGE: Final = b"stampede.challenge\0"
_LOCAL: Final = re.compile(r"http://localhost(:\d{1,5})?\Z")
_TRANSPORTS: Final = frozenset(one.value for one in AuthenticatorTransport)


class Challenge(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """What a question says. ``bound``: the session or the login that it belongs to; expires_at_ms: UTC."""

    id: bytes
    purpose: str
    user_id: str
    bound: str
    expires_at_ms: int


_CHALLENGES: Final = msgspec.msgpack.Decoder(Challenge)


def _asked(desk: Desk, purpose: str, user_id: str, bound: str) -> tuple[Challenge, bytes]:
    challenge = Challenge(
        id=desk.new_id(), purpose=purpose, user_id=user_id, bound=bound, expires_at_ms=desk.clock.now_ms() + CHALLENGE_MS
    )  # fmt: skip
    return challenge, sign(desk.services.token_keys, _CHALLENGE, msgspec.msgpack.encode(challenge)).encode()


def _answered(desk: Desk, client_data: str, purpose: str, user_id: str, bound: str) -> tuple[Challenge, bytes, str]:
    """The question that an answer is to, its bytes, and the page's origin. Refusal ``challenge_invalid``, ``passkey_refused``."""
    try:
        said = parse_client_data_json(base64url_to_bytes(client_data))
        text = said.challenge.decode("ascii")
    except Exception as error:  # a stranger's bytes, in a parser that names few of its surprises
        raise _refused(error) from error
    fields = verified(desk.services.token_keys, _CHALLENGE, text)
    challenge = _CHALLENGES.decode(fields) if fields is not None else None
    if challenge is None or (challenge.purpose, challenge.user_id, challenge.bound) != (purpose, user_id, bound):
        raise Refusal("challenge_invalid")
    if desk.clock.now_ms() >= challenge.expires_at_ms:
        raise Refusal("challenge_invalid")
    if said.cross_origin or not is_own_origin(desk.settings, said.origin):
        raise Refusal("passkey_refused")
    return challenge, said.challenge, said.origin


def is_own_origin(settings: Settings, origin: str) -> bool:
    """Whether a page of this origin may ask for passkeys."""
    named = [part.strip().rstrip("/") for part in settings.origins.split(",") if part.strip()]
    if named:
        return origin in named
    return origin == f"https://{settings.rp_id}" or (settings.rp_id == "localhost" and _LOCAL.match(origin) is not None)


def _refused(error: Exception) -> Refusal:
    log.info("passkey_refused", reason=f"{type(error).__name__}: {error}"[:200])
    return Refusal("passkey_refused")


def _descriptors(passkeys: tuple[PasskeyView, ...]) -> list[PublicKeyCredentialDescriptor]:
    return [
        PublicKeyCredentialDescriptor(id=one.credential_id, transports=[AuthenticatorTransport(name) for name in one.transports])
        for one in passkeys
    ]


# --- registration -------------------------------------------------------------------------------


async def registration_options(desk: Desk, user_id: str, session_id: str) -> PasskeyOptions:
    """What a browser needs to make a passkey that finds its user by itself and asks for a finger, a face or a PIN."""
    view = await factors_of(desk, user_id)
    _, challenge = _asked(desk, REGISTER, user_id, session_id)
    options = generate_registration_options(
        rp_id=desk.settings.rp_id,
        rp_name=desk.settings.issuer,
        user_name=await account_name(desk, user_id),
        user_id=user_id.encode(),
        challenge=challenge,
        timeout=CHALLENGE_MS,
        exclude_credentials=_descriptors(view.passkeys),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
    )
    return PasskeyOptions(public_key=options_to_json_dict(options))


async def account_name(desk: Desk, user_id: str) -> str:
    """What an authenticator shows beside the shop's name: the user's own address or number."""
    known = await desk.identities.of_user(user_id)
    return next((one.subject for one in known if one.kind in ("email", "phone")), desk.settings.issuer)


async def register_passkey(desk: Desk, user_id: str, session_id: str, data: NewPasskey) -> FactorAdded:
    """Keep a passkey. Refusal ``challenge_invalid``, ``passkey_refused``, ``passkey_known``, ``too_many_factors``."""
    challenge, expected, origin = _answered(desk, data.credential.response.client_data, REGISTER, user_id, session_id)
    made = _made(desk, data.credential, expected, origin)
    # The same answer sent again, because its first reply was lost, gets the same reply.
    command_id = derived_id(user_id, "passkey", challenge.id)
    fresh = await desk.passkeys.add(made.credential_id, user_id)
    if not fresh and await desk.passkeys.owner(made.credential_id) != user_id:
        raise Refusal("passkey_known")
    command = AddPasskey(
        factor_id=id_of("fac", command_id),
        name=data.name,
        credential_id=made.credential_id,
        public_key=made.credential_public_key,
        sign_count=made.sign_count,
        challenge_id=challenge.id,
        challenge_expires_at_ms=challenge.expires_at_ms,
        transports=tuple(name for name in data.credential.response.transports if name in _TRANSPORTS),
        aaguid=made.aaguid,
        backed_up=made.credential_backed_up,
    )
    answer = await desk.ask("factors", user_id, command, command_id=command_id, digest=derived_id(made.credential_id))
    if answer.code:
        # Where it is not known what came of it the row stays: it is of no use to anybody else.
        if fresh and answer.code in REFUSED_FOR_GOOD:
            await desk.passkeys.remove(made.credential_id, user_id)
        raise Refusal(answer.code, answer.params)
    assert isinstance(answer.reply, FactorAdded)
    return answer.reply


def _made(desk: Desk, credential: Attestation, challenge: bytes, origin: str) -> VerifiedRegistration:
    try:
        return verify_registration_response(
            credential=_plain(credential),
            expected_challenge=challenge,
            expected_rp_id=desk.settings.rp_id,
            expected_origin=origin,
            require_user_verification=True,
        )
    except Exception as error:  # CBOR, ASN.1 and keys of a stranger's making
        raise _refused(error) from error


def _plain(credential: Attestation | Assertion) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(credential)
    response = plain["response"]
    response["transports"] = [name for name in response.get("transports", ()) if name in _TRANSPORTS]
    return plain


# --- assertions ---------------------------------------------------------------------------------


async def assertion_options(desk: Desk, purpose: str, user_id: str = "", bound: str = "") -> PasskeyOptions:
    """What a browser needs to sign: with one of the user's passkeys or, when nobody is named, with any that it has of this shop."""
    challenge, text = _asked(desk, purpose, user_id, bound)
    if user_id:
        passkeys = (await factors_of(desk, user_id)).passkeys
        if not passkeys:
            raise Refusal("method_unavailable")
    else:
        passkeys = ()
        await desk.passkeys.keep_challenge(challenge.id, challenge.expires_at_ms, desk.clock.now_ms())
    options = generate_authentication_options(
        rp_id=desk.settings.rp_id,
        challenge=text,
        timeout=CHALLENGE_MS,
        allow_credentials=_descriptors(passkeys),
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return PasskeyOptions(public_key=options_to_json_dict(options))


async def prove_passkey(
    desk: Desk, assertion: Assertion, purpose: str, user_id: str = "", bound: str = ""
) -> tuple[str, Challenge, FactorProven]:
    """Whose passkey has signed which question. Refusal ``challenge_invalid``, ``passkey_refused``, ``passkey_cloned``."""
    challenge, expected, origin = _answered(desk, assertion.response.client_data, purpose, user_id, bound)
    owner, passkey = await _passkey_of(desk, assertion, user_id)
    try:
        signed = verify_authentication_response(
            credential=_plain(assertion),
            expected_challenge=expected,
            expected_rp_id=desk.settings.rp_id,
            expected_origin=origin,
            credential_public_key=passkey.public_key,
            credential_current_sign_count=0,  # the owner compares: here it may be a moment old
            require_user_verification=True,
        )
    except Exception as error:  # as above
        raise _refused(error) from error
    if not user_id and not await desk.passkeys.take_challenge(challenge.id, desk.clock.now_ms()):
        raise Refusal("challenge_invalid")
    command = AcceptAssertion(
        factor_id=passkey.factor_id,
        sign_count=signed.new_sign_count,
        challenge_id=challenge.id,
        challenge_expires_at_ms=challenge.expires_at_ms,
        backed_up=signed.credential_backed_up,
    )
    answer = await desk.ask("factors", owner, command)
    if answer.code == "passkey_cloned":
        log.error("passkey_counter_regressed", user_id=owner, factor_id=passkey.factor_id, presented=signed.new_sign_count)
    if answer.code:
        raise Refusal(answer.code, answer.params)
    assert isinstance(answer.reply, FactorProven)
    return owner, challenge, answer.reply


async def _passkey_of(desk: Desk, assertion: Assertion, user_id: str) -> tuple[str, PasskeyView]:
    """Whose it is, and what its signature is checked by. Refusal ``passkey_refused``, the same for whatever does not fit."""
    try:
        credential_id = base64url_to_bytes(assertion.raw_id)
        handle = base64url_to_bytes(assertion.response.user_handle) if assertion.response.user_handle else b""
    except ValueError as error:
        raise _refused(error) from error
    owner = await desk.passkeys.owner(credential_id)
    if owner is None or (user_id and owner != user_id) or ((handle or not user_id) and handle != owner.encode()):
        raise Refusal("passkey_refused")
    view: FactorsView = await factors_of(desk, owner)
    found = [one for one in view.passkeys if one.credential_id == credential_id]
    if not found:
        raise Refusal("passkey_refused")
    return owner, found[0]
