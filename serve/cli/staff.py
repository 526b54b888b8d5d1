"""``stampede staff``: who has which role. The first administrator is made here, by whoever may log in to the machine."""

import asyncio
from typing import TYPE_CHECKING, Any, Final

from schemas.settings import Settings
from serve.cli.door import is_running, open_client, open_connection, with_database
from serve.cli.words import Trouble, say

if TYPE_CHECKING:
    from actors.storage.staff import Grant

REASON: Final = "command line"


class _One:
    """A pool of the one connection that a command has."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def acquire(self) -> "_One":
        return self

    async def __aenter__(self) -> Any:
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        return None


def grant(settings: Settings, user_id: str, role: str, merchant: str) -> None:
    """Give a role. Trouble ``refused``, and as ``serve.cli.door``."""
    with with_database(settings) as found:
        asyncio.run(_change(found, user_id, role, merchant, give=True))


def revoke(settings: Settings, user_id: str, role: str) -> bool:
    """Take a role away; answers whether the user's sessions were ended now, by their owner. Trouble as :func:`grant`."""
    with with_database(settings) as found:
        asyncio.run(_change(found, user_id, role, "", give=False))
        if not is_running(settings) and settings.database_url is None:
            return False
        asyncio.run(_end_sessions(found, user_id))
        return True


def merchant(settings: Settings, merchant_id: str, title: str, title_zh: str, products: list[str]) -> int:
    """Let there be a firm, and let these products be its own; answers how many are. Trouble as :func:`grant`."""
    from schemas.ids import is_id

    if not is_id(merchant_id, "mer"):
        raise Trouble("merchant_wrong", merchant=merchant_id)
    with with_database(settings) as found:
        return asyncio.run(_merchant(found, merchant_id, title, title_zh, products))


async def _merchant(settings: Settings, merchant_id: str, title: str, title_zh: str, products: list[str]) -> int:
    from actors.domain.staff import MACHINE, Actor
    from actors.storage.staff import Staff

    async with open_connection(settings) as connection:
        machine = Actor(user_id=MACHINE, roles=0)
        return await Staff(_One(connection)).set_merchant(machine, merchant_id, title, title_zh, products)


def listed(settings: Settings) -> list["Grant"]:
    """All roles of all users."""
    with with_database(settings) as found:
        return asyncio.run(_listed(found))


async def _change(settings: Settings, user_id: str, role: str, merchant: str, *, give: bool) -> None:
    from actors.domain.staff import MACHINE, Actor
    from actors.storage.staff import NotDone, Staff
    from schemas.permissions import GRANTABLE
    from schemas.problems import problem_of
    from serve.cli.words import is_chinese

    if role not in GRANTABLE:
        raise Trouble("role_unknown", role=role, roles=", ".join(GRANTABLE))
    async with open_connection(settings) as connection:
        staff, machine = Staff(_One(connection)), Actor(user_id=MACHINE, roles=0)
        try:
            if give:
                await staff.grant(machine, user_id, role, merchant, REASON)
            else:
                await staff.revoke(machine, user_id, role, REASON)
        except NotDone as error:
            text = problem_of(error.code, language="zh-CN" if is_chinese() else "en").title
            raise Trouble("refused", reason=text, code=error.code) from None


async def _end_sessions(settings: Settings, user_id: str) -> None:
    """Their tokens are refused anyway, by the table; ended, the sessions get no new ones."""
    from actors.storage.clock import DatabaseClock
    from schemas.ids import derived_id, random_id
    from schemas.sessions import RevokeAll

    clock = DatabaseClock()
    async with open_client(settings) as client:
        answer = await client.ask(
            "sessions", user_id, RevokeAll(), command_id=derived_id("cli", random_id("cli")), digest=b"revoke",
            deadline_ms=clock.now_ms() + settings.request_deadline_ms,
        )  # fmt: skip
    if answer.code:
        raise Trouble("sessions_not_ended", user=user_id, code=answer.code)


async def _listed(settings: Settings) -> list["Grant"]:
    from actors.domain.staff import MACHINE, Actor
    from actors.storage.staff import Staff

    async with open_connection(settings) as connection:
        return await Staff(_One(connection)).grants(Actor(user_id=MACHINE, roles=0))


def listed_words(grants: list["Grant"]) -> str:
    """One line a role."""
    if not grants:
        return say("no_roles")
    return "\n".join(f"{one.user_id}\t{one.role}\t{one.merchant_id or '-'}\t{one.granted_by}" for one in grants)
