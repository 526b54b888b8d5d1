-- Warehouses that keep their own books (WMS, ERP): lines to them, what was heard, what is to be said, and whose counts differ.

CREATE TABLE wms_connection (
    connection_id text PRIMARY KEY,
    title text NOT NULL,
    -- '' is the shop's unnamed warehouse.
    warehouse_id text NOT NULL,
    -- How the other side calls it.
    warehouse_code text NOT NULL,
    url text NOT NULL,
    state text NOT NULL CHECK (state IN ('active', 'paused', 'closed')),
    created_at_ms bigint NOT NULL
);
-- Two lines to one warehouse would have every order packed twice.
CREATE UNIQUE INDEX wms_connection_of_warehouse ON wms_connection (warehouse_id) WHERE state <> 'closed';

-- side: ours signs what we send, theirs what we hear. Several are live while one is being replaced.
CREATE TABLE wms_secret (
    secret_id text PRIMARY KEY,
    connection_id text NOT NULL REFERENCES wms_connection,
    side text NOT NULL CHECK (side IN ('ours', 'theirs')),
    sealed bytea NOT NULL,
    made_at_ms bigint NOT NULL,
    until_ms bigint NOT NULL
);
CREATE INDEX wms_secret_of_connection ON wms_secret (connection_id);

-- What changes all the time, apart from what staff write.
CREATE TABLE wms_link (
    connection_id text PRIMARY KEY REFERENCES wms_connection,
    failures integer NOT NULL DEFAULT 0,
    rests_until_ms bigint NOT NULL DEFAULT 0,
    last_error text NOT NULL DEFAULT '',
    last_sent_ms bigint NOT NULL DEFAULT 0,
    last_heard_ms bigint NOT NULL DEFAULT 0,
    cursor text NOT NULL DEFAULT '',
    poll_due_ms bigint NOT NULL DEFAULT 0,
    polled_at_ms bigint NOT NULL DEFAULT 0,
    -- product.version up to which the warehouse was told.
    told_version bigint NOT NULL DEFAULT -1
) WITH (fillfactor = 50);

-- Everything that was heard, as it was heard: stored before it is acknowledged.
CREATE TABLE wms_inbox (
    letter_id text PRIMARY KEY,
    connection_id text NOT NULL REFERENCES wms_connection,
    message_id text NOT NULL,
    type text NOT NULL,
    -- count: an adjustment of our own, after a reconciliation.
    via text NOT NULL CHECK (via IN ('webhook', 'poll', 'count')),
    body bytea NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'open', 'done', 'dead', 'dropped')),
    reason text NOT NULL DEFAULT '',
    tries integer NOT NULL DEFAULT 0,
    received_at_ms bigint NOT NULL,
    due_ms bigint NOT NULL,
    ended_at_ms bigint NOT NULL DEFAULT 0,
    UNIQUE (connection_id, message_id)
);
CREATE INDEX wms_inbox_due ON wms_inbox (connection_id, due_ms) WHERE state = 'waiting';
CREATE INDEX wms_inbox_open ON wms_inbox (connection_id) WHERE state = 'open';
CREATE INDEX wms_inbox_listed ON wms_inbox (state, received_at_ms, letter_id);

-- The changes of stock in a message, each with an effect of its own.
CREATE TABLE wms_line (
    letter_id text NOT NULL REFERENCES wms_inbox ON DELETE CASCADE,
    line integer NOT NULL,
    connection_id text NOT NULL,
    message_id text NOT NULL,
    sku text NOT NULL,
    sequence bigint NOT NULL,
    effect bigint NOT NULL,
    change bytea NOT NULL,
    warehouse text NOT NULL DEFAULT '',
    occurred_at_ms bigint NOT NULL,
    received_at_ms bigint NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'done', 'duplicate', 'dead', 'dropped')),
    reason text NOT NULL DEFAULT '',
    -- The part of the SKU that is asked: written down before it is, so that after a crash no other one is.
    part smallint NOT NULL DEFAULT 0,
    tries integer NOT NULL DEFAULT 0,
    first_try_ms bigint NOT NULL DEFAULT 0,
    due_ms bigint NOT NULL,
    leased_until_ms bigint NOT NULL DEFAULT 0,
    asked_for_gap boolean NOT NULL DEFAULT false,
    ended_at_ms bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (letter_id, line)
);
-- A numbered change counts once, whatever the ids of the messages that tell of it.
CREATE UNIQUE INDEX wms_line_numbered ON wms_line (connection_id, sku, sequence) WHERE sequence > 0 AND state <> 'duplicate';
CREATE INDEX wms_line_due ON wms_line (connection_id, due_ms) WHERE state = 'waiting';
CREATE INDEX wms_line_ended ON wms_line (connection_id, ended_at_ms) WHERE state = 'done';

CREATE TABLE wms_position (
    connection_id text NOT NULL,
    sku text NOT NULL,
    sequence bigint NOT NULL,
    PRIMARY KEY (connection_id, sku)
) WITH (fillfactor = 80);

-- Everything that is to be said. cause: what it is said because of; one row a cause.
CREATE TABLE wms_outbox (
    message_id text PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY,
    connection_id text NOT NULL REFERENCES wms_connection,
    cause text NOT NULL,
    type text NOT NULL,
    -- Messages of one order leave in their order; '' has none.
    order_id text NOT NULL DEFAULT '',
    data jsonb NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'done', 'dead', 'dropped')),
    reason text NOT NULL DEFAULT '',
    tries integer NOT NULL DEFAULT 0,
    made_at_ms bigint NOT NULL,
    due_ms bigint NOT NULL,
    leased_until_ms bigint NOT NULL DEFAULT 0,
    ended_at_ms bigint NOT NULL DEFAULT 0,
    UNIQUE (connection_id, cause)
);
CREATE INDEX wms_outbox_due ON wms_outbox (connection_id, number) WHERE state = 'waiting';
CREATE INDEX wms_outbox_of_order ON wms_outbox (connection_id, order_id, number) WHERE state = 'waiting' AND order_id <> '';
CREATE INDEX wms_outbox_listed ON wms_outbox (state, made_at_ms, message_id);

-- Orders that a warehouse must hear of. A trigger, within the projection's transaction: it follows the journal exactly once, also where a
-- replica of the version before does the following.
CREATE TABLE wms_cause (
    order_id text NOT NULL,
    what text NOT NULL CHECK (what IN ('paid', 'ended')),
    at_ms bigint NOT NULL,
    reason text NOT NULL DEFAULT '',
    taken boolean NOT NULL DEFAULT false,
    PRIMARY KEY (order_id, what)
);
CREATE INDEX wms_cause_new ON wms_cause (at_ms, order_id) WHERE NOT taken;

CREATE FUNCTION order_for_wms() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    now_ms bigint := (extract(epoch FROM clock_timestamp()) * 1000)::bigint;
BEGIN
    IF NEW.status = 'paid' THEN
        INSERT INTO wms_cause (order_id, what, at_ms) SELECT NEW.order_id, 'paid', now_ms
        WHERE EXISTS (SELECT FROM wms_connection WHERE state <> 'closed') ON CONFLICT DO NOTHING;
    ELSE
        INSERT INTO wms_cause (order_id, what, at_ms, reason) SELECT NEW.order_id, 'ended', now_ms, NEW.status
        WHERE EXISTS (SELECT FROM wms_cause WHERE order_id = NEW.order_id AND what = 'paid') ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER order_paid_for_wms AFTER INSERT ON orders FOR EACH ROW WHEN (NEW.status = 'paid') EXECUTE FUNCTION order_for_wms();
CREATE TRIGGER order_moved_for_wms AFTER UPDATE ON orders FOR EACH ROW
    WHEN (NEW.status IS DISTINCT FROM OLD.status AND NEW.status IN ('paid', 'cancelled', 'unfulfillable', 'refunded'))
    EXECUTE FUNCTION order_for_wms();

CREATE TABLE shipment (
    connection_id text NOT NULL REFERENCES wms_connection,
    shipment_id text NOT NULL,
    number bigint NOT NULL,
    order_id text NOT NULL,
    parcel integer NOT NULL,
    state text NOT NULL,
    carrier text NOT NULL,
    tracking text NOT NULL,
    -- [["code", units], ...]
    lines jsonb NOT NULL,
    changed_at_ms bigint NOT NULL,
    -- When it left the house; 0: it has not.
    shipped_at_ms bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (connection_id, shipment_id)
);
CREATE INDEX shipment_of_order ON shipment (order_id, parcel);
CREATE INDEX shipment_changed ON shipment (changed_at_ms, shipment_id);

-- Counts of the other side: a page a message, or a page a call.
CREATE TABLE wms_snapshot (
    connection_id text NOT NULL REFERENCES wms_connection,
    snapshot_id text NOT NULL,
    taken_at_ms bigint NOT NULL,
    pages integer NOT NULL,
    complete boolean NOT NULL,
    seen integer[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (connection_id, snapshot_id)
);
CREATE TABLE wms_count (
    connection_id text NOT NULL,
    snapshot_id text NOT NULL,
    sku text NOT NULL,
    on_hand bigint NOT NULL,
    PRIMARY KEY (connection_id, snapshot_id, sku),
    FOREIGN KEY (connection_id, snapshot_id) REFERENCES wms_snapshot ON DELETE CASCADE
);

CREATE TABLE wms_reconciliation (
    run_id text PRIMARY KEY,
    connection_id text NOT NULL REFERENCES wms_connection,
    state text NOT NULL CHECK (state IN ('fetching', 'preview', 'failed', 'applied')),
    reason text NOT NULL DEFAULT '',
    made_by text NOT NULL,
    made_at_ms bigint NOT NULL,
    due_ms bigint NOT NULL,
    tries integer NOT NULL DEFAULT 0,
    leased_until_ms bigint NOT NULL DEFAULT 0,
    snapshot_id text NOT NULL DEFAULT '',
    taken_at_ms bigint NOT NULL DEFAULT 0,
    applied_at_ms bigint NOT NULL DEFAULT 0
);
CREATE INDEX wms_reconciliation_listed ON wms_reconciliation (made_at_ms, run_id);
CREATE INDEX wms_reconciliation_due ON wms_reconciliation (due_ms) WHERE state = 'fetching';

CREATE TABLE wms_difference (
    run_id text NOT NULL REFERENCES wms_reconciliation ON DELETE CASCADE,
    sku text NOT NULL,
    -- Whether the shop has an article of this code: nothing else can be adjusted.
    known boolean NOT NULL,
    ours bigint NOT NULL,
    theirs bigint NOT NULL,
    in_flight bigint NOT NULL,
    difference bigint NOT NULL,
    cause text NOT NULL CHECK (cause IN ('matched', 'in_flight', 'missing_here', 'missing_there', 'mismatch')),
    PRIMARY KEY (run_id, sku)
);
