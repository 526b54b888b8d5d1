"""The spool: what is answered is on the disk, whole, in order; what the disk or a kill leaves half is passed over."""

import asyncio
import os
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from actors.storage.events.frames import HEAD_BYTES, MARK_BYTES, SpooledBatch, encode_batch, frame_of, head_of, read_frames
from actors.storage.events.listing import closed_spools, remove_drafts, taken, waiting
from actors.storage.events.spool import Spool, SpoolLimits, SpoolRefused

ROOM = SpoolLimits(spool_bytes_max=1 << 30, free_bytes_min=0, flush_s=0.01)


def batch_of(number: int, pad: int = 0) -> bytes:
    """A batch of one event with a name of its own."""
    events = [{"type": "view", "id": f"event-{number:06d}", "at_ms": number, "page": "/" + "p" * pad}]
    return encode_batch(
        SpooledBatch(received_ms=1000 + number, skew_ms=0, actor="", visitor="v", session="", terminal="web", campaign=None, events=events)
    )


def numbers(directory: Path) -> list[int]:
    """The events of all files, in their order."""
    found = [one for path in sorted(directory.glob("[0-9]*.spool")) for one in read_frames(path.read_bytes())]
    return [event["at_ms"] for one in found if one is not None for event in one.events]


@pytest.fixture
async def spool(tmp_path: Path) -> AsyncIterator[Spool]:
    spool = Spool(tmp_path / "spool", ROOM)
    yield spool
    await spool.close()


async def test_what_is_durable_is_in_a_file_in_the_order_of_taking(spool: Spool) -> None:
    for number in range(100):
        last = spool.append(batch_of(number))
    await spool.durable(last)
    assert numbers(spool.directory) == list(range(100))
    assert spool.directory.stat().st_mode & 0o777 == 0o700
    [path] = spool.directory.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600


async def test_batches_of_one_moment_share_a_sync(spool: Spool) -> None:
    await asyncio.gather(*(spool.durable(spool.append(batch_of(number))) for number in range(500)))
    assert numbers(spool.directory) == list(range(500))
    assert spool.syncs <= 3


async def test_closing_writes_what_was_taken(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", ROOM)
    spool.append(batch_of(1))
    await spool.close()
    assert numbers(spool.directory) == [1]
    with pytest.raises(SpoolRefused, match="behind"):
        spool.append(batch_of(2))


async def test_a_file_is_its_writers_until_it_is_closed(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", ROOM)
    await spool.durable(spool.append(batch_of(1)))
    [path] = closed_spools(spool.directory)
    with taken(path) as data:
        assert data is None
    await spool.close()
    with taken(path) as data:
        assert data is not None
        assert len(list(read_frames(data))) == 1
        with taken(path) as second:
            assert second is None


async def test_a_full_file_is_closed_and_the_next_one_begun(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", SpoolLimits(spool_bytes_max=1 << 30, free_bytes_min=0, flush_s=0.0, file_bytes_max=900))
    for number in range(4):
        await spool.durable(spool.append(batch_of(number, pad=900)))
    await spool.close()
    assert len(closed_spools(spool.directory)) == 4
    assert sorted(numbers(spool.directory)) == [0, 1, 2, 3]


@pytest.mark.slow
async def test_a_quiet_file_is_closed_when_it_is_old(tmp_path: Path, eventually: Any) -> None:
    spool = Spool(tmp_path / "spool", SpoolLimits(spool_bytes_max=1 << 30, free_bytes_min=0, file_s_max=0.0))
    await spool.durable(spool.append(batch_of(1)))
    [path] = closed_spools(spool.directory)

    def has_no_writer() -> bool:
        with taken(path) as data:
            return data is not None

    await eventually(has_no_writer)
    await spool.close()


# --- torn and damaged ---------------------------------------------------------------------------------


def test_every_cut_of_a_file_gives_the_batches_that_are_whole() -> None:
    mark = bytes(range(MARK_BYTES))
    frames = [frame_of(mark, batch_of(number)) for number in range(3)]
    data = head_of(mark) + b"".join(frames)
    ends = [HEAD_BYTES + sum(map(len, frames[:count])) for count in range(4)]
    for cut in range(HEAD_BYTES, len(data) + 1):
        found = list(read_frames(data[:cut]))
        whole = sum(end <= cut for end in ends[1:])
        assert [one.events[0]["at_ms"] for one in found if one is not None] == list(range(whole))
        assert found.count(None) == (0 if cut in ends else 1)


def test_a_damaged_batch_costs_no_other_one() -> None:
    mark = bytes(range(MARK_BYTES))
    frames = [frame_of(mark, batch_of(number)) for number in range(3)]
    for at in range(len(frames[1])):
        second = bytearray(frames[1])
        second[at] ^= 0xFF
        found = list(read_frames(head_of(mark) + frames[0] + bytes(second) + frames[2]))
        assert [one.events[0]["at_ms"] for one in found if one is not None] == [0, 2], at
        assert found.count(None) == 1


def test_what_is_no_spool_is_one_damage_and_an_empty_file_is_none() -> None:
    assert list(read_frames(b"")) == []
    assert list(read_frames(b"something else")) == [None]
    assert list(read_frames(head_of(b"m" * MARK_BYTES))) == []


def test_a_frame_that_somebody_sends_as_a_text_is_not_one() -> None:
    """Its mark is not the file's."""
    forged = frame_of(b"\0" * MARK_BYTES, batch_of(666))
    mark = os.urandom(MARK_BYTES)
    torn = frame_of(mark, encode_batch(forged))[:-1]
    assert list(read_frames(head_of(mark) + torn)) == [None]


def test_a_draft_whose_writer_died_is_removed(tmp_path: Path) -> None:
    (tmp_path / "_000000000000001-ab.spool").write_bytes(b"stam")
    (tmp_path / "000000000000001-ab.spool").write_bytes(b"")
    remove_drafts(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["000000000000001-ab.spool"]


# --- no room ------------------------------------------------------------------------------------------


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The system itself refuses to let a file grow beyond this, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.slow
async def test_f24_a_disk_that_takes_nothing_refuses_events_and_loses_none_of_those_it_took(tmp_path: Path, eventually: Any) -> None:
    spool = Spool(tmp_path / "spool", ROOM)
    await spool.durable(spool.append(batch_of(1)))
    with files_of_at_most(600):
        with pytest.raises(SpoolRefused, match="failing"):
            await spool.durable(spool.append(batch_of(2, pad=4000)))
        assert spool.failing
        with pytest.raises(SpoolRefused, match="failing"):
            spool.append(batch_of(3))
        # Half of a batch was written and is gone again: nothing of it can be taken for a whole one.
        assert numbers(spool.directory) == [1]
    await eventually(lambda: not spool.failing)
    await spool.durable(spool.append(batch_of(4)))
    assert numbers(spool.directory) == [1, 2, 4]
    await spool.close()


async def test_memory_for_a_slow_disk_is_bounded(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", SpoolLimits(spool_bytes_max=1 << 30, free_bytes_min=0, queue_bytes_max=2000, flush_s=60))
    await spool.durable(spool.append(batch_of(0)))
    # The thread rests now until it is woken by the end: what comes meanwhile is held in memory.
    spool.append(batch_of(1, pad=1500))
    with pytest.raises(SpoolRefused, match="behind"):
        spool.append(batch_of(2, pad=1500))
    await spool.close()
    assert numbers(spool.directory) == [0, 1]


@pytest.mark.parametrize(
    "limits", [SpoolLimits(spool_bytes_max=0, free_bytes_min=0), SpoolLimits(spool_bytes_max=1 << 30, free_bytes_min=1 << 60)]
)
async def test_beyond_the_quota_or_when_the_disk_is_short_events_are_refused(tmp_path: Path, limits: SpoolLimits, eventually: Any) -> None:
    spool = Spool(tmp_path / "spool", limits)
    spool.start()

    def is_full() -> bool:
        try:
            spool.check()
        except SpoolRefused as refused:
            return refused.reason == "full"
        return False

    await eventually(is_full)
    with pytest.raises(SpoolRefused, match="full"):
        spool.append(batch_of(1))
    await spool.close()
    assert not spool.directory.exists()


def test_what_waits_is_counted_by_files_bytes_and_age(tmp_path: Path) -> None:
    assert (waiting(tmp_path / "none").files, waiting(tmp_path / "none").oldest_s) == (0, 0.0)
    (tmp_path / "000000000001000-ab.spool").write_bytes(b"x" * 10)
    (tmp_path / "900000000000000-ab.spool").write_bytes(b"x" * 5)
    (tmp_path / "_000000000000001-ab.spool").write_bytes(b"x" * 7)
    found = waiting(tmp_path)
    assert (found.files, found.bytes) == (2, 15)
    assert found.oldest_s > 1e9
