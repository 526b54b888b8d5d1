-- Pools: kinds with shards of their own, decided when the database is founded, and which of them a host serves (none: all).

ALTER TABLE cluster ADD COLUMN pools text NOT NULL DEFAULT '';
ALTER TABLE host_lease ADD COLUMN pools text[] NOT NULL DEFAULT '{}';
