"""A batch: the records of many turns that become durable in one flush, and the answers that wait for it."""

from actors.owners.cell import Cell, Respond, Shard
from actors.ports.journal import Fence, Row, Snapshot
from schemas.envelope import Answer


class Batch:
    """What queued while the last flush ran. Numbers rise by one; a cell knows the batch of its latest record."""

    __slots__ = ("answers", "bytes", "cells", "commands", "number", "rows", "shards", "snapshots", "started_ms")

    def __init__(self, number: int) -> None:
        self.number = number
        self.rows: list[Row] = []
        self.answers: list[tuple[Respond, Answer]] = []
        self.cells: dict[Cell, None] = {}
        self.shards: dict[int, Shard] = {}
        self.snapshots: list[Snapshot] = []
        self.commands = 0
        self.bytes = 0
        self.started_ms = 0.0

    def add(self, cell: Cell, row: Row) -> None:
        """One more record."""
        cell.batch = self.number
        self.rows.append(row)
        self.cells[cell] = None
        self.shards[row.shard] = cell.shard
        self.bytes += len(row.body)

    def fences(self) -> list[Fence]:
        """What must hold of the shards for this batch to be written, in shard order."""
        heads: dict[int, int] = {}
        for row in self.rows:
            heads[row.shard] = row.seq
        return [
            Fence(shard=number, epoch=self.shards[number].epoch, head=self.shards[number].head, new_head=heads[number])
            for number in sorted(heads)
        ]
