-- What the shop offers, as plain tables: nobody contends for a title. One sequence numbers all changes, so that caches ask for the news.

CREATE SEQUENCE fact_version;

-- Numbers are given under a lock that is held to the commit: whoever has seen a version has seen every lower one.
CREATE FUNCTION facts_in_turn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7268);
    RETURN NULL;
END $$;

CREATE FUNCTION number_fact() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := nextval('fact_version');
    RETURN NEW;
END $$;

CREATE TABLE product (
    product_id text PRIMARY KEY,
    title text NOT NULL,
    title_zh text NOT NULL,
    department text NOT NULL,
    department_zh text NOT NULL,
    category text,
    type text,
    brand text,
    size text,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX product_by_category ON product (category, product_id);

CREATE TABLE sku (
    sku_id text PRIMARY KEY,
    product_id text NOT NULL REFERENCES product,
    code text NOT NULL,
    price_minor bigint NOT NULL CHECK (price_minor BETWEEN 0 AND 10000000000000),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    on_shelf boolean NOT NULL DEFAULT true,
    parts smallint NOT NULL DEFAULT 1 CHECK (parts BETWEEN 1 AND 64),
    version bigint NOT NULL
);
CREATE INDEX sku_by_product ON sku (product_id);
CREATE INDEX sku_by_version ON sku (version);
CREATE TRIGGER sku_in_turn BEFORE INSERT OR UPDATE ON sku FOR EACH STATEMENT EXECUTE FUNCTION facts_in_turn();
CREATE TRIGGER sku_number BEFORE INSERT OR UPDATE ON sku FOR EACH ROW EXECUTE FUNCTION number_fact();

CREATE TABLE coupon (
    coupon_id text PRIMARY KEY,
    title text NOT NULL,
    title_zh text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('percent', 'amount')),
    value bigint NOT NULL CHECK (value > 0 AND (kind = 'amount' OR value <= 100)),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    min_total bigint NOT NULL DEFAULT 0,
    quota_total bigint NOT NULL,
    quota_per_user bigint NOT NULL DEFAULT 0,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    product_ids text[] NOT NULL DEFAULT '{}',
    version bigint NOT NULL
);
CREATE INDEX coupon_by_version ON coupon (version);
CREATE TRIGGER coupon_in_turn BEFORE INSERT OR UPDATE ON coupon FOR EACH STATEMENT EXECUTE FUNCTION facts_in_turn();
CREATE TRIGGER coupon_number BEFORE INSERT OR UPDATE ON coupon FOR EACH ROW EXECUTE FUNCTION number_fact();

-- The terms of a flash sale. Its state is the admission's, as the projection last told it.
CREATE TABLE flash_sale (
    sale_id text PRIMARY KEY,
    title text NOT NULL,
    title_zh text NOT NULL,
    state text NOT NULL,
    mode text NOT NULL CHECK (mode IN ('first_come', 'draw')),
    opens_at_ms bigint NOT NULL,
    ends_at_ms bigint NOT NULL CHECK (ends_at_ms > opens_at_ms),
    prices jsonb NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    limit_per_user integer NOT NULL CHECK (limit_per_user >= 0),
    ticket_required boolean NOT NULL DEFAULT false,
    ticket_ttl_ms bigint NOT NULL DEFAULT 300000,
    rate_per_s integer NOT NULL DEFAULT 0,
    version bigint NOT NULL
);
CREATE INDEX flash_sale_by_version ON flash_sale (version);
CREATE TRIGGER flash_sale_in_turn BEFORE INSERT OR UPDATE ON flash_sale FOR EACH STATEMENT EXECUTE FUNCTION facts_in_turn();
CREATE TRIGGER flash_sale_number BEFORE INSERT OR UPDATE ON flash_sale FOR EACH ROW EXECUTE FUNCTION number_fact();
