"""``stampede seed``: a shop for an empty database, and customers for load tests."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from schemas.settings import Settings
from serve.cli.door import is_running, open_client, open_connection, running, with_database
from serve.cli.words import Trouble, say

Progress = Callable[[str], None]

AT_ONCE: Final = 768
"""Logins under way: three full envelopes for one host."""

TELL_EVERY: Final = 10_000


def seed_shop(settings: Settings, shop: str, progress: Progress) -> int | None:
    """Load a shop into an empty database, migrated if need be; answers how many products, None when there is a shop."""
    if shop not in ("demo", "small", "none"):
        raise Trouble("shop_unknown", shop=shop)
    if shop == "none":
        return 0
    alive = is_running(settings)
    with with_database(settings, make=True) as found:
        return asyncio.run(_seed_shop(found, shop, progress, with_quotas=alive))


async def _seed_shop(settings: Settings, name: str, progress: Progress, *, with_quotas: bool) -> int | None:
    from actors.storage.migrate import found_cluster, migrate
    from actors.storage.seed import demo_shop, small_shop
    from actors.storage.shop import NotEmpty, configure_quotas, load_shop

    async with open_connection(settings) as connection:
        for applied in await migrate(connection):
            progress(say("migrated", name=applied))
        try:
            cluster = await found_cluster(connection, settings.shard_count, settings.pools)
        except ValueError as error:
            raise Trouble("setting_wrong", reason=error) from error
        shop = demo_shop() if name == "demo" else small_shop(1)
        try:
            count = await load_shop(
                connection, cluster.sharding(), shop, lambda step, count: progress(say(f"up_{step}", count=f"{count:,}"))
            )
        except NotEmpty:
            return None
    if with_quotas:
        async with open_client(settings) as client:
            await configure_quotas(client, settings)
    return count


def _said(step: str, count: int) -> str:
    return say(f"up_{step}", count=f"{count:,}")


def seed_users(settings: Settings, count: int, tokens: Path, hours: float, progress: Progress) -> None:
    """Make ``count`` customers who are logged in, and write ``user id<TAB>access token`` for each, in order.

    They are the same ones each time: an account with a password that nobody knows, and one session,
    opened by its owner as any other. Their tokens outlive the usual ones (``hours``, at least as long
    as usual); a session that is ended is forgotten by the replicas when a usual token would have expired.
    """
    asyncio.run(_seed_users(running(settings), count, tokens, hours, progress))


async def _seed_users(settings: Settings, count: int, tokens: Path, hours: float, progress: Progress) -> None:
    from actors.domain.signing import SigningKeys
    from actors.storage.crowd import add_accounts, crowd_ids
    from actors.storage.migrate import found_cluster

    users = crowd_ids(count)
    async with open_connection(settings) as connection:
        await add_accounts(connection, users)
        progress(say("accounts", count=count))
        cluster = await found_cluster(connection, settings.shard_count, settings.pools)
    keys = SigningKeys(current=1, keys={1: cluster.token_key})
    lifetime_ms = max(round(hours * 3600), settings.access_token_s) * 1000
    async with open_client(settings) as client:
        lines = await _log_in(client, users, keys, lifetime_ms, progress)
    _write(tokens, "".join(lines))


async def _log_in(client: Any, users: list[str], keys: Any, lifetime_ms: int, progress: Progress) -> list[str]:
    """A line for each user, in order."""
    from actors.domain.token import AccessToken, Role, issue
    from actors.storage.crowd import login_of
    from schemas.ids import derived_id
    from schemas.sessions import SessionGranted

    lines = [""] * len(users)
    codes: list[str] = []
    numbers = iter(range(len(users)))
    done = 0

    async def work() -> None:
        nonlocal done
        for number in numbers:
            user_id = users[number]
            login = login_of(keys.keys[keys.current], user_id)
            answer = await client.ask("sessions", user_id, login, command_id=derived_id("crowd", user_id))
            done += 1
            if isinstance(answer.reply, SessionGranted):
                token = AccessToken(
                    user_id=user_id,
                    session_id=login.session_id,
                    generation=answer.reply.generation,
                    roles=Role.CUSTOMER,
                    expires_at_ms=int(time.time() * 1000) + lifetime_ms,
                )
                lines[number] = f"{user_id}\t{issue(keys, token)}\n"
            else:
                codes.append(answer.code)
            if done % TELL_EVERY == 0:
                progress(say("sessions", count=done, total=len(users)))

    await asyncio.gather(*(work() for _ in range(min(AT_ONCE, len(users)))))
    if codes:
        raise Trouble("not_logged_in", count=len(codes), code=codes[0])
    return lines


def _write(path: Path, text: str) -> None:
    """Only this user may read it: who has a token is that customer."""
    partial = path.with_name(path.name + ".partial")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        partial.replace(path)
    except OSError as error:
        raise Trouble("file_unwritable", file=path, reason=error.strerror) from error
