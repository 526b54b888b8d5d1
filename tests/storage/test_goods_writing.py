"""Documents in their tables: written as a whole, versioned, refused with everything that stands against them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import msgspec
import pytest

from actors.domain.product import Terms, flaws
from actors.domain.product_diff import difference
from actors.domain.staff import MACHINE, Actor
from actors.storage.connect import open_pool
from actors.storage.goods import By, Edit, Goods, NotWritten, Written
from actors.storage.goods_reads import Filter, GoodsReads
from actors.storage.goods_writing import TAKE_TURN
from actors.storage.seed import small_shop
from actors.storage.shop import load_shop
from actors.storage.staff import Staff
from schemas.goods import Option as ProductOption
from schemas.goods import OptionValue, Price, Product, ProductText, ProductTexts, Sku, Words

pytestmark = pytest.mark.slow

BY = By(actor_id="usr_1", role="operator", reason="a test")
NOW_MS = 1_790_000_000_000


@pytest.fixture
async def goods(database_url: str, connection: Any, sharding: Any) -> AsyncIterator[Goods]:
    await load_shop(connection, sharding, small_shop(7), lambda *_: None)
    await connection.execute("INSERT INTO category (category_id, title, title_zh, slug) VALUES ('cat_1', 'One', '一', 'one')")
    pool = await open_pool(database_url, size=2)
    yield Goods(pool)
    await pool.close()


def cup(code: str = "CUP", **more: Any) -> Product:
    """A cup in two colours."""
    colors = tuple(OptionValue(value_id=name, titles=Words(en=name)) for name in ("red", "blue"))
    fields: dict[str, Any] = {
        "code": code,
        "texts": ProductTexts(en=ProductText(title="Cup")),
        "options": (ProductOption(option_id="color", titles=Words(en="Colour"), values=colors),),
        "skus": tuple(
            Sku(code=f"{code}-{color}", choice={"color": color}, prices=(Price(currency="CNY", amount=1000),)) for color in ("red", "blue")
        ),
    }
    return Product(**(fields | more))


async def write(connection: Any, goods: Goods, *edits: Edit, by: By = BY, at_ms: int = NOW_MS) -> list[Written]:
    async with connection.transaction():
        return await goods.write_many(connection, edits, by, at_ms)


async def rows(connection: Any, sql: str, *values: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in await connection.fetch(sql, *values)]


def shelved(doc: Product, **more: Any) -> Product:
    return msgspec.structs.replace(doc, **({"state": "on_shelf", "category_id": "cat_1"} | more))


async def refused(connection: Any, goods: Goods, *edits: Edit, by: By = BY) -> list[tuple[int, str, list[tuple[str, str]]]]:
    before = await tables(connection)
    with pytest.raises(NotWritten) as caught:
        await write(connection, goods, *edits, by=by)
    assert await tables(connection) == before
    return [(one.index, one.code, [(flaw.path, flaw.code) for flaw in one.flaws]) for one in caught.value.refusals]


async def tables(connection: Any) -> list[Any]:
    names = ("product", "sku", "sku_price", "member_price", "product_revision")
    return [await connection.fetch(f"SELECT t::text FROM {name} t ORDER BY 1") for name in names]


async def test_a_new_product_is_read_as_it_was_written_with_its_rows_and_its_revision(connection: Any, goods: Goods) -> None:
    prices = (
        Price(currency="CNY", amount=1000), Price(kind="tier", currency="CNY", amount=900, min_quantity=10),
        Price(kind="member", currency="CNY", amount=950, level_id="gold"),
    )  # fmt: skip
    red, blue = cup().skus
    doc = shelved(cup(skus=(msgspec.structs.replace(red, prices=prices), msgspec.structs.replace(blue, offered=False))))
    [written] = await write(connection, goods, Edit(doc=doc))
    stored = await goods.read(written.product_id)
    assert stored is not None
    assert (stored.revision, stored.doc) == (1, written.doc)
    assert [sku.sku_id[:4] for sku in stored.doc.skus] == ["sku_", "sku_"]
    [product] = await rows(connection, "SELECT * FROM product WHERE product_id = $1", written.product_id)
    assert (product["title_zh"], product["state"], product["on_shelf_since_ms"], product["revision"]) == ("Cup", "on_shelf", NOW_MS, 1)
    skus = await rows(connection, "SELECT * FROM sku WHERE product_id = $1 ORDER BY position", written.product_id)
    assert [(sku["code"], sku["on_shelf"], sku["offered"], sku["price_minor"]) for sku in skus] == [
        ("CUP-red", True, True, 1000), ("CUP-blue", False, False, 1000),
    ]  # fmt: skip
    kinds = await rows(connection, "SELECT kind FROM sku_price ORDER BY sku_id = $1 DESC, position", skus[0]["sku_id"])
    assert [row["kind"] for row in kinds] == ["list", "tier", "list"]
    assert await connection.fetchval("SELECT price_minor FROM member_price WHERE sku_id = $1", skus[0]["sku_id"]) == 950
    [revision] = await rows(connection, "SELECT * FROM product_revision WHERE product_id = $1", written.product_id)
    assert (revision["revision"], revision["actor_id"], revision["role"], revision["reason"], revision["at_ms"]) == (
        1, "usr_1", "operator", "a test", NOW_MS,
    )  # fmt: skip


async def test_a_seeded_product_has_a_document_and_its_first_edit_keeps_what_it_was(connection: Any, goods: Goods) -> None:
    stored = await goods.read("prd_1")
    assert stored is not None
    assert stored.revision == 0
    terms: Terms = await goods.terms()
    assert flaws(stored.doc, terms) == ()
    assert terms.currencies >= {"CNY", "USD", "EUR"}
    before = await rows(connection, "SELECT * FROM sku WHERE product_id = 'prd_1'")
    place = "SELECT department, department_zh, category, brand, title_zh FROM product WHERE product_id = 'prd_1'"
    words = await rows(connection, place)
    titled = msgspec.structs.replace(stored.doc, texts=ProductTexts(en=ProductText(title="New name"), zh=stored.doc.texts.zh))
    [written] = await write(connection, goods, Edit(product_id="prd_1", doc=titled, expected_revision=0))
    assert written.revision == 1
    # The articles did not change: no owner hears of them.
    assert await rows(connection, "SELECT * FROM sku WHERE product_id = 'prd_1'") == before
    assert await rows(connection, place) == words
    reads = GoodsReads(goods._pool)
    assert [(one.revision, one.actor_id) for one in await reads.revisions("prd_1", 100, 10)] == [(1, "usr_1"), (0, "machine")]
    first = await reads.revision("prd_1", 0)
    assert first is not None
    assert first.doc == stored.doc
    changes = difference(stored.doc, written.doc)
    assert [(change.path, change.new) for change in changes] == [("texts.en.title", "New name")]


async def test_the_same_document_again_writes_nothing(connection: Any, goods: Goods) -> None:
    [first] = await write(connection, goods, Edit(doc=cup()))
    before = await tables(connection)
    [again] = await write(connection, goods, Edit(product_id=first.product_id, doc=cup()))
    assert (again.changed, again.revision, again.doc) == (False, 1, first.doc)
    seeded = await goods.read("prd_2")
    assert seeded is not None
    assert [one.changed for one in await write(connection, goods, Edit(product_id="prd_2", doc=seeded.doc))] == [False]
    assert await tables(connection) == before


async def test_an_edit_changes_what_differs_and_leaves_out_what_is_gone(connection: Any, goods: Goods) -> None:
    [first] = await write(connection, goods, Edit(doc=shelved(cup())))
    red, blue = first.doc.skus
    dear = (Price(currency="CNY", amount=2000), Price(kind="promotion", currency="CNY", amount=1500, starts_at_ms=1))
    green = (Price(kind="member", currency="CNY", amount=9, level_id="gold"), Price(currency="CNY", amount=10))
    options = (
        msgspec.structs.replace(
            first.doc.options[0], values=(*first.doc.options[0].values, OptionValue(value_id="green", titles=Words(en="g")))
        ),
    )
    skus = (
        msgspec.structs.replace(red, prices=dear, barcode="73513537"),
        Sku(code="CUP-green", choice={"color": "green"}, prices=green),
    )  # fmt: skip
    doc = msgspec.structs.replace(first.doc, options=options, skus=skus)
    [second] = await write(connection, goods, Edit(product_id=first.product_id, doc=doc, expected_revision=1))
    found = await rows(
        connection, "SELECT sku_id, code, offered, on_shelf, price_minor, barcode FROM sku WHERE product_id = $1", first.product_id
    )
    by_code = {row["code"]: row for row in found}
    assert (by_code["CUP-blue"]["offered"], by_code["CUP-blue"]["on_shelf"]) == (False, False)
    assert (by_code["CUP-red"]["sku_id"], by_code["CUP-red"]["price_minor"], by_code["CUP-red"]["barcode"]) == (
        red.sku_id,
        2000,
        "73513537",
    )
    assert by_code["CUP-green"]["price_minor"] == 10
    assert await connection.fetchval("SELECT count(*) FROM sku_price WHERE sku_id = $1", red.sku_id) == 2
    # What left comes back under its own id, known by its code; and prices that left are gone.
    anew = Sku(code="CUP-blue", choice={"color": "blue"}, prices=(Price(currency="CNY", amount=1),))
    back = msgspec.structs.replace(second.doc, skus=(msgspec.structs.replace(second.doc.skus[0], prices=dear[:1]), anew))
    [third] = await write(connection, goods, Edit(product_id=first.product_id, doc=back))
    assert third.doc.skus[1].sku_id == blue.sku_id
    assert await connection.fetchval("SELECT count(*) FROM sku_price WHERE sku_id = $1", red.sku_id) == 1
    assert await connection.fetchval("SELECT on_shelf FROM sku WHERE sku_id = $1", blue.sku_id)


async def test_articles_may_swap_their_codes(connection: Any, goods: Goods) -> None:
    [first] = await write(connection, goods, Edit(doc=cup()))
    red, blue = first.doc.skus
    swapped = (msgspec.structs.replace(red, code=blue.code), msgspec.structs.replace(blue, code=red.code))
    await write(connection, goods, Edit(product_id=first.product_id, doc=msgspec.structs.replace(first.doc, skus=swapped)))
    assert await connection.fetchval("SELECT code FROM sku WHERE sku_id = $1", red.sku_id) == "CUP-blue"


async def test_what_stands_against_an_edit_is_said_of_each_and_nothing_is_written(connection: Any, goods: Goods) -> None:
    cups, mugs = await write(connection, goods, Edit(doc=cup("CUP", slug="cup")), Edit(doc=cup("MUG")))
    [retired] = await write(connection, goods, Edit(doc=cup("OLD")))
    await write(connection, goods, Edit(product_id=retired.product_id, doc=msgspec.structs.replace(retired.doc, state="retired")))
    of_cups = [msgspec.structs.replace(sku, sku_id="") for sku in cups.doc.skus]
    strange = msgspec.structs.replace(mugs.doc, skus=cups.doc.skus)
    found = await refused(
        connection, goods,
        Edit(product_id="prd_none", doc=cup("A")),
        Edit(product_id=cups.product_id, doc=cup("CUP2"), expected_revision=2),
        Edit(product_id=mugs.product_id, doc=strange),
        Edit(product_id=retired.product_id, doc=msgspec.structs.replace(retired.doc, state="off_shelf")),
        Edit(doc=cup("B", state="retired")),
        Edit(product_id="prd_1", doc=cup("C", merchant_id="mer_other", state="off_shelf")),
    )  # fmt: skip
    assert found == [
        (0, "product_not_found", []),
        (1, "product_changed", []),
        (2, "product_flawed", [("skus[0].sku_id", "sku_unknown"), ("skus[1].sku_id", "sku_unknown")]),
        (3, "product_flawed", [("state", "state_not_allowed")]),
        (4, "product_flawed", [("state", "state_not_allowed")]),
        (5, "product_flawed", [("merchant_id", "merchant_fixed")]),
    ]
    taken = cup("MUG", slug="cup", skus=tuple(of_cups))
    assert await refused(connection, goods, Edit(doc=taken), Edit(doc=cup("D")), Edit(doc=cup("D"))) == [
        (0, "product_flawed", [
            ("skus[0].code", "sku_code_taken"), ("skus[1].code", "sku_code_taken"), ("code", "product_code_taken"), ("slug", "slug_taken"),
        ]),
        (2, "product_flawed", [("skus[0].code", "sku_code_taken"), ("skus[1].code", "sku_code_taken"), ("code", "product_code_taken")]),
    ]  # fmt: skip
    gone = cup("E", category_id="cat_gone", brand_id="brd_gone")
    assert await refused(connection, goods, Edit(doc=gone)) == [
        (0, "product_flawed", [("category_id", "category_unknown"), ("brand_id", "brand_unknown")])
    ]
    with pytest.raises(ValueError, match="twice"):
        await write(connection, goods, Edit(product_id="prd_1", doc=cup()), Edit(product_id="prd_1", doc=cup()))
    # A revert alone brings a retired product back, and only off the shelf.
    doc = msgspec.structs.replace(retired.doc, state="off_shelf")
    [back] = await write(connection, goods, Edit(product_id=retired.product_id, doc=doc, back=True))
    assert back.revision == 3


async def test_a_firm_finds_and_makes_its_own_products_alone(connection: Any, goods: Goods) -> None:
    await connection.execute("INSERT INTO merchant (merchant_id, title, title_zh) VALUES ('mer_1', 'One', '一'), ('mer_2', 'Two', '二')")
    firm = By(actor_id="usr_2", role="merchant", merchant_id="mer_1")
    [own] = await write(connection, goods, Edit(doc=cup("X", merchant_id="mer_2")), by=firm)
    assert own.doc.merchant_id == "mer_1"
    assert await connection.fetchval("SELECT bool_and(merchant_id = 'mer_1') FROM sku WHERE product_id = $1", own.product_id)
    assert await refused(connection, goods, Edit(product_id="prd_1", doc=cup("Y")), by=firm) == [(0, "product_not_found", [])]
    other = By(actor_id="usr_3", role="merchant", merchant_id="mer_2")
    assert await refused(connection, goods, Edit(product_id=own.product_id, doc=cup("Y")), by=other) == [(0, "product_not_found", [])]
    # Two firms may use one code for their products; the codes of articles are the shop's.
    skus = tuple(msgspec.structs.replace(sku, code=f"2{sku.code}") for sku in cup("X").skus)
    await write(connection, goods, Edit(doc=cup("X", skus=skus)), by=other)
    reads = GoodsReads(goods._pool)
    assert [one.product_id for one in await reads.page(Filter(merchant_id="mer_1"), "", 10)] == [own.product_id]
    assert await reads.revisions(own.product_id, 9, 9, "mer_2") == []
    assert await reads.revision(own.product_id, 1, "mer_2") is None
    assert await reads.revision(own.product_id, 1, "mer_1") is not None


async def test_lists_find_by_every_filter_and_go_on_where_they_ended(connection: Any, goods: Goods) -> None:
    await connection.execute(
        "INSERT INTO category (category_id, parent_id, title, title_zh, slug) VALUES ('cat_1a', 'cat_1', 'a', 'a', 'a')"
    )
    red, blue = cup("QX").skus
    doc = shelved(cup("QX", skus=(msgspec.structs.replace(red, barcode="73513537"), blue)), category_id="cat_1a", brand_id="brd_private")
    [own] = await write(connection, goods, Edit(doc=doc))
    await connection.execute("UPDATE product SET tags = '{tag_new}' WHERE product_id = $1", own.product_id)
    reads = GoodsReads(goods._pool)
    for wanted in (
        {"text": "QX-r"}, {"text": "7351"}, {"text": "QX"}, {"category_id": "cat_1a"}, {"tag_id": "tag_new"},
        {"category_id": "cat_1", "text": "cUP"}, {"brand_id": "brd_private", "text": "QX"},
    ):  # fmt: skip
        assert own.product_id in [one.product_id for one in await reads.page(Filter(**wanted), "", 50)], wanted
    for wanted in (
        {"text": "%"},
        {"text": "_"},
        {"text": "\\"},
        {"state": "retired"},
        {"tag_id": "tag_old"},
        {"category_id": "cat_nobody"},
        {"merchant_id": "m"},
    ):
        assert await reads.page(Filter(**wanted), "", 50) == [], wanted
    whole = [one.product_id for one in await reads.page(Filter(), "", 100)]
    assert len(whole) == 41
    parts = [one.product_id for one in await reads.page(Filter(), "", 7)]
    parts += [one.product_id for one in await reads.page(Filter(), parts[-1], 100)]
    assert parts == whole


async def test_html_is_sanitised_on_the_way_in_whoever_writes(connection: Any, goods: Goods) -> None:
    texts = ProductTexts(en=ProductText(title="Cup", detail="<p>good</p><script>x()</script>"), zh=ProductText(detail="<p>好</p>"))
    [written] = await write(connection, goods, Edit(doc=cup(texts=texts)))
    assert written.removed == ("texts.en.detail",)
    assert (
        await connection.fetchval("SELECT doc #>> '{texts,en,detail}' FROM product WHERE product_id = $1", written.product_id)
        == "<p>good</p>"
    )
    assert not await connection.fetchval("SELECT count(*) FROM product_revision WHERE doc::text LIKE '%x()%'")


class Counted:
    """A connection that counts what it is asked."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.count = 0

    def __getattr__(self, name: str) -> Any:
        self.count += name in ("execute", "fetch", "fetchrow", "fetchval", "copy_records_to_table")
        return getattr(self._connection, name)


async def test_many_documents_take_as_many_statements_as_one(connection: Any, goods: Goods) -> None:
    async def asked(edits: list[Edit]) -> tuple[int, list[Written]]:
        counted = Counted(connection)
        async with connection.transaction():
            written = await goods.write_many(counted, edits, BY, NOW_MS)
        return counted.count, written

    def dearer(written: Written) -> Edit:
        skus = tuple(msgspec.structs.replace(sku, prices=(Price(currency="CNY", amount=77),)) for sku in written.doc.skus)
        return Edit(product_id=written.product_id, doc=msgspec.structs.replace(written.doc, skus=skus))

    one, [first] = await asked([Edit(doc=cup("N"))])
    many, written = await asked([Edit(doc=cup(f"N{number}")) for number in range(300)])
    assert one == many < 20
    assert (await asked([dearer(first)]))[0] == (await asked([dearer(each) for each in written]))[0] < 20
    assert await connection.fetchval("SELECT count(*) FROM sku WHERE price_minor = 77") == 602
    assert await connection.fetchval("SELECT count(*) FROM product_revision") == 602


async def test_a_firm_gets_goods_while_goods_are_written(database_url: str, connection: Any, goods: Goods) -> None:
    """Both take the goods' turn before the facts': neither waits for the other in a circle."""
    staff = Staff(goods._pool)
    machine = Actor(user_id=MACHINE, roles=0)
    writer = await asyncpg.connect(database_url)
    try:
        async with writer.transaction():
            await writer.execute(TAKE_TURN)
            given = asyncio.ensure_future(staff.set_merchant(machine, "mer_1", "One", "一", ["prd_1"]))
            await asyncio.sleep(0.1)
            stored = await goods.read("prd_1")
            assert stored is not None
            doc = msgspec.structs.replace(stored.doc, state="off_shelf")
            await goods.write_many(writer, [Edit(product_id="prd_1", doc=doc)], BY, NOW_MS)
        assert await given == 1
    finally:
        await writer.close()
    after = await goods.read("prd_1")
    assert after is not None
    assert (after.doc.merchant_id, after.doc.state) == ("mer_1", "off_shelf")
