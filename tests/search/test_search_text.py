"""How texts are folded, cut, read and asked for: rules without an index."""

from opencc_purepy import OpenCC
from pypinyin import lazy_pinyin

from actors.domain.search_query import (
    UNITS_MAX,
    Synonyms,
    folded_in_place,
    highlights,
    replaced,
    typos_allowed,
    units,
)
from actors.domain.search_readings import READING, sounds
from actors.domain.search_text import codes, folded, keys, prefixes, readings, runs, splits, stem, whole, words
from actors.domain.search_traditional import SIMPLIFIED
from actors.storage.search.chinese import cut, cut_finely, read
from actors.storage.search.searching import synonym_groups


def test_every_character_is_simplified_as_the_conversion_table_says() -> None:
    convert = OpenCC("t2s").convert
    han = [chr(code) for code in range(0x4E00, 0xA000)]
    assert [one for one in han if len(convert(one)) == 1 and one.translate(SIMPLIFIED) != convert(one)] == []


def test_the_characters_of_gb_2312_are_read_by_their_commonest_reading() -> None:
    assert len(READING) == 6763
    assert [one for one in READING if [READING[one]] != lazy_pinyin(one)] == []
    assert sounds("酸乃") == sounds("酸奶") == "suan nai"


def test_what_people_do_not_tell_apart_is_folded() -> None:
    assert folded("Ｃａｆé") == folded("CAFE") == "cafe"
    assert folded("冷凍披薩") == "冷冻披萨"
    assert folded("Men’s") == folded("MEN'S") == "mens"
    assert runs(folded("冷冻披萨·Frozen Pizza, 12.5oz")) == ["冷冻披萨", "frozen", "pizza", "12.5", "oz"]
    assert runs("6oz 5g 12kgx") == ["6", "oz", "5g", "12kgx"]
    assert runs('(){}[]:"*^~\\ AND && ||') == ["AND"]


def test_one_and_many_have_the_same_stem() -> None:
    for one, many in (
        ("cookie", "cookies"), ("battery", "batteries"), ("box", "boxes"), ("shoe", "shoes"), ("tomato", "tomatoes"), ("glass", "glasses"),
        ("cheese", "cheeses"), ("peach", "peaches"), ("pie", "pies"), ("candle", "candles"), ("brush", "brushes"),
    ):  # fmt: skip
        assert stem(one) == stem(many), one
    assert stem("gas") == "gas"
    assert stem("citrus") == "citrus"
    assert stem("a4s") == "a4s"


def test_chinese_is_cut_and_read_in_full_and_by_initials() -> None:
    assert words("智能手机壳 Cases", cut_finely) == ["智能", "能手", "手机", "智能手机", "壳", "case"]
    full, initials = readings("重庆特产智能手机", cut, cut_finely, read)
    assert "chongqing" in full
    assert {"chongqing", "chongqingtechan", "zhinengshouji", "shouji"} <= set(full)
    assert {"cq", "tc", "cqtc"} <= set(initials)
    assert {"冷冻披萨", "lengdongpisa", "ldps", "披萨", "pisa", "pizza"} <= set(keys("冷冻披萨 Pizza", cut, read))
    assert prefixes(["abc", "ab"], 2) == ["a", "ab"]
    assert codes([" 0012-3 ", "A/b"]) == ["00123", "123", "a/b"]
    assert whole("Phone Cases") == "phonecase"
    assert ("tooth", "paste") in splits("toothpaste")


SAME = Synonyms([["mobile phone", "cellphone", "手机"], ["酸奶", "yogurt"]])


def test_a_query_is_units_with_what_means_the_same() -> None:
    asked = units("a Mobile Phones for 手机", lambda run: [run], SAME)
    assert [unit.shown for unit in asked] == ["mobile phones", "手机"]
    assert {way.words for way in asked[0].ways} == {("mobile", "phone"), ("cellphone",), ("手机",)}
    assert asked[0].ways[0].weight > asked[0].ways[1].weight
    assert [unit.shown for unit in units("the", lambda run: [run], SAME)] == ["the"]
    assert len(units(" ".join(f"w{number}" for number in range(50)), lambda run: [run], SAME)) == UNITS_MAX
    assert units("(*) !!", lambda run: [run], SAME) == ()


def test_a_synonym_is_also_what_it_is_typed_like() -> None:
    same = Synonyms([["banana", "香蕉"], ["shoe", "鞋"]], {"香蕉": "xiangjiao", "鞋": "xie"}.__getitem__)
    assert same.of(("xiangjiao",)) == [("香蕉",), ("banana",)]
    # One character is typed like too many others.
    assert same.of(("xie",)) == []


def test_neighbours_are_joined_and_words_replaced() -> None:
    joined = units("tooth paste", lambda run: [run], SAME, lambda shown: "toothpaste" if list(shown) == ["tooth", "paste"] else "")
    assert [way.words for way in joined[0].ways] == [("tooth", "paste"), ("toothpaste",)]
    asked = units("fresh yogrut 酸乃", lambda run: [run], SAME)
    text, again = replaced(asked, {"yogrut": "yogurt", "酸乃": "酸奶"}, lambda run: [run], SAME)
    assert text == "fresh yogurt 酸奶"
    assert [unit.shown for unit in again] == ["fresh", "yogurt", "酸奶"]


def test_typos_are_allowed_by_length_and_never_in_numbers() -> None:
    assert [typos_allowed(word) for word in ("tv", "tea", "shamp", "shampo", "iphone15", "12345678")] == [0, 1, 1, 2, 0, 0]


def test_highlights_are_places_of_the_title_as_it_is_written() -> None:
    title = "ＦＲＯＺＥＮ 冷凍披薩 Pizzas"
    marked = [title[start:end] for start, end in highlights(title, ["frozen", "冷冻", "披萨", "pizza"])]
    assert marked == ["ＦＲＯＺＥＮ", "冷凍披薩", "Pizzas"]
    assert highlights("İstanbul ﬁg", ["fig"]) == ()
    assert len(folded_in_place("İﬁ① 冷凍")) == len("İﬁ① 冷凍")


def test_the_synonyms_are_texts_of_both_languages_each_group_once() -> None:
    groups = synonym_groups()
    assert len(groups) > 250
    assert all(len(group) > 1 and len(set(group)) == len(group) for group in groups if len(group) > 1)
    assert len({tuple(sorted(group)) for group in groups}) == len(groups)
