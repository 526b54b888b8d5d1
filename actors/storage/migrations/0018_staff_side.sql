-- Which orders have goods of which firm, in the order of a firm's list: a page of it reads its own rows and no others.

CREATE TABLE merchant_order (
    merchant_id text NOT NULL REFERENCES merchant,
    order_id text NOT NULL,
    PRIMARY KEY (merchant_id, order_id)
);

-- A trigger, and not the projection alone: replicas of the version before write orders too while an update rolls.
CREATE FUNCTION orders_of_merchants() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM merchant) THEN
        INSERT INTO merchant_order (merchant_id, order_id)
        SELECT DISTINCT s.merchant_id, placed.order_id
        FROM placed CROSS JOIN LATERAL jsonb_array_elements(placed.lines) AS line
        JOIN sku s ON s.sku_id = line ->> 'sku_id'
        WHERE s.merchant_id IS NOT NULL
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER orders_of_merchants AFTER INSERT ON orders
    REFERENCING NEW TABLE AS placed FOR EACH STATEMENT EXECUTE FUNCTION orders_of_merchants();

INSERT INTO merchant_order (merchant_id, order_id)
SELECT DISTINCT s.merchant_id, o.order_id
FROM orders o CROSS JOIN LATERAL jsonb_array_elements(o.lines) AS line
JOIN sku s ON s.sku_id = line ->> 'sku_id'
WHERE s.merchant_id IS NOT NULL;

-- Which changes of an account its owner was told of: a request that is repeated tells nobody twice.
CREATE TABLE notice_told (
    notice_id bytea PRIMARY KEY,
    told_at_ms bigint NOT NULL
);
CREATE INDEX notice_told_at ON notice_told (told_at_ms);

-- Second factors that support takes away for their owner, who has a day to object.
CREATE TABLE factor_reset (
    reset_id text PRIMARY KEY,
    user_id text NOT NULL,
    state text NOT NULL CHECK (state IN ('waiting', 'cancelled', 'done')),
    code_lookup bytea NOT NULL UNIQUE,
    language text NOT NULL,
    asked_by text NOT NULL,
    due_at_ms bigint NOT NULL,
    ended_at_ms bigint
);
CREATE UNIQUE INDEX factor_reset_waiting ON factor_reset (user_id) WHERE state = 'waiting';
CREATE INDEX factor_reset_due ON factor_reset (due_at_ms) WHERE state = 'waiting';
