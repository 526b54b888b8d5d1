"""Every kind of cell of a sheet of goods: what is read, what is refused, and that what is written is read back."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.sheet_cells import (
    BadCell,
    guarded,
    part,
    plain,
    read_amount,
    read_choice,
    read_flag,
    read_float,
    read_images,
    read_list,
    read_options,
    read_prices,
    read_state,
    read_time,
    read_whole,
    read_words,
    split,
    unguarded,
    write_amount,
    write_float,
    write_list,
    write_time,
    write_words,
)
from actors.domain.sheet_words import HELP, WORDS, words_of
from schemas.flaws import FLAWS
from schemas.goods import (
    FOREVER_MS,
    Image,
    Words,
)

# --- cells ---------------------------------------------------------------------------------------------


GOOD: list[tuple[Any, str, Any]] = [
    (lambda text: read_amount(text, "CNY"), "8.9", 890),
    (lambda text: read_amount(text, "CNY"), " 8.900 ", 890),
    (lambda text: read_amount(text, "CNY"), "8", 800),
    (lambda text: read_amount(text, "CNY"), "8.9", 890),
    (lambda text: read_amount(text, "JPY"), "500.0", 500),
    (lambda text: read_amount(text, "KWD"), "1.005", 1005),
    (lambda text: read_whole(text, 100), "7.0", 7),
    (read_float, "-1.5e3", -1500.0),
    (read_flag, "是", True),
    (read_flag, " No", False),
    (read_state, "在售", "on_shelf"),
    (read_state, "On_Shelf", "on_shelf"),
    (read_time, "1970-01-02", 86_400_000),
    (read_time, "1970/1/1 8:00 +08:00", 0),
    (read_time, "1970-01-01T00:00:01.5Z", 1500),
    (read_time, "1970-01-02 00:00:00", 86_400_000),
    (read_words, "Red|红色", Words(en="Red", zh="红色")),
    (read_words, "|红色", Words(zh="红色")),
    (read_words, r"a\|b", Words(en="a|b")),
    (read_list, "a; b;;c", ("a", "b", "c")),
    (read_choice, "color=red; size=XL", {"color": "red", "size": "XL"}),
    (read_images, "img_1=Front|正面;img_2", (Image(image_id="img_1", alt=Words(en="Front", zh="正面")), Image(image_id="img_2"))),
]


@pytest.mark.parametrize(("read", "text", "value"), GOOD)
def test_a_cell_is_read(read: Any, text: str, value: Any) -> None:
    assert read(text) == value


BAD: list[tuple[Any, str, str]] = [
    (lambda text: read_amount(text, "CNY"), "8.905", "price_precision"),
    (lambda text: read_amount(text, "JPY"), "8.5", "price_precision"),
    (lambda text: read_amount(text, "CNY"), "1,234.50", "price_form"),
    (lambda text: read_amount(text, "CNY"), "-1", "price_form"),
    (lambda text: read_amount(text, "CNY"), "¥8", "price_form"),
    (lambda text: read_amount(text, "CNY"), "6.9E+12", "price_form"),
    (lambda text: read_amount(text, "CNY"), "999999999999999", "number_range"),
    (lambda text: read_whole(text, 100), "101", "number_range"),
    (lambda text: read_whole(text, 100), "1.5", "number_form"),
    (read_float, "1e999", "number_range"),
    (read_float, "NaN", "number_form"),
    (read_flag, "maybe", "flag_form"),
    (read_state, "sold", "state_unknown"),
    (read_time, "2026-02-30", "time_form"),
    (read_time, "2026-13-01", "time_form"),
    (read_time, "12/31/2026", "time_form"),
    (read_time, "2026-01-01 25:00", "time_form"),
    (read_words, "a|b|c", "words_form"),
    (read_words, "x" * 201, "too_long"),
    (read_choice, "red", "choice_form"),
    (read_choice, "color=red;color=blue", "choice_form"),
    (read_options, "color", "options_form"),
    (read_options, "color=", "options_form"),
    (read_images, "=x", "images_form"),
    (lambda text: read_prices(text, "tier", "CNY"), "8.90", "price_form"),
    (lambda text: read_prices(text, "list", "CNY"), "8@2026-01-01..", "price_form"),
    (lambda text: read_prices(text, "promotion", "CNY"), "8@2026-01-01", "window_form"),
]


@pytest.mark.parametrize(("read", "text", "code"), BAD)
def test_a_bad_cell_says_why(read: Any, text: str, code: str) -> None:
    with pytest.raises(BadCell) as bad:
        read(text)
    assert bad.value.code == code
    assert "{" not in words_of(bad.value.code, bad.value.params, "en")
    assert "{" not in words_of(bad.value.code, bad.value.params, "zh-CN")


def test_every_code_that_is_raised_has_words_in_both_languages() -> None:
    from pathlib import Path

    import actors.domain.sheet as module

    sources = [path.read_text() for path in Path(module.__file__).parent.glob("sheet*.py")]
    raised = {code for source in sources for code in re.findall(r"""(?:BadCell\(|code=)["'](\w+)["']""", source)}
    assert len(raised) > 25
    assert raised - WORDS.keys() - FLAWS.keys() == set()
    assert WORDS.keys() & FLAWS.keys() == set()
    for english, chinese in [*WORDS.values(), *HELP.values()]:
        assert re.match(r"[A-Z`2{a-z]", english)
        assert re.search(r"[\u4e00-\u9fff]", chinese)


@pytest.mark.parametrize("text", ["=1+1", "+86", "-5", "@SUM(A1)", "\tx", "\r\nx", "'=1", "''=1", "=cmd|' /C calc'!A0"])
def test_no_cell_is_written_so_that_a_spreadsheet_evaluates_it(text: str) -> None:
    written = guarded(text)
    assert written[0] == "'"
    assert unguarded(written) == text


@pytest.mark.parametrize("text", ["", "'", "'hello", "a=b", "8.90", "'a=b"])
def test_other_cells_are_written_as_they_are(text: str) -> None:
    assert guarded(text) == unguarded(text) == text


TEXT = st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="\ufffe\uffff"), max_size=30)
SHORT = st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="\ufffe\uffff"), min_size=1, max_size=12).filter(
    str.strip
)
SPICY = st.text(r"\;|=:,@ab'+-", max_size=12)


@given(st.one_of(TEXT, SPICY))
def test_a_guarded_text_comes_back(text: str) -> None:
    assert unguarded(guarded(text)) == text


@given(st.lists(st.one_of(SHORT, SPICY.filter(bool)), max_size=5))
def test_a_list_comes_back(texts: list[str]) -> None:
    assert [plain(each) for each in split(";".join(map(part, texts)), ";")] == (texts or [""])
    assert read_list(write_list(texts)) == tuple(texts)


@given(st.one_of(TEXT, SPICY), st.one_of(TEXT, SPICY))
def test_words_come_back(english: str, chinese: str) -> None:
    assert read_words(write_words(Words(en=english, zh=chinese))) == Words(en=english, zh=chinese)


@given(st.integers(0, FOREVER_MS))
def test_a_time_comes_back(at_ms: int) -> None:
    assert read_time(write_time(at_ms)) == at_ms


@given(st.integers(0, 10**13), st.sampled_from(["CNY", "JPY", "KWD"]))
def test_an_amount_comes_back(amount: int, currency: str) -> None:
    assert read_amount(write_amount(amount, currency), currency) == amount


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_comes_back(value: float) -> None:
    assert read_float(write_float(value)) == value
