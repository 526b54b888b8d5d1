"""``stampede migrate``."""

import asyncio
import sys

from schemas.settings import Settings
from serve.cli.door import open_connection, with_database
from serve.cli.words import Trouble, say


def migrate(settings: Settings) -> list[str]:
    """Apply what is missing, and found the cluster; answers the names of what was applied."""
    with with_database(settings, make=True) as found:
        return asyncio.run(_migrate(found))


async def _migrate(settings: Settings) -> list[str]:
    from actors.storage.connect import UnsafeDatabase, check_durable, unsafe_standby
    from actors.storage.migrate import found_cluster
    from actors.storage.migrate import migrate as apply

    async with open_connection(settings) as connection:
        try:
            await check_durable(connection)
            if standby := await unsafe_standby(connection):
                print(say("standby", name=standby), file=sys.stderr)
            names = await apply(connection)
            await found_cluster(connection, settings.shard_count, settings.pools)
        except (UnsafeDatabase, ValueError) as error:
            raise Trouble("setting_wrong", reason=error) from error
    return names
