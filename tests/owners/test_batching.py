"""Turns share flushes, answers wait for them, and what fails takes down exactly what rested on it."""

import asyncio
from typing import Any

import pytest

from actors.domain.entity import Context, Refused
from actors.domain.kinds import KINDS
from actors.domain.stock import StockKind
from actors.owners.limits import Limits
from actors.testing.room import Room, play
from schemas.stock import HoldTaken, PutIn, ReadStock, Release, Reserve, StockDone, StockLevel

SKU = "sku_a#0"


def reserve(number: int, quantity: int = 1) -> Reserve:
    return Reserve(reservation_id=b"r%d" % number, order_id=f"ord_{number}", user_id="usr_1", quantity=quantity, deadline_ms=2**50)


async def round_of_the_loop(seconds: float = 0.0) -> None:
    await asyncio.sleep(seconds)


def test_what_comes_together_is_one_flush_and_what_comes_meanwhile_is_the_next() -> None:
    async def scene() -> None:
        room = await Room().open()
        room.journal.troubles.append("hold")
        first = room.submit("stock", SKU, PutIn(quantity=9))
        await round_of_the_loop(0.01)
        later = [room.submit("stock", SKU, reserve(number)) for number in range(5)]
        await round_of_the_loop(0.1)
        assert not first.done()
        assert not any(answer.done() for answer in later)
        room.journal.go.set()
        assert [answer.reply for answer in await asyncio.gather(first, *later)] == [
            StockDone(available=9),
            *(HoldTaken(available=n) for n in (8, 7, 6, 5, 4)),
        ]
        assert [len(batch) for batch in room.journal.batches] == [1, 5]

    play(scene)


def test_a_read_a_refusal_and_a_repeat_wait_for_what_they_saw() -> None:
    async def scene() -> None:
        room = await Room().open()
        room.journal.troubles.append("hold")
        put = room.submit("stock", SKU, PutIn(quantity=2), b"put")
        await round_of_the_loop(0.01)
        waiting = [
            room.submit("stock", SKU, ReadStock(), digest=b""),
            room.submit("stock", SKU, reserve(1, quantity=3)),
            room.submit("stock", SKU, PutIn(quantity=2), b"put"),
            room.submit("stock", SKU, PutIn(quantity=3), b"put", digest=b"other"),
        ]
        elsewhere = room.submit("stock", "sku_other#0", ReadStock(), digest=b"")
        await round_of_the_loop(0.5)
        assert elsewhere.done()
        assert not any(answer.done() for answer in (put, *waiting))
        room.journal.go.set()
        answers = await asyncio.gather(put, *waiting)
        assert isinstance(answers[1].reply, StockLevel)
        assert answers[1].reply.available == 2
        assert [answer.code for answer in answers[2:]] == ["insufficient_stock", "", "idempotency_key_reused"]
        assert answers[0].reply == answers[3].reply == StockDone(available=2)
        assert room.records("stock", SKU) == 1

    play(scene)


def test_f02_a_repeat_after_the_commit_gets_the_first_answer_and_has_no_second_effect() -> None:
    async def scene() -> None:
        room = await Room().open()
        first = await room.submit("stock", SKU, PutIn(quantity=2), b"put")
        await room.submit("stock", SKU, PutIn(quantity=5))
        again = await asyncio.gather(*(room.submit("stock", SKU, PutIn(quantity=2), b"put") for _ in range(10)))
        assert {str(answer.reply) for answer in again} == {str(first.reply)}
        assert room.records("stock", SKU) == 2
        assert (await room.submit("stock", SKU, PutIn(quantity=9), b"put", digest=b"other")).code == "idempotency_key_reused"

    play(scene)


def test_the_answer_of_a_command_that_had_nothing_to_change_stays_its_answer() -> None:
    async def scene() -> None:
        room = await Room().open()
        await room.submit("stock", SKU, PutIn(quantity=2))
        await room.submit("stock", SKU, reserve(1), b"one")
        assert (await room.submit("stock", SKU, reserve(1), b"two")).reply == HoldTaken(available=1)
        await room.submit("stock", SKU, reserve(2), b"three")
        assert (await room.submit("stock", SKU, reserve(1), b"two")).reply == HoldTaken(available=1)
        assert room.records("stock", SKU) == 4

    play(scene)


def test_a_refusal_that_changed_nothing_is_decided_anew() -> None:
    async def scene() -> None:
        room = await Room().open()
        assert (await room.submit("stock", SKU, reserve(1), b"one")).code == "sold_out"
        await room.submit("stock", SKU, PutIn(quantity=1))
        assert (await room.submit("stock", SKU, reserve(1), b"one")).reply == HoldTaken(available=0)

    play(scene)


@pytest.mark.parametrize(("trouble", "records"), [("lose", 1), ("forget", 2)])
def test_f21_after_an_unknown_flush_the_shard_is_taken_anew_and_a_repeat_finds_the_truth(trouble: str, records: int) -> None:
    async def scene() -> None:
        room = await Room().open()
        await room.submit("stock", SKU, PutIn(quantity=2))
        shard = room.sharding.shard("stock", SKU)
        epoch = room.journal.epochs[shard]
        room.journal.troubles.append(trouble)
        assert (await room.submit("stock", SKU, reserve(1), b"one")).code == "outcome_unknown"
        assert room.records("stock", SKU) == records
        await room.served()
        assert room.journal.epochs[shard] == epoch + 1
        assert (await room.submit("stock", SKU, reserve(1), b"one")).reply == HoldTaken(available=1)
        assert room.records("stock", SKU) == 2

    play(scene)


def test_a_flush_that_hangs_is_unknown_after_its_limit_and_the_rest_is_told_at_once() -> None:
    async def scene() -> None:
        room = await Room(limits=Limits(flush_timeout_ms=3000)).open()
        room.journal.troubles.append("hold")
        hung = room.submit("stock", SKU, PutIn(quantity=2))
        await round_of_the_loop(1.5)
        began_s = room.loop.time()
        assert (await room.submit("stock", SKU, PutIn(quantity=1))).code == "storage_unavailable"
        assert room.loop.time() == began_s
        assert (await hung).code == "outcome_unknown"
        assert 2.9 < room.loop.time() - began_s + 1.5 < 3.2
        await room.served()
        assert (await room.submit("stock", SKU, PutIn(quantity=1))).reply == StockDone(available=1)

    play(scene)


def test_f04_a_fenced_flush_discards_everything_that_took_part_and_nothing_else() -> None:
    async def scene() -> None:
        room = await Room(shards=16).open()
        keys = [f"sku_{number}#0" for number in range(6)]
        for key in keys:
            await room.submit("stock", key, PutIn(quantity=5))
        took_part, bystander = (
            keys[:3],
            next(key for key in keys if room.sharding.shard("stock", key) not in {room.sharding.shard("stock", k) for k in keys[:3]}),
        )
        untouched = room.host.shards[room.sharding.shard("stock", bystander)]
        room.journal.troubles.append("fence")
        answers = [room.submit("stock", key, reserve(1)) for key in took_part]
        await round_of_the_loop()
        on_top = room.submit("stock", took_part[0], reserve(2))
        assert {answer.code for answer in await asyncio.gather(*answers, on_top)} == {"moved"}
        assert room.host.shards[untouched.number] is untouched
        assert [room.records("stock", key) for key in took_part] == [1, 1, 1]
        assert room.host.counters.fenced == 1
        await room.served()
        assert (await room.submit("stock", took_part[0], reserve(2))).reply == HoldTaken(available=4)

    play(scene)


def test_a_caller_that_leaves_disturbs_nobody() -> None:
    async def scene() -> None:
        room = await Room().open()
        await room.client.ask("stock", SKU, PutIn(quantity=9), command_id=b"put", digest=b"d")
        leaving = asyncio.ensure_future(room.client.ask("stock", SKU, reserve(1), command_id=b"one", digest=b"d"))
        staying = [asyncio.ensure_future(room.client.ask("stock", SKU, reserve(n), command_id=b"%d" % n, digest=b"d")) for n in range(2, 6)]
        await round_of_the_loop()
        leaving.cancel()
        answers = await asyncio.gather(*staying)
        assert [answer.code for answer in answers] == [""] * 4
        assert (await room.client.ask("stock", SKU, reserve(1), command_id=b"one", digest=b"d")).code == ""
        assert room.state("stock", SKU).held == 5
        assert room.records("stock", SKU) == 6

    play(scene)


def test_an_expired_command_is_dropped_before_it_runs() -> None:
    async def scene() -> None:
        room = await Room().open()
        late = room.submit("stock", SKU, PutIn(quantity=1), deadline_ms=room.clock.now_ms() - 1)
        assert (await late).code == "deadline_passed"
        assert (await room.submit("stock", SKU, PutIn(quantity=1), deadline_ms=room.clock.now_ms())).code == ""
        assert room.records("stock", SKU) == 1

    play(scene)


def test_f18_queues_are_bounded_and_the_next_is_told_busy() -> None:
    async def scene() -> None:
        room = await Room(limits=Limits(batch_commands_max=4, queue_commands_max=6)).open()
        await room.submit("stock", SKU, PutIn(quantity=99))
        room.journal.troubles.append("hold")
        first = room.submit("stock", SKU, reserve(100))
        await round_of_the_loop(0.01)
        answers = [room.submit("stock", SKU, reserve(number)) for number in range(15)]
        refused = [answer.result().code for answer in answers if answer.done()]
        assert refused == ["busy"] * 5
        inside = room.submit("stock", SKU, Release(reservation_id=b"x"), digest=b"")
        room.journal.go.set()
        done = await asyncio.gather(first, *(answer for answer in answers if not answer.done()), inside)
        assert [answer.code for answer in done] == [""] * 12
        assert max(len(batch) for batch in room.journal.batches) == 4

    play(scene)


class _Poisonous(StockKind):
    """Stock that cannot bear certain quantities."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error
        self.in_apply = False
        self.in_wake = False

    def decide(self, state: Any, command: Any, context: Context) -> Any:
        if isinstance(command, PutIn) and command.quantity == 13 and not self.in_apply:
            raise self.error
        return super().decide(state, command, context)

    def apply(self, state: Any, event: Any) -> None:
        if self.in_apply and getattr(event, "quantity", 0) == 13:
            raise self.error
        super().apply(state, event)


@pytest.mark.parametrize("error", [ValueError, SystemExit, RecursionError])
def test_f13_f14_a_command_that_raises_is_its_own_failure_and_the_third_time_refused(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "stock", _Poisonous(error))

    async def scene() -> None:
        room = await Room().open()
        await room.submit("stock", SKU, PutIn(quantity=1))
        codes = [(await room.submit("stock", SKU, PutIn(quantity=13), b"poison")).code for _ in range(4)]
        assert codes == ["internal_error", "internal_error", "command_poisoned", "command_poisoned"]
        assert (await room.submit("stock", SKU, PutIn(quantity=1))).reply == StockDone(available=2)
        assert room.host.counters.poisoned == 2

    play(scene)


def test_half_a_turn_is_forgotten_with_all_that_rested_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = _Poisonous(ValueError)
    kind.in_apply = True
    monkeypatch.setitem(KINDS, "stock", kind)

    async def scene() -> None:
        room = await Room().open()
        room.journal.troubles.append("hold")
        flying = room.submit("stock", SKU, PutIn(quantity=1))
        await round_of_the_loop(0.01)
        poison = room.submit("stock", SKU, PutIn(quantity=13), b"poison")
        beside = room.submit("stock", SKU, PutIn(quantity=2))
        await round_of_the_loop(0.01)
        room.journal.go.set()
        assert (await flying).reply == StockDone(available=1)
        assert (await poison).code == "internal_error"
        await room.served()
        answer = await beside
        if answer.code:
            answer = await room.submit("stock", SKU, PutIn(quantity=2))
        assert answer.reply == StockDone(available=3)
        assert [(await room.submit("stock", SKU, PutIn(quantity=13), b"poison")).code for _ in range(2)] == [
            "internal_error",
            "command_poisoned",
        ]
        await room.served()
        assert (await room.submit("stock", SKU, ReadStock(), digest=b"")).reply.available == 3

    play(scene)


def test_a_flush_that_fails_in_an_unknown_way_does_not_stop_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        room = await Room().open()
        append = room.journal.append_now

        def once(*_: Any) -> bool:
            room.journal.append_now = append  # type: ignore[method-assign]
            raise RuntimeError("a bug below")

        room.journal.append_now = once  # type: ignore[method-assign]
        assert (await room.submit("stock", SKU, PutIn(quantity=1))).code == "outcome_unknown"
        await room.served()
        assert (await room.submit("stock", SKU, PutIn(quantity=1))).reply == StockDone(available=1)

    play(scene)


def test_an_answer_whose_rule_raises_is_not_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        room = await Room().open()
        await room.submit("stock", SKU, PutIn(quantity=1))
        cell = next(iter(room.host.shards[room.sharding.shard("stock", SKU)].cells.values()))
        from actors.owners.turns import Incoming

        told: list[Any] = []
        for code in ("raise", "refuse"):
            outcome = Refused(code="hold_unknown")
            raising = code == "raise"

            def decide(*_: Any, raising: bool = raising, outcome: Refused = outcome) -> Refused:
                if raising:
                    raise ValueError
                return outcome

            monkeypatch.setattr(StockKind, "decide", decide)
            room.host.turns.take(cell, Incoming(cell.shard.number, "stock", SKU, ReadStock(), b"send", told.append, ack=b"send"))
            room.host.kick()
            await round_of_the_loop(0.1)
        assert [answer.code for answer in told] == ["internal_error", ""]
        assert room.records("stock", SKU) == 2

    play(scene)
