"""What stands in one cell of a sheet of goods: read from text into values, and written from values, always the same way.

Reading raises :class:`BadCell`. What is written reads back as what it was; people may write more loosely than we do
(full-width digits, ``是`` for ``yes``, a title in place of an id). Lists are separated by ``;``, words in English and
Chinese by ``|``, and a backslash before a separator makes it a character like any other.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any, Final

from actors.domain.dates import DAY_MS, date_of, day_on, month_length
from schemas.goods import FOREVER_MS, QUANTITY_MAX, UNSEEN, Image, Option, OptionValue, Price, PriceKind, Words
from schemas.money import MINOR_UNITS_MAX

WORD_MAX: Final = 200

NO_DECIMALS: Final = frozenset(
    ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF")
)
THREE_DECIMALS: Final = frozenset(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"))

CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/\-]{0,63}\Z")
_NUMBER: Final = re.compile(r"(\d{1,15})(?:\.(\d{1,15}))?\Z")
_WHOLE: Final = re.compile(r"(\d{1,15})(?:\.0{1,15})?\Z")
_FLOAT: Final = re.compile(r"-?\d{1,300}(?:\.\d{1,300})?(?:[eE][+-]?\d{1,3})?\Z")
_TIME: Final = re.compile(
    r"(\d{4,6})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T ](\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,3}))?)?)?\s*(Z|[+-]\d{2}:?\d{2})?\Z"
)
_GUARDED: Final = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")

YES: Final = frozenset(("yes", "true", "1", "y", "是", "真", "有"))
NO: Final = frozenset(("no", "false", "0", "n", "否", "假", "无"))
STATES: Final = {
    "draft": "draft", "scheduled": "scheduled", "on_shelf": "on_shelf", "off_shelf": "off_shelf", "retired": "retired",
    "on shelf": "on_shelf", "off shelf": "off_shelf", "草稿": "draft", "待上架": "scheduled", "在售": "on_shelf", "上架": "on_shelf",
    "下架": "off_shelf", "已下架": "off_shelf", "停售": "retired", "淘汰": "retired",
}  # fmt: skip


class BadCell(Exception):
    """This text cannot stand in this column. ``code`` is of ``actors.domain.sheet_words``."""

    def __init__(self, code: str, **params: Any) -> None:
        super().__init__(code)
        self.code = code
        self.params = params


# --- cells that a spreadsheet would take for something else ------------------------------------------


def guarded(text: str) -> str:
    """The text with an apostrophe before it where a spreadsheet would evaluate it (``=``, ``+``, ``-``, ``@``, tab, line end)."""
    return "'" + text if _GUARDED.match(text) else text


def unguarded(text: str) -> str:
    """The inverse of :func:`guarded`."""
    return text[1:] if text.startswith("'") and _GUARDED.match(text) else text


def control_character(text: str) -> bool:
    """Whether there is a character that no cell may hold."""
    return UNSEEN.search(text) is not None


# --- texts with separators ---------------------------------------------------------------------------


def split(text: str, separator: str, most: int = -1) -> list[str]:
    """The parts of a text, still escaped; a separator after a backslash separates nothing."""
    if separator not in text:
        return [text]
    if "\\" not in text:
        return text.split(separator, most)
    parts, start, at = [], 0, 0
    while at < len(text) and most != 0:
        if text[at] == "\\":
            at += 2
            continue
        if text[at] == separator:
            parts.append(text[start:at])
            start, most = at + 1, most - 1
        at += 1
    return [*parts, text[start:]]


_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_SPECIAL: Final = re.compile(r"([\\;|=:,@])")


def plain(text: str) -> str:
    """A part as what it means. White space around it says nothing."""
    if "\\" not in text:
        return text.strip(" ")
    found = text.strip(" ")
    if (len(found) - len(found.rstrip("\\"))) % 2 and text.rstrip(" ") != text:
        found += " "  # the last one is escaped
    return _ESCAPED.sub(r"\1", found)


def part(text: str) -> str:
    """A text as a part: :func:`plain` gives it back. Spaces at its ends are kept by a backslash."""
    found = _SPECIAL.sub(r"\\\1", text)
    if found.startswith(" "):
        found = "\\" + found
    if found.endswith(" ") and len(text) > 1:
        found = found[:-1] + "\\ "
    return found


def read_words(text: str) -> Words:
    """``Red|红色``, ``Red`` or ``|红色``."""
    english, *chinese = split(text, "|")
    if len(chinese) > 1:
        raise BadCell("words_form")
    found = Words(en=plain(english), zh=plain(chinese[0]) if chinese else "")
    if len(found.en) > WORD_MAX or len(found.zh) > WORD_MAX:
        raise BadCell("too_long", limit=WORD_MAX)
    return found


def write_words(words: Words) -> str:
    """The inverse of :func:`read_words`."""
    return f"{part(words.en)}|{part(words.zh)}" if words.zh else part(words.en)


def read_list(text: str) -> tuple[str, ...]:
    """``a;b``."""
    return tuple(found for each in split(text, ";") if (found := plain(each)))


def write_list(values: Sequence[str]) -> str:
    """The inverse of :func:`read_list`."""
    return ";".join(map(part, values))


# --- plain values ------------------------------------------------------------------------------------


def _digits(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def read_code(text: str) -> str:
    """A merchant's own code."""
    text = text.strip()
    if not CODE.match(text):
        raise BadCell("code_form")
    return text


def read_whole(text: str, limit: int) -> int:
    """A whole number from 0 to ``limit``; ``5.0`` is one."""
    found = _WHOLE.match(_digits(text.strip()))
    if found is None:
        raise BadCell("number_form")
    number = int(found[1])
    if number > limit:
        raise BadCell("number_range", limit=limit)
    return number


def read_float(text: str) -> float:
    """A number."""
    text = _digits(text.strip())
    if not _FLOAT.match(text):
        raise BadCell("number_form")
    found = float(text)
    if found in (float("inf"), float("-inf")):
        raise BadCell("number_range", limit="1.8e308")
    return found


def write_float(value: float) -> str:
    """The shortest text that is this number."""
    return str(int(value)) if value == int(value) and abs(value) < 10**15 else repr(value)


def read_flag(text: str) -> bool:
    """``yes``, ``no``, and what people write for them."""
    word = text.strip().casefold()
    if word in YES:
        return True
    if word in NO:
        return False
    raise BadCell("flag_form")


def write_flag(value: bool) -> str:
    """The inverse of :func:`read_flag`."""
    return "yes" if value else "no"


def decimals_of(currency: str) -> int:
    """Digits of a currency's minor unit."""
    return 0 if currency in NO_DECIMALS else 3 if currency in THREE_DECIMALS else 2


def read_amount(text: str, currency: str) -> int:
    """An amount of money as people write it (``8.90``), in minor units."""
    found = _NUMBER.match(_digits(text.strip()))
    if found is None:
        raise BadCell("price_form")
    places = decimals_of(currency)
    fraction = (found[2] or "").rstrip("0")
    if len(fraction) > places:
        raise BadCell("price_precision", places=places, currency=currency)
    amount: int = int(found[1]) * 10**places + int(fraction.ljust(places, "0") or "0")
    if amount > MINOR_UNITS_MAX:
        raise BadCell("number_range", limit=write_amount(MINOR_UNITS_MAX, currency))
    return amount


def write_amount(amount: int, currency: str) -> str:
    """The inverse of :func:`read_amount`."""
    places = decimals_of(currency)
    if not places:
        return str(amount)
    whole, fraction = divmod(amount, 10**places)
    return f"{whole}.{fraction:0{places}d}"


def read_time(text: str) -> int:
    """A date, or a date and time: ``2026-12-01``, ``2026-12-01 08:00``, ``2026-12-01T00:00:00+08:00``. UTC without an offset."""
    found = _TIME.match(_digits(text.strip()))
    if found is None:
        raise BadCell("time_form")
    year, month, day = int(found[1]), int(found[2]), int(found[3])
    hour, minute, second = int(found[4] or 0), int(found[5] or 0), int(found[6] or 0)
    if not (1 <= month <= 12 and 1 <= day <= month_length(year, month) and hour < 24 and minute < 60 and second < 60):
        raise BadCell("time_form")
    at_ms = day_on(year, month, day) * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000 + int((found[7] or "0").ljust(3, "0"))
    zone = found[8]
    if zone and zone != "Z":
        offset_min = int(zone[1:3]) * 60 + int(zone[-2:])
        at_ms -= (1 if zone[0] == "+" else -1) * offset_min * 60_000
    if not 0 <= at_ms <= FOREVER_MS:
        raise BadCell("time_form")
    return at_ms


def write_time(at_ms: int) -> str:
    """The inverse of :func:`read_time`."""
    day, rest = divmod(at_ms, DAY_MS)
    year, month, of_month = date_of(day)
    second, ms = divmod(rest, 1000)
    fraction = f".{ms:03d}" if ms else ""
    return f"{year:04d}-{month:02d}-{of_month:02d}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}{fraction}Z"


def read_state(text: str) -> str:
    """A state by its name in either language."""
    found = STATES.get(text.strip().casefold())
    if found is None:
        raise BadCell("state_unknown")
    return found


# --- prices ------------------------------------------------------------------------------------------


def read_prices(text: str, kind: PriceKind, currency: str, window: tuple[int, int] = (0, FOREVER_MS)) -> list[Price]:
    """The prices of one cell: ``8.90``; tiers ``10:8.90;50:7.90``; members ``gold:8.00``; promotions ``7.90@from..to=Sale|特卖``.

    window: of promotions that name none.
    """
    return [_read_price(each, kind, currency, window) for each in split(text, ";") if each.strip()]


def _read_price(text: str, kind: PriceKind, currency: str, window: tuple[int, int]) -> Price:
    text, *label = split(text, "=", 1)
    text, *times = split(text, "@", 1)
    *before, amount = split(text, ":")
    if len(before) != (kind in ("tier", "member")) or (times and kind != "promotion"):
        raise BadCell("price_form")
    starts, ends = _read_window(times[0]) if times else window if kind == "promotion" else (0, FOREVER_MS)
    return Price(
        kind=kind,
        currency=currency,
        amount=read_amount(amount, currency),
        min_quantity=read_whole(before[0], QUANTITY_MAX) if kind == "tier" else 1,
        level_id=plain(before[0]) if kind == "member" else "",
        starts_at_ms=starts,
        ends_at_ms=ends,
        label=read_words(label[0]) if label else Words(),
    )


def _read_window(text: str) -> tuple[int, int]:
    starts, dots, ends = text.partition("..")
    if not dots:
        raise BadCell("window_form")
    return read_time(starts) if starts.strip() else 0, read_time(ends) if ends.strip() else FOREVER_MS


def write_prices(prices: Sequence[Price], *, windows: bool) -> str:
    """The inverse of :func:`read_prices`, for prices of one kind and currency. windows: whether promotions name theirs."""
    return ";".join(_write_price(price, windows) for price in prices)


def _write_price(price: Price, windows: bool) -> str:
    found = write_amount(price.amount, price.currency)
    if price.kind == "tier":
        found = f"{price.min_quantity}:{found}"
    elif price.kind == "member":
        found = f"{part(price.level_id)}:{found}"
    elif price.kind == "promotion" and windows:
        ends = "" if price.ends_at_ms == FOREVER_MS else write_time(price.ends_at_ms)
        found += f"@{write_time(price.starts_at_ms) if price.starts_at_ms else ''}..{ends}"
    return found if price.label == Words() else f"{found}={write_words(price.label)}"


# --- options -----------------------------------------------------------------------------------------


def read_options(text: str) -> tuple[Option, ...]:
    """``color:Color|颜色=red:Red|红色@img_1,blue:Blue|蓝色;size:Size|尺寸=xl:XL``."""
    return tuple(_read_option(each) for each in split(text, ";") if each.strip())


def _read_option(text: str) -> Option:
    head, *values = split(text, "=", 1)
    if not values:
        raise BadCell("options_form")
    option_id, words = _read_named(head)
    return Option(option_id=option_id, titles=words, values=tuple(_read_value(each) for each in split(values[0], ",")))


def _read_value(text: str) -> OptionValue:
    text, *image = split(text, "@", 1)
    value_id, words = _read_named(text)
    return OptionValue(value_id=value_id, titles=words, image_id=plain(image[0]) if image else "")


def _read_named(text: str) -> tuple[str, Words]:
    name, *words = split(text, ":", 1)
    name = plain(name)
    if not CODE.match(name):
        raise BadCell("options_form")
    return name, read_words(words[0]) if words else Words(en=name)


def write_options(options: Sequence[Option]) -> str:
    """The inverse of :func:`read_options`."""
    return ";".join(
        f"{option.option_id}:{write_words(option.titles)}="
        + ",".join(
            f"{value.value_id}:{write_words(value.titles)}" + (f"@{part(value.image_id)}" if value.image_id else "")
            for value in option.values
        )
        for option in options
    )


def read_choice(text: str) -> dict[str, str]:
    """``color=red;size=xl``: of each option what was written for its value, still escaped."""
    found: dict[str, str] = {}
    for each in split(text, ";"):
        if not each.strip():
            continue
        name, *value = split(each, "=", 1)
        name = plain(name)
        if not value or not value[0].strip() or not CODE.match(name) or name in found:
            raise BadCell("choice_form")
        found[name] = value[0]
    return found


def write_choice(choice: dict[str, str]) -> str:
    """The inverse of :func:`read_choice`, with ids; in the order of the options' names."""
    return ";".join(f"{name}={part(choice[name])}" for name in sorted(choice))


# --- images ------------------------------------------------------------------------------------------


def read_images(text: str) -> tuple[Image, ...]:
    """``img_1=Front|正面;img_2``."""
    found = []
    for each in split(text, ";"):
        name, *alt = split(each, "=", 1)
        if plain(name):
            found.append(Image(image_id=plain(name), alt=read_words(alt[0]) if alt else Words()))
        elif each.strip():
            raise BadCell("images_form")
    return tuple(found)


def write_images(images: Sequence[Image]) -> str:
    """The inverse of :func:`read_images`."""
    return ";".join(part(one.image_id) + ("" if one.alt == Words() else f"={write_words(one.alt)}") for one in images)
