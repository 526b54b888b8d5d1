"""The tree of categories and the brands: only what can be, written down with who did it."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from actors.domain.categories import DEPTH_MAX
from actors.domain.staff import Actor
from actors.domain.token import Role
from actors.storage.categories import Categories, Flawed
from actors.storage.connect import open_pool
from actors.storage.goods import Goods
from actors.storage.seed import small_shop
from actors.storage.shop import load_shop
from actors.storage.staff import NotDone, Staff
from schemas.goods import Attribute, Brand, Category, OptionValue, Words

pytestmark = pytest.mark.slow

MACHINE = Actor(user_id="machine", roles=0)
NOBODY = Actor(user_id="usr_1", roles=int(Role.CUSTOMER))


@pytest.fixture
async def categories(database_url: str, connection: Any, sharding: Any) -> AsyncIterator[Categories]:
    await load_shop(connection, sharding, small_shop(7), lambda *_: None)
    pool = await open_pool(database_url, size=2)
    yield Categories(pool, Staff(pool))
    await pool.close()


def node(category_id: str, parent_id: str = "", **more: Any) -> Category:
    return Category(**({"category_id": category_id, "parent_id": parent_id, "titles": Words(en=category_id)} | more))


def size(attribute_id: str = "size", **more: Any) -> Attribute:
    return Attribute(**({"attribute_id": attribute_id, "titles": Words(zh="尺码"), "kind": "text"} | more))


async def flawed(categories: Categories, category: Category, *, new: bool = True) -> list[tuple[str, str]]:
    before = await categories.tree()
    with pytest.raises(Flawed) as caught:
        await categories.put(MACHINE, category, "", new=new)
    assert await categories.tree() == before
    return [(flaw.path, flaw.code) for flaw in caught.value.flaws]


async def test_a_tree_is_made_moved_and_written_down(connection: Any, categories: Categories) -> None:
    made = await categories.put(
        MACHINE, node("cat_a", titles=Words(en="Ärmel & Co", zh="袖子"), attributes=(size(),)), "new season", new=True
    )
    assert made.slug == "armel-co"
    await categories.put(MACHINE, node("cat_b", "cat_a", titles=Words(zh="衬衫"), attributes=(size("fit", required=True),)), "", new=True)
    tree = await categories.tree()
    assert (tree["cat_b"].parent_id, tree["cat_b"].slug, tree["cat_a"]) == ("cat_a", "cat-b", made)
    terms = await Goods(categories._pool).terms()
    assert [one.attribute_id for one in terms.categories["cat_b"].attributes] == ["size", "fit"]
    assert terms.categories["cat_b"].root_titles.zh == "袖子"
    moved = await categories.put(MACHINE, msgspec.structs.replace(tree["cat_b"], parent_id="cat_housewares"), "moved", new=False)
    assert moved.parent_id == "cat_housewares"
    rows = await connection.fetch("SELECT permission, target, reason, before, after FROM staff_action ORDER BY seq")
    assert [(row["permission"], row["target"], row["reason"]) for row in rows] == [
        ("category.edit", "cat_a", "new season"), ("category.edit", "cat_b", ""), ("category.edit", "cat_b", "moved"),
    ]  # fmt: skip
    assert msgspec.json.decode(rows[2]["before"])["parent_id"] == "cat_a"
    assert msgspec.json.decode(rows[2]["after"])["parent_id"] == "cat_housewares"


async def test_what_a_tree_cannot_be(categories: Categories) -> None:
    await categories.put(MACHINE, node("cat_1", attributes=(size(),)), "", new=True)
    for number in range(2, DEPTH_MAX + 1):
        await categories.put(MACHINE, node(f"cat_{number}", f"cat_{number - 1}"), "", new=True)
    choice = OptionValue(value_id="s", titles=Words(en="S"))
    table = [
        (node("cat_x", titles=Words(zh=" ")), ("titles", "name_missing")),
        (node("cat_x", "cat_nobody"), ("parent_id", "category_unknown")),
        (node("cat_x", f"cat_{DEPTH_MAX}"), ("parent_id", "category_too_deep")),
        (node("cat_x", slug="housewares"), ("slug", "slug_taken")),
        (node("cat_x", "cat_3", attributes=(size(),)), ("attributes[0].attribute_id", "attribute_repeated")),
        (node("cat_x", attributes=(size("a"), size("a"))), ("attributes[1].attribute_id", "attribute_repeated")),
        (node("cat_x", attributes=(size(titles=Words()),)), ("attributes[0].titles", "name_missing")),
        (node("cat_x", attributes=(size(kind="choice"),)), ("attributes[0].choices", "choices_missing")),
        (node("cat_x", attributes=(size(choices=(choice,)),)), ("attributes[0].choices", "choices_unused")),
        (
            node("cat_x", attributes=(size(kind="choices", choices=(choice, choice)),)),
            ("attributes[0].choices[1].value_id", "value_repeated"),
        ),
    ]
    for category, flaw in table:
        assert await flawed(categories, category) == [flaw]
    for parent_id in ("cat_1", "cat_3", f"cat_{DEPTH_MAX}"):
        assert await flawed(categories, node("cat_1", parent_id), new=False) == [("parent_id", "category_circle")]
    assert await flawed(categories, node("cat_2", "cat_housewares.cup"), new=False) == [("parent_id", "category_too_deep")]
    # What a child says, its parent cannot say as well.
    await categories.put(MACHINE, node("cat_3", "cat_2", attributes=(size("fit"),)), "", new=False)
    assert await flawed(categories, node("cat_1", attributes=(size("fit"),)), new=False) == [
        ("attributes[0].attribute_id", "attribute_repeated")
    ]
    assert (await categories.put(MACHINE, node("cat_1", attributes=(size(),)), "", new=False)).attributes == (size(),)


async def test_only_what_is_empty_is_deleted_and_only_by_whoever_may(connection: Any, categories: Categories) -> None:
    await categories.put(MACHINE, node("cat_a"), "", new=True)
    await categories.put(MACHINE, node("cat_b", "cat_a"), "", new=True)
    for category_id, code in (("cat_a", "category_in_use"), ("cat_housewares.cup", "category_in_use"), ("cat_nobody", "category_unknown")):
        with pytest.raises(NotDone) as caught:
            await categories.remove(MACHINE, category_id, "")
        assert caught.value.code == code
    with pytest.raises(NotDone, match="forbidden"):
        await categories.remove(NOBODY, "cat_b", "")
    with pytest.raises(NotDone, match="category_unknown"):
        await categories.put(MACHINE, node("cat_nobody"), "", new=False)
    await categories.remove(MACHINE, "cat_b", "")
    await categories.remove(MACHINE, "cat_a", "")
    assert not {"cat_a", "cat_b"} & (await categories.tree()).keys()
    last = await connection.fetchrow("SELECT target, before, after FROM staff_action ORDER BY seq DESC LIMIT 1")
    assert (last["target"], msgspec.json.decode(last["before"])["slug"], last["after"]) == ("cat_a", "cat-a", "")


async def test_brands(connection: Any, categories: Categories) -> None:
    nike = Brand(brand_id="brd_nike", titles=Words(en="Nike", zh="耐克"), aliases=("耐克", "NIKE"))
    made = await categories.put_brand(MACHINE, nike, "", new=True)
    assert made == msgspec.structs.replace(nike, slug="nike") == await categories.brand("brd_nike")
    again = await categories.put_brand(MACHINE, Brand(brand_id="brd_n2", titles=Words(en="Nike")), "", new=True)
    assert again.slug == "nike-n2"
    for brand, flaw in (
        (Brand(brand_id="brd_x", titles=Words()), ("titles", "name_missing")),
        (Brand(brand_id="brd_x", titles=Words(en="X"), slug="nike"), ("slug", "slug_taken")),
    ):
        with pytest.raises(Flawed) as caught:
            await categories.put_brand(MACHINE, brand, "", new=True)
        assert [(one.path, one.code) for one in caught.value.flaws] == [flaw]
    assert [one.brand_id for one in await categories.brands("brd_n2", 2)] == ["brd_national", "brd_nike"]
    for brand_id, code in (("brd_private", "brand_in_use"), ("brd_nobody", "brand_unknown")):
        with pytest.raises(NotDone) as refused:
            await categories.remove_brand(MACHINE, brand_id, "")
        assert refused.value.code == code
    with pytest.raises(NotDone, match="brand_unknown"):
        await categories.put_brand(MACHINE, Brand(brand_id="brd_nobody", titles=Words(en="N")), "", new=False)
    await categories.remove_brand(MACHINE, "brd_nike", "gone")
    assert await categories.brand("brd_nike") is None
    assert await connection.fetchval("SELECT count(*) FROM staff_action WHERE permission = 'category.edit'") == 3
