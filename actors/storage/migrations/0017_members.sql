-- What is taken out of the tables of facts is news as well; delivery has a price; orders say what points paid and who is packed first;
-- merges are finished whatever ends in between; where a merchant's money goes.

-- A row that is deleted has no version any more: its name gets one here, so that nobody keeps a fact that is gone.
CREATE TABLE fact_gone (
    name text PRIMARY KEY,
    version bigint NOT NULL
);
CREATE INDEX fact_gone_by_version ON fact_gone (version);

-- The name is the first argument and, where there is a second one, the column of that name.
CREATE FUNCTION fact_goes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO fact_gone (name, version)
    VALUES (TG_ARGV[0] || CASE WHEN TG_NARGS > 1 THEN to_jsonb(OLD) ->> TG_ARGV[1] ELSE '' END, nextval('fact_version'))
    ON CONFLICT (name) DO UPDATE SET version = excluded.version;
    RETURN NULL;
END $$;

-- What a parcel costs, in each currency of the shop; from free_from_minor of goods on nothing (0: never free). No row: nothing.
CREATE TABLE shipping_fee (
    currency text PRIMARY KEY CHECK (currency ~ '^[A-Z]{3}$'),
    fee_minor bigint NOT NULL CHECK (fee_minor BETWEEN 0 AND 1000000000),
    free_from_minor bigint NOT NULL DEFAULT 0 CHECK (free_from_minor BETWEEN 0 AND 10000000000000),
    version bigint NOT NULL
);
CREATE TRIGGER shipping_fee_in_turn BEFORE INSERT OR UPDATE OR DELETE ON shipping_fee FOR EACH STATEMENT EXECUTE FUNCTION facts_in_turn();
CREATE TRIGGER shipping_fee_number BEFORE INSERT OR UPDATE ON shipping_fee FOR EACH ROW EXECUTE FUNCTION number_fact();
CREATE TRIGGER shipping_fee_gone AFTER DELETE ON shipping_fee FOR EACH ROW EXECUTE FUNCTION fact_goes('shop:shipping');

CREATE TRIGGER sku_leaves_in_turn BEFORE DELETE ON sku FOR EACH STATEMENT EXECUTE FUNCTION facts_in_turn();
CREATE TRIGGER sku_gone AFTER DELETE ON sku FOR EACH ROW EXECUTE FUNCTION fact_goes('sku:', 'sku_id');
CREATE TRIGGER coupon_leaves_in_turn BEFORE DELETE ON coupon FOR EACH STATEMENT EXECUTE FUNCTION facts_in_turn();
CREATE TRIGGER coupon_gone AFTER DELETE ON coupon FOR EACH ROW EXECUTE FUNCTION fact_goes('coupon:', 'coupon_id');
CREATE TRIGGER flash_sale_leaves_in_turn BEFORE DELETE ON flash_sale FOR EACH STATEMENT EXECUTE FUNCTION facts_in_turn();
CREATE TRIGGER flash_sale_gone AFTER DELETE ON flash_sale FOR EACH ROW EXECUTE FUNCTION fact_goes('sale:', 'sale_id');
CREATE TRIGGER member_rule_leaves_in_turn BEFORE DELETE ON member_rule FOR EACH STATEMENT EXECUTE FUNCTION facts_in_turn();
CREATE TRIGGER member_rule_gone AFTER DELETE ON member_rule FOR EACH ROW EXECUTE FUNCTION fact_goes('member:rules');
CREATE TRIGGER member_level_leaves_in_turn BEFORE DELETE ON member_level FOR EACH STATEMENT EXECUTE FUNCTION facts_in_turn();
CREATE TRIGGER member_level_gone AFTER DELETE ON member_level FOR EACH ROW EXECUTE FUNCTION fact_goes('member:rules');
CREATE TRIGGER member_price_leaves_in_turn BEFORE DELETE ON member_price FOR EACH STATEMENT EXECUTE FUNCTION facts_in_turn();
CREATE TRIGGER member_price_gone AFTER DELETE ON member_price FOR EACH ROW EXECUTE FUNCTION fact_goes('member_price:', 'sku_id');
CREATE TRIGGER member_price_moved AFTER UPDATE ON member_price FOR EACH ROW WHEN (OLD.sku_id <> NEW.sku_id)
    EXECUTE FUNCTION fact_goes('member_price:', 'sku_id');
CREATE TRIGGER points_mall_item_leaves_in_turn BEFORE DELETE ON points_mall_item FOR EACH STATEMENT EXECUTE FUNCTION facts_in_turn();
CREATE TRIGGER points_mall_item_gone AFTER DELETE ON points_mall_item FOR EACH ROW EXECUTE FUNCTION fact_goes('mall:', 'item_id');

-- Of orders from before this the columns say 0 until the projections are rebuilt.
ALTER TABLE orders
    ADD COLUMN points bigint NOT NULL DEFAULT 0,
    ADD COLUMN points_discount bigint NOT NULL DEFAULT 0,
    ADD COLUMN shipping bigint NOT NULL DEFAULT 0,
    ADD COLUMN shipping_saved bigint NOT NULL DEFAULT 0,
    ADD COLUMN priority smallint NOT NULL DEFAULT 0;
-- Only what is paid stands in these: placing an order touches neither.
CREATE INDEX orders_to_pack ON orders (priority DESC, placed_at_ms, order_id) WHERE status = 'paid';
CREATE INDEX orders_to_pack_by_age ON orders (placed_at_ms, order_id) WHERE status = 'paid';

-- Written in the transaction that merges two accounts; done_at when membership, second factors and sessions have followed.
CREATE TABLE account_merge (
    gone text PRIMARY KEY REFERENCES account,
    survivor text NOT NULL REFERENCES account,
    merged_at timestamptz NOT NULL DEFAULT now(),
    done_at timestamptz
);
CREATE INDEX account_merge_open ON account_merge (merged_at) WHERE done_at IS NULL;
INSERT INTO account_merge (gone, survivor) SELECT user_id, merged_into FROM account WHERE status = 'merged';

-- The newest row that is in force is where the money goes. What was replaced or called off before it was in force never is.
CREATE TABLE payout_account (
    payout_id text PRIMARY KEY,
    merchant_id text NOT NULL REFERENCES merchant,
    kind text NOT NULL CHECK (kind IN ('iban', 'card', 'alipay', 'wechat')),
    sealed bytea NOT NULL,
    set_by text NOT NULL,
    set_at_ms bigint NOT NULL,
    in_force_ms bigint NOT NULL CHECK (in_force_ms >= set_at_ms),
    called_off_ms bigint
);
CREATE INDEX payout_account_by_merchant ON payout_account (merchant_id, in_force_ms);
