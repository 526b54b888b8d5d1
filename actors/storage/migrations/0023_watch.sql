-- How goods sell, the rules of tags, and what the rules of the life cycle propose. Sales are counted from the ledger: an order counts on
-- the (UTC) day on which it was paid, and no more once its money goes back.

-- Units and revenue (minor units, after discounts) of one article on one day (days since 1970). Only what is not zero.
CREATE TABLE sku_day (
    sku_id text NOT NULL,
    day integer NOT NULL,
    units bigint NOT NULL,
    revenue_minor bigint NOT NULL,
    orders bigint NOT NULL,
    PRIMARY KEY (sku_id, day)
);
CREATE INDEX sku_day_by_day ON sku_day (day);
CREATE INDEX sku_day_empty ON sku_day (sku_id) WHERE orders = 0;

-- In how many paid orders two products stood together.
CREATE TABLE product_pair (
    product_id text NOT NULL,
    with_id text NOT NULL,
    orders bigint NOT NULL,
    PRIMARY KEY (product_id, with_id)
);
CREATE INDEX product_pair_empty ON product_pair (product_id) WHERE orders = 0;

-- Entries of the ledger that are not counted yet. Written by the transaction that writes the entry, so that each is counted once.
CREATE TABLE sale_news (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id text NOT NULL,
    -- 1: it was paid; -1: its money goes back.
    sign smallint NOT NULL
);

CREATE FUNCTION tell_sales() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO sale_news (order_id, sign)
    SELECT order_id, CASE WHEN posting LIKE 'order:%' THEN 1 ELSE -1 END FROM entered
    WHERE account = 'merchant.payable' AND (posting LIKE 'order:%' OR posting LIKE 'refund:%');
    RETURN NULL;
END $$;
CREATE TRIGGER sales_told AFTER INSERT ON ledger_entry
    REFERENCING NEW TABLE AS entered FOR EACH STATEMENT EXECUTE FUNCTION tell_sales();

-- One row. recount: everything is to be counted anew. versions: up to where changes of products and facts were looked at.
CREATE TABLE watch_state (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    recount boolean NOT NULL DEFAULT true,
    goods_version bigint NOT NULL DEFAULT 0,
    fact_version bigint NOT NULL DEFAULT 0,
    looked_at_ms bigint NOT NULL DEFAULT 0,
    ended_at_ms bigint NOT NULL DEFAULT 0,
    reason text NOT NULL DEFAULT ''
);
INSERT INTO watch_state DEFAULT VALUES;

-- facts: schemas.watch.ProductFacts, as of refreshed_ms; the columns are what lists sort by. A row stands for each product.
CREATE TABLE product_fact (
    product_id text PRIMARY KEY,
    day integer NOT NULL,
    refreshed_ms bigint NOT NULL,
    state text NOT NULL,
    available bigint NOT NULL,
    on_hand bigint NOT NULL,
    units_7 bigint NOT NULL,
    units_28 bigint NOT NULL,
    trend double precision NOT NULL,
    days_of_cover double precision NOT NULL,
    facts jsonb NOT NULL
);
CREATE INDEX product_fact_by_day ON product_fact (day);
CREATE INDEX product_fact_by_units ON product_fact (units_7 DESC) WHERE units_7 > 0;

-- Products whose facts are to be made anew.
CREATE TABLE product_fact_due (
    product_id text PRIMARY KEY
);

CREATE INDEX sku_price_promotions ON sku_price (ends_at_ms) WHERE kind = 'promotion';

-- keep_rule: what a product that has the tag by the rule must still fulfil to keep it ('': the rule itself), so that it does not flap.
ALTER TABLE tag ADD COLUMN keep_rule text NOT NULL DEFAULT '';
INSERT INTO tag (tag_id, title, title_zh, rule, keep_rule, position) VALUES
    ('tag_new', 'New', '新品', 'on_shelf && age_days < 30', '', 10),
    ('tag_hot', 'Hot', '热卖', 'on_shelf && (units_7 >= 20 || (units_7 >= 6 && trend >= 2.0))',
        'on_shelf && (units_7 >= 12 || (units_7 >= 4 && trend >= 1.3))', 20),
    ('tag_eco', 'Eco', '环保', 'on_shelf && "eco" in attributes && attributes.eco == true', '', 30),
    ('tag_clearance', 'Clearance', '清仓',
        'on_shelf && available > 0 && discount_percent >= 30 && (days_of_cover > 60.0 || age_days > 90)',
        'on_shelf && available > 0 && discount_percent >= 30', 40);

-- Thresholds of the life cycle (schemas.watch.Thresholds, what differs): of the whole shop (scope '') or of a category and what is below.
CREATE TABLE watch_setting (
    scope text PRIMARY KEY,
    terms jsonb NOT NULL,
    changed_by text NOT NULL,
    changed_at_ms bigint NOT NULL
);

-- What a rule proposes for a product. mark: what of the evidence matters; another one is another case.
-- open -> accepted (under way) -> done; open -> dismissed; open -> expired (it is no longer so).
CREATE TABLE proposal (
    proposal_id text PRIMARY KEY,
    product_id text NOT NULL REFERENCES product,
    rule text NOT NULL CHECK (rule IN ('launch', 'promotion', 'sales', 'low_stock', 'replenish', 'slow', 'retire')),
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'accepted', 'dismissed', 'expired', 'done')),
    mark text NOT NULL,
    action jsonb NOT NULL,
    evidence jsonb NOT NULL,
    opened_at_ms bigint NOT NULL,
    changed_at_ms bigint NOT NULL,
    decided_by text NOT NULL DEFAULT '',
    decided_at_ms bigint NOT NULL DEFAULT 0,
    reason text NOT NULL DEFAULT '',
    -- What the action made: a revision, an order, a coupon.
    result text NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX proposal_open ON proposal (product_id, rule) WHERE state IN ('open', 'accepted');
CREATE INDEX proposal_by_state ON proposal (state, opened_at_ms, proposal_id);
CREATE INDEX proposal_by_rule ON proposal (rule, state, opened_at_ms, proposal_id);
CREATE INDEX proposal_by_product ON proposal (product_id, rule, decided_at_ms DESC);

CREATE TABLE purchase_order (
    purchase_id text PRIMARY KEY,
    state text NOT NULL DEFAULT 'draft' CHECK (state IN ('draft', 'ordered', 'receiving', 'received', 'cancelled')),
    supplier text NOT NULL DEFAULT '',
    warehouse_id text NOT NULL DEFAULT '',
    -- The proposal that it came of; one makes one order.
    proposal_id text UNIQUE REFERENCES proposal,
    made_by text NOT NULL,
    made_at_ms bigint NOT NULL,
    changed_at_ms bigint NOT NULL
);
CREATE INDEX purchase_order_by_state ON purchase_order (state, purchase_id);

-- received: how many arrived; known from the moment in which receiving begins.
CREATE TABLE purchase_line (
    purchase_id text NOT NULL REFERENCES purchase_order,
    sku_id text NOT NULL REFERENCES sku,
    quantity integer NOT NULL CHECK (quantity > 0),
    received integer CHECK (received >= 0),
    PRIMARY KEY (purchase_id, sku_id)
);
CREATE INDEX purchase_line_by_sku ON purchase_line (sku_id);
