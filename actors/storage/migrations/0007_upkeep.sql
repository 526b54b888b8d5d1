-- Where the journal's old records are: each file of the archive, and how far every shard was archived and pruned.

CREATE TABLE journal_archive (
    shard smallint NOT NULL,
    first_seq bigint NOT NULL,
    last_seq bigint NOT NULL,
    file text NOT NULL UNIQUE,
    rows bigint NOT NULL,
    bytes bigint NOT NULL,
    checksum bytea NOT NULL,
    file_checksum bytea NOT NULL,
    archived_at timestamptz NOT NULL,
    verified_at timestamptz NOT NULL,
    PRIMARY KEY (shard, first_seq),
    CHECK (first_seq > 0 AND last_seq >= first_seq AND rows = last_seq - first_seq + 1)
);

-- Apart from shard_owner, whose rows belong to the flushes. What is not archived cannot be marked as pruned.
CREATE TABLE journal_kept (
    shard smallint PRIMARY KEY,
    archived_seq bigint NOT NULL DEFAULT 0,
    pruned_seq bigint NOT NULL DEFAULT 0,
    CHECK (pruned_seq >= 0 AND archived_seq >= pruned_seq)
) WITH (fillfactor = 50);

-- How the last upkeep ended.
CREATE TABLE journal_upkeep (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    ended_at timestamptz NOT NULL,
    succeeded_at timestamptz,
    archived bigint NOT NULL,
    pruned bigint NOT NULL,
    reason text NOT NULL DEFAULT '',
    held jsonb NOT NULL DEFAULT '{}'
);
