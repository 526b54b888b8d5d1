"""Writing many documents at once: read what is there, refuse or decide in memory, then a few statements a table."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from actors.domain.product import (
    MEMBER_PRICE_COLUMNS,
    PRICE_COLUMNS,
    PRODUCT_COLUMNS,
    SKU_COLUMNS,
    Rows,
    materialised,
    may_move,
    with_ids,
)
from actors.domain.product_html import sanitised
from actors.domain.staff import MACHINE
from actors.storage.goods import (
    BRANDS,
    CATEGORIES,
    MEMBER_PRICE_ROWS,
    PRICE_ROWS,
    PRODUCT_ROWS,
    SKU_ROWS,
    By,
    Edit,
    NotWritten,
    Refusal,
    Written,
    doc_of,
    founded_of,
    places_of,
)
from schemas.flaws import Flaw
from schemas.goods import Product
from schemas.ids import random_id

TAKE_TURN: Final = "SELECT pg_advisory_xact_lock(7269)"
CODES: Final = "SELECT sku_id, product_id, code FROM sku WHERE code = ANY($1) AND sku_id NOT LIKE 'sku\\_s\\_%'"
PRODUCT_CODES: Final = "SELECT product_id, coalesce(merchant_id, '') AS merchant_id, code FROM product WHERE code = ANY($1)"
SLUGS: Final = "SELECT product_id, slug FROM product WHERE slug = ANY($1)"
UPDATE_PRODUCTS: Final = """
UPDATE product p SET code = n.code, state = n.state, shelf_at_ms = n.shelf_at_ms, off_at_ms = n.off_at_ms, category_id = n.category_id,
    brand_id = n.brand_id, slug = n.slug, title = n.title, title_zh = n.title_zh, department = n.department,
    department_zh = n.department_zh, category = n.category, brand = n.brand, on_shelf_since_ms = n.on_shelf_since_ms, doc = n.doc,
    revision = n.revision
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
    $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::bigint[], $17::jsonb[], $18::integer[])
    AS n (product_id, code, state, shelf_at_ms, off_at_ms, merchant_id, category_id, brand_id, slug, title, title_zh, department,
        department_zh, category, brand, on_shelf_since_ms, doc, revision)
WHERE p.product_id = n.product_id"""
PARK_CODES: Final = "UPDATE sku SET code = '~' || sku_id WHERE sku_id = ANY($1)"
UPDATE_SKUS: Final = """
UPDATE sku s SET code = n.code, price_minor = n.price_minor, currency = n.currency, offered = n.offered, on_shelf = n.on_shelf,
    barcode = n.barcode, weight_g = n.weight_g, position = n.position, safety_stock = n.safety_stock
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::boolean[], $8::boolean[], $9::text[],
    $10::integer[], $11::smallint[], $12::integer[])
    AS n (sku_id, product_id, merchant_id, code, price_minor, currency, offered, on_shelf, barcode, weight_g, position, safety_stock)
WHERE s.sku_id = n.sku_id"""
LEAVE_SKUS: Final = "UPDATE sku SET offered = false, on_shelf = false WHERE sku_id = ANY($1)"
DELETE_PRICES: Final = """
DELETE FROM sku_price p USING unnest($1::text[], $2::smallint[]) AS n (sku_id, position)
WHERE p.sku_id = n.sku_id AND p.position = n.position"""
UPDATE_PRICES: Final = """
UPDATE sku_price p SET kind = n.kind, currency = n.currency, price_minor = n.price_minor, min_quantity = n.min_quantity,
    level_id = n.level_id, starts_at_ms = n.starts_at_ms, ends_at_ms = n.ends_at_ms, label = n.label, label_zh = n.label_zh
FROM unnest($1::text[], $2::smallint[], $3::text[], $4::text[], $5::bigint[], $6::integer[], $7::text[], $8::bigint[], $9::bigint[],
    $10::text[], $11::text[])
    AS n (sku_id, position, kind, currency, price_minor, min_quantity, level_id, starts_at_ms, ends_at_ms, label, label_zh)
WHERE p.sku_id = n.sku_id AND p.position = n.position"""
DELETE_MEMBER_PRICES: Final = """
DELETE FROM member_price p USING unnest($1::text[], $2::text[]) AS n (sku_id, level_id)
WHERE p.sku_id = n.sku_id AND p.level_id = n.level_id"""
UPDATE_MEMBER_PRICES: Final = """
UPDATE member_price p SET price_minor = n.price_minor FROM unnest($1::text[], $2::text[], $3::bigint[]) AS n (sku_id, level_id, price_minor)
WHERE p.sku_id = n.sku_id AND p.level_id = n.level_id"""

CHUNK: Final = 5_000
"""Rows of one UPDATE: some megabytes of arrays."""

REVISION_COLUMNS: Final = ("product_id", "revision", "at_ms", "actor_id", "role", "reason", "doc")
KEPT: Final = ("department", "department_zh", "category", "brand")
"""The words of the old list: they stay until the category or the brand is another one."""

_ENCODER: Final = msgspec.json.Encoder()


class Writing:
    """One call of ``Goods.write_many``."""

    def __init__(self, connection: Any, edits: Sequence[Edit], by: By, at_ms: int) -> None:
        self._connection = connection
        self._edits = edits
        self._by = by
        self._at_ms = at_ms
        self._refusals: dict[int, Refusal] = {}
        self._products: dict[str, Any] = {}
        self._skus: dict[str, dict[str, Any]] = {}

    async def run(self) -> list[Written]:
        """See ``Goods.write_many``."""
        ids = [edit.product_id for edit in self._edits if edit.product_id]
        if len(set(ids)) < len(ids):
            raise ValueError("a product stands twice among the edits")
        await self._connection.execute(TAKE_TURN)
        await self._read(ids)
        decided = [self._decide(index, edit) for index, edit in enumerate(self._edits)]
        self._check()
        changed = [written for written in decided if written is not None and written.changed]
        if changed:
            await self._check_taken(decided)
            self._check()
            await self._write(changed)
        return [written for written in decided if written is not None]

    async def _read(self, ids: list[str]) -> None:
        rows = await self._connection.fetch(PRODUCT_ROWS, ids) if ids else []
        self._products = {row["product_id"]: row for row in rows}
        for row in await self._connection.fetch(SKU_ROWS, ids) if ids else []:
            self._skus.setdefault(row["product_id"], {})[row["sku_id"]] = row
        self._seeded = await founded_of(self._connection, {row["product_id"]: row for row in rows if row["doc"] is None})

    def _check(self) -> None:
        if self._refusals:
            raise NotWritten([self._refusals[index] for index in sorted(self._refusals)])

    def _refuse(self, index: int, code: str, *flaws: Flaw) -> None:
        before = self._refusals.get(index)
        found = (*(before.flaws if before else ()), *flaws)
        self._refusals[index] = Refusal(index=index, code=before.code if before else code, flaws=found)

    def _decide(self, index: int, edit: Edit) -> Written | None:
        """What will be written for an edit; None where it is refused."""
        row = self._products.get(edit.product_id)
        firm = self._by.merchant_id
        if edit.product_id and (row is None or (firm and row["merchant_id"] != firm)):
            self._refuse(index, "product_not_found")
            return None
        doc, removed = sanitised(edit.doc)
        if row is None:
            if firm and doc.merchant_id != firm:
                doc = msgspec.structs.replace(doc, merchant_id=firm)
            self._check_move(index, "", doc.state)
            new_doc = with_ids(self._known_skus(index, "", doc), _sku_id)
            return Written(product_id=edit.new_id or random_id("prd"), revision=1, doc=new_doc, removed=removed)
        if edit.expected_revision is not None and edit.expected_revision != row["revision"]:
            self._refuse(index, "product_changed")
            return None
        owner = row["merchant_id"] or ""
        if doc.merchant_id not in ("", owner):
            self._refuse(index, "product_flawed", Flaw(path="merchant_id", code="merchant_fixed"))
        doc = msgspec.structs.replace(doc, merchant_id=owner)
        before = self._seeded[edit.product_id] if row["doc"] is None else doc_of(row)
        doc = with_ids(self._known_skus(index, edit.product_id, doc), _sku_id)
        if doc == before:
            return Written(product_id=edit.product_id, revision=row["revision"], doc=doc, changed=False, removed=removed)
        if not (edit.back and row["state"] == "retired" and doc.state == "off_shelf"):
            self._check_move(index, row["state"], doc.state)
        return Written(product_id=edit.product_id, revision=row["revision"] + 1, doc=doc, removed=removed)

    def _check_move(self, index: int, before: str, after: str) -> None:
        if not may_move(before, after):
            params = {"from": before or "new", "to": after}
            self._refuse(index, "product_flawed", Flaw(path="state", code="state_not_allowed", params=params))

    def _known_skus(self, index: int, product_id: str, doc: Product) -> Product:
        """The document whose SKUs have the ids that they have by their codes. An id that is no SKU of the product is refused."""
        there = self._skus.get(product_id, {})
        named = {sku.sku_id for sku in doc.skus}
        by_code = {row["code"]: sku_id for sku_id, row in there.items() if sku_id not in named}
        skus = []
        for number, sku in enumerate(doc.skus):
            if sku.sku_id and sku.sku_id not in there:
                flaw = Flaw(path=f"skus[{number}].sku_id", code="sku_unknown", params={"sku_id": sku.sku_id})
                self._refuse(index, "product_flawed", flaw)
            found = sku.sku_id or by_code.get(sku.code, "")
            skus.append(sku if found == sku.sku_id else msgspec.structs.replace(sku, sku_id=found))
        return msgspec.structs.replace(doc, skus=tuple(skus))

    async def _check_taken(self, decided: list[Written | None]) -> None:
        """Refuse codes and slugs that are another one's, in the tables or among the edits."""
        changed = [(index, written) for index, written in enumerate(decided) if written is not None and written.changed]
        codes = [sku.code for _, written in changed for sku in written.doc.skus]
        holders = {row["code"]: row for row in await self._connection.fetch(CODES, codes)}
        seen: dict[str, str] = {}
        for index, written in changed:
            moving = {sku.sku_id for sku in written.doc.skus}
            for number, sku in enumerate(written.doc.skus):
                holder = holders.get(sku.code)
                # One of the same document that gives the code up is parked first.
                other = holder is not None and holder["sku_id"] != sku.sku_id and holder["sku_id"] not in moving
                if other or seen.setdefault(sku.code, sku.sku_id) != sku.sku_id:
                    flaw = Flaw(path=f"skus[{number}].code", code="sku_code_taken", params={"code": sku.code})
                    self._refuse(index, "product_flawed", flaw)
        await self._check_product_names(changed)
        await self._check_places(changed)

    async def _check_places(self, changed: list[tuple[int, Written]]) -> None:
        """Refuse categories and brands that were deleted since the document was judged."""
        self._categories = places_of(await self._connection.fetch(CATEGORIES))
        self._brands = {row["brand_id"]: row["title"] for row in await self._connection.fetch(BRANDS)}
        for index, written in changed:
            for name, there in (("category_id", self._categories), ("brand_id", self._brands)):
                value = getattr(written.doc, name)
                if value and value not in there:
                    code = name.replace("_id", "_unknown")
                    self._refuse(index, "product_flawed", Flaw(path=name, code=code, params={name: value}))

    async def _check_product_names(self, changed: list[tuple[int, Written]]) -> None:
        rows = await self._connection.fetch(PRODUCT_CODES, [written.doc.code for _, written in changed])
        codes = {(row["merchant_id"], row["code"]): row["product_id"] for row in rows}
        slugs = [written.doc.slug for _, written in changed if written.doc.slug]
        slug_rows = await self._connection.fetch(SLUGS, slugs) if slugs else []
        taken = {row["slug"]: row["product_id"] for row in slug_rows}
        for index, written in changed:
            doc, own = written.doc, written.product_id
            if codes.setdefault((doc.merchant_id, doc.code), own) != own:
                self._refuse(index, "product_flawed", Flaw(path="code", code="product_code_taken", params={"code": doc.code}))
            if doc.slug and taken.setdefault(doc.slug, own) != own:
                self._refuse(index, "product_flawed", Flaw(path="slug", code="slug_taken", params={"slug": doc.slug}))

    async def _write(self, changed: list[Written]) -> None:
        rows = [materialised(written.product_id, written.doc, self._categories, self._brands) for written in changed]
        docs = [_ENCODER.encode(written.doc).decode() for written in changed]
        await self._write_products(changed, rows, docs)
        await self._write_skus(rows)
        await self._write_prices(rows)

    async def _write_products(self, changed: list[Written], rows: list[Rows], docs: list[str]) -> None:
        new: list[tuple[Any, ...]] = []
        old: list[tuple[Any, ...]] = []
        revisions: list[tuple[Any, ...]] = []
        for written, made, doc in zip(changed, rows, docs, strict=True):
            before = self._products.get(written.product_id)
            values = dict(zip(PRODUCT_COLUMNS, made.product, strict=True))
            since_ms = self._at_ms if written.doc.state == "on_shelf" else 0
            if before is not None:
                for name, of in zip(KEPT, ("category_id", "category_id", "category_id", "brand_id"), strict=True):
                    if values[of] == before[of]:
                        values[name] = before[name]
                if before["doc"] is None:
                    seeded = _ENCODER.encode(self._seeded[written.product_id]).decode()
                    revisions.append((written.product_id, 0, before["created_at_ms"], MACHINE, MACHINE, "seeded", seeded))
                if written.doc.state != "on_shelf" or before["state"] == "on_shelf":
                    since_ms = before["on_shelf_since_ms"]
            (new if before is None else old).append((*values.values(), since_ms, doc, written.revision))
            by = self._by
            revisions.append((written.product_id, written.revision, self._at_ms, by.actor_id, by.role, by.reason, doc))
        columns = (*PRODUCT_COLUMNS, "on_shelf_since_ms", "doc", "revision")
        await self._copy("product", columns, new)
        await self._update(UPDATE_PRODUCTS, old, len(columns))
        await self._copy("product_revision", REVISION_COLUMNS, revisions)

    async def _write_skus(self, rows: list[Rows]) -> None:
        new: list[tuple[Any, ...]] = []
        old: list[tuple[Any, ...]] = []
        parked: list[str] = []
        gone: list[str] = []
        for made in rows:
            there = self._skus.get(made.product[0], {})
            kept = set()
            for values in made.skus:
                kept.add(values[0])
                before = there.get(values[0])
                if before is None:
                    new.append(values)
                elif values != tuple(before[name] for name in SKU_COLUMNS):
                    old.append(values)
                    if before["code"] != values[3]:
                        parked.append(values[0])
            gone.extend(sku_id for sku_id, row in there.items() if sku_id not in kept and (row["offered"] or row["on_shelf"]))
        if gone:
            await self._connection.execute(LEAVE_SKUS, gone)
        if parked:
            await self._connection.execute(PARK_CODES, parked)
        await self._update(UPDATE_SKUS, old, len(SKU_COLUMNS))
        await self._copy("sku", SKU_COLUMNS, new)

    async def _write_prices(self, rows: list[Rows]) -> None:
        ids = [made.product[0] for made in rows if made.product[0] in self._products]
        there = await self._connection.fetch(PRICE_ROWS, ids) if ids else []
        new, old, gone = _difference(there, PRICE_COLUMNS, [values for made in rows for values in made.prices], self._kept(rows))
        await self._update(DELETE_PRICES, gone, 2)
        await self._update(UPDATE_PRICES, old, len(PRICE_COLUMNS))
        await self._copy("sku_price", PRICE_COLUMNS, new)
        there = await self._connection.fetch(MEMBER_PRICE_ROWS, ids) if ids else []
        wanted = [values for made in rows for values in made.member_prices]
        new, old, gone = _difference(there, MEMBER_PRICE_COLUMNS, wanted, self._kept(rows))
        await self._update(DELETE_MEMBER_PRICES, gone, 2)
        await self._update(UPDATE_MEMBER_PRICES, old, len(MEMBER_PRICE_COLUMNS))
        await self._copy("member_price", MEMBER_PRICE_COLUMNS, new)

    def _kept(self, rows: list[Rows]) -> set[str]:
        return {values[0] for made in rows for values in made.skus}

    async def _copy(self, table: str, columns: Sequence[str], rows: list[tuple[Any, ...]]) -> None:
        if rows:
            await self._connection.copy_records_to_table(table, columns=columns, records=rows)

    async def _update(self, sql: str, rows: list[tuple[Any, ...]], width: int) -> None:
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            await self._connection.execute(sql, *([row[place] for row in part] for place in range(width)))


def _difference(
    there: Iterable[Any], columns: Sequence[str], wanted: list[tuple[Any, ...]], skus: set[str]
) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """(new, changed, gone) rows of a table whose key are its first two columns; only of these SKUs."""
    before = {values[:2]: values for row in there if (values := tuple(row[name] for name in columns))[0] in skus}
    new = [values for values in wanted if values[:2] not in before]
    changed = [values for values in wanted if values[:2] in before and before[values[:2]] != values]
    gone = before.keys() - {values[:2] for values in wanted}
    return new, changed, sorted(gone)


def _sku_id() -> str:
    return random_id("sku")
