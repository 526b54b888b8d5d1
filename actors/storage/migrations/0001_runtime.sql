-- The entity runtime: who owns which shard, what happened, and where to start reading.

CREATE TABLE cluster (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    shard_count integer NOT NULL,
    hash_secret bytea NOT NULL,
    ticket_key bytea NOT NULL,
    token_key bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Updated by every flush: room in the page keeps the updates off the index.
CREATE TABLE shard_owner (
    shard smallint PRIMARY KEY,
    epoch bigint NOT NULL DEFAULT 0,
    host text NOT NULL DEFAULT '',
    target text NOT NULL DEFAULT '',
    head_seq bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0);

CREATE TABLE host_lease (
    host text PRIMARY KEY,
    address text NOT NULL,
    node text NOT NULL,
    pid integer NOT NULL,
    draining boolean NOT NULL DEFAULT false,
    until timestamptz NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- The truth. One row is one turn of one entity.
CREATE TABLE journal (
    shard smallint NOT NULL,
    seq bigint NOT NULL,
    version integer NOT NULL,
    at_ms bigint NOT NULL,
    wake_ms bigint NOT NULL,
    kind text NOT NULL,
    key text NOT NULL,
    command_id bytea NOT NULL,
    body bytea NOT NULL,
    meta bytea NOT NULL,
    PRIMARY KEY (shard, seq)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.5, toast_tuple_target = 4080);
ALTER TABLE journal ALTER COLUMN body SET STORAGE MAIN;

-- An entity's own records, for its activation; unique, so that two histories of one entity cannot both be written.
CREATE UNIQUE INDEX journal_entity ON journal (key, kind, version);

CREATE TABLE snapshot (
    shard smallint NOT NULL,
    kind text NOT NULL,
    key text NOT NULL,
    version integer NOT NULL,
    seq bigint NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (key, kind)
);

CREATE TABLE shard_meta (
    shard smallint PRIMARY KEY,
    seq bigint NOT NULL,
    data bytea NOT NULL
);

CREATE TABLE projection_position (
    projection text NOT NULL,
    shard smallint NOT NULL,
    seq bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (projection, shard)
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0);

CREATE TABLE projection_stop (
    projection text NOT NULL,
    shard smallint NOT NULL,
    seq bigint NOT NULL,
    reason text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (projection, shard)
);
