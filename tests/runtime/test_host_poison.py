"""Commands that break their rules, bytes that are no command, and memory that runs out, on a real host under Ray."""

import asyncio
import secrets
from typing import Any

import msgspec
import pytest

from actors.domain.kinds import answers_decoder, encoder
from schemas.envelope import Call
from schemas.stock import PutIn, ReadStock, WriteOff

pytestmark = [pytest.mark.ray, pytest.mark.slow]

RAISES, CANNOT_BE_PICKLED, EXITS, HAS_NO_MEMORY = 101, 102, 103, 104
MEGABYTES_FROM = 1_000_000
"""What ``tests/runtime/poison`` makes of these quantities."""


class Part:
    """One part of stock, and the host that owns it."""

    def __init__(self, crowd: Any, key: str, host: str) -> None:
        self.crowd, self.key, self.host = crowd, key, host

    async def ask(self, command: Any, command_id: bytes = b"") -> Any:
        return await self.crowd.client.ask("stock", self.key, command, command_id=command_id or secrets.token_bytes(16), digest=b"d")

    async def read(self) -> Any:
        return (await self.crowd.client.ask("stock", self.key, ReadStock(), command_id=secrets.token_bytes(16))).reply

    async def through_ray(self, payload: bytes) -> bytes:
        return bytes.fromhex(await asyncio.to_thread(self.crowd.copy.do, "send", self.host, payload.hex()))

    async def numbers(self) -> Any:
        return await self.crowd.copy.numbers(self.host)


@pytest.fixture
async def part(crowd: Any) -> Part:
    """A part with three units."""
    key = f"sku_{secrets.token_hex(4)}#0"
    connection = await crowd.copy.connect()
    host = await connection.fetchval("SELECT host FROM shard_owner WHERE shard = $1", crowd.client.sharding.shard("stock", key))
    await connection.close()
    part = Part(crowd, key, host)
    assert (await part.ask(PutIn(quantity=3))).code == ""
    return part


@pytest.mark.parametrize("quantity", [RAISES, CANNOT_BE_PICKLED, EXITS, HAS_NO_MEMORY])
async def test_f13_f14_on_a_real_host_a_command_that_raises_fails_alone(part: Part, quantity: int) -> None:
    before = await part.numbers()
    poison = secrets.token_bytes(16)
    codes = [(await part.ask(PutIn(quantity=quantity), poison)).code for _ in range(3)]
    assert codes == ["internal_error", "internal_error", "command_poisoned"]
    # The same through Ray, where an exception would have to be pickled.
    call = Call(
        id=secrets.token_bytes(16), kind="stock", key=part.key, command=msgspec.Raw(encoder.encode(PutIn(quantity=quantity))), digest=b"d"
    )
    [answer] = answers_decoder.decode(await part.through_ray(encoder.encode([call])))
    assert answer.code == "internal_error"
    assert (await part.ask(PutIn(quantity=1))).reply.available == 4
    after = await part.numbers()
    assert after["pid"] == before["pid"]
    assert after["counters"]["poisoned"] - before["counters"]["poisoned"] == 3
    assert after["counters"]["takeovers"] == before["counters"]["takeovers"]


async def test_bytes_that_are_no_envelope_are_lost_and_harm_nobody(part: Part) -> None:
    before = await part.numbers()
    with pytest.raises(AssertionError, match="TransportLost"):
        await part.through_ray(b"\xc1 no envelope")
    assert (await part.read()).available == 3
    assert (await part.numbers())["pid"] == before["pid"]


async def test_f16_a_host_that_leaks_refuses_what_is_new_then_starts_anew_and_nothing_is_lost(part: Part, eventually: Any) -> None:
    crowd, before = part.crowd, await part.numbers()
    limit = before["memory_limit_bytes"]

    async def leak(share: float) -> Any:
        """Let it hold on to so much that this share of its limit is used. The command ends something: it is taken at every pressure."""
        missing = limit * share - (await part.numbers())["memory_bytes"]
        return await part.ask(WriteOff(quantity=MEGABYTES_FROM + max(1, int(missing) >> 20)))

    async def pressure(wanted: int) -> bool:
        return bool((await part.numbers())["memory_pressure"] == wanted)

    await leak(0.90)
    await eventually(lambda: pressure(2))
    assert (await part.ask(PutIn(quantity=1))).code == "busy"
    assert (await part.ask(WriteOff(quantity=1))).code == ""
    assert (await part.read()).available == 2
    await leak(0.98)

    async def came_back() -> bool:
        return (await crowd.copy.hosts()).get(part.host, before["pid"]) != before["pid"]

    await eventually(came_back)
    await eventually(lambda: crowd.copy.settled(2))
    assert (await part.read()).available == 2
    assert (await part.ask(PutIn(quantity=1))).reply.available == 3
    assert (await crowd.copy.numbers(part.host))["memory_pressure"] == 0
