-- Goods. A product is one document (schemas.goods.Product), written and versioned as a whole; the columns of product and
-- sku, and the rows of sku_price, are made from it in the same transaction. doc is NULL where nobody has edited a product
-- since it was seeded: its document is then made from the columns (actors.domain.product).

-- Numbered apart from the facts that owners price by: a large import must not hold those up.
CREATE SEQUENCE goods_version;

CREATE FUNCTION goods_in_turn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7269);
    RETURN NULL;
END $$;

CREATE FUNCTION number_goods() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := nextval('goods_version');
    RETURN NEW;
END $$;

CREATE TABLE brand (
    brand_id text PRIMARY KEY,
    title text NOT NULL,
    title_zh text NOT NULL,
    slug text NOT NULL UNIQUE,
    aliases text[] NOT NULL DEFAULT '{}',
    logo_id text NOT NULL DEFAULT '',
    version bigint NOT NULL
);
CREATE INDEX brand_by_version ON brand (version);
CREATE TRIGGER brand_in_turn BEFORE INSERT OR UPDATE OR DELETE ON brand FOR EACH STATEMENT EXECUTE FUNCTION goods_in_turn();
CREATE TRIGGER brand_number BEFORE INSERT OR UPDATE ON brand FOR EACH ROW EXECUTE FUNCTION number_goods();

-- attributes: schemas.goods.Attribute, a list; what a parent defines holds for its children.
CREATE TABLE category (
    category_id text PRIMARY KEY,
    parent_id text REFERENCES category,
    title text NOT NULL,
    title_zh text NOT NULL,
    slug text NOT NULL UNIQUE,
    position integer NOT NULL DEFAULT 0,
    shown boolean NOT NULL DEFAULT true,
    attributes jsonb NOT NULL DEFAULT '[]',
    version bigint NOT NULL,
    CHECK (parent_id <> category_id)
);
CREATE INDEX category_by_parent ON category (parent_id, position);
CREATE INDEX category_by_version ON category (version);
CREATE TRIGGER category_in_turn BEFORE INSERT OR UPDATE OR DELETE ON category FOR EACH STATEMENT EXECUTE FUNCTION goods_in_turn();
CREATE TRIGGER category_number BEFORE INSERT OR UPDATE ON category FOR EACH ROW EXECUTE FUNCTION number_goods();

-- rule: an expression of CEL over the facts of a product, '' for a tag that is given by hand alone.
CREATE TABLE tag (
    tag_id text PRIMARY KEY,
    title text NOT NULL,
    title_zh text NOT NULL,
    rule text NOT NULL DEFAULT '',
    position integer NOT NULL DEFAULT 0,
    shown boolean NOT NULL DEFAULT true,
    version bigint NOT NULL
);
CREATE TRIGGER tag_in_turn BEFORE INSERT OR UPDATE OR DELETE ON tag FOR EACH STATEMENT EXECUTE FUNCTION goods_in_turn();
CREATE TRIGGER tag_number BEFORE INSERT OR UPDATE ON tag FOR EACH ROW EXECUTE FUNCTION number_goods();

ALTER TABLE product
    ADD COLUMN code text,
    ADD COLUMN state text NOT NULL DEFAULT 'on_shelf' CHECK (state IN ('draft', 'scheduled', 'on_shelf', 'off_shelf', 'retired')),
    ADD COLUMN shelf_at_ms bigint NOT NULL DEFAULT 0,
    ADD COLUMN off_at_ms bigint NOT NULL DEFAULT 0,
    ADD COLUMN on_shelf_since_ms bigint NOT NULL DEFAULT 0,
    ADD COLUMN category_id text REFERENCES category,
    ADD COLUMN brand_id text REFERENCES brand,
    ADD COLUMN slug text,
    -- What the rules of tags and staff say of it; of product_tag, for lists and the search.
    ADD COLUMN tags text[] NOT NULL DEFAULT '{}',
    ADD COLUMN doc jsonb,
    -- The number of its newest product_revision; 0: as it was seeded.
    ADD COLUMN revision integer NOT NULL DEFAULT 0,
    ADD COLUMN version bigint NOT NULL DEFAULT 0;
UPDATE product SET version = nextval('goods_version'), on_shelf_since_ms = (extract(epoch FROM created_at) * 1000)::bigint;
ALTER TABLE product ALTER COLUMN version DROP DEFAULT;
CREATE UNIQUE INDEX product_by_code ON product (coalesce(merchant_id, ''), code) WHERE code IS NOT NULL;
CREATE UNIQUE INDEX product_by_slug ON product (slug) WHERE slug IS NOT NULL;
CREATE INDEX product_by_category_id ON product (category_id, product_id);
CREATE INDEX product_by_brand_id ON product (brand_id);
CREATE INDEX product_by_version ON product (version);
CREATE INDEX product_due ON product (shelf_at_ms) WHERE state = 'scheduled';
CREATE INDEX product_ending ON product (off_at_ms) WHERE state = 'on_shelf' AND off_at_ms > 0;
CREATE TRIGGER product_in_turn BEFORE INSERT OR UPDATE OR DELETE ON product FOR EACH STATEMENT EXECUTE FUNCTION goods_in_turn();
CREATE TRIGGER product_number BEFORE INSERT OR UPDATE ON product FOR EACH ROW EXECUTE FUNCTION number_goods();

-- Every document that a product ever had, with who wrote it, when and why. Only added to.
CREATE TABLE product_revision (
    product_id text NOT NULL REFERENCES product,
    revision integer NOT NULL,
    at_ms bigint NOT NULL,
    actor_id text NOT NULL,
    role text NOT NULL,
    reason text NOT NULL DEFAULT '',
    doc jsonb NOT NULL,
    PRIMARY KEY (product_id, revision)
);

CREATE TABLE product_tag (
    product_id text NOT NULL REFERENCES product,
    tag_id text NOT NULL REFERENCES tag,
    -- kept_off: staff took it away, whatever the rule says.
    given_by text NOT NULL CHECK (given_by IN ('rule', 'hand', 'kept_off')),
    since_ms bigint NOT NULL,
    PRIMARY KEY (product_id, tag_id)
);
CREATE INDEX product_tag_by_tag ON product_tag (tag_id, product_id);

-- offered: by itself; on_shelf: offered, and its product is on the shelf.
ALTER TABLE sku
    ADD COLUMN offered boolean NOT NULL DEFAULT true,
    ADD COLUMN barcode text NOT NULL DEFAULT '',
    ADD COLUMN weight_g integer NOT NULL DEFAULT 0,
    ADD COLUMN position smallint NOT NULL DEFAULT 0,
    ADD COLUMN safety_stock integer NOT NULL DEFAULT 0;
-- Articles that a flash sale has for itself keep the code of the one that they are made from.
CREATE UNIQUE INDEX sku_by_code ON sku (code) WHERE sku_id NOT LIKE 'sku\_s\_%';
CREATE INDEX sku_by_barcode ON sku (barcode) WHERE barcode <> '';

-- All prices of a SKU but member_price's; sku.price_minor is the list price in the shop's own currency.
CREATE TABLE sku_price (
    sku_id text NOT NULL REFERENCES sku,
    position smallint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('list', 'tier', 'promotion', 'member')),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    price_minor bigint NOT NULL CHECK (price_minor BETWEEN 0 AND 10000000000000),
    min_quantity integer NOT NULL DEFAULT 1 CHECK (min_quantity > 0),
    level_id text NOT NULL DEFAULT '',
    starts_at_ms bigint NOT NULL DEFAULT 0,
    ends_at_ms bigint NOT NULL DEFAULT 9007199254740992 CHECK (ends_at_ms > starts_at_ms),
    label text NOT NULL DEFAULT '',
    label_zh text NOT NULL DEFAULT '',
    version bigint NOT NULL,
    PRIMARY KEY (sku_id, position)
);
CREATE INDEX sku_price_by_version ON sku_price (version);
CREATE TRIGGER sku_price_in_turn BEFORE INSERT OR UPDATE OR DELETE ON sku_price FOR EACH STATEMENT EXECUTE FUNCTION facts_in_turn();
CREATE TRIGGER sku_price_number BEFORE INSERT OR UPDATE ON sku_price FOR EACH ROW EXECUTE FUNCTION number_fact();
CREATE TRIGGER sku_price_gone AFTER DELETE ON sku_price FOR EACH ROW EXECUTE FUNCTION fact_goes('prices:', 'sku_id');
