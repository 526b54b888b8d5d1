"""The landing as a process of its own, started by its node's first host: it lands, ends, and says what went wrong."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from structlog.testing import CapturingLogger

from actors.runtime import landing
from actors.runtime.config import write_config
from actors.runtime.upkeep import UpkeepTimer
from actors.storage.events.frames import SpooledBatch, encode_batch, frame_of, head_of
from actors.storage.migrate import found_cluster
from schemas.settings import Settings

pytestmark = pytest.mark.slow

NOW_MS = 1_795_000_000_000


@pytest.mark.parametrize("module", ["actors.runtime.shard_host", "actors.runtime.landing", "serve.application", "serve.deployments"])
def test_nobody_who_takes_events_or_starts_a_landing_has_the_parquet_library_in_memory(module: str) -> None:
    look = f"import sys, {module}; print('polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.fixture
async def settings(database_url: str, tmp_path: Path) -> Settings:
    connection = await asyncpg.connect(database_url)
    await found_cluster(connection, 8)
    await connection.close()
    made = Settings(data_dir=str(tmp_path / "data"), database_url=database_url, shard_count=8, events_free_bytes_min=0, events_land_s=60)
    made.events_spool_path.mkdir(parents=True)
    return made


def put(settings: Settings, *names: str) -> None:
    events = [{"type": "view", "id": name, "at_ms": NOW_MS} for name in names]
    batch = SpooledBatch(received_ms=NOW_MS, skew_ms=0, actor="", visitor="v", session="", terminal="web", campaign=None, events=events)
    mark = os.urandom(8)
    path = settings.events_spool_path / f"{NOW_MS:015d}-{os.urandom(4).hex()}.spool"
    path.write_bytes(head_of(mark) + frame_of(mark, encode_batch(batch)))


async def rows_of(settings: Settings) -> Any:
    connection = await asyncpg.connect(settings.database_url)
    try:
        return await connection.fetchval("SELECT coalesce(sum(rows), 0)::int FROM event_file")
    finally:
        await connection.close()


async def test_a_timer_lands_again_and_again(settings: Settings, tmp_path: Path, eventually: Any) -> None:
    log = tmp_path / "landing.log"
    timer = UpkeepTimer(str(write_config(settings)), 0.01, log, first_s=0, module=landing.MODULE)
    put(settings, "event-01")
    running = asyncio.ensure_future(timer.run())
    await eventually(lambda: timer.codes)
    assert (timer.codes[0], await rows_of(settings)) == (0, 1), log.read_text()
    put(settings, "event-02", "event-03")
    seen = len(timer.codes)
    await eventually(lambda: len(timer.codes) >= min(10, seen + 2))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert await rows_of(settings) == 3
    assert list(settings.events_spool_path.iterdir()) == []


async def test_a_landing_that_cannot_be_started_is_tried_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, eventually: Any
) -> None:
    """As on a full disk: not even its log can be opened."""
    log = settings.data_path / "events" / "landing.log"
    log.mkdir()
    put(settings, "event-01")
    monkeypatch.setattr(landing, "AGAIN_S", 0.01)
    # Not capture_logs: where a command was run before, only errors are logged.
    said = CapturingLogger()
    monkeypatch.setattr(landing, "log", said)
    running = asyncio.ensure_future(landing.keep_landing(str(write_config(settings)), settings, first_s=0))
    await eventually(lambda: [call.args[0] for call in said.calls].count("landing_not_started") >= 2)
    log.rmdir()
    await eventually(lambda: not list(settings.events_spool_path.iterdir()), 90.0)  # at the lowest priority
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert await rows_of(settings) == 1


async def test_a_landing_whose_database_is_away_says_so_and_keeps_the_spool(settings: Settings) -> None:
    put(settings, "event-01")
    config = str(write_config(Settings(data_dir=settings.data_dir, database_url="postgresql://nobody@127.0.0.1:1/x")))
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", landing.MODULE, config, stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    assert (process.returncode, b"landing_interrupted" in said) == (2, True)
    assert len(list(settings.events_spool_path.iterdir())) == 1


async def test_a_landing_with_a_problem_says_which(settings: Settings) -> None:
    settings.lake_path.mkdir(parents=True)
    (settings.lake_path / "_cluster").write_text("another")
    put(settings, "event-01")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", landing.MODULE, str(write_config(settings)), stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert (process.returncode, b"lake_foreign" in said) == (1, True)
    assert len(list(settings.events_spool_path.iterdir())) == 1
