"""Second factors over HTTP. Passkeys travel in the form that browsers give them (WebAuthn level 3, ``toJSON()``)."""

from typing import Annotated, Any, Literal

import msgspec

from schemas.factors import FACTOR_NAME_MAX
from schemas.http.shapes import GuestToken, SignedText, Timestamp

FactorName = Annotated[str, msgspec.Meta(min_length=1, max_length=FACTOR_NAME_MAX, examples=["phone"])]
TotpCode = Annotated[str, msgspec.Meta(pattern="^[0-9]{6}$", description="of an authenticator app", examples=["123456"])]
RecoveryCode = Annotated[str, msgspec.Meta(pattern="^[0-9A-Za-z -]{10,24}$", examples=["4t9xk-0m2va"])]
OneTimeCode = Annotated[str, msgspec.Meta(pattern="^[0-9]{4,8}$")]
ChallengeId = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
SmallBytes = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]+$", max_length=1400, description="base64url")]
"""A credential id has at most 1,023 bytes, signatures and client data less."""
LargeBytes = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]+$", max_length=16_384, description="base64url")]
"""An attestation may bring certificates."""
Transport = Annotated[str, msgspec.Meta(pattern="^[a-z-]{1,20}$")]
Attachment = Literal["platform", "cross-platform"]
Ignored = Annotated[dict[str, Any], msgspec.Meta(max_length=20, description="not looked at")]


class AttestationPart(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={
        "client_data": "clientDataJSON",
        "attestation_object": "attestationObject",
        "authenticator_data": "authenticatorData",
        "public_key": "publicKey",
        "public_key_algorithm": "publicKeyAlgorithm",
    },
):
    """What an authenticator answers when it makes a passkey."""

    client_data: SmallBytes
    attestation_object: LargeBytes
    transports: Annotated[tuple[Transport, ...], msgspec.Meta(max_length=8)] = ()
    authenticator_data: LargeBytes | None = None
    public_key: LargeBytes | None = None
    public_key_algorithm: int | None = None


class AssertionPart(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={"client_data": "clientDataJSON", "authenticator_data": "authenticatorData", "user_handle": "userHandle"},
):
    """What an authenticator answers when it signs."""

    client_data: SmallBytes
    authenticator_data: SmallBytes
    signature: SmallBytes
    user_handle: Annotated[str, msgspec.Meta(max_length=100)] | None = None


_RENAMED = {"raw_id": "rawId", "attachment": "authenticatorAttachment", "extensions": "clientExtensionResults"}


class Attestation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename=_RENAMED):
    """``credential.toJSON()`` of ``navigator.credentials.create()``."""

    id: SmallBytes
    raw_id: SmallBytes
    type: Literal["public-key"]
    response: AttestationPart
    extensions: Ignored = {}
    attachment: Attachment | None = None


class Assertion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename=_RENAMED):
    """``credential.toJSON()`` of ``navigator.credentials.get()``."""

    id: SmallBytes
    raw_id: SmallBytes
    type: Literal["public-key"]
    response: AssertionPart
    extensions: Ignored = {}
    attachment: Attachment | None = None


class PasskeyOptions(msgspec.Struct, frozen=True, kw_only=True, rename={"public_key": "publicKey"}):
    """For ``PublicKeyCredential.parseCreationOptionsFromJSON`` or ``parseRequestOptionsFromJSON``. Good for five minutes, once."""

    public_key: dict[str, Any]


class NewPasskey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keep a passkey that the browser has made."""

    name: FactorName
    credential: Attestation


class NewTotp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Begin to add a device that makes codes."""

    name: FactorName


class TotpSecret(msgspec.Struct, frozen=True, kw_only=True):
    """Show ``qr_svg`` or ``uri`` to the device now: the secret is not shown again. Confirm with a first code by ``expires_at``."""

    factor_id: str
    secret: str
    uri: str
    qr_svg: str
    expires_at: Timestamp


class FirstCode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first code of a new device."""

    code: TotpCode


class NewName(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Call a device or a passkey something else."""

    name: FactorName


class SteppedUp(msgspec.Struct, frozen=True, kw_only=True):
    """A second factor was proven. ``access_token`` says so; it takes the place of the one before (null: it was set as a cookie).

    factor_id: the device or passkey, where there is one; of a confirmation or a registration the new one.
    """

    access_token: str | None
    expires_in: int
    stepped_up_at: Timestamp
    method: str
    factor_id: str | None = None
    recovery_codes_left: int | None = None


class RecoveryCodes(msgspec.Struct, frozen=True, kw_only=True):
    """Ten codes, each good once, shown now and never again. The ones before are dead."""

    codes: tuple[str, ...]


class TotpDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A device that makes codes."""

    factor_id: str
    name: str
    confirmed: bool
    added_at: Timestamp
    used_at: Timestamp | None


class PasskeySeen(msgspec.Struct, frozen=True, kw_only=True):
    """A passkey. ``backed_up``: it is kept by its maker and shared between devices."""

    factor_id: str
    name: str
    backed_up: bool
    added_at: Timestamp
    used_at: Timestamp | None


class Factors(msgspec.Struct, frozen=True, kw_only=True):
    """The user's second factors. ``methods``: what a step-up takes now."""

    totp: tuple[TotpDevice, ...]
    passkeys: tuple[PasskeySeen, ...]
    recovery_codes_left: int
    methods: tuple[str, ...]


class SmsAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The code of a message that was asked for."""

    challenge_id: ChallengeId
    code: OneTimeCode


class SmsSent(msgspec.Struct, frozen=True, kw_only=True):
    """A code is on its way to the user's own number. Another one after ``resend_after_s``."""

    challenge_id: str
    resend_after_s: int
    expires_in: int


class StepUp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prove a second factor: exactly one of these. ``password`` is taken from who has no second factor."""

    totp: TotpCode | None = None
    recovery_code: RecoveryCode | None = None
    assertion: Assertion | None = None
    sms: SmsAnswer | None = None
    password: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None


class SecondFactor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Finish a login: exactly one of totp, recovery_code, assertion, sms. ``trust_device``: do not ask here for thirty days."""

    login_ticket: SignedText
    totp: TotpCode | None = None
    recovery_code: RecoveryCode | None = None
    assertion: Assertion | None = None
    sms: SmsAnswer | None = None
    trust_device: bool = False


class TicketShown(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose login it is that wants a second factor."""

    login_ticket: SignedText


class PasskeyLogin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Log in with a passkey; it says who one is."""

    assertion: Assertion
    guest_token: GuestToken | None = None
    cookie: bool = False


class LoggedIn(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens, as of every login. ``device_token``: send it as ``Device-Token`` when logging in here again."""

    access_token: str | None
    refresh_token: str | None
    expires_in: int
    user_id: str
    session_id: str
    device_token: str | None = None
