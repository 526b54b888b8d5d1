-- Imports of goods. The file is kept in pieces, here and not on a node's disk: whichever node works on it has it, and a backup too.
CREATE TABLE import_job (
    job_id text PRIMARY KEY,
    -- uploading -> uploaded -> checking -> checked | refused -> importing -> done | failed; cancelled from any that is not an end.
    -- checked is an end while there are bad cells; refused: of the file nothing could be read.
    state text NOT NULL CHECK (
        state IN ('uploading', 'uploaded', 'checking', 'checked', 'refused', 'importing', 'done', 'failed', 'cancelled')
    ),
    -- Whose goods alone are imported; empty: everybody's.
    merchant_id text NOT NULL DEFAULT '',
    actor_id text NOT NULL,
    role text NOT NULL,
    -- As it was sent. It is shown, and never the name of anything.
    file_name text NOT NULL,
    file_bytes bigint NOT NULL,
    digest bytea NOT NULL,
    language text NOT NULL,
    dry_run boolean NOT NULL,
    format text NOT NULL DEFAULT '',
    encoding text NOT NULL DEFAULT '',
    rows_total integer NOT NULL DEFAULT 0,
    rows_done integer NOT NULL DEFAULT 0,
    bad_cells integer NOT NULL DEFAULT 0,
    created integer NOT NULL DEFAULT 0,
    changed integer NOT NULL DEFAULT 0,
    same integer NOT NULL DEFAULT 0,
    -- What it took: reading the file, checking it, writing; and the worker's memory at its peak, with the process that read.
    read_ms integer NOT NULL DEFAULT 0,
    check_ms integer NOT NULL DEFAULT 0,
    write_ms integer NOT NULL DEFAULT 0,
    peak_bytes bigint NOT NULL DEFAULT 0,
    reason text NOT NULL DEFAULT '',
    params jsonb NOT NULL DEFAULT '{}',
    -- How often a worker began with it since it is in this state: what ends its worker each time is given up.
    tries smallint NOT NULL DEFAULT 0,
    -- Whether its end stands in the trail of the staff.
    noted boolean NOT NULL DEFAULT false,
    asked_at_ms bigint NOT NULL,
    ended_at_ms bigint NOT NULL DEFAULT 0
);
CREATE INDEX import_job_waiting ON import_job (asked_at_ms) WHERE state IN ('uploaded', 'checking', 'importing');
CREATE INDEX import_job_to_note ON import_job (job_id) WHERE NOT noted AND state IN ('done', 'failed');
CREATE INDEX import_job_by_time ON import_job (asked_at_ms DESC, job_id);

-- file: what was sent. sheet: the same with the flaws of each row before it. list_json, list_csv: the bad cells alone.
CREATE TABLE import_piece (
    job_id text NOT NULL REFERENCES import_job ON DELETE CASCADE,
    part text NOT NULL CHECK (part IN ('file', 'sheet', 'list_json', 'list_csv')),
    position integer NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (job_id, part, position)
);
-- A workbook is packed already, and a CSV is read once.
ALTER TABLE import_piece ALTER COLUMN data SET STORAGE EXTERNAL;
