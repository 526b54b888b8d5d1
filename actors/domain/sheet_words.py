"""What people read of a sheet's columns and of bad cells, in both languages. Codes are stable; those of documents are in ``schemas.flaws``."""

from collections.abc import Mapping
from typing import Any, Final

from schemas.flaws import FLAWS

WORDS: Final[dict[str, tuple[str, str]]] = {
    # the sheet
    "column_unknown": ("There is no column {name}.", "没有名为 {name} 的列。"),
    "column_repeated": ("The column {name} stands here twice.", "列 {name} 重复。"),
    "column_missing": ("The column {name} is missing.", "缺少列 {name_zh}。"),
    "row_long": ("The row has more cells than the header.", "该行的单元格多于表头。"),
    "bytes_invalid": ("These bytes are no text in {encoding}.", "这些字节不是有效的 {encoding} 文本。"),
    "formula": ("A formula: paste its value.", "这是公式,请粘贴为数值。"),
    "cell_error": ("An error of the spreadsheet: paste a value.", "这是表格错误值,请粘贴为数值。"),
    "number_long": ("A number of more than 15 digits, which a spreadsheet rounds: format the cell as text.", "数字超过 15 位会被表格舍入,请将单元格设为文本格式。"),
    "cell_long": ("A cell holds at most {limit} characters.", "单元格最多 {limit} 个字符。"),
    "control_character": ("The cell holds a control character.", "单元格包含控制字符。"),
    # cells
    "cell_required": ("This cell must be filled.", "此单元格必填。"),
    "code_form": ("A code is up to 64 letters, digits and ._/-, and begins with a letter or digit.", "编码为不超过 64 位的字母、数字及 ._/-,且以字母或数字开头。"),
    "slug_form": ("A slug is small letters and digits with single hyphens between them.", "网址别名为小写字母与数字,以单个连字符相连。"),
    "too_long": ("Up to {limit} characters.", "不超过 {limit} 字。"),
    "too_many": ("Up to {limit} of them.", "不超过 {limit} 个。"),
    "number_form": ("This is no number.", "这不是有效的数字。"),
    "number_range": ("The number is too large: up to {limit}.", "数字过大,最大为 {limit}。"),
    "flag_form": ("Write yes or no.", "请填写“是”或“否”。"),
    "price_form": ("Write a price as 8.90 (tiers 10:8.50;50:7.90, members gold:8.00).", "价格请写作 8.90(阶梯价 10:8.50;50:7.90,会员价 gold:8.00)。"),
    "price_precision": ("{currency} has {places} decimal places.", "{currency} 最多 {places} 位小数。"),
    "time_form": ("Write a time as 2026-12-01 08:00, with Z or +08:00 where it is not UTC.", "时间请写作 2026-12-01 08:00,非 UTC 时间请注明 +08:00。"),
    "window_form": ("Write a window as 2026-12-01..2026-12-05.", "时间段请写作 2026-12-01..2026-12-05。"),
    "state_unknown": ("A state is draft, scheduled, on_shelf, off_shelf or retired.", "状态为草稿、待上架、在售、下架或停售。"),
    "words_form": ("Write two languages as Red|红色.", "两种语言请写作 Red|红色。"),
    "options_form": ("Write options as color:Color|颜色=red:Red|红色,blue:Blue|蓝色.", "规格定义请写作 color:Color|颜色=red:Red|红色,blue:Blue|蓝色。"),
    "choice_form": ("Write a choice as color=red;size=xl.", "规格请写作 color=red;size=xl。"),
    "images_form": ("Write images as img_1=Front|正面;img_2.", "图片请写作 img_1=Front|正面;img_2。"),
    "currency_form": ("A currency is three capital letters.", "币种为三个大写字母。"),
    # rows
    "first_row_differs": ("The product's first row, {row}, says something else.", "与该商品首行(第 {row} 行)不一致。"),
    "sku_twice": ("This SKU code stands in row {row} already.", "该 SKU 编码已出现在第 {row} 行。"),
    "sku_elsewhere": ("This SKU belongs to the product {code}.", "该 SKU 属于商品 {code}。"),
    "sku_taken": ("This SKU code is taken.", "该 SKU 编码已被占用。"),
    "merchant_foreign": ("You import goods of your own firm alone.", "只能导入本商家的商品。"),
    "form": ("The product cannot be stored: {reason}.", "无法保存该商品:{reason}。"),
}  # fmt: skip


HELP: Final[dict[str, tuple[str, str]]] = {
    "row": ("Written by the shop, and passed over.", "由系统填写,导入时忽略。"),
    "flaws": ("Written by the shop, and passed over.", "由系统填写,导入时忽略。"),
    "code": ("Letters, digits and ._/-; rows with the same one are one product.", "字母、数字及 ._/-;相同编码的行属于同一商品。"),
    "merchant": ("The id of the merchant; a merchant leaves it empty.", "商家 ID;商家导入时留空。"),
    "state": ("draft, scheduled, on_shelf, off_shelf or retired; empty: stays, or draft.", "草稿、待上架、在售、下架或停售;空则保持不变,新商品为草稿。"),
    "shelf_at": ("2026-12-01T08:00:00Z or 2026-12-01 16:00 +08:00; UTC without an offset.", "如 2026-12-01T08:00:00Z 或 2026-12-01 16:00 +08:00;未注明时区则为 UTC。"),
    "off_at": ("When it leaves the shelf by itself; empty: never.", "自动下架时间;空则不自动下架。"),
    "category": ("The id or the slug of a category.", "类目 ID 或网址别名。"),
    "brand": ("The id or the slug of a brand.", "品牌 ID 或网址别名。"),
    "slug": ("Small letters and digits with hyphens between them.", "小写字母与数字,以连字符相连。"),
    "title_en": ("Up to 200 characters; one of the two titles is needed.", "不超过 200 字;两种标题至少填一种。"),
    "title_zh": ("Up to 200 characters; one of the two titles is needed.", "不超过 200 字;两种标题至少填一种。"),
    "subtitle_en": ("Up to 200 characters.", "不超过 200 字。"),
    "subtitle_zh": ("Up to 200 characters.", "不超过 200 字。"),
    "detail_en": ("HTML; goes on in `detail en 2` to `8` where a cell is too short.", "HTML;过长时续写于 `英文详情 2` 至 `8`。"),
    "detail_zh": ("HTML; goes on in `detail zh 2` to `8` where a cell is too short.", "HTML;过长时续写于 `中文详情 2` 至 `8`。"),
    "seo_title_en": ("Up to 200 characters.", "不超过 200 字。"),
    "seo_title_zh": ("Up to 200 characters.", "不超过 200 字。"),
    "seo_description_en": ("Up to 500 characters.", "不超过 500 字。"),
    "seo_description_zh": ("Up to 500 characters.", "不超过 500 字。"),
    "keywords_en": ("Up to 20, as a;b;c.", "至多 20 个,如 a;b;c。"),
    "keywords_zh": ("Up to 20, as a;b;c.", "至多 20 个,如 甲;乙;丙。"),
    "images": ("Ids of images that were uploaded, as img_1=Front|正面;img_2.", "已上传图片的 ID,如 img_1=Front|正面;img_2。"),
    "options": ("color:Color|颜色=red:Red|红色,blue:Blue|蓝色; empty: made from the column `choice`.", "如 color:Color|颜色=red:Red|红色,blue:Blue|蓝色;空则由“规格”列推导。"),
    "sku": ("Letters, digits and ._/-; unique in the shop. A code that exists is changed.", "字母、数字及 ._/-,全店唯一;已存在的编码将被更新。"),
    "choice": ("color=red;size=xl, or color=Red|红色 for a new value.", "如 color=red;size=xl;新规格值写作 color=Red|红色。"),
    "barcode": ("EAN-8, UPC-A, EAN-13 or GTIN-14 as text, leading zeros included.", "EAN-8、UPC-A、EAN-13 或 GTIN-14,以文本填写并保留前导零。"),
    "offered": ("yes or no; empty: yes.", "是或否;空则为是。"),
    "currency": ("Needed only where it is not that of the first price.", "仅当主币种不是首个价格列时填写。"),
    "promotion_from": ("For promotions that name no time themselves.", "适用于未单独注明时间的促销价。"),
    "promotion_to": ("For promotions that name no time themselves.", "适用于未单独注明时间的促销价。"),
    "weight": ("Grams.", "克。"),
    "length": ("Millimetres.", "毫米。"),
    "width": ("Millimetres.", "毫米。"),
    "height": ("Millimetres.", "毫米。"),
    "image": ("The id of an image.", "图片 ID。"),
    "safety_stock": ("Units below which replenishment is proposed.", "低于该数量时建议补货。"),
    "list": ("`price CNY`: the list price in this currency, 8.90.", "`价格 CNY`:该币种的标价,如 8.90。"),
    "tier": ("`tiers CNY`: 10:8.50;50:7.90, from so many units on.", "`阶梯价 CNY`:如 10:8.50;50:7.90,按起订数量。"),
    "promotion": ("`promotion CNY`: 7.90, or 7.90@2026-12-01..2026-12-05=Sale|特卖.", "`促销价 CNY`:如 7.90 或 7.90@2026-12-01..2026-12-05=Sale|特卖。"),
    "member": ("`member CNY`: gold:8.00;silver:8.50, by level.", "`会员价 CNY`:如 gold:8.00;silver:8.50,按会员等级。"),
    "attr": ("`attr:material`: an attribute by its id.", "`属性:material`:按属性 ID 填写。"),
}  # fmt: skip
"""What people read of each column, by its key."""


def words_of(code: str, params: Mapping[str, Any], language: str) -> str:
    """What people read of a flaw."""
    english, chinese = WORDS.get(code) or FLAWS.get(code) or (code, code)
    return (chinese if language == "zh-CN" else english).format_map(_Params(params))


class _Params(dict[str, Any]):
    """What a flaw does not say is shown as its name."""

    def __missing__(self, key: str) -> str:
        return f"{{{key}}}"
