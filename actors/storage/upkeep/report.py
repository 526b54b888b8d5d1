"""What an upkeep is asked for, and what it says."""

from collections.abc import Callable
from typing import Final, Literal

import msgspec

ID_HORIZON_DAYS: Final = 7
"""Command ids have their effect once for so long (promise 3): younger records are never pruned."""

Held = Literal["archive", "projections", "horizon", "meta", "messages", "snapshots"]
"""What keeps the next record of a shard in the table:

archive: it is in no verified file. projections: one has not followed it, or is being rebuilt. horizon: it is too young.
meta: the shard's own snapshot is older. messages: it sent something that is not acknowledged.
snapshots: its entity has no snapshot that covers it.
"""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Something was done for a shard: ``count`` records (or snapshots) were ``what``."""

    what: str
    shard: int
    count: int


Tell = Callable[[Step], None]


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What to do. keep_ms: records younger than this stay in the table.

    everything: archive all there is; otherwise only whole files, and what waited for a day, so that files do not get tiny.
    rest: after each piece of work, pause for so many times as long as it took. seconds_max: end after this; the next run goes on.
    """

    archive: bool = True
    prune: bool = True
    everything: bool = False
    keep_ms: int = ID_HORIZON_DAYS * 86_400_000
    rest: float = 0.0
    seconds_max: float = float("inf")


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person must look at; the shard stays as it is, the others go on.

    code: ``busy``, ``lake_foreign``, ``lake_lost``, ``lake_unwritable``, ``file_damaged``, ``journal_gap``, ``records_differ``,
    ``entity_unreadable``, ``snapshot_unreadable``. shard: -1 where it is about all. detail: a file, an entity, a reason.
    """

    code: str
    shard: int = -1
    detail: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What one run did. held: how many shards stopped for which reason (``Held``); without those that have nothing left."""

    archived: int = 0
    pruned: int = 0
    files: int = 0
    snapshots: int = 0
    metas: int = 0
    held: dict[str, int] = {}
    problems: tuple[Problem, ...] = ()


class Tally:
    """A report in the making."""

    def __init__(self) -> None:
        self.archived = 0
        self.pruned = 0
        self.files = 0
        self.snapshots = 0
        self.metas = 0
        self.held: dict[str, int] = {}
        self.problems: list[Problem] = []

    def add(self, code: str, shard: int = -1, detail: str = "") -> None:
        """One more problem."""
        self.problems.append(Problem(code=code, shard=shard, detail=detail))

    def report(self) -> Report:
        """As it stands."""
        return Report(
            archived=self.archived,
            pruned=self.pruned,
            files=self.files,
            snapshots=self.snapshots,
            metas=self.metas,
            held=dict(self.held),
            problems=tuple(self.problems),
        )
