-- Behaviour events: which files of the lake are whole, which spools were landed in them, and how the last landing ended.

-- A reader takes what is listed here, and nothing else that may lie in the lake.
CREATE TABLE event_file (
    file text PRIMARY KEY,
    date date NOT NULL,
    hour smallint NOT NULL CHECK (hour BETWEEN 0 AND 23),
    rows bigint NOT NULL CHECK (rows > 0),
    bytes bigint NOT NULL CHECK (bytes > 0),
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    checksum bytea NOT NULL,
    landed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (last_at >= first_at)
);
CREATE INDEX event_file_date ON event_file (date, hour);
CREATE INDEX event_file_landed ON event_file (landed_at);

-- Written with the files, in one transaction; gone when the spool is. A spool that is named here is never read again.
CREATE TABLE event_spool (
    spool text PRIMARY KEY,
    landed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE event_landing (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    ended_at timestamptz NOT NULL,
    succeeded_at timestamptz,
    rows bigint NOT NULL,
    duplicates bigint NOT NULL,
    damaged bigint NOT NULL,
    reason text NOT NULL DEFAULT ''
);
