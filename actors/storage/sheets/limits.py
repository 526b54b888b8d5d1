"""What a file may be at most, and how it is refused."""

from typing import Any, Final

import msgspec

FILE_BYTES_MAX: Final = 64 << 20
ROWS_MAX: Final = 100_000
COLUMNS_MAX: Final = 200
CELL_CHARACTERS_MAX: Final = 32_767
"""What a workbook's cell holds; a longer one in a CSV is a bad cell."""

UNPACKED_BYTES_MAX: Final = 256 << 20
ENTRIES_MAX: Final = 500
RATIO_MAX: Final = 150
"""A part of a workbook that is larger than a megabyte unpacks to so many times its size at most; 50,000 equal rows to some 60."""

READING_BYTES_MAX: Final = 3 << 30
"""Address space of the process that reads: what Polars reserves is most of it."""
READING_S_MAX: Final = 60
FLAWS_MAX: Final = 200_000
"""Bad cells that are listed of one file: two for every row that it may have."""

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "file_empty": ("The file has no rows.", "文件没有数据行。"),
    "file_too_large": ("The file is larger than {limit} bytes.", "文件超过 {limit} 字节。"),
    "not_a_sheet": ("This is neither CSV nor an Excel workbook (.xlsx).", "这不是 CSV 或 Excel 工作簿(.xlsx)文件。"),
    "sheet_old": (
        "An old (.xls) or encrypted workbook: save it as .xlsx without a password.",
        "旧版(.xls)或加密的工作簿,请另存为无密码的 .xlsx。",
    ),
    "sheet_macros": ("The workbook holds macros: save it as .xlsx.", "工作簿包含宏,请另存为 .xlsx。"),
    "sheet_damaged": ("The workbook is damaged.", "工作簿已损坏。"),
    "sheet_bomb": ("The workbook unpacks to far more than it is.", "工作簿解压后过大。"),
    "sheet_nested": ("The workbook holds other files.", "工作簿中嵌有其他文件。"),
    "sheet_entities": ("The workbook's XML declares entities.", "工作簿的 XML 含有实体声明。"),
    "rows_too_many": ("Up to {limit} rows.", "不超过 {limit} 行。"),
    "columns_too_many": ("Up to {limit} columns.", "不超过 {limit} 列。"),
    "quotes_open": ("Quotes do not close, near row {row}.", "引号未闭合,约在第 {row} 行。"),
    "sheet_too_costly": ("The file takes too much time or memory to read.", "读取该文件耗时或占用内存过多。"),
}
"""What people read of a file that is refused: English, Chinese."""


class SheetRefused(Exception):
    """Nothing of this file is read. ``code`` is of ``TEXTS``."""

    def __init__(self, code: str, **params: Any) -> None:
        super().__init__(code, params)
        self.code = code
        self.params = params

    def said(self, language: str) -> str:
        """What people read."""
        return refusal_text(self.code, self.params, language)


def refusal_text(code: str, params: dict[str, Any], language: str) -> str:
    """What people read of a refused file."""
    english, chinese = TEXTS.get(code, (code, code))
    return (chinese if language == "zh-CN" else english).format_map(params)


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """A file as it was read. header_row: as a spreadsheet counts; the rows follow it. flaws: (row, column, code, params)."""

    format: str
    encoding: str = ""
    delimiter: str = ""
    header_row: int = 1
    header: list[str] = []
    rows: list[list[str]] = []
    flaws: list[tuple[int, int, str, dict[str, Any]]] = []
