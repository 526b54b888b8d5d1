"""What can be wrong with a product's document: each code with what people read, in both languages.

A flaw says where it is, what is wrong and by which values. Codes are stable: clients and the files of an import branch on them.
``{name}`` is filled from the flaw's parameters.
"""

from typing import Any, Final

import msgspec


class Flaw(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is wrong. path: of the field in the document (``skus[2].barcode``); empty for the whole."""

    path: str
    code: str
    params: dict[str, Any] = {}


FLAWS: Final[dict[str, tuple[str, str]]] = {
    # names and texts
    "title_missing": ("Give the product a title in at least one language.", "请至少填写一种语言的标题。"),
    "name_missing": ("Give it a name in at least one language.", "请至少填写一种语言的名称。"),
    "text_invalid": ("A text holds a character that cannot be stored.", "文本包含无法保存的字符。"),
    # what it belongs to
    "category_unknown": ("There is no category {category_id}.", "分类 {category_id} 不存在。"),
    "category_missing": ("A product on the shelf needs a category.", "上架商品必须选择分类。"),
    "brand_unknown": ("There is no brand {brand_id}.", "品牌 {brand_id} 不存在。"),
    "merchant_unknown": ("There is no merchant {merchant_id}.", "商家 {merchant_id} 不存在。"),
    "image_unknown": ("There is no image {image_id}.", "图片 {image_id} 不存在。"),
    "image_repeated": ("The image {image_id} stands here twice.", "图片 {image_id} 重复。"),
    # options and articles
    "option_repeated": ("The option {option_id} stands here twice.", "规格 {option_id} 重复。"),
    "value_repeated": ("The value {value_id} stands here twice.", "规格值 {value_id} 重复。"),
    "option_missing": ("Choose a value of {option_id}.", "请选择规格 {option_id} 的值。"),
    "option_unknown": ("The product has no option {option_id}.", "商品没有规格 {option_id}。"),
    "value_unknown": ("The option {option_id} has no value {value_id}.", "规格 {option_id} 没有值 {value_id}。"),
    "choice_repeated": ("The SKU {code} has the same choice.", "与 SKU {code} 的规格组合相同。"),
    "code_repeated": ("The code {code} stands here twice.", "编码 {code} 重复。"),
    "sku_repeated": ("The SKU {sku_id} stands here twice.", "SKU {sku_id} 重复。"),
    "barcode_invalid": (
        "This is no EAN-8, UPC-A, EAN-13 or GTIN-14 with its check digit.",
        "条码不是校验位正确的 EAN-8、UPC-A、EAN-13 或 GTIN-14。",
    ),
    "barcode_repeated": ("The SKU {code} has the same barcode.", "与 SKU {code} 的条码相同。"),
    "sku_missing": ("A product on the shelf needs at least one SKU that is offered.", "上架商品至少需要一个可售 SKU。"),
    "matrix_too_large": ("These options make {count} SKUs, more than {limit}.", "规格组合共 {count} 个,超过上限 {limit}。"),
    # prices
    "price_missing": ("A SKU needs a price.", "SKU 至少需要一个价格。"),
    "list_price_missing": ("There is no list price in {currency}.", "缺少 {currency} 的标价。"),
    "price_repeated": ("The same price stands here twice.", "价格重复。"),
    "price_field": ("A price of this kind has no {field}.", "此类价格不能设置 {field}。"),
    "currency_unknown": ("The shop does not sell in {currency}.", "本商城不以 {currency} 销售。"),
    "tier_order": ("Tiers begin at 2 units and ascend.", "阶梯价须从 2 件起并按数量递增。"),
    "window_empty": ("It ends before it begins.", "结束时间早于开始时间。"),
    "level_unknown": ("There is no member level {level_id}.", "会员等级 {level_id} 不存在。"),
    "price_above_list": ("It is above the list price, {amount}.", "高于标价 {amount}。"),
    # attributes
    "attribute_unknown": ("The category has no attribute {attribute_id}.", "该分类没有属性 {attribute_id}。"),
    "attribute_kind": ("It must be a {kind}.", "属性值的类型应为 {kind}。"),
    "attribute_choice": ("{value} is none of the choices.", "{value} 不在可选值中。"),
    "attribute_required": ("The category asks for {attribute_id}.", "该分类要求填写属性 {attribute_id}。"),
    "attribute_repeated": ("The attribute {attribute_id} stands here or above twice.", "属性 {attribute_id} 与本级或上级重复。"),
    "category_circle": ("A category cannot stand below itself.", "分类不能位于自身之下。"),
    "category_too_deep": ("The tree has at most {limit} levels.", "分类最多 {limit} 级。"),
    "choices_unused": ("An attribute of this kind has no choices.", "此类属性没有可选值。"),
    "choices_missing": ("Name the choices.", "请列出可选值。"),
    # the shelf
    "shelf_time_missing": ("Say when it goes on the shelf.", "请设置上架时间。"),
    "off_before_shelf": ("It would leave the shelf before it is there.", "下架时间早于上架时间。"),
    # against what is stored
    "sku_unknown": ("The product has no SKU {sku_id}.", "商品没有 SKU {sku_id}。"),
    "sku_code_taken": ("The code {code} is another SKU's.", "编码 {code} 已被其他 SKU 使用。"),
    "product_code_taken": ("The code {code} is another product's.", "编码 {code} 已被其他商品使用。"),
    "slug_taken": ("The slug {slug} is another one's.", "短链接 {slug} 已被使用。"),
    "merchant_fixed": ("A product stays with its merchant.", "商品所属商家不可在此更改。"),
    "state_not_allowed": ("A product does not go from {from} to {to}.", "商品状态不能从 {from} 变为 {to}。"),
}
"""Messages by code: English, Chinese."""


def said(flaw: Flaw, language: str) -> str:
    """What people read of a flaw, in ``en`` or ``zh-CN``."""
    english, chinese = FLAWS[flaw.code]
    return (chinese if language == "zh-CN" else english).format_map(flaw.params)
