"""How the journal stands, for people and metrics. Cheap: it counts shards, not records."""

from typing import Any, Final

import msgspec

from actors.storage.connect import known

READ_JOURNAL: Final = """
SELECT coalesce(sum(o.head_seq - coalesce(k.pruned_seq, 0)), 0)::bigint AS rows,
    coalesce(sum(k.archived_seq), 0)::bigint AS archived, coalesce(sum(k.pruned_seq), 0)::bigint AS pruned
FROM shard_owner o LEFT JOIN journal_kept k USING (shard)
"""
READ_LAST: Final = """
SELECT extract(epoch FROM clock_timestamp() - ended_at)::float8 AS ended_s,
    extract(epoch FROM clock_timestamp() - succeeded_at)::float8 AS succeeded_s, archived, pruned, reason, held::text AS held
FROM journal_upkeep
"""
READ_LAKE: Final = "SELECT count(*) AS files, coalesce(sum(bytes), 0)::bigint AS bytes FROM journal_archive"


class LastUpkeep(msgspec.Struct, frozen=True, kw_only=True):
    """How the last run ended, so many seconds ago; succeeded_s: since the last one without a problem, None when none was.

    reason: what went wrong, empty when nothing did. held: how many shards stopped for which reason.
    """

    ended_s: float
    succeeded_s: float | None
    archived: int
    pruned: int
    reason: str
    held: dict[str, int]


class JournalStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Records in the table, copied to the archive, and pruned, over all shards; last is None before the first run."""

    rows: int
    archived: int
    pruned: int
    last: LastUpkeep | None


class LakeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The archive's files and their bytes."""

    files: int
    bytes: int


async def journal_status(connection: Any) -> JournalStatus:
    """As it is now."""
    found = await connection.fetchrow(READ_JOURNAL)
    row = await connection.fetchrow(READ_LAST)
    last = None if row is None else LastUpkeep(**{**row, "held": msgspec.json.decode(row["held"], type=dict[str, int])})
    return JournalStatus(rows=found["rows"], archived=found["archived"], pruned=found["pruned"], last=last)


async def lake_status(connection: Any) -> LakeStatus:
    """How much is in the archive."""
    return LakeStatus(**await connection.fetchrow(READ_LAKE))


def metrics_text(status: JournalStatus) -> str:
    """Prometheus text. Before the first run there is no age, and nothing has failed."""
    lines = [
        "# HELP stampede_journal_rows Records in the journal's table",
        "# TYPE stampede_journal_rows gauge",
        f"stampede_journal_rows {status.rows}",
        "# HELP stampede_journal_archived_records Records that are in the archive",
        "# TYPE stampede_journal_archived_records gauge",
        f"stampede_journal_archived_records {status.archived}",
        "# HELP stampede_journal_pruned_records Records that are in the archive alone",
        "# TYPE stampede_journal_pruned_records gauge",
        f"stampede_journal_pruned_records {status.pruned}",
    ]
    if status.last is not None:
        lines += ["# TYPE stampede_journal_upkeep_failed gauge", f"stampede_journal_upkeep_failed {int(bool(status.last.reason))}"]
        lines += ["# TYPE stampede_journal_upkeep_age_seconds gauge"]
        lines += [f"stampede_journal_upkeep_age_seconds {status.last.ended_s:.0f}"]
        if status.last.succeeded_s is not None:
            lines += ["# TYPE stampede_journal_upkeep_success_age_seconds gauge"]
            lines += [f"stampede_journal_upkeep_success_age_seconds {status.last.succeeded_s:.0f}"]
    return "\n".join(lines) + "\n"


async def journal_metrics(pool: Any) -> str:
    """Prometheus text. StorageUnknown when the database does not answer."""
    return metrics_text(await known(_look(pool)))


async def _look(pool: Any) -> JournalStatus:
    async with pool.acquire() as connection:
        return await journal_status(connection)
