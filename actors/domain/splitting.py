"""When an article that everybody wants is split over more hosts. Pure rules; see README.md in this folder.

A part of an article has one writer, and one writer has one core. A part whose rate stays above a threshold is
split; units that are nearly gone are not: moving them would take longer than selling them. Nothing is ever
put together again: parts that have cooled cost a question, and a sale is short.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

SUSTAINED_MS: Final = 3000
"""A rate must stay up for this long: a burst is over before its units have moved."""

REST_MS: Final = 15_000
"""After a split the rates settle for this long before the article is looked at again."""

COOL: Final = 0.7
"""Below this share of the threshold an article no longer counts as hot: one that wavers around it is not forgotten each time."""

LASTS_S: Final = 10
"""Less than what is sold in so many seconds is left where it is: a split takes two."""

UNITS_MIN: Final = 200
"""Units of each part after a split; for fewer nobody asks twice."""

UNEVEN: Final = 4
"""A part with less than this fraction of an even share is filled up from the others."""


class SplitRule(msgspec.Struct, frozen=True, kw_only=True):
    """rate_per_s: changes of one part a second; 0 splits nothing. parts_max: of one article."""

    rate_per_s: int
    parts_max: int


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """An article under watch: hot since then (0: it is not), and left in peace until then (UTC, ms)."""

    since_ms: int = 0
    rests_until_ms: int = 0


def watch(
    rule: SplitRule, watches: Mapping[str, Watch], rates: Mapping[str, float], now_ms: int
) -> tuple[dict[str, Watch], tuple[str, ...]]:
    """The articles to be watched from here on, and those that have been hot for long enough, the hottest first.

    rates: changes a second by part (``<sku>#<part>``); a part that is not named has none.
    """
    hottest: dict[str, float] = {}
    for key, rate in rates.items():
        sku_id = key.partition("#")[0]
        hottest[sku_id] = max(rate, hottest.get(sku_id, 0.0))
    kept: dict[str, Watch] = {}
    ready = []
    for sku_id in {**watches, **hottest}:
        before = watches.get(sku_id, Watch())
        since_ms = _hot_since(rule, before, hottest.get(sku_id, 0.0), now_ms)
        if since_ms or now_ms < before.rests_until_ms:
            kept[sku_id] = msgspec.structs.replace(before, since_ms=since_ms)
        if since_ms and now_ms - since_ms >= SUSTAINED_MS and now_ms >= before.rests_until_ms:
            ready.append(sku_id)
    return kept, tuple(sorted(ready, key=lambda sku_id: -hottest.get(sku_id, 0.0)))


def _hot_since(rule: SplitRule, before: Watch, rate: float, now_ms: int) -> int:
    if not rule.rate_per_s or rate < rule.rate_per_s * COOL:
        return 0
    return before.since_ms or (now_ms if rate >= rule.rate_per_s else 0)


def rested(before: Watch, now_ms: int) -> Watch:
    """The article was looked at: it is left in peace, and must be hot anew."""
    return msgspec.structs.replace(before, since_ms=0, rests_until_ms=now_ms + REST_MS)


def parts_wanted(rule: SplitRule, available: tuple[int, ...], rate_per_s: float, homes: tuple[str, ...]) -> int:
    """Over how many parts a hot article belongs; as many as it has: they are to be made even; 0: let it be.

    available: units by part, of every part that it has. rate_per_s: of the whole article.
    homes: by part, also of parts that it might have, the host where it would live.
    """
    parts, left = len(available), sum(available)
    if left < max(rate_per_s * LASTS_S, parts * UNITS_MIN):
        return 0
    most = min(rule.parts_max, len(homes), left // UNITS_MIN)
    wanted = min(len(set(homes)), max(2, -int(-rate_per_s // rule.rate_per_s)))
    best, covered = parts, len(set(homes[:parts]))
    for count in range(parts + 1, most + 1):
        # Only a part on another host helps: where keys live is decided by a hash.
        if covered < wanted and len(set(homes[:count])) > covered:
            best, covered = count, len(set(homes[:count]))
    uneven = parts > 1 and min(available) * parts * UNEVEN < left
    return best if best > parts or uneven else 0
