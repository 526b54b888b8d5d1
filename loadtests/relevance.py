"""How good a search is: queries with judged products, measures over what was found, and a small synthetic shop beside the real one.

A judgement is a rule over what the seller says of a product (its type, category, brand, code), never over what the engine does
with it: ``tests/search/labels.json``. Grades: 3 what was meant, 2 nearly, 1 related, 0 everything else. Queries of the kind
``unseen`` were written after the engine was last changed: what it does for them was not looked at while it was made.
"""

import math
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import msgspec

LABELS: Final = Path(__file__).parents[1] / "tests" / "search" / "labels.json"
DEPTH: Final = 10
RELEVANT: Final = 2
"""The lowest grade that counts as an answer for the reciprocal rank."""

JUDGED: Final = """
SELECT p.product_id, p.title, coalesce(p.type, '') AS type, coalesce(p.category, '') AS category, p.department,
    coalesce(p.brand, '') AS brand, coalesce((SELECT min(code) FROM sku WHERE product_id = p.product_id), '') AS code
FROM product p"""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """Products in which each of these fields matches its pattern have this grade."""

    grade: int
    where: dict[str, str]


class Label(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One query, what kind of query it is, and what is right for it: the first rule that fits gives the grade."""

    query: str
    kind: str
    rules: tuple[Rule, ...]

    @cached_property
    def _compiled(self) -> list[tuple[int, list[tuple[str, re.Pattern[str]]]]]:
        return [(rule.grade, [(field, re.compile(pattern)) for field, pattern in rule.where.items()]) for rule in self.rules]

    def grade(self, product: Mapping[str, Any]) -> int:
        """How right a product is."""
        for grade, patterns in self._compiled:
            if all(pattern.search(product[field]) for field, pattern in patterns):
                return grade
        return 0


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """What one query came to. ideal: the best that this shop allows; 0 where it has nothing that is right."""

    kind: str
    query: str
    ndcg: float
    reciprocal: float
    found: bool
    possible: bool


def labels() -> list[Label]:
    """The judged queries."""
    return msgspec.json.decode(LABELS.read_bytes(), type=list[Label])


def gain(grades: Sequence[int]) -> float:
    """Discounted cumulative gain of the first ten."""
    return float(sum((2**grade - 1) / math.log2(place + 2) for place, grade in enumerate(grades[:DEPTH])))


def score(label: Label, found: Sequence[str], products: Mapping[str, Mapping[str, Any]]) -> Score:
    """What a query came to that found these products, in this order."""
    grades = [label.grade(products[product_id]) for product_id in found[:DEPTH] if product_id in products]
    best = sorted((label.grade(product) for product in products.values()), reverse=True)[:DEPTH]
    ideal = gain(best)
    first = next((place for place, grade in enumerate(grades) if grade >= RELEVANT), None)
    return Score(
        kind=label.kind, query=label.query, ndcg=gain(grades) / ideal if ideal else 0.0,
        reciprocal=0.0 if first is None else 1 / (first + 1), found=bool(found), possible=bool(ideal),
    )  # fmt: skip


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Means over queries that have an answer in this shop. zero: the share that found nothing of its own."""

    queries: int
    ndcg: float
    mrr: float
    zero: float


def summary(scores: Iterable[Score]) -> Summary:
    """The means."""
    counted = [one for one in scores if one.possible]
    size = max(1, len(counted))
    return Summary(
        queries=len(counted),
        ndcg=sum(one.ndcg for one in counted) / size,
        mrr=sum(one.reciprocal for one in counted) / size,
        zero=sum(not one.found for one in counted) / size,
    )


# --- the synthetic shop -------------------------------------------------------------------------------

KINDS: Final = (
    ("SMARTPHONE", "Smartphone", "智能手机", "PHONES", ("Huawei", "Apple", "Xiaomi", "Samsung")),
    ("PHONE CASE", "Phone Case", "手机壳", "PHONES", ("Huawei", "Apple", "Xiaomi", "Samsung")),
    ("POWER BANK", "Power Bank", "充电宝", "PHONES", ("Huawei", "Xiaomi", "Samsung")),
    ("HEADPHONES", "Wireless Headphones", "无线耳机", "AUDIO", ("Huawei", "Apple", "Xiaomi", "Samsung")),
    ("LAPTOP", "Laptop", "笔记本电脑", "COMPUTERS", ("Huawei", "Apple", "Lenovo")),
    ("KEYBOARD", "Mechanical Keyboard", "机械键盘", "COMPUTERS", ("Lenovo", "Xiaomi")),
    ("RUNNING SHOES", "Running Shoes", "跑鞋", "SHOES", ("Nike", "Adidas", "Li-Ning")),
    ("T-SHIRT", "T-Shirt", "T恤", "CLOTHES", ("Nike", "Adidas", "Uniqlo", "Li-Ning")),
    ("JACKET", "Windproof Jacket", "防风外套", "CLOTHES", ("Nike", "Adidas", "Uniqlo")),
    ("DRESS", "Summer Dress", "夏季连衣裙", "CLOTHES", ("Uniqlo",)),
    ("BACKPACK", "Backpack", "双肩包", "BAGS", ("Nike", "Adidas", "Xiaomi", "Lenovo")),
    ("RICE COOKER", "Rice Cooker", "电饭煲", "KITCHEN", ("Midea", "Supor", "Xiaomi", "Philips")),
    ("KETTLE", "Electric Kettle", "电热水壶", "KITCHEN", ("Midea", "Supor", "Philips")),
    ("THERMOS", "Thermos", "保温杯", "KITCHEN", ("Supor", "Xiaomi")),
    ("DESK LAMP", "Desk Lamp", "护眼台灯", "HOME", ("Philips", "Xiaomi", "Ikea")),
    ("SOFA", "Sofa", "布艺沙发", "HOME", ("Ikea",)),
    ("YOGA MAT", "Yoga Mat", "瑜伽垫", "SPORTS", ("Nike", "Li-Ning")),
    ("UMBRELLA", "Umbrella", "折叠雨伞", "BAGS", ("Uniqlo",)),
)
BRANDS: Final = {
    "Huawei": "华为", "Apple": "苹果", "Xiaomi": "小米", "Samsung": "三星", "Lenovo": "联想", "Nike": "耐克", "Adidas": "阿迪达斯",
    "Li-Ning": "李宁", "Uniqlo": "优衣库", "Midea": "美的", "Supor": "苏泊尔", "Philips": "飞利浦", "Ikea": "宜家",
}  # fmt: skip
GROUPS: Final = {
    "PHONES": "手机数码", "AUDIO": "影音娱乐", "COMPUTERS": "电脑办公", "SHOES": "鞋靴", "CLOTHES": "服装", "BAGS": "箱包配饰",
    "KITCHEN": "厨房电器", "HOME": "家居", "SPORTS": "运动户外",
}  # fmt: skip
COLOURS: Final = {"Black": "黑色", "White": "白色", "Red": "红色", "Blue": "蓝色", "Green": "绿色", "Grey": "灰色"}
ATTRIBUTES: Final = [
    {
        "attribute_id": "colour", "titles": {"en": "Colour", "zh-CN": "颜色"}, "kind": "choice", "facet": True,
        "choices": [{"value_id": en.lower(), "titles": {"en": en, "zh-CN": zh}} for en, zh in COLOURS.items()],
    }
]  # fmt: skip


class Synthetic(msgspec.Struct, frozen=True, kw_only=True):
    """Rows for the tables of the same names."""

    categories: list[tuple[Any, ...]]
    brands: list[tuple[Any, ...]]
    products: list[tuple[Any, ...]]
    skus: list[tuple[Any, ...]]
    levels: list[tuple[Any, ...]]


CATEGORY_COLUMNS: Final = ("category_id", "parent_id", "title", "title_zh", "slug", "attributes", "version")
BRAND_COLUMNS: Final = ("brand_id", "title", "title_zh", "slug", "aliases", "version")
PRODUCT_COLUMNS: Final = (
    "product_id", "title", "title_zh", "department", "department_zh", "category", "type", "brand", "category_id", "brand_id",
    "on_shelf_since_ms", "version", "doc",
)  # fmt: skip
SKU_COLUMNS: Final = ("sku_id", "product_id", "code", "price_minor", "currency", "version")
LEVEL_COLUMNS: Final = ("key", "available", "put_in", "sold")


def synthetic(count: int = 1200, seed: int = 4) -> Synthetic:
    """Phones, clothes, kitchen things and so on with brands, a tree of categories, colours and stock. The same for the same seed."""
    chance = random.Random(seed)
    slug = {group: group.lower() for group in GROUPS}
    categories: list[tuple[Any, ...]] = [
        ("cat_all", None, "All goods", "全部商品", "all-goods", msgspec.json.encode(ATTRIBUTES).decode(), 0)
    ]
    categories += [(f"cat_{slug[group]}", "cat_all", group.title(), zh, slug[group], "[]", 0) for group, zh in GROUPS.items()]
    brands: list[tuple[Any, ...]] = [(f"brd_{en.lower()}", en, zh, "brand-" + en.lower(), [], 0) for en, zh in BRANDS.items()]
    products: list[tuple[Any, ...]] = []
    skus: list[tuple[Any, ...]] = []
    levels: list[tuple[Any, ...]] = []
    for number in range(1, count + 1):
        kind, noun, noun_zh, group, makers = KINDS[number % len(KINDS)]
        brand, colour = chance.choice(makers), chance.choice(list(COLOURS))
        product_id, sku_id, model = f"prd_syn{number}", f"sku_syn{number}", f"{chance.choice('ABKXZ')}{chance.randrange(10, 99)}"
        doc = {"attributes": {"colour": colour.lower()}, "options": [], "texts": {}}
        products.append(
            (
                product_id, f"{brand} {noun} {model} {colour}", f"{BRANDS[brand]}{noun_zh} {model} {COLOURS[colour]}", group.title(),
                GROUPS[group], group.title(), kind, brand, f"cat_{slug[group]}", f"brd_{brand.lower()}", number, 0,
                msgspec.json.encode(doc).decode(),
            )
        )  # fmt: skip
        skus.append((sku_id, product_id, f"SYN-{number:05d}", chance.randrange(900, 500_000), "CNY", 0))
        levels.append((f"{sku_id}#0", on_hand := chance.choice((0, 5, 50)), on_hand, chance.randrange(0, 300)))
    return Synthetic(categories=categories, brands=brands, products=products, skus=skus, levels=levels)


async def load(connection: Any, shop: Synthetic) -> None:
    """Put the synthetic shop into the tables, on a connection of ``asyncpg``."""
    for table, columns, rows in (
        ("category", CATEGORY_COLUMNS, shop.categories), ("brand", BRAND_COLUMNS, shop.brands), ("product", PRODUCT_COLUMNS, shop.products),
        ("sku", SKU_COLUMNS, shop.skus), ("stock_level", LEVEL_COLUMNS, shop.levels),
    ):  # fmt: skip
        await connection.copy_records_to_table(table, records=rows, columns=columns)
