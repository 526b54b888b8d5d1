"""Reading what lies between a group's positions and the heads: of all shards in one statement, or from the archive."""

from collections.abc import Iterator, Set
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import msgspec

from actors.storage.projections.projection import Fact
from actors.storage.upkeep.record import Record

ROWS_MAX: Final = 4000
"""Records of one step: two megabytes at most in practice, a fifth of a second of work."""

READ: Final = """
WITH behind AS MATERIALIZED (
    SELECT o.shard, p.seq AS after,
        CASE WHEN sum(o.head_seq - p.seq) OVER () <= $3::bigint THEN o.head_seq
            ELSE least(o.head_seq, p.seq + greatest($3::bigint / count(*) OVER (), 1)) END AS until
    FROM projection_position p
    JOIN shard_owner o ON o.shard = p.shard AND o.head_seq > p.seq
    WHERE p.projection = $1
        AND NOT EXISTS (SELECT FROM projection_stop s WHERE s.projection = p.projection AND s.shard = p.shard)
)
SELECT b.shard, b.after, b.until, j.seq, j.at_ms, j.kind, j.key, CASE WHEN j.kind = ANY ($2::text[]) THEN j.body END
FROM behind b
LEFT JOIN LATERAL (
    SELECT seq, at_ms, kind, key, body FROM journal WHERE journal.shard = b.shard AND journal.seq > b.after AND journal.seq <= b.until
    ORDER BY journal.seq LIMIT $3::bigint
) j ON true
"""
"""The sum of what is missing decides: all of it, or the same share of each shard. Heads and records are of one snapshot."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """The records of one shard after ``after``, without a gap; ``bodies`` are None where nobody of the group wants them.

    ``broken``: why the shard cannot be followed further than these; empty when it can.
    """

    shard: int
    after: int
    facts: list[Fact]
    bodies: list[bytes | None]
    broken: str = ""

    @property
    def until(self) -> int:
        """The position after this run."""
        return self.after + len(self.facts)

    def first(self, count: int, broken: str = "") -> "Run":
        """The first ``count`` records alone."""
        return Run(shard=self.shard, after=self.after, facts=self.facts[:count], bodies=self.bodies[:count], broken=broken)

    def rest(self, count: int) -> "Run":
        """What comes after the first ``count`` records."""
        return Run(shard=self.shard, after=self.after + count, facts=self.facts[count:], bodies=self.bodies[count:], broken=self.broken)


def runs_of(records: list[Any]) -> list[Run]:
    """The rows of :data:`READ`, shard by shard; a gap ends a run as broken."""
    # They come in this order as it is; sorting what is sorted costs next to nothing.
    records.sort(key=itemgetter(0, 3))
    return [_run_of(shard, list(rows)) for shard, rows in groupby(records, key=itemgetter(0))]


def _run_of(shard: int, rows: list[Any]) -> Run:
    after, until = rows[0][1], rows[0][2]
    facts: list[Fact] = []
    bodies: list[bytes | None] = []
    due = after + 1
    for _, _, _, seq, at_ms, kind, key, body in rows:
        if seq != due:
            break
        facts.append(Fact(shard=shard, seq=seq, at_ms=at_ms, kind=kind, key=key))
        bodies.append(body)
        due += 1
    return Run(shard=shard, after=after, facts=facts, bodies=bodies, broken="" if due > until else f"record {due} is not in the journal")


def runs_of_archive(shard: int, records: list[Record], kinds: Set[str]) -> Iterator[Run]:
    """Consecutive records of a file of the archive, in steps; bodies are kept where the kind is among ``kinds``."""
    for start in range(0, len(records), ROWS_MAX):
        some = records[start : start + ROWS_MAX]
        facts = [Fact(shard=shard, seq=record[0], at_ms=record[2], kind=record[4], key=record[5]) for record in some]
        bodies = [record[7] if record[4] in kinds else None for record in some]
        yield Run(shard=shard, after=some[0][0] - 1, facts=facts, bodies=bodies)
