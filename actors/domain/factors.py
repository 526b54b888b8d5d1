"""Second factors of one user: who may try, how often, and what counts once. Pure rules; see README.md in this folder.

Secrets are sealed and signatures checked at the edge. What must be decided in one place is decided here: how many tries
there are, that a code, a challenge or a recovery code works once, and that an authenticator's counter only rises.
"""

import hmac
from typing import ClassVar, assert_never

from actors.domain import factors_state
from actors.domain.entity import Accepted, Answered, Context, Outcome, Refused, Wake
from actors.domain.factors_state import (
    CHALLENGES_MAX,
    CONFIRM_MS,
    CREDENTIAL_ID_MAX,
    GUESS_MS,
    GUESSES,
    LOCKS_MS,
    LOOKUP_BYTES,
    PASSKEYS_MAX,
    PUBLIC_KEY_MAX,
    SEALED_MAX,
    TOTP_MAX,
    FactorsEvent,
    FactorsState,
    Tries,
    has_factor,
    invariant,
    is_replay,
    view_of,
)
from schemas.factors import (
    FACTOR_NAME_MAX,
    RECOVERY_CODES,
    RECOVERY_HASH_BYTES,
    AcceptAssertion,
    AcceptProof,
    AcceptStep,
    AddPasskey,
    AssertionAccepted,
    ConfirmTotp,
    CounterRegressed,
    DevicesForgotten,
    EnrolTotp,
    FactorAdded,
    FactorProven,
    FactorRemoved,
    FactorRenamed,
    FactorsChanged,
    FactorsView,
    ForgetDevices,
    Guessed,
    GuessGiven,
    GuessTaken,
    PasskeyAdded,
    ProofAccepted,
    ReadFactors,
    RecoveryCodesSet,
    RecoveryCodeUsed,
    RemoveFactor,
    RenameFactor,
    SealedSecret,
    SetRecoveryCodes,
    SetSms,
    SmsSet,
    StepAccepted,
    TakeGuess,
    TotpConfirmed,
    TotpEnrolled,
    TotpLapsed,
    UseRecoveryCode,
)

__all__ = ["FactorsKind", "invariant", "is_replay"]

FactorsCommand = (
    ReadFactors | EnrolTotp | TakeGuess | ConfirmTotp | AcceptStep | AcceptProof | SetRecoveryCodes | UseRecoveryCode | AddPasskey
    | AcceptAssertion | RenameFactor | RemoveFactor | ForgetDevices | SetSms | Answered | Wake
)  # fmt: skip


class FactorsKind:
    """The kind ``factors``. Key: a user id."""

    name: ClassVar[str] = "factors"
    commands: ClassVar[tuple[type, ...]] = (
        ReadFactors, EnrolTotp, TakeGuess, ConfirmTotp, AcceptStep, AcceptProof, SetRecoveryCodes, UseRecoveryCode, AddPasskey,
        AcceptAssertion, RenameFactor, RemoveFactor, ForgetDevices, SetSms,
    )  # fmt: skip
    reads: ClassVar[tuple[type, ...]] = (ReadFactors,)
    ending: ClassVar[tuple[type, ...]] = (RemoveFactor, ForgetDevices)
    events: ClassVar[tuple[type, ...]] = (
        TotpEnrolled, TotpConfirmed, TotpLapsed, GuessTaken, StepAccepted, ProofAccepted, RecoveryCodesSet, RecoveryCodeUsed,
        PasskeyAdded, AssertionAccepted, CounterRegressed, FactorRenamed, FactorRemoved, DevicesForgotten, SmsSet,
    )  # fmt: skip
    replies: ClassVar[tuple[type, ...]] = (FactorsView, FactorAdded, GuessGiven, FactorProven, FactorsChanged)
    state: ClassVar[type] = FactorsState

    def route(self, key: str) -> str:
        return "user:" + key

    def crowd(self, key: str, command: object) -> str:
        return "user:" + key

    def needs(self, command: object) -> tuple[str, ...]:
        return ()

    def new(self, key: str) -> FactorsState:
        return FactorsState(key=key)

    def wake_at(self, state: FactorsState) -> int | None:
        waiting = (one.enrolled_at_ms + CONFIRM_MS for one in state.totp.values() if not one.confirmed_at_ms)
        return min(waiting, default=None)

    def decide(self, state: FactorsState, command: FactorsCommand, context: Context) -> Outcome:
        match command:
            case ReadFactors():
                return Accepted(reply=view_of(state))
            case EnrolTotp():
                return _enrol(state, command, context)
            case TakeGuess():
                return _take_guess(state, command, context)
            case ConfirmTotp():
                return _confirm(state, command, context)
            case AcceptStep():
                return _accept_step(state, command, context)
            case AcceptProof():
                return _accept_proof(state, command, context)
            case SetRecoveryCodes():
                return _set_recovery_codes(state, command, context)
            case UseRecoveryCode():
                return _use_recovery_code(state, command, context)
            case AddPasskey():
                return _add_passkey(state, command, context)
            case AcceptAssertion():
                return _accept_assertion(state, command, context)
            case RenameFactor():
                return _rename(state, command, context)
            case RemoveFactor():
                return _remove(state, command, context)
            case ForgetDevices():
                return Accepted(events=(DevicesForgotten(at_ms=context.at_ms),), reply=FactorsChanged(generation=state.generation + 1))
            case SetSms():
                return _set_sms(state, command, context)
            case Wake():
                return _lapse(state, context)
            case Answered():
                return Accepted()
            case _:
                assert_never(command)

    def apply(self, state: FactorsState, event: FactorsEvent) -> None:
        factors_state.apply(state, event)


# --- tries --------------------------------------------------------------------------------------


def _try(state: FactorsState, method: Guessed, context: Context) -> GuessTaken | Refused:
    """The next try of a method; the fifth locks it, whatever comes of it unless it is right. Refused: ``factor_locked``."""
    tries = state.tries.get(method) or Tries()
    if context.at_ms < tries.locked_until_ms:
        return Refused(code="factor_locked", params={"retry_after_s": -(-(tries.locked_until_ms - context.at_ms) // 1000)})
    count = 1 if tries.count >= GUESSES else tries.count + 1
    locks = tries.locks + (count == GUESSES)
    until_ms = context.at_ms + LOCKS_MS[min(locks, len(LOCKS_MS)) - 1] if count == GUESSES else 0
    return GuessTaken(
        method=method,
        guess_id=context.command_id,
        count=count,
        locks=locks,
        locked_until_ms=until_ms,
        at_ms=context.at_ms,
    )


def _is_open(state: FactorsState, method: Guessed, guess_id: bytes, context: Context) -> bool:
    tries = state.tries.get(method)
    return tries is not None and context.at_ms < tries.open.get(guess_id, -GUESS_MS) + GUESS_MS


def _take_guess(state: FactorsState, command: TakeGuess, context: Context) -> Outcome:
    match command.method:
        case "totp":
            devices = {factor_id: one for factor_id, one in state.totp.items() if one.confirmed_at_ms}
        case "confirm":
            devices = {
                factor_id: one for factor_id, one in state.totp.items() if factor_id == command.factor_id and not one.confirmed_at_ms
            }
        case "password":
            devices = {}
        case "recovery_code":
            return Refused(code="invalid_request", params={"reason": "a recovery code takes its try when it is used"})
        case _:
            assert_never(command.method)
    if command.method != "password" and not devices:
        return Refused(code="factor_unknown")
    taken = _try(state, command.method, context)
    if isinstance(taken, Refused):
        return taken
    secrets = tuple(SealedSecret(factor_id=name, sealed=one.sealed, last_step=one.last_step) for name, one in devices.items())
    return Accepted(events=(taken,), reply=GuessGiven(guess_id=taken.guess_id, secrets=secrets, left=GUESSES - taken.count))


# --- devices that make codes --------------------------------------------------------------------


def _enrol(state: FactorsState, command: EnrolTotp, context: Context) -> Outcome:
    if command.factor_id in state.totp or command.factor_id in state.passkeys:
        return Refused(code="idempotency_key_reused")
    if not 0 < len(command.sealed) <= SEALED_MAX:
        return Refused(code="invalid_request", params={"reason": f"sealed must have 1 to {SEALED_MAX} bytes"})
    if sum(bool(one.confirmed_at_ms) for one in state.totp.values()) >= TOTP_MAX:
        return Refused(code="too_many_factors", params={"limit": TOTP_MAX})
    event = TotpEnrolled(factor_id=command.factor_id, name=command.name[:FACTOR_NAME_MAX], sealed=command.sealed, at_ms=context.at_ms)
    return Accepted(events=(event,), reply=FactorAdded(factor_id=command.factor_id, sealed=command.sealed))


def _confirm(state: FactorsState, command: ConfirmTotp, context: Context) -> Outcome:
    device = state.totp.get(command.factor_id)
    if device is None or device.confirmed_at_ms or context.at_ms >= device.enrolled_at_ms + CONFIRM_MS:
        return Refused(code="factor_unknown")
    if not _is_open(state, "confirm", command.guess_id, context):
        return Refused(code="factor_wrong")
    event = TotpConfirmed(factor_id=command.factor_id, step=command.step, guess_id=command.guess_id, at_ms=context.at_ms)
    return Accepted(events=(event,), reply=FactorAdded(factor_id=command.factor_id))


def _accept_step(state: FactorsState, command: AcceptStep, context: Context) -> Outcome:
    device = state.totp.get(command.factor_id)
    if device is None or not device.confirmed_at_ms:
        return Refused(code="factor_unknown")
    if not _is_open(state, "totp", command.guess_id, context):
        return Refused(code="factor_wrong")
    if is_replay(device, command.step):
        return Refused(code="factor_code_used")
    event = StepAccepted(
        factor_id=command.factor_id,
        step=command.step,
        guess_id=command.guess_id,
        at_ms=context.at_ms,
        resealed=command.resealed[:SEALED_MAX],
    )
    return Accepted(events=(event,), reply=FactorProven(method="totp", factor_id=command.factor_id, at_ms=context.at_ms))


def _accept_proof(state: FactorsState, command: AcceptProof, context: Context) -> Outcome:
    if command.method != "password" or not _is_open(state, command.method, command.guess_id, context):
        return Refused(code="factor_wrong")
    event = ProofAccepted(method=command.method, guess_id=command.guess_id, at_ms=context.at_ms)
    return Accepted(events=(event,), reply=FactorProven(method=command.method, at_ms=context.at_ms))


def _lapse(state: FactorsState, context: Context) -> Outcome:
    late = [name for name, one in state.totp.items() if not one.confirmed_at_ms and one.enrolled_at_ms + CONFIRM_MS <= context.at_ms]
    return Accepted(events=tuple(TotpLapsed(factor_id=name, at_ms=context.at_ms) for name in late))


def _set_sms(state: FactorsState, command: SetSms, context: Context) -> Outcome:
    if command.lookup == state.sms:
        return Accepted(reply=FactorsChanged(generation=state.generation))
    if len(command.lookup) not in (0, LOOKUP_BYTES):
        return Refused(code="invalid_request", params={"reason": f"lookup must have {LOOKUP_BYTES} bytes"})
    reply = FactorsChanged(generation=state.generation + (not command.lookup))
    return Accepted(events=(SmsSet(lookup=command.lookup, at_ms=context.at_ms),), reply=reply)


# --- recovery codes -----------------------------------------------------------------------------


def _set_recovery_codes(state: FactorsState, command: SetRecoveryCodes, context: Context) -> Outcome:
    hashes = command.hashes
    if len(set(hashes)) != RECOVERY_CODES or len(hashes) != RECOVERY_CODES or {len(one) for one in hashes} != {RECOVERY_HASH_BYTES}:
        return Refused(code="invalid_request", params={"reason": f"there must be {RECOVERY_CODES} different hashes"})
    if not has_factor(state):
        return Refused(code="no_second_factor")
    return Accepted(events=(RecoveryCodesSet(hashes=hashes, at_ms=context.at_ms),), reply=FactorsChanged(generation=state.generation))


def _use_recovery_code(state: FactorsState, command: UseRecoveryCode, context: Context) -> Outcome:
    """One turn: the try is counted and the code is spent, or only the try is counted."""
    taken = _try(state, "recovery_code", context)
    if isinstance(taken, Refused):
        return taken
    if not [one for one in state.recovery if hmac.compare_digest(one, command.code_hash)]:
        return Accepted(events=(taken,), reply=Refused(code="factor_wrong"))
    left = len(state.recovery) - 1
    reply = FactorProven(method="recovery_code", at_ms=context.at_ms, recovery_codes_left=left)
    return Accepted(events=(RecoveryCodeUsed(code_hash=command.code_hash, at_ms=context.at_ms),), reply=reply)


# --- passkeys -----------------------------------------------------------------------------------


def _challenge(state: FactorsState, challenge_id: bytes, expires_at_ms: int, context: Context) -> Refused | None:
    """Why a challenge cannot be answered now; None when it can."""
    if context.at_ms >= expires_at_ms or challenge_id in state.challenges:
        return Refused(code="challenge_invalid")
    if sum(until_ms > context.at_ms for until_ms in state.challenges.values()) >= CHALLENGES_MAX:
        return Refused(code="rate_limited", params={"retry_after_s": 60})
    return None


def _add_passkey(state: FactorsState, command: AddPasskey, context: Context) -> Outcome:
    refused = _challenge(state, command.challenge_id, command.challenge_expires_at_ms, context)
    if refused is not None:
        return refused
    if not 0 < len(command.credential_id) <= CREDENTIAL_ID_MAX or not 0 < len(command.public_key) <= PUBLIC_KEY_MAX:
        return Refused(code="invalid_request", params={"reason": "the credential is too large"})
    if command.factor_id in state.totp or command.factor_id in state.passkeys:
        return Refused(code="idempotency_key_reused")
    if any(one.credential_id == command.credential_id for one in state.passkeys.values()):
        return Refused(code="passkey_known")
    if len(state.passkeys) >= PASSKEYS_MAX:
        return Refused(code="too_many_factors", params={"limit": PASSKEYS_MAX})
    event = PasskeyAdded(
        factor_id=command.factor_id,
        name=command.name[:FACTOR_NAME_MAX],
        credential_id=command.credential_id,
        public_key=command.public_key,
        sign_count=command.sign_count,
        challenge_id=command.challenge_id,
        challenge_expires_at_ms=command.challenge_expires_at_ms,
        transports=command.transports,
        aaguid=command.aaguid,
        backed_up=command.backed_up,
        at_ms=context.at_ms,
    )
    return Accepted(events=(event,), reply=FactorAdded(factor_id=command.factor_id))


def _accept_assertion(state: FactorsState, command: AcceptAssertion, context: Context) -> Outcome:
    passkey = state.passkeys.get(command.factor_id)
    if passkey is None:
        return Refused(code="factor_unknown")
    refused = _challenge(state, command.challenge_id, command.challenge_expires_at_ms, context)
    if refused is not None:
        return refused
    counts = command.sign_count or passkey.sign_count  # authenticators that share their keys do not count: zero for ever
    if counts and command.sign_count <= passkey.sign_count:
        regressed = CounterRegressed(
            factor_id=command.factor_id,
            kept=passkey.sign_count,
            presented=command.sign_count,
            challenge_id=command.challenge_id,
            challenge_expires_at_ms=command.challenge_expires_at_ms,
            at_ms=context.at_ms,
        )
        return Accepted(events=(regressed,), reply=Refused(code="passkey_cloned"))
    event = AssertionAccepted(
        factor_id=command.factor_id,
        sign_count=command.sign_count,
        challenge_id=command.challenge_id,
        challenge_expires_at_ms=command.challenge_expires_at_ms,
        backed_up=command.backed_up,
        at_ms=context.at_ms,
    )
    return Accepted(events=(event,), reply=FactorProven(method="passkey", factor_id=command.factor_id, at_ms=context.at_ms))


# --- names and removal --------------------------------------------------------------------------


def _rename(state: FactorsState, command: RenameFactor, context: Context) -> Outcome:
    if command.factor_id not in state.totp and command.factor_id not in state.passkeys:
        return Refused(code="factor_unknown")
    event = FactorRenamed(factor_id=command.factor_id, name=command.name[:FACTOR_NAME_MAX], at_ms=context.at_ms)
    return Accepted(events=(event,), reply=FactorsChanged(generation=state.generation))


def _remove(state: FactorsState, command: RemoveFactor, context: Context) -> Outcome:
    if command.factor_id not in state.totp and command.factor_id not in state.passkeys:
        return Refused(code="factor_unknown")
    passkey = state.passkeys.get(command.factor_id)
    event = FactorRemoved(factor_id=command.factor_id, at_ms=context.at_ms)
    reply = FactorsChanged(generation=state.generation + 1, credential_id=passkey.credential_id if passkey else b"")
    return Accepted(events=(event,), reply=reply)
