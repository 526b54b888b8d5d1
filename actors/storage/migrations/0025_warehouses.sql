-- Stock in several warehouses: what the shop knows of a warehouse, and what the journal says of its units.

CREATE TABLE warehouse (
    warehouse_id text PRIMARY KEY,
    code text NOT NULL UNIQUE,
    title text NOT NULL DEFAULT '',
    title_zh text NOT NULL DEFAULT '',
    country text NOT NULL,
    region_code text NOT NULL DEFAULT '',
    city text NOT NULL DEFAULT '',
    city_zh text NOT NULL DEFAULT '',
    address text NOT NULL DEFAULT '',
    lat double precision NOT NULL CHECK (lat BETWEEN -90 AND 90),
    lon double precision NOT NULL CHECK (lon BETWEEN -180 AND 180),
    -- Minutes after midnight, where days begin utc_offset_min before UTC's: what is ordered later leaves a day later.
    cutoff_min integer NOT NULL DEFAULT 1020 CHECK (cutoff_min BETWEEN 0 AND 1440),
    utc_offset_min integer NOT NULL DEFAULT 480 CHECK (utc_offset_min BETWEEN -840 AND 840),
    priority integer NOT NULL DEFAULT 0 CHECK (priority BETWEEN -1000 AND 1000),
    active boolean NOT NULL DEFAULT true,
    wms jsonb NOT NULL DEFAULT '{}',
    version bigint NOT NULL
);
CREATE INDEX warehouse_by_version ON warehouse (version);
CREATE TRIGGER warehouse_in_turn BEFORE INSERT OR UPDATE OR DELETE ON warehouse FOR EACH STATEMENT EXECUTE FUNCTION facts_in_turn();
CREATE TRIGGER warehouse_number BEFORE INSERT OR UPDATE ON warehouse FOR EACH ROW EXECUTE FUNCTION number_fact();
CREATE TRIGGER warehouse_gone AFTER DELETE ON warehouse FOR EACH ROW EXECUTE FUNCTION fact_goes('shop:warehouses');

-- Where the units of an order's lines are: [line, warehouse, units]. Empty where all are in the unnamed warehouse.
-- considered: [warehouse, verdict], why those and no others.
ALTER TABLE orders
    ADD COLUMN sources jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN considered jsonb NOT NULL DEFAULT '[]';

ALTER TABLE stock_level
    ADD COLUMN returned bigint NOT NULL DEFAULT 0,
    ADD COLUMN adjusted bigint NOT NULL DEFAULT 0,
    ADD COLUMN moving bigint NOT NULL DEFAULT 0;

-- One row for each part and warehouse with a name. What a part has in none of them is in the unnamed one.
CREATE TABLE stock_warehouse (
    key text NOT NULL,
    warehouse_id text NOT NULL,
    put_in bigint NOT NULL DEFAULT 0,
    received bigint NOT NULL DEFAULT 0,
    returned bigint NOT NULL DEFAULT 0,
    moved_in bigint NOT NULL DEFAULT 0,
    adjusted bigint NOT NULL DEFAULT 0,
    available bigint NOT NULL DEFAULT 0,
    held bigint NOT NULL DEFAULT 0,
    sold bigint NOT NULL DEFAULT 0,
    written_off bigint NOT NULL DEFAULT 0,
    sent bigint NOT NULL DEFAULT 0,
    moved_out bigint NOT NULL DEFAULT 0,
    safety bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (key, warehouse_id)
) WITH (fillfactor = 50);

-- What happened to units, one row for each lot of an event. available, held: what it changed.
CREATE TABLE stock_movement (
    shard smallint NOT NULL,
    seq bigint NOT NULL,
    n smallint NOT NULL,
    key text NOT NULL,
    warehouse_id text NOT NULL,
    batch text NOT NULL,
    kind text NOT NULL,
    quantity bigint NOT NULL,
    available bigint NOT NULL,
    held bigint NOT NULL,
    reason text NOT NULL,
    reference text NOT NULL,
    at_ms bigint NOT NULL,
    PRIMARY KEY (shard, seq, n)
);
CREATE INDEX stock_movement_by_key ON stock_movement (key, at_ms DESC, shard, seq DESC, n);
