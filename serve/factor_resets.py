"""Carrying out what support asked for and an owner did not object to; see ``serve/staff/README.md``."""

import hmac
from typing import Any, Final

import structlog

from actors.domain.staff import MACHINE
from actors.storage import staff_actions
from actors.storage.factor_resets import FactorReset
from actors.storage.staff_actions import Action
from schemas.factors import ForgetDevices
from schemas.ids import base32, random_id
from serve.answers import timestamp
from serve.desk import Desk
from serve.notices import tell
from serve.requests import Refusal
from serve.second_factor import remove_factors
from serve.shop.sessions import end_sessions
from serve.sms_factor import factors_of

log = structlog.get_logger("stampede.factors")

DELAY_MS: Final = 24 * 3_600_000
"""So long an owner may object."""

CODE_CHARACTERS: Final = 16
_CODE: Final = b"stampede.factor_reset\0"
_LOOKUP: Final = "factor_reset"


def reset_code(desk: Desk, reset_id: str) -> str:
    """What its owner decides by: 80 bits, which follow from the id and stand in no table."""
    keys = desk.services.token_keys
    mark = hmac.digest(keys.keys[keys.current], _CODE + reset_id.encode(), "sha256")
    return base32(int.from_bytes(mark[:10], "big"), CODE_CHARACTERS)


def code_lookup(desk: Desk, code: str) -> bytes:
    """By what a code is found."""
    return desk.sealer.lookup(_LOOKUP, code.strip().lower())


async def carry_out(desk: Desk, reset_id: str = "") -> FactorReset | None:
    """Take the factors away of one that is due, or of this one; its owner is told. None when there is nothing to do."""

    async def do(connection: Any, reset: FactorReset) -> None:
        await remove_factors(desk, reset.user_id)
        await desk.told("factors", reset.user_id, ForgetDevices())
        view = await factors_of(desk, reset.user_id)
        if view.totp or view.methods:
            raise Refusal("busy")
        await end_sessions(desk, reset.user_id)
        row = Action(
            action_id=random_id("act"), state="done", at_ms=0, actor_id=MACHINE, role=MACHINE, permission="person.factors",
            target=reset.user_id, reason="the reset was due, or its owner confirmed it", after=reset.reset_id,
        )  # fmt: skip
        await staff_actions.add(connection, row)

    now_ms = desk.clock.now_ms()
    done = await desk.factor_resets.carry_out(do, now_ms, reset_id)
    if done is not None:
        log.info("factors_reset", user_id=done.user_id, reset_id=done.reset_id)
        tell(desk, done.language, done.user_id, "factor_reset_done", done.reset_id, at=timestamp(now_ms))
    return done
