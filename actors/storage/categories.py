"""The tree of categories, and the brands. Each change is a staff action: checked and written down with it."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from actors.domain.categories import brand_flaws, category_flaws, slug_of
from actors.domain.staff import Actor
from actors.storage.connect import known
from actors.storage.goods_writing import TAKE_TURN
from actors.storage.staff import Deed, NotDone, Staff
from schemas.flaws import Flaw
from schemas.goods import Attribute, Brand, Category, Words
from schemas.ids import random_id

CATEGORIES: Final = """
SELECT category_id, parent_id, title, title_zh, slug, position, shown, attributes::text AS attributes
FROM category ORDER BY position, title, category_id"""
PUT_CATEGORY: Final = """
INSERT INTO category (category_id, parent_id, title, title_zh, slug, position, shown, attributes) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (category_id) DO UPDATE SET parent_id = excluded.parent_id, title = excluded.title, title_zh = excluded.title_zh,
    slug = excluded.slug, position = excluded.position, shown = excluded.shown, attributes = excluded.attributes"""
CATEGORY_USE: Final = """
SELECT (SELECT count(*) FROM product WHERE category_id = $1) AS products,
    (SELECT count(*) FROM category WHERE parent_id = $1) AS children"""
DELETE_CATEGORY: Final = "DELETE FROM category WHERE category_id = $1"
BRAND_COLUMNS: Final = "brand_id, title, title_zh, slug, aliases, logo_id"
BRANDS: Final = f"SELECT {BRAND_COLUMNS} FROM brand WHERE brand_id > $1 ORDER BY brand_id LIMIT $2"
BRAND: Final = f"SELECT {BRAND_COLUMNS} FROM brand WHERE brand_id = $1"
BRAND_SLUG: Final = "SELECT brand_id FROM brand WHERE slug = $1"
PUT_BRAND: Final = f"""
INSERT INTO brand ({BRAND_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (brand_id) DO UPDATE SET title = excluded.title, title_zh = excluded.title_zh, slug = excluded.slug,
    aliases = excluded.aliases, logo_id = excluded.logo_id"""
BRAND_USE: Final = "SELECT count(*) FROM product WHERE brand_id = $1"
DELETE_BRAND: Final = "DELETE FROM brand WHERE brand_id = $1"

PERMISSION: Final = "category.edit"
_ATTRIBUTES: Final = msgspec.json.Decoder(tuple[Attribute, ...])


class Flawed(Exception):
    """A category or a brand cannot be so. Nothing was written."""

    def __init__(self, flaws: tuple[Flaw, ...]) -> None:
        super().__init__(flaws)
        self.flaws = flaws


class Categories:
    """Categories and brands on a pool. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any, staff: Staff) -> None:
        self._pool = pool
        self._staff = staff

    async def tree(self) -> dict[str, Category]:
        """Every category by its id, in the order in which they are shown."""
        return tree_of(await known(self._pool.fetch(CATEGORIES)))

    async def put(self, actor: Actor, category: Category, reason: str, request_id: str = "", *, new: bool) -> Category:
        """Write a category, which has an id; with a slug of its title where it says none.

        NotDone ``forbidden``, or ``category_unknown`` for one that is not there and not new; Flawed.
        """

        async def change(connection: Any) -> Category:
            await connection.execute(TAKE_TURN)
            tree = tree_of(await connection.fetch(CATEGORIES))
            if not new and category.category_id not in tree:
                raise NotDone("category_unknown")
            slugs = {other.slug for other in tree.values() if other.category_id != category.category_id}
            written = (
                category if category.slug else msgspec.structs.replace(category, slug=_free(category.titles, category.category_id, slugs))
            )
            flaws = category_flaws(written, tree)
            if written.slug in slugs:
                flaws = (*flaws, Flaw(path="slug", code="slug_taken", params={"slug": written.slug}))
            if flaws:
                raise Flawed(flaws)
            await connection.execute(
                PUT_CATEGORY, written.category_id, written.parent_id or None, written.titles.en, written.titles.zh, written.slug,
                written.position, written.shown, msgspec.json.encode(written.attributes).decode(),
            )  # fmt: skip
            return written

        deed = Deed(permission=PERMISSION, target=category.category_id, reason=reason, request_id=request_id)
        return await self._staff.do(actor, deed, change, _category_state(category.category_id))

    async def remove(self, actor: Actor, category_id: str, reason: str, request_id: str = "") -> None:
        """Delete an empty category. NotDone: ``forbidden``, ``category_unknown``, ``category_in_use``."""

        async def change(connection: Any) -> None:
            await connection.execute(TAKE_TURN)
            use = await connection.fetchrow(CATEGORY_USE, category_id)
            if use["products"] or use["children"]:
                raise NotDone("category_in_use")
            if await connection.execute(DELETE_CATEGORY, category_id) != "DELETE 1":
                raise NotDone("category_unknown")

        deed = Deed(permission=PERMISSION, target=category_id, reason=reason, request_id=request_id)
        await self._staff.do(actor, deed, change, _category_state(category_id))

    async def brands(self, after: str, limit: int) -> list[Brand]:
        """Brands in the order of their ids, after one of them."""
        return [_brand_of(row) for row in await known(self._pool.fetch(BRANDS, after, limit))]

    async def brand(self, brand_id: str) -> Brand | None:
        """One brand."""
        row = await known(self._pool.fetchrow(BRAND, brand_id))
        return None if row is None else _brand_of(row)

    async def put_brand(self, actor: Actor, brand: Brand, reason: str, request_id: str = "", *, new: bool) -> Brand:
        """Write a brand, which has an id. NotDone ``forbidden`` or ``brand_unknown``; Flawed."""

        async def change(connection: Any) -> Brand:
            await connection.execute(TAKE_TURN)
            if not new and await connection.fetchrow(BRAND, brand.brand_id) is None:
                raise NotDone("brand_unknown")
            written = brand
            if not brand.slug:
                slug = slug_of(brand.titles, brand.brand_id)
                holder = await connection.fetchval(BRAND_SLUG, slug)
                other = holder is not None and holder != brand.brand_id
                written = msgspec.structs.replace(brand, slug=_free(brand.titles, brand.brand_id, {slug} if other else set()))
            flaws = brand_flaws(written)
            if await connection.fetchval(BRAND_SLUG, written.slug) not in (None, brand.brand_id):
                flaws = (*flaws, Flaw(path="slug", code="slug_taken", params={"slug": written.slug}))
            if flaws:
                raise Flawed(flaws)
            await connection.execute(
                PUT_BRAND, written.brand_id, written.titles.en, written.titles.zh, written.slug, list(written.aliases), written.logo_id
            )
            return written

        deed = Deed(permission=PERMISSION, target=brand.brand_id, reason=reason, request_id=request_id)
        return await self._staff.do(actor, deed, change, _brand_state(brand.brand_id))

    async def remove_brand(self, actor: Actor, brand_id: str, reason: str, request_id: str = "") -> None:
        """Delete a brand without products. NotDone: ``forbidden``, ``brand_unknown``, ``brand_in_use``."""

        async def change(connection: Any) -> None:
            await connection.execute(TAKE_TURN)
            if await connection.fetchval(BRAND_USE, brand_id):
                raise NotDone("brand_in_use")
            if await connection.execute(DELETE_BRAND, brand_id) != "DELETE 1":
                raise NotDone("brand_unknown")

        deed = Deed(permission=PERMISSION, target=brand_id, reason=reason, request_id=request_id)
        await self._staff.do(actor, deed, change, _brand_state(brand_id))


def tree_of(rows: list[Any]) -> dict[str, Category]:
    """The rows of ``category``, by id."""
    return {
        row["category_id"]: Category(
            category_id=row["category_id"],
            parent_id=row["parent_id"] or "",
            titles=Words(en=row["title"], zh=row["title_zh"]),
            slug=row["slug"],
            position=row["position"],
            shown=row["shown"],
            attributes=_ATTRIBUTES.decode(row["attributes"]),
        )
        for row in rows
    }


def new_category_id() -> str:
    """The id of a category that is new."""
    return random_id("cat")


def _category_state(category_id: str) -> Callable[[Any], Awaitable[str]]:
    """Reads a category for the trail; nothing where there is none."""

    async def read(connection: Any) -> str:
        found = tree_of(await connection.fetch(CATEGORIES)).get(category_id)
        return "" if found is None else _shown(found)

    return read


def _brand_state(brand_id: str) -> Callable[[Any], Awaitable[str]]:
    async def read(connection: Any) -> str:
        row = await connection.fetchrow(BRAND, brand_id)
        return "" if row is None else _shown(_brand_of(row))

    return read


def _brand_of(row: Any) -> Brand:
    return Brand(
        brand_id=row["brand_id"],
        titles=Words(en=row["title"], zh=row["title_zh"]),
        slug=row["slug"],
        aliases=tuple(row["aliases"]),
        logo_id=row["logo_id"],
    )


def _free(titles: Words, name: str, taken: set[str]) -> str:
    """A slug that nothing else has."""
    slug = slug_of(titles, name)
    return slug if slug not in taken else f"{slug}-{name.rpartition('_')[2].lower()}"[:100]


def _shown(one: Category | Brand) -> str:
    return msgspec.json.encode(one).decode()
