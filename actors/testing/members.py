"""The membership of a small shop, for tests and simulations: levels, rates, a member price, a mall."""

from typing import Any, Final

from schemas.membership import LevelTerms, MallItem, MemberPrices, MemberRules, Rate, RuleTerms
from schemas.offer import CouponTerms

LEVELS: Final = (
    LevelTerms(level_id="ordinary", title="Ordinary", title_zh="普通会员", growth_min=0),
    LevelTerms(
        level_id="silver", title="Silver", title_zh="银卡会员", growth_min=100, points_percent=110, free_shipping=1, priority=1,
        birthday_coupon_id="cpn_gift",
    ),
    LevelTerms(
        level_id="gold", title="Gold", title_zh="金卡会员", growth_min=500, discount_percent=10, points_percent=150, free_shipping=2,
        priority=2, support_queue="dedicated", birthday_coupon_id="cpn_gift",
    ),
)  # fmt: skip
RULES: Final = MemberRules(
    terms=RuleTerms(rates={"CNY": Rate(growth_per_100=1, points_per_100=10, minor_per_100_points=100)}), levels=LEVELS, version=9
)


def membership() -> dict[str, Any]:
    """Its facts: ``sku_a`` has a price of its own for gold, ``mal_coupon`` and ``mal_mug`` are in the mall."""
    gift = CouponTerms(coupon_id="cpn_gift", method="amount", value=300, currency="CNY", personal=True)
    return {
        "member:rules": RULES,
        "member_price:sku_a": MemberPrices(sku_id="sku_a", prices={"gold": 850}, version=3),
        "coupon:cpn_gift": gift,
        "mall:mal_coupon": MallItem(item_id="mal_coupon", kind="coupon", points=50, coupon_id="cpn_gift"),
        "mall:mal_mug": MallItem(item_id="mal_mug", kind="goods", points=80),
        "mall:mal_gone": MallItem(item_id="mal_gone", kind="goods", points=80, active=False),
    }
