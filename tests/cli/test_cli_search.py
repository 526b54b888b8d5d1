"""``stampede search`` on a copy that runs: no index, one that is built, and one that an indexer builds anew."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from actors.storage.search.indexer import Indexer, held

Run = Callable[..., Any]

pytestmark = pytest.mark.slow


def test_an_index_is_built_by_hand_or_by_the_indexer_that_works_there(in_copy: Any, run: Run) -> None:
    directory = in_copy.settings.search_path
    assert "There is no index" in run("search", "status").out
    built = run("search", "rebuild", "--json").json
    assert built["index"] == "index-000001"
    view = run("search", "status", "--json").json
    assert (view["index"], view["alive"], view["indexer"]["products"]) == ("index-000001", False, built["products"])
    assert view["bytes"] > 0
    assert "No indexer works here." in run("search", "status").out
    ended = threading.Event()

    async def work() -> None:
        with held(directory):
            indexer = Indexer(str(in_copy.settings.database_url), directory)
            await indexer.run(lambda: not ended.is_set(), every_s=0.05)
            await indexer.close()

    indexing = threading.Thread(target=lambda: asyncio.run(work()))
    indexing.start()
    try:
        said = run("search", "rebuild")
        assert said.code == 0, said.err
        assert "Built index-000002" in said.out
        assert "The indexer follows what changes." in run("search", "status").out
    finally:
        ended.set()
        indexing.join()
