"""Second factors: TOTP devices, passkeys and recovery codes of one user, as commands, events and replies.

Secrets come sealed and codes hashed: what is written here is of no use to whoever reads it.
"""

from typing import Final, Literal

import msgspec

Guessed = Literal["totp", "confirm", "recovery_code", "password"]
"""What can be guessed, each with tries of its own: a locked one leaves the others open."""

RECOVERY_CODES: Final = 10
RECOVERY_HASH_BYTES: Final = 16

FACTOR_NAME_MAX: Final = 60
"""Characters of what a user calls a device."""

# --- commands -----------------------------------------------------------------------------------


class ReadFactors(msgspec.Struct, frozen=True, kw_only=True, tag="factor.read"):
    """Ask what there is."""


class EnrolTotp(msgspec.Struct, frozen=True, kw_only=True, tag="factor.enrol_totp"):
    """Keep a secret until a first code confirms it. It takes the place of one that was not confirmed."""

    factor_id: str
    name: str
    sealed: bytes


class TakeGuess(msgspec.Struct, frozen=True, kw_only=True, tag="factor.take_guess"):
    """Take one of the tries before a code is looked at. ``factor_id``: which device ``confirm`` is about."""

    method: Guessed
    factor_id: str = ""


class ConfirmTotp(msgspec.Struct, frozen=True, kw_only=True, tag="factor.confirm_totp"):
    """The first code of a device was right: it is of ``step`` (time in steps of 30 s)."""

    factor_id: str
    step: int
    guess_id: bytes


class AcceptStep(msgspec.Struct, frozen=True, kw_only=True, tag="factor.accept_step"):
    """A code was right: it is of ``step``. Accepted when no code of this step or a later one was.

    ``resealed``: the secret under today's key, where it was sealed with an older one.
    """

    factor_id: str
    step: int
    guess_id: bytes
    resealed: bytes = b""


class AcceptProof(msgspec.Struct, frozen=True, kw_only=True, tag="factor.accept_proof"):
    """What was guessed under ``guess_id`` and is checked elsewhere (a password) was right."""

    method: Guessed
    guess_id: bytes


class SetRecoveryCodes(msgspec.Struct, frozen=True, kw_only=True, tag="factor.set_recovery_codes"):
    """Ten new codes, by their keyed hashes; the old ones are dead."""

    hashes: tuple[bytes, ...]


class UseRecoveryCode(msgspec.Struct, frozen=True, kw_only=True, tag="factor.use_recovery_code"):
    """Spend a code. A wrong one costs a try, in the same turn."""

    code_hash: bytes


class AddPasskey(msgspec.Struct, frozen=True, kw_only=True, tag="factor.add_passkey"):
    """An authenticator's answer to a challenge was genuine: keep its public key."""

    factor_id: str
    name: str
    credential_id: bytes
    public_key: bytes
    sign_count: int
    challenge_id: bytes
    challenge_expires_at_ms: int
    transports: tuple[str, ...] = ()
    aaguid: str = ""
    backed_up: bool = False


class AcceptAssertion(msgspec.Struct, frozen=True, kw_only=True, tag="factor.accept_assertion"):
    """A passkey signed a challenge, and the signature is right. A challenge is good once, a counter only rises."""

    factor_id: str
    sign_count: int
    challenge_id: bytes
    challenge_expires_at_ms: int
    backed_up: bool = False


class RenameFactor(msgspec.Struct, frozen=True, kw_only=True, tag="factor.rename"):
    """Call a device or a passkey something else."""

    factor_id: str
    name: str


class RemoveFactor(msgspec.Struct, frozen=True, kw_only=True, tag="factor.remove"):
    """Take a device or a passkey away. With the last one the recovery codes go too."""

    factor_id: str


class SetSms(msgspec.Struct, frozen=True, kw_only=True, tag="factor.set_sms"):
    """Codes to one telephone count as a second factor. ``lookup``: the keyed fingerprint of its number; empty: of none any more."""

    lookup: bytes


class ForgetDevices(msgspec.Struct, frozen=True, kw_only=True, tag="factor.forget_devices"):
    """No device is trusted any more to log in without a second factor."""


# --- events -------------------------------------------------------------------------------------


class TotpEnrolled(msgspec.Struct, frozen=True, kw_only=True, tag="factor.totp_enrolled"):
    factor_id: str
    name: str
    sealed: bytes
    at_ms: int


class TotpConfirmed(msgspec.Struct, frozen=True, kw_only=True, tag="factor.totp_confirmed"):
    factor_id: str
    step: int
    guess_id: bytes
    at_ms: int


class TotpLapsed(msgspec.Struct, frozen=True, kw_only=True, tag="factor.totp_lapsed"):
    """Nobody confirmed it in time."""

    factor_id: str
    at_ms: int


class GuessTaken(msgspec.Struct, frozen=True, kw_only=True, tag="factor.guess_taken"):
    """The ``count``-th try since a success or a lock. ``locks``: how often it has locked; ``locked_until_ms``: 0 or until when."""

    method: Guessed
    guess_id: bytes
    count: int
    locks: int
    locked_until_ms: int
    at_ms: int


class StepAccepted(msgspec.Struct, frozen=True, kw_only=True, tag="factor.step_accepted"):
    factor_id: str
    step: int
    guess_id: bytes
    at_ms: int
    resealed: bytes = b""


class ProofAccepted(msgspec.Struct, frozen=True, kw_only=True, tag="factor.proof_accepted"):
    method: Guessed
    guess_id: bytes
    at_ms: int


class RecoveryCodesSet(msgspec.Struct, frozen=True, kw_only=True, tag="factor.recovery_codes_set"):
    hashes: tuple[bytes, ...]
    at_ms: int


class RecoveryCodeUsed(msgspec.Struct, frozen=True, kw_only=True, tag="factor.recovery_code_used"):
    code_hash: bytes
    at_ms: int


class PasskeyAdded(msgspec.Struct, frozen=True, kw_only=True, tag="factor.passkey_added"):
    factor_id: str
    name: str
    credential_id: bytes
    public_key: bytes
    sign_count: int
    challenge_id: bytes
    challenge_expires_at_ms: int
    transports: tuple[str, ...]
    aaguid: str
    backed_up: bool
    at_ms: int


class AssertionAccepted(msgspec.Struct, frozen=True, kw_only=True, tag="factor.assertion_accepted"):
    factor_id: str
    sign_count: int
    challenge_id: bytes
    challenge_expires_at_ms: int
    backed_up: bool
    at_ms: int


class CounterRegressed(msgspec.Struct, frozen=True, kw_only=True, tag="factor.counter_regressed"):
    """An authenticator counted less than it had: there may be a second one with the same key."""

    factor_id: str
    kept: int
    presented: int
    challenge_id: bytes
    challenge_expires_at_ms: int
    at_ms: int


class FactorRenamed(msgspec.Struct, frozen=True, kw_only=True, tag="factor.renamed"):
    factor_id: str
    name: str
    at_ms: int


class FactorRemoved(msgspec.Struct, frozen=True, kw_only=True, tag="factor.removed"):
    factor_id: str
    at_ms: int


class SmsSet(msgspec.Struct, frozen=True, kw_only=True, tag="factor.sms_set"):
    lookup: bytes
    at_ms: int


class DevicesForgotten(msgspec.Struct, frozen=True, kw_only=True, tag="factor.devices_forgotten"):
    at_ms: int


# --- replies ------------------------------------------------------------------------------------


class TotpView(msgspec.Struct, frozen=True, kw_only=True):
    """One device that makes codes. Times are UTC, 0: never."""

    factor_id: str
    name: str
    enrolled_at_ms: int
    confirmed_at_ms: int
    used_at_ms: int


class PasskeyView(msgspec.Struct, frozen=True, kw_only=True):
    """One passkey, with what its signatures are checked by. ``regressions``: how often its counter fell back."""

    factor_id: str
    name: str
    credential_id: bytes
    public_key: bytes
    sign_count: int
    transports: tuple[str, ...]
    backed_up: bool
    added_at_ms: int
    used_at_ms: int
    regressions: int


class FactorsView(msgspec.Struct, frozen=True, kw_only=True, tag="factor.view"):
    """Everything of one user. ``generation`` rises when trusted devices are to be asked again.

    sms: the fingerprint of the number whose codes count.
    """

    totp: tuple[TotpView, ...]
    passkeys: tuple[PasskeyView, ...]
    recovery_codes_left: int
    generation: int
    sms: bytes = b""

    @property
    def methods(self) -> tuple[str, ...]:
        """By what the user can prove a second factor; empty when there is none."""
        confirmed = any(one.confirmed_at_ms for one in self.totp)
        found = [name for name, there in (("totp", confirmed), ("passkey", self.passkeys), ("sms", self.sms)) if there]
        return (*found, "recovery_code") if found and self.recovery_codes_left else tuple(found)


class FactorAdded(msgspec.Struct, frozen=True, kw_only=True, tag="factor.added"):
    """It stands. ``sealed``: the secret that was kept, so that a repeat is answered with the same one."""

    factor_id: str
    sealed: bytes = b""


class SealedSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A device's secret, and the step of the last code that was accepted."""

    factor_id: str
    sealed: bytes
    last_step: int


class GuessGiven(msgspec.Struct, frozen=True, kw_only=True, tag="factor.guess"):
    """One try, within the next minute, at these secrets. ``left``: how many more there are."""

    guess_id: bytes
    secrets: tuple[SealedSecret, ...]
    left: int


class FactorProven(msgspec.Struct, frozen=True, kw_only=True, tag="factor.proven"):
    """A second factor was proven at this moment (UTC)."""

    method: str
    at_ms: int
    factor_id: str = ""
    recovery_codes_left: int = 0


class FactorsChanged(msgspec.Struct, frozen=True, kw_only=True, tag="factor.changed"):
    """Done. ``credential_id``: of the passkey that was removed."""

    generation: int
    credential_id: bytes = b""
