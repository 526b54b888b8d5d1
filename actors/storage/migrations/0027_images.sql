-- Pictures. Their files stand in a directory (STAMPEDE_MEDIA) under their ids, which are made of their pixels: the same
-- picture twice is one row. The files are written first.
CREATE TABLE image (
    image_id text PRIMARY KEY,
    width integer NOT NULL,
    height integer NOT NULL,
    format text NOT NULL,
    colour text NOT NULL CHECK (colour ~ '^#[0-9a-f]{6}$'),
    source_bytes integer NOT NULL,
    -- Of who sent it first; '' is the shop's own.
    merchant_id text NOT NULL DEFAULT '',
    actor_id text NOT NULL,
    -- When it was sent, or was sent again.
    at_ms bigint NOT NULL,
    -- True once a revision of a product names it: revisions are kept for ever, so the picture is as well.
    used boolean NOT NULL DEFAULT false,
    -- When it was found that nothing names it: no document may begin to, and after a while it goes. 0: it stays.
    doomed_at_ms bigint NOT NULL DEFAULT 0,
    -- When it was last looked for in all documents.
    checked_at_ms bigint NOT NULL DEFAULT 0
);
CREATE INDEX image_by_time ON image (at_ms, image_id);
CREATE INDEX image_unused ON image (checked_at_ms) WHERE NOT used;
