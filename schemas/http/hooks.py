"""Answers to third parties, and of the doors that operators look through."""

import msgspec


class HookTaken(msgspec.Struct, frozen=True, kw_only=True):
    """Recorded, or of no concern: it need not be sent again."""

    received: bool


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """``status``: ok."""

    status: str
