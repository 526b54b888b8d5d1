"""What pages in memory have to hear: one or two statements, every 0.4 s, for all pages of a replica that somebody asks for.

Topics: ``product:<id>`` (its document or row), ``sku:<id>`` and ``prices:<id>`` (facts), ``goods`` (any of those: lists), ``names`` (a
category, brand or tag: whatever shows one). Stock has no version: what is in stock is compared with what the pages say.
"""

import asyncio
from typing import Final

import structlog

from actors.ports.clock import Clock
from actors.ports.journal import StorageUnknown
from actors.storage.product_pages import ProductPages
from serve.catalogue_facts import CatalogueFacts
from serve.pages import Page, Pages, confirm, outdated

log = structlog.get_logger("stampede.pages")

EVERY_S: Final = 0.4
CHANGED_MAX: Final = 1000
"""Products that change between two looks; where there are more, every page is read again."""

STOCKED_MAX: Final = 500
"""Product pages whose stock is looked at together; of more, those that are left are read again when they are asked for."""


class PageNews:
    """Follows what changes, for the pages of one replica."""

    def __init__(self, pages: Pages, products: ProductPages, facts: CatalogueFacts, clock: Clock) -> None:
        self._pages = pages
        self._products = products
        self._facts = facts
        self._clock = clock
        self._since = -1
        self._others = (0, 0)
        facts.on_news(self._heard_facts)

    async def keep_watching(self) -> None:
        """For ever. While the database is away nothing is confirmed, so that pages get old."""
        while True:
            try:
                await self.look()
            except StorageUnknown as error:
                log.info("pages_not_watched", reason=str(error))
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Look once at what has changed."""
        began_ms = self._clock.monotonic_ms()
        newest, others = await self._products.shared()
        if self._since < 0 or newest < self._since:
            self._pages.drop(None)
        elif newest != self._since or others != self._others:
            await self._drop_changed(names=others != self._others)
        self._since, self._others = newest, others
        await self._confirm(min(began_ms, self._facts.heard_ms))

    async def _drop_changed(self, *, names: bool) -> None:
        changed = await self._products.changed(self._since, CHANGED_MAX + 1)
        if len(changed) > CHANGED_MAX:
            self._pages.drop(None)
            return
        topics = {"product:" + product_id for product_id, _ in changed}
        if topics:
            topics.add("goods")
        self._pages.drop(topics | {"names"} if names else topics)

    async def _confirm(self, fresh_ms: float) -> None:
        asked = self._pages.asked()
        stocked = [page for page in asked if page.content.skus][:STOCKED_MAX]
        confirm([page for page in asked if not page.content.skus], fresh_ms)
        if not stocked:
            return
        there = await self._products.in_stock(sorted({page.content.product_id for page in stocked}))
        same: list[Page] = []
        for page in stocked:
            if page.content.in_stock == page.content.skus & there:
                same.append(page)
            else:
                outdated(page)
        confirm(same, fresh_ms)

    def _heard_facts(self, names: list[str] | None) -> None:
        if names is None:
            self._pages.drop(None)
            return
        topics = {name for name in names if name.startswith(("sku:", "prices:"))}
        if topics:
            self._pages.drop(topics | {"goods"})
