"""The shops: real, whole, the same every time, and quick to load."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import asyncpg
import polars as pl
import pytest

from actors.storage.embedded import EmbeddedPostgres
from actors.storage.seed import Shop, copy_rows, demo_shop, small_shop

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demo() -> Shop:
    return demo_shop(2026)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with EmbeddedPostgres(tmp_path_factory.mktemp("seed")) as server:
        yield server.url


@pytest.fixture
async def connection(url: str) -> AsyncIterator[asyncpg.Connection]:
    link = await asyncpg.connect(url)
    yield link
    await link.close()


def row(frame: pl.DataFrame, column: str, value: str) -> dict[str, object]:
    return frame.row(by_predicate=pl.col(column) == value, named=True)


def test_the_demo_shop_has_every_product_once_and_one_sku_each(demo: Shop) -> None:
    assert demo.products.height == demo.skus.height == 92_331
    assert demo.products["product_id"].is_unique().all()
    assert demo.skus["sku_id"].is_unique().all()
    assert demo.skus["code"].is_unique().all()
    assert demo.products["product_id"].equals(demo.skus["product_id"])


def test_a_product_has_the_words_of_the_data_in_both_languages(demo: Shop) -> None:
    assert row(demo.products, "product_id", "prd_826385") == {
        "product_id": "prd_826385",
        "title": "Semi-Solid Salad Dressing May 32 OZ",
        "title_zh": "沙拉酱与三明治酱 · Semi-Solid Salad Dressing May 32 OZ",
        "department": "GROCERY",
        "department_zh": "食品杂货",
        "category": "SALD DRSNG/SNDWCH SPRD",
        "type": "SEMI-SOLID SALAD DRESSING MAY",
        "brand": "Private",
        "size": "32 OZ",
        "code": "00826385",
        "category_id": "cat_grocery.sald-drsng-sndwch-sprd",
        "brand_id": "brd_private",
    }


def test_every_product_stands_in_a_category_below_its_department_and_has_a_brand(demo: Shop) -> None:
    for shop in (demo, small_shop(3)):
        categories = shop.categories
        assert categories["category_id"].is_unique().all()
        assert categories["slug"].is_unique().all()
        assert set(shop.products["category_id"]) <= set(categories["category_id"])
        assert set(shop.products["brand_id"].drop_nulls()) <= set(shop.brands["brand_id"])
        roots = categories.filter(pl.col("parent_id").is_null())
        assert set(categories["parent_id"].drop_nulls()) <= set(roots["category_id"])
        # Parents come first: the table refers to itself.
        assert categories.head(roots.height).equals(roots)
        assert shop.products["code"].is_unique().all()
    assert row(demo.categories, "category_id", "cat_grocery.sald-drsng-sndwch-sprd") == {
        "category_id": "cat_grocery.sald-drsng-sndwch-sprd",
        "parent_id": "cat_grocery",
        "title": "Sald Drsng/Sndwch Sprd",
        "title_zh": "沙拉酱与三明治酱",
        "slug": "grocery-sald-drsng-sndwch-sprd",
    }


def test_every_price_and_stock_is_in_range(demo: Shop) -> None:
    assert demo.skus["price_minor"].min() == 1
    assert demo.skus["price_minor"].max() == 49_999
    assert demo.skus["on_hand"].min() == 20
    assert demo.skus["on_hand"].max() == 1000
    assert demo.skus["currency"].unique().to_list() == ["USD"]


def test_fuel_is_priced_for_a_gallon(demo: Shop) -> None:
    assert row(demo.skus, "sku_id", "sku_6534178")["price_minor"] == 234


def test_every_campaign_is_a_coupon_in_the_year_that_is_asked_for(demo: Shop) -> None:
    assert demo.coupons.height == 27
    found = row(demo.coupons, "coupon_id", "cpn_18")
    scope = found.pop("product_ids")
    assert isinstance(scope, list)
    assert len(scope) == len(set(scope)) == 35_513
    assert found == {
        "coupon_id": "cpn_18",
        "title": "20% off",
        "title_zh": "立减 20%",
        "kind": "percent",
        "value": 20,
        "currency": "USD",
        "min_total": 0,
        "quota_total": 1133,
        "quota_per_user": 11,
        "starts_at": datetime(2026, 10, 30, tzinfo=UTC),
        "ends_at": datetime(2026, 12, 25, tzinfo=UTC),
    }
    amounts = demo.coupons.filter(kind="amount")
    assert (amounts["min_total"] == amounts["value"] * 2).all()


def test_without_a_year_some_coupon_is_valid_now() -> None:
    now = datetime.now(UTC)
    assert demo_shop().coupons.filter(pl.col("starts_at") <= now, pl.col("ends_at") > now).height > 0


def test_a_shop_is_the_same_every_time(demo: Shop) -> None:
    again = demo_shop(2026)
    assert again.products.equals(demo.products)
    assert again.skus.equals(demo.skus)
    assert again.coupons.equals(demo.coupons)
    assert again.categories.equals(demo.categories)
    assert again.brands.equals(demo.brands)
    assert small_shop(3).skus.equals(small_shop(3).skus)
    assert not small_shop(3).skus.equals(small_shop(4).skus)


def test_both_shops_have_the_same_columns() -> None:
    small, demo = small_shop(1), demo_shop(2017)
    assert small.products.schema == demo.products.schema
    assert small.skus.schema == demo.skus.schema
    assert small.coupons.schema == demo.coupons.schema
    assert small.categories.schema == demo.categories.schema
    assert small.brands.schema == demo.brands.schema


async def test_rows_are_copied_with_nulls_times_and_lists(connection: asyncpg.Connection) -> None:
    shop = small_shop(1)
    await connection.execute("CREATE TABLE products (id text PRIMARY KEY, size text, title text)")
    assert await copy_rows(connection, "products", shop.products, columns={"product_id": "id", "size": "size", "title_zh": "title"}) == 40
    first = await connection.fetchrow("SELECT * FROM products WHERE id = 'prd_1'")
    assert first is not None
    assert tuple(first) == ("prd_1", None, shop.products["title_zh"][0])

    chosen = {name: name for name in ("coupon_id", "starts_at", "product_ids")}
    await connection.execute("CREATE TABLE coupons (coupon_id text, starts_at timestamptz, product_ids text[])")
    assert await copy_rows(connection, "coupons", shop.coupons, columns=chosen) == 2
    rows = [tuple(found) for found in await connection.fetch("SELECT * FROM coupons ORDER BY coupon_id")]
    start = datetime(2020, 1, 1, tzinfo=UTC)
    assert rows == [("cpn_1", start, []), ("cpn_2", start, [f"prd_{number}" for number in range(1, 11)])]


async def test_the_whole_demo_shop_is_copied(connection: asyncpg.Connection, demo: Shop) -> None:
    await connection.execute(
        "CREATE TABLE demo (sku_id text PRIMARY KEY, product_id text, code text, price bigint, currency text, on_hand int)"
    )
    columns = {name: name for name in ("sku_id", "product_id", "code", "currency", "on_hand")} | {"price_minor": "price"}
    assert await copy_rows(connection, "demo", demo.skus, columns=columns) == 92_331
    total = await connection.fetchval("SELECT sum(price * on_hand)::bigint FROM demo")
    assert total == (demo.skus["price_minor"] * demo.skus["on_hand"]).sum()
