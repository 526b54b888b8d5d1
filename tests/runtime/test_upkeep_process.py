"""The upkeep as a process of its own: it does what is due, ends, and leaves nothing in whoever started it."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from actors.runtime.config import write_config
from actors.runtime.upkeep import UpkeepTimer
from actors.storage.migrate import found_cluster
from schemas.settings import Settings

pytestmark = pytest.mark.slow

PUT = "INSERT INTO journal SELECT 1, n, n, 0, 0, 'cart', 'usr_1', ''::bytea, '\\x'::bytea, ''::bytea FROM generate_series(1, 5) n"


@pytest.mark.parametrize("module", ["actors.runtime.coordinator", "actors.runtime.upkeep", "actors.storage.audit", "serve.deployments"])
def test_nobody_who_stays_has_the_parquet_library_in_memory(module: str) -> None:
    look = f"import sys, {module}; print('polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.fixture
async def settings(database_url: str, tmp_path: Path) -> Settings:
    connection = await asyncpg.connect(database_url)
    await found_cluster(connection, 8)
    await connection.execute(PUT)
    await connection.execute("UPDATE shard_owner SET head_seq = 5, epoch = 1 WHERE shard = 1")
    await connection.close()
    return Settings(data_dir=str(tmp_path / "data"), database_url=database_url, shard_count=8)


async def marks(settings: Settings) -> Any:
    connection = await asyncpg.connect(settings.database_url)
    try:
        return [tuple(row) for row in await connection.fetch("SELECT archived, pruned, reason, held FROM journal_upkeep")]
    finally:
        await connection.close()


async def test_a_timer_runs_the_upkeep_again_and_again_and_what_it_did_is_in_the_database(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timer = UpkeepTimer(str(write_config(settings)), 0.01, tmp_path / "upkeep.log", first_s=0)
    running = asyncio.ensure_future(timer.run())
    async with asyncio.timeout(60):
        while len(timer.codes) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert timer.codes[:2] == [0, 0], (tmp_path / "upkeep.log").read_text()
    # Records of 1970 are due, and no projection has followed them.
    assert await marks(settings) == [(0, 0, "", '{"projections": 1}')]
    assert sorted(path.name for path in settings.lake_path.glob("journal/*/*")) == ["000000000001-000000000005.parquet"]


async def test_a_run_that_is_cancelled_is_killed(settings: Settings, tmp_path: Path) -> None:
    timer = UpkeepTimer(str(write_config(settings)), 60, tmp_path / "upkeep.log", first_s=0)
    running = asyncio.ensure_future(timer.run())
    async with asyncio.timeout(20):
        while timer.pid is None:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    async with asyncio.timeout(20):
        while Path(f"/proc/{timer.pid}").exists():  # noqa: ASYNC110, ASYNC240
            await asyncio.sleep(0.01)
    assert timer.codes == []


async def test_a_run_whose_database_is_away_says_so(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path / "data"), database_url="postgresql://nobody@127.0.0.1:1/x")
    config = str(write_config(settings))
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "actors.runtime.upkeep", config, stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    assert (process.returncode, b"upkeep_interrupted" in said) == (2, True)


async def test_a_timer_that_is_switched_off_runs_nothing(settings: Settings, tmp_path: Path) -> None:
    timer = UpkeepTimer(str(write_config(settings)), 0, tmp_path / "upkeep.log", first_s=0)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(timer.run(), 0.05)
    assert (timer.codes, await marks(settings)) == ([], [])
