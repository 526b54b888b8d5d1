"""A full disk: the batch fails whole, nothing of it stands, and writing goes on when there is room."""

from typing import Any

import pytest

from actors.domain.kinds import Body, encoder
from actors.ports.journal import Fence, Row, StorageUnknown
from actors.storage.journal import PostgresJournal
from schemas.stock import StockPutIn

# PostgreSQL raises this class of error itself when it cannot extend a file; here the third row meets it.
FULL = """
CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.seq = 3 THEN
        RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER disk_full BEFORE INSERT ON journal FOR EACH ROW EXECUTE FUNCTION disk_full();
"""


def records(count: int) -> list[Row]:
    body = encoder.encode(Body([StockPutIn(quantity=1)]))
    return [
        Row(shard=1, seq=seq, kind="stock", key="sku_1#0", version=seq, command_id=b"", at_ms=1, wake_ms=0, body=body)
        for seq in range(1, count + 1)
    ]


async def test_f24_a_full_disk_leaves_no_part_of_a_batch_and_writing_resumes(database_url: str, connection: Any) -> None:
    await connection.execute("UPDATE shard_owner SET epoch = 1, host = 'h1'")
    journal = PostgresJournal(database_url, "h1")
    fence = [Fence(shard=1, epoch=1, head=0, new_head=4)]
    try:
        await connection.execute(FULL)
        with pytest.raises(StorageUnknown, match="No space left"):
            await journal.append(fence, records(4))
        assert await connection.fetchval("SELECT count(*) FROM journal") == 0
        assert await connection.fetchval("SELECT head_seq FROM shard_owner WHERE shard = 1") == 0
        await connection.execute("DROP TRIGGER disk_full ON journal")
        assert await journal.append(fence, records(4))
        assert await connection.fetchval("SELECT count(*) FROM journal") == 4
    finally:
        await journal.close()
