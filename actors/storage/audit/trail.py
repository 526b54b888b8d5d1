"""The trail of staff actions: every row follows the one before it, and the last one is where the trail says that it ends."""

from typing import Any, Final

from actors.storage.audit.report import Findings
from actors.storage.staff_actions import FIELDS, chain_hash

FETCH: Final = 2000
READ_TRAIL: Final = """
SELECT seq, previous, hash, action_id, state, at_ms, actor_id, role, permission, target, reason, before, after, request_id
FROM staff_action ORDER BY seq"""
READ_END: Final = "SELECT seq, hash FROM staff_action_head"
READ_GUARDS: Final = """
SELECT tgname FROM pg_trigger WHERE tgrelid = 'staff_action'::regclass AND tgenabled IN ('O', 'A') AND NOT tgisinternal"""
GUARDS: Final = frozenset({"staff_action_in_turn", "staff_action_kept"})


async def check_trail(connection: Any, findings: Findings) -> int:
    """Prove the chain; answers how many rows there are."""
    seq, previous, count = 0, b"", 0
    async for row in connection.cursor(READ_TRAIL, prefetch=FETCH):
        count += 1
        name = f"staff action {row['seq']}"
        if row["seq"] != seq + 1:
            findings.add(6, f"{name} comes after {seq}: rows between them are missing", name)
        elif bytes(row["previous"]) != previous:
            findings.add(6, f"{name} does not follow the one before it", name)
        if chain_hash(bytes(row["previous"]), row["seq"], [row[field] for field in FIELDS]) != bytes(row["hash"]):
            findings.add(6, f"{name} does not say what it said when it was written", name)
        seq, previous = row["seq"], bytes(row["hash"])
    end = await connection.fetchrow(READ_END)
    if end is None or (end["seq"], bytes(end["hash"])) != (seq, previous):
        said = "nowhere" if end is None else end["seq"]
        findings.add(6, f"the trail of staff actions ends at {seq}, and should end at {said}", f"staff action {said}")
    missing = GUARDS - {row["tgname"] for row in await connection.fetch(READ_GUARDS)}
    for guard in sorted(missing):
        findings.add(6, f"the trigger {guard} of the trail of staff actions is off", guard)
    return count
