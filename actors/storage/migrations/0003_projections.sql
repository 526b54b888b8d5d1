-- What people query: filled from the journal in order, exactly once; never the truth.

CREATE TABLE orders (
    order_id text PRIMARY KEY,
    user_id text NOT NULL,
    status text NOT NULL,
    total_amount bigint NOT NULL,
    currency text NOT NULL,
    sale_id text NOT NULL,
    placed_at_ms bigint NOT NULL,
    expires_at_ms bigint NOT NULL,
    shard smallint NOT NULL,
    updated_seq bigint NOT NULL,
    lines jsonb NOT NULL,
    coupons jsonb NOT NULL DEFAULT '[]',
    reason text NOT NULL DEFAULT ''
) WITH (fillfactor = 80);
CREATE INDEX orders_by_user ON orders (user_id, placed_at_ms DESC);

CREATE TABLE payment (
    payment_id text PRIMARY KEY,
    order_id text NOT NULL,
    user_id text NOT NULL,
    status text NOT NULL,
    amount bigint NOT NULL,
    currency text NOT NULL,
    provider_id text NOT NULL DEFAULT '',
    refund_id text NOT NULL DEFAULT '',
    started_at_ms bigint NOT NULL,
    shard smallint NOT NULL,
    updated_seq bigint NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX payment_by_order ON payment (order_id);

CREATE TABLE stock_level (
    key text PRIMARY KEY,
    put_in bigint NOT NULL DEFAULT 0,
    received bigint NOT NULL DEFAULT 0,
    available bigint NOT NULL DEFAULT 0,
    held bigint NOT NULL DEFAULT 0,
    sold bigint NOT NULL DEFAULT 0,
    written_off bigint NOT NULL DEFAULT 0,
    sent bigint NOT NULL DEFAULT 0,
    in_transit bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE TABLE quota_level (
    coupon_id text PRIMARY KEY,
    total bigint NOT NULL DEFAULT 0,
    claimed bigint NOT NULL DEFAULT 0,
    redeemed bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- Double entry: the entries of one posting sum to zero.
CREATE TABLE ledger_entry (
    posting text NOT NULL,
    account text NOT NULL,
    amount bigint NOT NULL,
    currency text NOT NULL,
    order_id text NOT NULL,
    at_ms bigint NOT NULL,
    PRIMARY KEY (posting, account)
);

CREATE TABLE revoked_session (
    session_id text PRIMARY KEY,
    revoked_at_ms bigint NOT NULL
);
CREATE INDEX revoked_session_at ON revoked_session (revoked_at_ms);

CREATE TABLE sale_state (
    sale_id text PRIMARY KEY,
    state text NOT NULL,
    shard smallint NOT NULL,
    updated_seq bigint NOT NULL
);
