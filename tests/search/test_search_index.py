"""The index follows what changes, is built beside and swapped, and survives whatever happens to its process and its files."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from actors.domain.search_query import Wish
from actors.runtime.config import write_config
from actors.runtime.indexing import MODULE, keep_indexing
from actors.storage.search.index import CURRENT, DAMAGED, WANTED, Cursor, current, damage, read_status, write_whole
from actors.storage.search.indexer import Busy, Indexer, build, held, is_held
from actors.storage.search.plain import NoIndex
from actors.storage.search.searching import Search
from schemas.settings import Settings


def ids(search: Search, text: str = "", **more: Any) -> set[str]:
    page = search.search(Wish(text=text, limit=100, **more))
    return set() if page.fallback else {hit.product.product_id for hit in page.hits}


async def test_changes_of_products_are_followed(small_shop: Any) -> None:
    shop = small_shop
    with pytest.raises(NoIndex):
        shop.search.search(Wish(text="lamp"))
    lamp = await shop.product("1", "Lamp", "台灯")
    await shop.settle()
    assert ids(shop.search, "lamp") == {lamp}
    cup = await shop.product("2", "Cup", "杯子", price=900)
    await shop.settle()
    assert ids(shop.search, "杯子") == {cup}
    await shop.connection.execute("UPDATE product SET title = 'Lantern' WHERE product_id = $1", lamp)
    await shop.settle()
    assert (ids(shop.search, "lantern"), ids(shop.search, "台灯")) == ({lamp}, {lamp})
    await shop.connection.execute("UPDATE sku SET price_minor = 5000 WHERE sku_id = 'sku_2'")
    await shop.settle()
    assert ids(shop.search, price_min=5000) == {cup}
    # An article of a flash sale is nobody's offer.
    sale = "INSERT INTO sku (sku_id, product_id, code, price_minor, currency) VALUES ('sku_s_1', 'prd_1', 'CODE-1', 1, 'CNY')"
    await shop.connection.execute(sale)
    await shop.settle()
    assert ids(shop.search, price_max=900) == set()
    for state, there in (("off_shelf", set()), ("on_shelf", {cup}), ("draft", set()), ("retired", set())):
        await shop.connection.execute("UPDATE product SET state = $1 WHERE product_id = $2", state, cup)
        await shop.settle()
        assert ids(shop.search, "cup") == there, state
    assert ids(shop.search, "CODE-2") == set()
    assert ids(shop.search, "code 1") == {lamp}


async def test_changes_of_names_reach_their_products(small_shop: Any) -> None:
    shop, execute = small_shop, small_shop.connection.execute
    await execute("INSERT INTO category (category_id, title, title_zh, slug) VALUES ('cat_1', 'Kitchen', '厨房', 'k')")
    await execute("INSERT INTO category (category_id, parent_id, title, title_zh, slug) VALUES ('cat_2', 'cat_1', 'Knives', '刀具', 'kn')")
    await execute("INSERT INTO brand (brand_id, title, title_zh, slug, aliases) VALUES ('brd_1', 'Zwilling', '双立人', 'z', '{}')")
    await execute("INSERT INTO tag (tag_id, title, title_zh) VALUES ('tag_1', 'Eco', '环保')")
    product = await shop.product("1", "Blade", "菜刀", category_id="cat_2", brand_id="brd_1")
    await shop.settle()
    assert ids(shop.search, "厨房") == ids(shop.search, categories=("cat_1",)) == ids(shop.search, "zwilling") == {product}
    await execute("UPDATE brand SET aliases = '{双人牌}' WHERE brand_id = 'brd_1'")
    await execute("UPDATE category SET title_zh = '餐厨用品' WHERE category_id = 'cat_1'")
    await execute("UPDATE product SET tags = '{tag_1}' WHERE product_id = 'prd_1'")
    await shop.settle()
    assert (
        ids(shop.search, "双人牌")
        == ids(shop.search, "餐厨用品")
        == ids(shop.search, tags=("tag_1",))
        == ids(shop.search, "环保")
        == {product}
    )
    await execute("UPDATE tag SET title_zh = '绿色生活' WHERE tag_id = 'tag_1'")
    await shop.settle()
    assert ids(shop.search, "绿色生活") == {product}
    await execute("UPDATE category SET shown = false WHERE category_id = 'cat_2'")
    await shop.settle()
    facets = {facet.name: [value.value for value in facet.values] for facet in shop.search.search(Wish()).facets}
    assert facets["category"] == ["cat_1"]
    assert shop.search.suggest("can").suggestions[0].value == "cat_1"


async def test_stock_that_comes_or_goes_is_followed_and_nothing_else_of_it(small_shop: Any, database_url: str) -> None:
    shop, execute = small_shop, small_shop.connection.execute
    product = await shop.product("1", "Lamp", stock=2)
    await shop.settle()
    assert ids(shop.search, in_stock=True) == {product}
    before = await shop.connection.fetchval("SELECT xid FROM search_stock_flip")
    await execute("UPDATE stock_level SET available = 1")
    assert await shop.connection.fetchval("SELECT xid FROM search_stock_flip") == before
    await execute("UPDATE stock_level SET available = 0")
    await shop.settle()
    assert ids(shop.search, in_stock=False) == {product}
    # A transaction that began earlier and commits later is not missed: nobody waits for anybody.
    late = await asyncpg.connect(database_url)
    try:
        slow = late.transaction()
        await slow.start()
        await late.execute("UPDATE stock_level SET available = 9")
        await shop.product("2", "Chair")
        await shop.settle()
        assert ids(shop.search, "chair") == {"prd_2"}
        assert ids(shop.search, "lamp", in_stock=True) == set()
        await slow.commit()
        await shop.settle()
        assert ids(shop.search, "lamp", in_stock=True) == {product}
    finally:
        await late.close()


async def test_an_index_is_built_beside_while_the_old_one_is_searched_and_followed(small_shop: Any) -> None:
    shop = small_shop
    for number in range(600):
        await shop.product(str(number), f"Lamp {number}")
    await shop.settle()
    first = current(shop.directory)
    (shop.directory / WANTED).touch()
    steps = 0
    while (shop.directory / WANTED).exists() or current(shop.directory) == first:
        if steps == 2:
            await shop.connection.execute("UPDATE product SET title = 'Lantern' WHERE product_id = 'prd_7'")
            await shop.product("new", "Candlestick")
        assert await shop.indexer.step()
        shop.search._reader._looked = 0.0
        assert shop.search.search(Wish(text="lamp", limit=1)).total == 600
        if steps == 3 and current(shop.directory) == first:
            # What changes meanwhile is seen in the old one, and not lost in the new one.
            assert ids(shop.search, "candlestick") == {"prd_new"}
        steps += 1
    assert steps > 3
    await shop.settle()
    assert current(shop.directory) != first
    assert not first.exists()
    assert (ids(shop.search, "lantern"), ids(shop.search, "candlestick")) == ({"prd_7"}, {"prd_new"})
    assert shop.search.search(Wish(text="lamp")).total == 600


async def test_a_damaged_index_is_noticed_and_built_anew(small_shop: Any) -> None:
    shop = small_shop
    await shop.product("1", "Lamp")
    await shop.settle()
    path = current(shop.directory)
    assert path is not None
    assert damage(path) == ""
    files = [file for file in sorted(path.iterdir()) if file.suffix in (".term", ".idx", ".store", ".fast")]
    assert len(files) >= 4
    for file in files:
        whole = file.read_bytes()
        file.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
        assert file.name in damage(path)
        file.write_bytes(whole)
    files[0].unlink()
    shop.indexer._link.terminate()
    again = Indexer(shop.url, shop.directory)
    again.open()
    assert not path.exists()
    with pytest.raises(NoIndex):
        Search(shop.directory).search(Wish(text="lamp"))
    while await again.step():
        pass
    assert ids(Search(shop.directory), "lamp") == {"prd_1"}
    # A replica that cannot read what it is given says so, and the indexer makes another.
    used = current(shop.directory)
    assert used is not None
    (used / "meta.json").write_bytes(b"{")
    reader = Search(shop.directory)
    with pytest.raises(NoIndex):
        reader.search(Wish(text="lamp"))
    assert (used / DAMAGED).exists()
    while await again.step():
        pass
    assert current(shop.directory) != used
    reader._reader._looked = 0.0
    assert ids(reader, "lamp") == {"prd_1"}
    await again.close()


async def test_an_index_of_another_database_or_version_is_not_followed(small_shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = small_shop
    await shop.product("1", "Lamp")
    await shop.settle()
    path = current(shop.directory)
    used = shop.indexer._used
    used.cursor = msgspec.structs.replace(used.cursor, database="another")
    await shop.settle()
    assert current(shop.directory) != path
    assert shop.indexer._used.cursor.database != "another"
    assert ids(shop.search, "lamp") == {"prd_1"}
    assert Cursor().version == shop.indexer._used.cursor.version


async def test_one_process_indexes_in_a_directory_and_what_it_does_is_written_down(small_shop: Any, tmp_path: Path) -> None:
    shop = small_shop
    assert is_held(shop.directory)
    with pytest.raises(Busy), held(shop.directory):
        pass
    with pytest.raises(Busy):
        await build(shop.url, shop.directory)
    await shop.product("1", "Lamp")
    told = []
    other = tmp_path / "other"
    done = await build(shop.url, other, told.append)
    assert (done.products, done.state) == (1, "stopped")
    assert told[0].state == "building"
    assert not is_held(other)
    write_whole(other / CURRENT, b"../../etc")
    assert current(other) is None


async def test_half_of_what_changed_is_shown_while_the_rest_is_written(small_shop: Any) -> None:
    shop = small_shop
    await shop.product("0", "Lamp")
    await shop.settle()
    for number in range(1, 700):
        await shop.product(str(number), f"Lamp {number}")
    assert await shop.indexer.step()
    assert shop.indexer._used.pending
    # A process that ends here has written half of it, and that it has not seen it all.
    shop.indexer._used.commit()
    assert 1 < Search(shop.directory).search(Wish(text="lamp")).total < 700
    shop.indexer._used._writer = None
    again = Indexer(shop.url, shop.directory)
    again.open()
    while await again.step():
        pass
    assert Search(shop.directory).search(Wish(text="lamp")).total == 700
    await again.close()


def start(settings: Settings, log: Path) -> "subprocess.Popen[bytes]":
    with log.open("ab") as output:
        return subprocess.Popen([sys.executable, "-m", MODULE, str(write_config(settings))], stdout=output, stderr=output)


async def until(what: Any, seconds: float = 30.0) -> None:
    ends = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < ends, "it did not come"
        await asyncio.sleep(0.02)


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(120)
async def test_a_killed_indexer_leaves_an_index_and_the_next_one_goes_on(small_shop: Any, tmp_path: Path) -> None:
    shop = small_shop
    settings = Settings(data_dir=str(tmp_path / "data"), database_url=shop.url, search_follow_ms=50)
    rows = "SELECT 'prd_' || n, 'Lamp ' || n, '台灯 ' || n, 'HOME', '家居', 'on_shelf' FROM generate_series(1, 3000) n"
    await shop.connection.execute(f"INSERT INTO product (product_id, title, title_zh, department, department_zh, state) {rows}")
    log = tmp_path / "search.log"
    search = Search(settings.search_path)
    for moment in (0.0, 0.3):
        process = start(settings, log)
        await until(lambda pid=process.pid: (found := read_status(settings.search_path)) is not None and found.pid == pid)
        await asyncio.sleep(moment)
        process.send_signal(signal.SIGKILL)
        process.wait()
    process = start(settings, log)
    try:
        await until(lambda: current(settings.search_path) is not None)
        page = search.search(Wish(text="lamp"))
        assert page.total == 3000
        # Killed among changes: what was written stays readable at every moment, and the rest comes with the next one.
        for round_ in range(3):
            await shop.connection.execute("UPDATE product SET title = title || ' r' || $1::text", str(round_))
            await asyncio.sleep(0.05 + 0.2 * round_)
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert damage(current(settings.search_path)) == ""
            assert Search(settings.search_path).search(Wish(text="lamp")).total == 3000
            process = start(settings, log)
        await until(lambda: Search(settings.search_path).search(Wish(text="r2")).total == 3000)
        assert Search(settings.search_path).search(Wish(text="lamp")).total == 3000
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(120)
async def test_a_node_keeps_one_indexer_which_follows_within_two_seconds_and_ends_with_its_keeper(small_shop: Any, tmp_path: Path) -> None:
    shop = small_shop
    settings = Settings(data_dir=str(tmp_path / "data"), database_url=shop.url)
    await shop.product("1", "Lamp")
    keeper = asyncio.ensure_future(keep_indexing(str(write_config(settings)), settings, first_s=0))
    directory = settings.search_path
    search = Search(directory)
    try:
        await until(lambda: current(directory) is not None)
        first = read_status(directory)
        lags = []
        for number in range(2, 6):
            await shop.product(str(number), f"Chair {number}")
            begun = time.monotonic()
            await until(lambda number=number: ids(search, f"chair {number}") == {f"prd_{number}"}, 10)
            lags.append(time.monotonic() - begun)
        assert sorted(lags)[1] < 2.0, lags
        assert first is not None
        os.kill(first.pid, signal.SIGKILL)
        await until(lambda: (found := read_status(directory)) is not None and found.pid != first.pid)
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
    await until(lambda: not is_held(directory), 10)


def test_an_indexer_that_is_turned_off_is_none() -> None:
    asyncio.run(keep_indexing("none", Settings(search_follow_ms=0)))


def test_nobody_has_the_index_in_memory_who_was_not_asked_for_it() -> None:
    names = "('tantivy', 'rjieba', 'pypinyin', 'rapidfuzz')"
    look = f"import sys, serve.application, actors.runtime.indexing; print([name for name in {names} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True).stdout == "[]\n"
