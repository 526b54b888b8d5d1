"""``stampede privacy run``: what is due is erased, and old fields are sealed with the newest key."""

import asyncio
from typing import Any

import msgspec

from schemas.settings import Settings
from serve.cli.door import open_connection, with_database
from serve.cli.words import Trouble, say


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """How many of each: people erased, exports and messages deleted, fields sealed anew."""

    erased: int
    exports: int
    messages: int
    resealed: int


def run(settings: Settings) -> Run:
    """Do what is due. A repeat finds nothing. Trouble ``setting_wrong``, and as ``serve.cli.door``."""
    with with_database(settings) as found:
        return asyncio.run(_run(found))


async def _run(settings: Settings) -> Run:
    from actors.storage.addresses import reseal_addresses
    from actors.storage.identities import reseal_identities
    from actors.storage.payouts import reseal_payouts
    from actors.storage.privacy import EXPIRED, drop_messages
    from actors.storage.sealing import Sealer, Unreadable, WrongKeys, keys_of
    from actors.storage.user_keys import reseal_user_keys
    from actors.storage.wms import reseal_wms

    async with open_connection(settings) as connection:
        try:
            sealer = Sealer(keys_of(settings))
            await sealer.check(connection)
            each = (reseal_identities, reseal_addresses, reseal_user_keys, reseal_payouts, reseal_wms)
            resealed = sum([await reseal(connection, sealer) for reseal in each])
        except (WrongKeys, Unreadable, ValueError) as error:
            raise Trouble("setting_wrong", reason=error) from error
        erased = await _erase(connection)
        exports = int((await connection.execute(EXPIRED)).split()[-1])
        messages = await drop_messages(connection, settings.retain_message_days)
    return Run(erased=erased, exports=exports, messages=messages, resealed=resealed)


async def _erase(connection: Any) -> int:
    from actors.storage.privacy import erase_due

    count = 0
    while True:
        # Each in a transaction of its own: whoever ends this ends it between two people.
        async with connection.transaction():
            if await erase_due(connection) is None:
                return count
        count += 1


def words(done: Run) -> str:
    """What was done, for people."""
    return say("privacy_done", erased=done.erased, exports=done.exports, messages=done.messages, resealed=done.resealed)
