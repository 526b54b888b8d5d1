"""``stampede migrate``."""

import asyncio
import sys
from typing import Any

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
    from actors.storage.sealing import FILE, WrongKeys

    async with open_connection(settings) as connection:
        try:
            await check_durable(connection)
            if standby := await unsafe_standby(connection):
                print(say("standby", name=standby), file=sys.stderr)
            names = await apply(connection)
            await found_cluster(connection, settings.shard_count, settings.pools)
            await seal_fields(connection, settings)
        except WrongKeys as error:
            raise Trouble("up_wrong_keys", name=error.name, file=FILE) from error
        except UnsafeDatabase as error:
            raise Trouble("up_unsafe_database", setting=error.setting, value=error.value) from error
        except ValueError as error:
            raise Trouble("setting_wrong", reason=error) from error
    return names


async def seal_fields(connection: Any, settings: Settings) -> int:
    """Seal with the newest key what is not yet; answers how many fields. WrongKeys; ValueError when the keys cannot be read."""
    from actors.storage.identities import reseal_identities
    from actors.storage.sealing import Sealer, keys_of

    sealer = Sealer(keys_of(settings))
    await sealer.check(connection)
    return await reseal_identities(connection, sealer)
