"""One name in both languages of the shop."""

import msgspec


class Titles(msgspec.Struct, frozen=True, kw_only=True, rename={"zh": "zh-CN"}):
    """One name in every language of the shop."""

    en: str
    zh: str
