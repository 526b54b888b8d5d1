"""Snapshots of entities and shards that no host has in memory, from the journal alone (``actors.ports.remembering``)."""

from actors.domain.kinds import KINDS, meta_decoder, pack_state, unpack_state
from actors.owners.cell import Cell, Shard
from actors.ports.journal import Loaded, Recovered, ShardMeta, Snapshot


class OwnersMemory:
    """The same replay that an owner does when it loads an entity or takes a shard over."""

    def entity(self, shard: int, kind: str, key: str, loaded: Loaded, at_ms: int) -> Snapshot:
        """See ``Remembering.entity``."""
        cell = rebuild_cell(Shard(shard, 0, 0), kind, key, loaded)
        data = pack_state(cell.state, cell.fresh_seen(at_ms))
        return Snapshot(shard=shard, kind=kind, key=key, version=cell.version, seq=cell.seq, data=data)

    def shard(self, number: int, head: int, recovered: Recovered) -> ShardMeta:
        """See ``Remembering.shard``."""
        shard = Shard(number, 0, head)
        shard.absorb(recovered.meta, recovered.tail)
        return ShardMeta(seq=head, data=shard.pack_meta())

    def open_sends(self, meta: ShardMeta) -> frozenset[bytes]:
        """See ``Remembering.open_sends``."""
        shard = Shard(0, 0, meta.seq)
        shard.absorb(meta, [])
        return frozenset(shard.outbox)

    def sent(self, packed: bytes) -> frozenset[bytes]:
        """See ``Remembering.sent``."""
        return frozenset(send.id for send in meta_decoder.decode(packed).sends)


def rebuild_cell(shard: Shard, kind: str, key: str, loaded: Loaded) -> Cell:
    """An entity that is known to exist, from its snapshot and the records after it.

    AssertionError when records are missing, also when nothing at all is left: an entity that has lost
    its snapshot must never begin anew. ValueError when the snapshot is not what was written.
    """
    assert loaded.snapshot is not None or loaded.rows, f"{kind} {key}: it has records, and neither they nor a snapshot are left"
    cell = Cell(KINDS[kind], key, shard)
    if loaded.snapshot is not None:
        cell.state, cell.seen = unpack_state(kind, loaded.snapshot.data)
        cell.version = cell.snapshot_version = loaded.snapshot.version
        cell.seq = loaded.snapshot.seq
        cell.snapshot_bytes = len(loaded.snapshot.data)
    cell.replay(loaded.rows)
    return cell
