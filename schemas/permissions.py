"""Who may do what: each permission with the roles that have it. What stands in no row, nobody may do.

Every route names one of these (``serve.ops.operations``), every staff action is checked against one again where it is
carried out (``actors.storage.staff``). Roles are the names of ``actors.domain.token.Role`` in small letters; ``anyone``
is whoever asks, logged in or not.
"""

from typing import Final

import msgspec

ANYONE: Final = "anyone"

GRANTABLE: Final = ("merchant", "warehouse", "support", "marketing", "finance", "operator", "administrator")
"""Roles that somebody gives to somebody. Everybody with an account is a customer."""


class Permission(msgspec.Struct, frozen=True, kw_only=True):
    """One row: the roles that have it, and what it lets them do, for people."""

    roles: tuple[str, ...]
    en: str
    zh: str


def _row(roles: str, en: str, zh: str) -> Permission:
    return Permission(roles=tuple(roles.split()), en=en, zh=zh)


PERMISSIONS: Final[dict[str, Permission]] = {
    # shoppers
    "public": _row("anyone", "Look at the shop, register and log in.", "浏览商城、注册与登录。"),
    "anyone": _row("anyone", "Tell what was seen and done.", "上报浏览与行为事件。"),
    "cart": _row("guest customer", "Fill a cart of one's own.", "使用自己的购物车。"),
    "customer": _row("customer", "Buy, and see and change what is one's own.", "购买,并查看、修改本人的信息。"),
    # merchants: their own goods and orders, and nothing of others
    "merchant.goods": _row("merchant", "See the goods of one's own firm.", "查看本商家的商品。"),
    "merchant.orders": _row("merchant", "See the lines of orders that are of one's own firm.", "查看本商家的订单明细。"),
    "merchant.payout": _row("merchant", "See and set where the money of one's own firm goes.", "查看并设置本商家的收款账户。"),
    "merchant.goods.edit": _row("merchant", "Make and change the goods of one's own firm.", "新建与修改本商家的商品。"),
    # goods
    "goods.read": _row(
        "marketing warehouse support operator administrator",
        "See every product, its revisions, categories and brands.",
        "查看全部商品、版本、分类与品牌。",
    ),
    "goods.edit": _row("marketing operator administrator", "Make products and change them.", "新建与修改商品。"),
    "goods.publish": _row("operator administrator", "Put products on the shelf and take them off.", "商品上架、下架与退市。"),
    "category.edit": _row("operator administrator", "Make and change categories and brands.", "新建与修改分类和品牌。"),
    "tag.edit": _row("marketing operator administrator", "Make tags and their rules, and give them by hand.", "管理标签及其规则。"),
    "goods.watch": _row(
        "marketing operator administrator",
        "See how goods sell, decide on proposals, and order at suppliers.",
        "查看动销、处理经营建议与采购。",
    ),
    "purchase.receive": _row("warehouse operator administrator", "Put into stock what suppliers delivered.", "采购到货入库。"),
    # people
    "person.read": _row("support operator administrator", "See an account, its personal fields masked.", "查看账号(个人信息已遮蔽)。"),
    "person.unmask": _row("support administrator", "See personal fields in the clear, for a reason.", "说明理由后查看未遮蔽的个人信息。"),
    "person.disable": _row("operator administrator", "Close an account, or open it again.", "停用或恢复账号。"),
    "person.sessions": _row("support operator administrator", "End all sessions of an account.", "结束账号的全部登录会话。"),
    "person.factors": _row("support administrator", "Reset the second factors of a customer, in a day.", "重置客户的二次验证。"),
    "staff.factors": _row("administrator", "Reset the second factors of a staff account, in a day.", "重置员工账号的二次验证。"),
    # trade
    "order.read": _row(
        "support warehouse finance operator administrator",
        "See the orders of an account, and what is to be packed.",
        "查看账号的订单及待发货订单。",
    ),
    "order.cancel": _row("support operator administrator", "Cancel an unpaid order for its buyer.", "代买家取消未付款订单。"),
    "stock.read": _row("warehouse operator administrator", "See how much of an article there is.", "查看商品库存。"),
    "wms.read": _row("warehouse operator administrator", "See what goes to and comes from warehouses.", "查看与仓库系统的往来消息。"),
    "wms.act": _row(
        "operator administrator",
        "Connect warehouses, repeat or drop messages, and apply differences of counts.",
        "接入仓库系统,重发或丢弃消息,并应用盘点差异。",
    ),
    "stock.adjust": _row("warehouse operator administrator", "Receive, count, move and write off stock.", "收货、盘点、调拨与报损。"),
    "warehouse.edit": _row("warehouse operator administrator", "Set up warehouses.", "设置仓库。"),
    "price.read": _row(
        "marketing support operator administrator",
        "See what an article costs whom, at any time, and why.",
        "查看商品在任意时间对各等级会员的价格及原因。",
    ),
    "coupon.read": _row("marketing operator administrator", "See the coupons and how many are taken.", "查看优惠券及其领用情况。"),
    "ledger.read": _row("finance administrator", "See the entries of the ledger.", "查看账本分录。"),
    "payout.read": _row("finance administrator", "See where a firm's money goes, masked.", "查看商家收款账户(已遮蔽)。"),
    "payout.unmask": _row("finance administrator", "See where it goes in the clear, for a reason.", "说明理由后查看商家收款账户。"),
    # goods
    "image.add": _row("merchant marketing operator administrator", "Bring pictures.", "上传图片。"),
    # goods in bulk; a merchant's own alone
    "goods.import": _row("merchant operator administrator", "Import goods from a file.", "从文件批量导入商品。"),
    "goods.export": _row("merchant operator administrator", "Export goods into a file.", "将商品导出为文件。"),
    # staff
    "desk.open": _row(
        "merchant warehouse support marketing finance operator administrator", "Open the pages of the staff.", "打开员工工作台。"
    ),
    "role.read": _row("administrator", "See who has which role.", "查看人员角色。"),
    "role.grant": _row("administrator", "Give and take away roles.", "授予与收回角色。"),
    "action.read": _row("administrator", "See what staff did.", "查看员工操作记录。"),
}

SHOPPERS: Final = frozenset({"public", "anyone", "cart", "customer"})
"""Permissions that need no role of the staff."""
