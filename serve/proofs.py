"""Proofs of a second factor: each is looked at here, where the keys are, and counted at its owner, where there is one of it."""

import base64
import hmac
from collections.abc import Iterable
from typing import Final

import pyotp
import structlog

from actors.storage.sealing import Unreadable
from schemas.factors import AcceptProof, AcceptStep, ConfirmTotp, FactorProven, GuessGiven, SealedSecret, TakeGuess, UseRecoveryCode
from schemas.ids import base32
from serve.desk import Desk
from serve.requests import Refusal

log = structlog.get_logger("stampede.factors")

STEP_MS: Final = 30_000
WINDOW: Final = (0, -1, 1)
"""Steps that are tried: clocks of telephones are off by some seconds, and people type slowly."""

SECRET: Final = "totp.secret"
RECOVERY: Final = "recovery_code"
RECOVERY_BITS: Final = 50
"""Of one code: with five tries in a while nobody guesses one of ten."""

_SAME: Final = str.maketrans("oil", "011", "- ")


async def prove_totp(desk: Desk, user_id: str, code: str) -> FactorProven:
    """Refusal ``factor_wrong``, ``factor_code_used``, ``factor_locked``; ``method_unavailable`` when there is no device."""
    answer = await desk.ask("factors", user_id, TakeGuess(method="totp"))
    if answer.code:
        raise Refusal("method_unavailable" if answer.code == "factor_unknown" else answer.code, answer.params)
    given = answer.reply
    assert isinstance(given, GuessGiven)
    found = _matching(desk, user_id, given.secrets, code)
    if found is None:
        raise _wrong(user_id, given)
    secret, step, text = found
    resealed = desk.sealer.seal(SECRET, user_id, text) if desk.sealer.is_old(secret.sealed) else b""
    command = AcceptStep(factor_id=secret.factor_id, step=step, guess_id=given.guess_id, resealed=resealed)
    proven = await desk.told("factors", user_id, command)
    assert isinstance(proven, FactorProven)
    return proven


async def confirm_totp(desk: Desk, user_id: str, factor_id: str, code: str) -> None:
    """The first code of a new device. Refusal ``factor_unknown``, ``factor_wrong``, ``factor_locked``."""
    given = await desk.told("factors", user_id, TakeGuess(method="confirm", factor_id=factor_id))
    assert isinstance(given, GuessGiven)
    found = _matching(desk, user_id, given.secrets, code)
    if found is None:
        raise _wrong(user_id, given)
    await desk.told("factors", user_id, ConfirmTotp(factor_id=factor_id, step=found[1], guess_id=given.guess_id))


async def prove_recovery_code(desk: Desk, user_id: str, text: str) -> FactorProven:
    """Spends the code. Refusal ``factor_wrong``, ``factor_locked``."""
    proven = await desk.told("factors", user_id, UseRecoveryCode(code_hash=recovery_hash(desk, user_id, text)))
    assert isinstance(proven, FactorProven)
    return proven


async def prove_password(desk: Desk, user_id: str, password: str) -> FactorProven:
    """For who has no second factor. Refusal ``factor_wrong``, ``factor_locked``."""
    account = await desk.users.one(user_id)
    given = await desk.told("factors", user_id, TakeGuess(method="password"))
    assert isinstance(given, GuessGiven)
    if not await desk.passwords.fits(password, account.password_hash if account else None):
        raise _wrong(user_id, given)
    proven = await desk.told("factors", user_id, AcceptProof(method="password", guess_id=given.guess_id))
    assert isinstance(proven, FactorProven)
    return proven


def _wrong(user_id: str, given: GuessGiven) -> Refusal:
    if not given.left:
        log.warning("factor_guesses_spent", user_id=user_id)
    return Refusal("factor_wrong", {"left": given.left})


def new_secret(desk: Desk) -> str:
    """160 random bits in base 32, as authenticator apps want it."""
    return base64.b32encode(desk.services.random_bytes(20)).decode()


def new_recovery_code(desk: Desk) -> str:
    """Ten characters that are not mistaken for each other, in two groups."""
    text = base32(int.from_bytes(desk.services.random_bytes(7), "big") & ((1 << RECOVERY_BITS) - 1), 10)
    return f"{text[:5]}-{text[5:]}"


def recovery_hash(desk: Desk, user_id: str, text: str) -> bytes:
    """What is kept of a code: without the server's key nobody can try codes out against it."""
    return desk.sealer.lookup(RECOVERY, f"{user_id}\n{text.lower().translate(_SAME)}")


def _matching(desk: Desk, user_id: str, secrets: Iterable[SealedSecret], code: str) -> tuple[SealedSecret, int, str] | None:
    """The device and the step that this code is of; one that was used before only when no other fits: its owner refuses it."""
    now_step = desk.clock.now_ms() // STEP_MS
    found: list[tuple[SealedSecret, int, str]] = []
    for secret in secrets:
        try:
            text = desk.sealer.open(SECRET, user_id, secret.sealed)
        except Unreadable:
            log.error("totp_secret_unreadable", user_id=user_id, factor_id=secret.factor_id)
            continue
        made = pyotp.TOTP(text)
        steps = (now_step + off for off in WINDOW)
        found += [(secret, step, text) for step in steps if hmac.compare_digest(made.generate_otp(step), code)]
    return max(found, key=lambda one: one[1] > one[0].last_step, default=None)
