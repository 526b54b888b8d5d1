"""What is kept of a user's second factors, what its events write into it, and what must hold of it."""

from typing import Final, assert_never

import msgspec

from schemas.factors import (
    RECOVERY_CODES,
    AssertionAccepted,
    CounterRegressed,
    DevicesForgotten,
    FactorRemoved,
    FactorRenamed,
    FactorsView,
    GuessTaken,
    PasskeyAdded,
    PasskeyView,
    ProofAccepted,
    RecoveryCodesSet,
    RecoveryCodeUsed,
    SmsSet,
    StepAccepted,
    TotpConfirmed,
    TotpEnrolled,
    TotpLapsed,
    TotpView,
)

TOTP_MAX: Final = 5
"""Devices that make codes: each one more is a chance more for who guesses."""

PASSKEYS_MAX: Final = 20

GUESSES: Final = 5
"""Tries between two locks."""

LOCKS_MS: Final = (60_000, 300_000, 3_600_000)
"""How long the first, the second and every further lock lasts: of a million codes 120 can be tried in a day."""

GUESS_MS: Final = 60_000
"""Between taking a guess and what came of it: a request is answered within a tenth of that."""

OPEN_MAX: Final = 16
"""Guesses that wait for their outcome. After a success in between there may be more than five."""

CONFIRM_MS: Final = 15 * 60_000
"""A device that is not confirmed by then was never one."""

CHALLENGES_MAX: Final = 64
"""Spent challenges known at once. Each cost a genuine signature and is forgotten after its five minutes."""

PUBLIC_KEY_MAX: Final = 2048
CREDENTIAL_ID_MAX: Final = 1023
"""Bytes; WebAuthn's own limit."""
SEALED_MAX: Final = 256
LOOKUP_BYTES: Final = 16

FactorsEvent = (
    TotpEnrolled | TotpConfirmed | TotpLapsed | GuessTaken | StepAccepted | ProofAccepted | RecoveryCodesSet | RecoveryCodeUsed
    | PasskeyAdded | AssertionAccepted | CounterRegressed | FactorRenamed | FactorRemoved | DevicesForgotten | SmsSet
)  # fmt: skip


class Totp(msgspec.Struct, kw_only=True):
    """A device that makes codes. ``last_step``: of the last code that was accepted."""

    name: str
    sealed: bytes
    enrolled_at_ms: int
    confirmed_at_ms: int = 0
    last_step: int = 0
    used_at_ms: int = 0


class Passkey(msgspec.Struct, kw_only=True):
    name: str
    credential_id: bytes
    public_key: bytes
    sign_count: int
    transports: tuple[str, ...]
    aaguid: str
    backed_up: bool
    added_at_ms: int
    used_at_ms: int = 0
    regressions: int = 0


class Tries(msgspec.Struct, kw_only=True):
    """Of one method: how many were taken since a success or a lock, and those whose outcome is open (id: when taken)."""

    count: int = 0
    locks: int = 0
    locked_until_ms: int = 0
    open: dict[bytes, int] = {}


class FactorsState(msgspec.Struct, kw_only=True):
    key: str
    generation: int = 0
    totp: dict[str, Totp] = {}
    passkeys: dict[str, Passkey] = {}
    recovery: list[bytes] = []
    tries: dict[str, Tries] = {}
    challenges: dict[bytes, int] = {}
    sms: bytes = b""


def view_of(state: FactorsState) -> FactorsView:
    """Everything that the edge needs to know; no secrets."""
    return FactorsView(
        totp=tuple(
            TotpView(
                factor_id=factor_id,
                name=one.name,
                enrolled_at_ms=one.enrolled_at_ms,
                confirmed_at_ms=one.confirmed_at_ms,
                used_at_ms=one.used_at_ms,
            )
            for factor_id, one in state.totp.items()
        ),
        passkeys=tuple(
            PasskeyView(
                factor_id=factor_id,
                name=one.name,
                credential_id=one.credential_id,
                public_key=one.public_key,
                sign_count=one.sign_count,
                transports=one.transports,
                backed_up=one.backed_up,
                added_at_ms=one.added_at_ms,
                used_at_ms=one.used_at_ms,
                regressions=one.regressions,
            )
            for factor_id, one in state.passkeys.items()
        ),
        recovery_codes_left=len(state.recovery),
        generation=state.generation,
        sms=state.sms,
    )


def invariant(state: FactorsState) -> list[str]:
    """What does not hold of this state; empty when all is well."""
    wrong = []
    pending = [factor_id for factor_id, one in state.totp.items() if not one.confirmed_at_ms]
    if len(pending) > 1 or len(state.totp) - len(pending) > TOTP_MAX:
        wrong.append(f"{state.key}: {len(state.totp)} devices, {len(pending)} of them not confirmed")
    if len(state.passkeys) > PASSKEYS_MAX:
        wrong.append(f"{state.key}: {len(state.passkeys)} passkeys")
    if len({one.credential_id for one in state.passkeys.values()}) != len(state.passkeys):
        wrong.append(f"{state.key}: a passkey is there twice")
    if len(state.recovery) > RECOVERY_CODES or (state.recovery and not has_factor(state)):
        wrong.append(f"{state.key}: {len(state.recovery)} recovery codes")
    for method, tries in state.tries.items():
        if tries.count > GUESSES or len(tries.open) > OPEN_MAX:
            wrong.append(f"{state.key}: {tries.count} tries of {method}, {len(tries.open)} open")
        if (tries.count == GUESSES) != bool(tries.locked_until_ms):
            wrong.append(f"{state.key}: {method} is locked after {tries.count} tries")
    if len(state.challenges) > CHALLENGES_MAX:
        wrong.append(f"{state.key}: {len(state.challenges)} spent challenges")
    return wrong


def is_replay(device: Totp, step: int) -> bool:
    """Whether a code of this step, or of a later one, was accepted before: a code is good once, also when its half minute is not over."""
    return step <= device.last_step


def has_factor(state: FactorsState) -> bool:
    return bool(state.passkeys or state.sms) or any(one.confirmed_at_ms for one in state.totp.values())


def apply(state: FactorsState, event: FactorsEvent) -> None:
    """Write an event into the state."""
    match event:
        case GuessTaken() | StepAccepted() | ProofAccepted() | RecoveryCodesSet() | RecoveryCodeUsed():
            _apply_proof(state, event)
        case TotpEnrolled():
            for factor_id in [name for name, one in state.totp.items() if not one.confirmed_at_ms]:
                del state.totp[factor_id]
            state.totp[event.factor_id] = Totp(name=event.name, sealed=event.sealed, enrolled_at_ms=event.at_ms)
        case TotpConfirmed():
            device = state.totp[event.factor_id]
            device.confirmed_at_ms = device.used_at_ms = event.at_ms
            device.last_step = event.step
            _succeeded(state, "confirm", event.guess_id)
        case TotpLapsed():
            del state.totp[event.factor_id]
        case PasskeyAdded():
            state.passkeys[event.factor_id] = _passkey(event)
            _spend(state, event.challenge_id, event.challenge_expires_at_ms, event.at_ms)
        case AssertionAccepted():
            passkey = state.passkeys[event.factor_id]
            passkey.sign_count, passkey.backed_up, passkey.used_at_ms = event.sign_count, event.backed_up, event.at_ms
            _spend(state, event.challenge_id, event.challenge_expires_at_ms, event.at_ms)
        case CounterRegressed():
            state.passkeys[event.factor_id].regressions += 1
            _spend(state, event.challenge_id, event.challenge_expires_at_ms, event.at_ms)
        case FactorRenamed():
            (state.totp.get(event.factor_id) or state.passkeys[event.factor_id]).name = event.name
        case FactorRemoved():
            _apply_removed(state, event.factor_id)
        case SmsSet():
            state.sms = event.lookup
            if not event.lookup:
                _apply_removed(state, "")
        case DevicesForgotten():
            state.generation += 1
        case _:
            assert_never(event)


def _succeeded(state: FactorsState, method: str, guess_id: bytes) -> None:
    """A success sets the count back. Guesses that others have open stay so: each of them was counted."""
    tries = state.tries.setdefault(method, Tries())
    tries.count = tries.locks = tries.locked_until_ms = 0
    tries.open.pop(guess_id, None)


def _apply_proof(state: FactorsState, event: GuessTaken | StepAccepted | ProofAccepted | RecoveryCodesSet | RecoveryCodeUsed) -> None:
    match event:
        case GuessTaken():
            tries = state.tries.setdefault(event.method, Tries())
            tries.count, tries.locks, tries.locked_until_ms = event.count, event.locks, event.locked_until_ms
            live = [item for item in tries.open.items() if item[1] + GUESS_MS > event.at_ms]
            tries.open = dict([*live, (event.guess_id, event.at_ms)][-OPEN_MAX:])
        case StepAccepted():
            device = state.totp[event.factor_id]
            device.last_step, device.used_at_ms = event.step, event.at_ms
            device.sealed = event.resealed or device.sealed
            _succeeded(state, "totp", event.guess_id)
        case ProofAccepted():
            _succeeded(state, event.method, event.guess_id)
        case RecoveryCodesSet():
            state.recovery = list(event.hashes)
        case RecoveryCodeUsed():
            state.recovery.remove(event.code_hash)
            _succeeded(state, "recovery_code", b"")
        case _:
            assert_never(event)


def _passkey(event: PasskeyAdded) -> Passkey:
    return Passkey(
        name=event.name,
        credential_id=event.credential_id,
        public_key=event.public_key,
        sign_count=event.sign_count,
        transports=event.transports,
        aaguid=event.aaguid,
        backed_up=event.backed_up,
        added_at_ms=event.at_ms,
    )


def _spend(state: FactorsState, challenge_id: bytes, expires_at_ms: int, at_ms: int) -> None:
    state.challenges = {name: until_ms for name, until_ms in state.challenges.items() if until_ms > at_ms} | {challenge_id: expires_at_ms}


def _apply_removed(state: FactorsState, factor_id: str) -> None:
    """Whoever removes a device may have lost it: devices that were trusted because of it are asked again."""
    state.totp.pop(factor_id, None)
    state.passkeys.pop(factor_id, None)
    state.generation += 1
    if not has_factor(state):
        state.recovery = []
