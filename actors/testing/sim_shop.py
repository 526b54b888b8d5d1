"""What the simulated shop sells: a scarce SKU in parts, ordinary ones, sales, coupons, and prices that change."""

import random
from typing import Any, Final

from actors.ports.clock import Clock
from actors.testing.sim_store import SimStore
from schemas.offer import CouponTerms, Offer, SaleTerms

SALE_LIMIT: Final = 3
HOT: Final = "sku_hot"
PARTS_MAX: Final = 4
CART_SKUS: Final = ("sku_a", "sku_b", "sku_c")
FOREVER_MS: Final = 2**50


class Shop:
    """The catalogue's facts, with the version at which each last changed."""

    def __init__(self, rng: random.Random, clock: Clock) -> None:
        self.version = 1
        self.parts = rng.randint(1, 3)
        self.facts: dict[str, Any] = {}
        self.changed: dict[str, int] = {}
        self._rng = rng
        now_ms = clock.now_ms()
        self._put_hot()
        for index, sku_id in enumerate(CART_SKUS):
            self.put("sku:" + sku_id, Offer(sku_id=sku_id, product_id=f"prd_{sku_id}", price=700 + 333 * index, currency="CNY"))
        self.put("sku:sku_eur", Offer(sku_id="sku_eur", product_id="prd_eur", price=500, currency="EUR"))
        self.put("sku:sku_off", Offer(sku_id="sku_off", product_id="prd_off", price=500, currency="CNY", on_sale=False))
        self._put_sale("sal_1", "open")
        self._put_sale("sal_ticket", "drawn", ticket=True)
        self._put_sale("sal_closed", "closed")
        self._put_sale("sal_past", "ended")
        self._put_coupon("cpn_ten", "percent", 10, now_ms)
        self._put_coupon("cpn_all", "percent", 100, now_ms, product_ids=frozenset(["prd_sku_a"]))
        self._put_coupon("cpn_five", "amount", 500, now_ms, min_total=1000)
        self._put_coupon("cpn_unset", "amount", 100, now_ms)
        self._put_coupon("cpn_over", "amount", 100, now_ms - FOREVER_MS)

    def put(self, name: str, fact: Any) -> None:
        """A fact is now this."""
        self.version += 1
        self.facts[name] = fact
        self.changed[name] = self.version

    def split_further(self) -> None:
        """The scarce article has one more part."""
        self.parts += 1
        self._put_hot()

    def _put_hot(self) -> None:
        self.put("sku:" + HOT, Offer(sku_id=HOT, product_id="prd_hot", price=1999, currency="CNY", parts=self.parts))

    def change_a_price(self) -> None:
        """A merchant changes the price of one article."""
        sku_id = self._rng.choice(CART_SKUS)
        price = self._rng.randint(300, 2000)
        offer = Offer(sku_id=sku_id, product_id=f"prd_{sku_id}", price=price, currency="CNY", version=self.version + 1)
        self.put("sku:" + sku_id, offer)

    def _put_sale(self, sale_id: str, state: str, *, ticket: bool = False) -> None:
        terms = SaleTerms(
            sale_id=sale_id,
            state=state,
            opens_at_ms=0,
            ends_at_ms=FOREVER_MS,
            prices={HOT: 999},
            currency="CNY",
            limit_per_user=SALE_LIMIT,
            ticket_required=ticket,
        )
        self.put("sale:" + sale_id, terms)

    def _put_coupon(self, coupon_id: str, method: str, value: int, starts_at_ms: int, **terms: Any) -> None:
        ends_at_ms = starts_at_ms + 30 * 86_400_000
        coupon = CouponTerms(
            coupon_id=coupon_id, method=method, value=value, currency="CNY", starts_at_ms=starts_at_ms, ends_at_ms=ends_at_ms, **terms
        )
        self.put("coupon:" + coupon_id, coupon)


class FactLine:
    """One host's line to the catalogue: implements ``actors.ports.peers.FactSource``."""

    def __init__(self, store: SimStore, place: str, shop: Shop) -> None:
        self._store = store
        self._place = place
        self._shop = shop

    async def load(self, names: list[str]) -> dict[str, Any]:
        """See the port."""
        facts = self._shop.facts
        found: dict[str, Any] = await self._store.ask(self._place, lambda: {name: facts[name] for name in names if name in facts})
        return found

    async def changed(self, since: int) -> tuple[int, list[str]]:
        """See the port."""
        shop = self._shop
        news: tuple[int, list[str]] = await self._store.ask(
            self._place, lambda: (shop.version, [name for name, version in shop.changed.items() if version > since])
        )
        return news
