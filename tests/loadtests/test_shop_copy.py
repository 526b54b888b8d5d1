"""The harness as a whole, on a stand-in for the shop with a real database: a copy, the bench's measures, kills."""

import asyncio
import sys
import time
from collections.abc import Iterator

import asyncpg
import pytest

from loadtests import kills
from loadtests.bench.measure import Options
from loadtests.bench.shop import ShopBench
from loadtests.instance import ShopCopy, ids_in, lag_of
from loadtests.processes import system_of

OPTIONS = Options(seconds=1.0, warm_s=1.0, connections=8, users=50, idle_s=0.1, browse_per_s=20.0, limit_each=100_000)

STEAL = "DELETE FROM orders WHERE order_id = (SELECT min(order_id) FROM orders WHERE sale_id = $1)"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShopCopy]:
    folder = tmp_path_factory.mktemp("copy")
    for parent in (folder, folder.parent, folder.parent.parent):
        parent.chmod(0o755)  # an embedded PostgreSQL that root starts runs as another user
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ShopCopy, "program", (sys.executable, "-m", "tests.loadtests.fake_stampede"))
        with ShopCopy(folder / "shop", {"STAMPEDE_HOSTS": "2"}) as copy:
            copy.seed(OPTIONS.users)
            yield copy
    assert system_of([], copy.mark) == {}, "a process was left behind"


@pytest.mark.parametrize(
    ("status", "lag"),
    [
        ({"hosts": [{"pid": 5}], "projections": [{"name": "a", "lag_events": 3}, {"name": "b", "lag_events": 4}]}, 7),
        ({"projections": {"lag": {"orders": 2, "stock": 0.5}, "ready": True}}, 2.5),
        ({"lag": True, "position": 9}, 0),
    ],
)
def test_the_lag_is_every_number_under_a_name_that_says_lag(status: object, lag: float) -> None:
    assert lag_of(status) == lag


def test_ids_are_found_in_a_text_and_names_of_fields_are_not_taken_for_ids() -> None:
    text = '{"sku_id": "sku_1.a", "items":[{"sku_id" :"sku_2"},{"sku_id":"sku_1.a"}], "prd_": "prd_9"}'
    assert ids_in("sku", text) == ["sku_1.a", "sku_2"]
    assert ids_in("prd", text) == ["prd_9"]
    assert ids_in("sal", text) == []


@pytest.mark.slow
def test_a_copy_is_measured_by_the_bench(shop: ShopCopy) -> None:
    bench = ShopBench(shop, OPTIONS)
    orders = bench.orders("direct", shop.direct_port)
    assert orders.effects > 0
    assert (orders.refused, orders.broken) == (0, 0)
    assert orders.cpu_s["postgres"] > 0
    assert orders.cpu_s["load generator"] > 0
    sold_out, empty = bench.refusals()
    assert sold_out.refused == sold_out.effects
    assert (empty.refused, empty.broken) == (0, 0)
    half = bench.half_of(40.0)
    assert (half.failed, half.differences, half.rate_per_s) == (0, "", 20.0)
    idle = bench.idle()
    assert idle.pss_bytes > 1024 * 1024
    assert idle.processes == len(shop.processes())
    assert shop.audit() == "balanced"


@pytest.mark.slow
def test_a_killed_host_is_survived_and_every_answer_compared(shop: ShopCopy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kills, "LEAD_S", 0.5)
    sale = shop.open_sale(stock=10_000, limit=1000)
    load = kills.Load(rate_per_s=100.0, seconds=3.0, connections=16)
    before = {host.pid for host in shop.hosts()}
    episode = kills._episode(shop, sale, load, kills._kill_a_host, 0)
    assert episode.fault.startswith("kill -9 host-")
    assert episode.recovered_s is not None
    assert episode.recovered_s < 3.0
    assert episode.unanswered == 0
    assert episode.differences.none
    assert episode.differences.acknowledged == episode.accepted + episode.again
    assert len({host.pid for host in shop.hosts()} - before) == 1
    assert shop.audit() == "balanced"


@pytest.mark.slow
def test_an_acknowledged_order_that_the_tables_lost_is_found(shop: ShopCopy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kills, "LEAD_S", 0.5)
    sale = shop.open_sale(stock=10_000, limit=1000)

    async def steal() -> None:
        connection = await asyncpg.connect(shop.database_url)
        await connection.execute(STEAL, sale.sale_id)
        await connection.close()

    def fault(copy: ShopCopy, number: int) -> tuple[str, float]:
        at_s = time.monotonic()
        asyncio.run(steal())
        return "an order stolen", at_s

    episode = kills._episode(shop, sale, kills.Load(rate_per_s=50.0, seconds=1.0, connections=4), fault, 0)
    assert len(episode.differences.missing) == 1
    assert shop.audit().startswith("exit 1: [")
    assert kills._finish([episode], "balanced", "test") == 1
