"""Members against the journal: every posting of points, every standing, every visit, and the sums against the entities.

As with the ledger of money the postings are made by the projection's own rule; that they are right is proven by
what they sum to: zero in each posting, and in each account the counter that the domain's state keeps.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from actors.domain.member_state import MemberState
from actors.storage.audit.history import Entity, Record
from actors.storage.audit.report import Findings
from actors.storage.audit.tables import compare, plain_rows
from actors.storage.projections.members import StandingProjection, postings
from schemas.member import MemberSignedIn

READ_POINTS: Final = "SELECT posting || ' ' || account, user_id, amount, at_ms FROM points_entry"
READ_STANDINGS: Final = "SELECT user_id, level_id, level_since_ms, review_ms, available, held, debt, shard FROM member_standing"
READ_SIGN_INS: Final = "SELECT user_id || ' ' || day, streak, points, at_ms FROM sign_in"
OFF: Final = "SELECT posting, sum(amount)::text AS off FROM points_entry GROUP BY posting HAVING sum(amount) <> 0"
SUMS: Final = "SELECT user_id || ' ' || account, sum(amount)::bigint FROM points_entry GROUP BY user_id, account HAVING sum(amount) <> 0"


class MemberTables:
    """A witness of the history. ``positions``: how far the members' projections have come, by shard."""

    def __init__(self, positions: Mapping[int, int]) -> None:
        self.entries: dict[str, tuple[Any, ...]] = {}
        self.standings: dict[str, tuple[Any, ...]] = {}
        self.sign_ins: dict[str, tuple[Any, ...]] = {}
        self.sums: dict[str, tuple[Any, ...]] = {}
        self._moved: set[str] = set()
        self._positions = positions
        self._taken_at = -1

    def before(self, entity: Entity, record: Record) -> None:
        """Nothing to see before."""

    def after(self, entity: Entity, record: Record, entities: Mapping[tuple[str, str], Entity]) -> None:
        """Postings and visits, and how everybody stands at the position."""
        position = self._positions.get(record.shard, 0)
        if record.seq > position:
            return
        if entity.kind == "member":
            for event in record.events:
                if isinstance(event, StandingProjection.events):
                    self._moved.add(entity.key)
                for entry in postings(record.shard, record.seq, event):
                    self.entries[f"{entry.posting} {entry.account}"] = (entity.key, entry.amount, entry.at_ms)
                if isinstance(event, MemberSignedIn):
                    self.sign_ins[f"{entity.key} {event.day}"] = (event.streak, event.points, event.at_ms)
        if record.seq == position:
            self._expect_all(record.shard, entities.values())

    def end(self, shard: int, entities: Mapping[tuple[str, str], Entity]) -> None:
        """A position beyond the last record: compare with all there is."""
        if self._taken_at != shard and self._positions.get(shard, 0) > 0:
            self._expect_all(shard, entities.values())

    async def check(self, connection: Any, findings: Findings) -> int:
        """Compare every row; answers how many there are."""
        rows = 0
        for name, sql, expected in (
            ("points_entry", READ_POINTS, self.entries),
            ("member_standing", READ_STANDINGS, self.standings),
            ("sign_in", READ_SIGN_INS, self.sign_ins),
        ):
            rows += await compare(name, plain_rows(connection, sql), expected, findings)
        for posting, off in await connection.fetch(OFF):
            findings.add(6, f"posting {posting} is off by {off} points", posting)
        await compare("the sums of points_entry", plain_rows(connection, SUMS), self.sums, findings)
        return rows

    def _expect_all(self, shard: int, entities: Iterable[Entity]) -> None:
        self._taken_at = shard
        for entity in entities:
            if entity.kind == "member":
                self._expect(entity.state, shard)

    def _expect(self, state: MemberState, shard: int) -> None:
        if state.user_id in self._moved:
            level = (state.level_id, state.level_since_ms, state.review_ms)
            self.standings[state.user_id] = (*level, state.available, state.held, state.debt, shard)
        for account, amount in (
            ("issued", -state.issued),
            ("available", state.available),
            ("held", state.held),
            ("spent", state.spent),
            ("expired", state.expired),
            ("taken_back", state.taken_back),
            ("moved", state.moved),
            ("debt", -state.debt),
        ):
            if amount:
                self.sums[f"{state.user_id} {account}"] = (amount,)
