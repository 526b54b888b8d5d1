-- Membership: its rules as data with the same news as prices, and what people query of members, filled from the journal.

ALTER TABLE coupon ADD COLUMN personal boolean NOT NULL DEFAULT false;

-- One row: the rules beside the levels (schemas/membership.py, RuleTerms).
CREATE TABLE member_rule (
    rule_id text PRIMARY KEY CHECK (rule_id = 'rules'),
    terms jsonb NOT NULL,
    version bigint NOT NULL
);

CREATE TABLE member_level (
    level_id text PRIMARY KEY CHECK (level_id <> ''),
    title text NOT NULL,
    title_zh text NOT NULL,
    growth_min integer NOT NULL CHECK (growth_min >= 0),
    discount_percent smallint NOT NULL DEFAULT 0 CHECK (discount_percent BETWEEN 0 AND 100),
    points_percent integer NOT NULL DEFAULT 100 CHECK (points_percent >= 0),
    free_shipping smallint NOT NULL DEFAULT 0 CHECK (free_shipping >= 0),
    priority smallint NOT NULL DEFAULT 0 CHECK (priority >= 0),
    support_queue text NOT NULL DEFAULT 'standard',
    birthday_coupon_id text NOT NULL DEFAULT '',
    version bigint NOT NULL
);

CREATE TABLE member_price (
    sku_id text NOT NULL REFERENCES sku,
    level_id text NOT NULL REFERENCES member_level,
    price_minor bigint NOT NULL CHECK (price_minor BETWEEN 0 AND 10000000000000),
    version bigint NOT NULL,
    PRIMARY KEY (sku_id, level_id)
);

CREATE TABLE points_mall_item (
    item_id text PRIMARY KEY,
    title text NOT NULL,
    title_zh text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('coupon', 'goods')),
    points bigint NOT NULL CHECK (points > 0),
    coupon_id text NOT NULL DEFAULT '' CHECK ((kind = 'coupon') = (coupon_id <> '')),
    valid_days integer NOT NULL DEFAULT 30 CHECK (valid_days > 0),
    quota_total bigint NOT NULL CHECK (quota_total >= 0),
    quota_per_user bigint NOT NULL DEFAULT 0 CHECK (quota_per_user >= 0),
    active boolean NOT NULL DEFAULT true,
    version bigint NOT NULL
);

CREATE INDEX member_price_by_version ON member_price (version);
CREATE INDEX points_mall_item_by_version ON points_mall_item (version);
CREATE TRIGGER member_rule_in_turn BEFORE INSERT OR UPDATE ON member_rule FOR EACH STATEMENT EXECUTE FUNCTION facts_in_turn();
CREATE TRIGGER member_rule_number BEFORE INSERT OR UPDATE ON member_rule FOR EACH ROW EXECUTE FUNCTION number_fact();
CREATE TRIGGER member_level_in_turn BEFORE INSERT OR UPDATE ON member_level FOR EACH STATEMENT EXECUTE FUNCTION facts_in_turn();
CREATE TRIGGER member_level_number BEFORE INSERT OR UPDATE ON member_level FOR EACH ROW EXECUTE FUNCTION number_fact();
CREATE TRIGGER member_price_in_turn BEFORE INSERT OR UPDATE ON member_price FOR EACH STATEMENT EXECUTE FUNCTION facts_in_turn();
CREATE TRIGGER member_price_number BEFORE INSERT OR UPDATE ON member_price FOR EACH ROW EXECUTE FUNCTION number_fact();
CREATE TRIGGER points_mall_item_in_turn BEFORE INSERT OR UPDATE ON points_mall_item FOR EACH STATEMENT EXECUTE FUNCTION facts_in_turn();
CREATE TRIGGER points_mall_item_number BEFORE INSERT OR UPDATE ON points_mall_item FOR EACH ROW EXECUTE FUNCTION number_fact();

-- One growth and one point for each yuan paid, and about as much for a dollar or a euro; 100 points take one yuan off.
INSERT INTO member_rule (rule_id, terms) VALUES ('rules', '{
    "rates": {
        "CNY": {"growth_per_100": 1, "points_per_100": 1, "minor_per_100_points": 100},
        "EUR": {"growth_per_100": 7, "points_per_100": 7, "minor_per_100_points": 14},
        "USD": {"growth_per_100": 7, "points_per_100": 7, "minor_per_100_points": 14}
    },
    "points_share_percent": 50, "valid_months": 12, "returned_months": 3,
    "sign_in_points": [1, 2, 3, 4, 5, 6, 10], "sign_in_growth": 1, "review_growth": 5, "review_points": 10,
    "birthday_valid_days": 30, "utc_offset_min": 0
}');

INSERT INTO member_level (
    level_id, title, title_zh, growth_min, discount_percent, points_percent, free_shipping, priority, support_queue, birthday_coupon_id
) VALUES
    ('ordinary', 'Ordinary', '普通会员', 0, 0, 100, 0, 0, 'standard', ''),
    ('silver', 'Silver', '银卡会员', 1000, 0, 110, 1, 1, 'standard', 'cpn_birthday_silver'),
    ('gold', 'Gold', '金卡会员', 5000, 2, 125, 3, 2, 'priority', 'cpn_birthday_gold'),
    ('platinum', 'Platinum', '白金会员', 20000, 5, 150, 10, 3, 'dedicated', 'cpn_birthday_platinum');

-- Projections of the group "members". It begins where the journal ends: nobody was a member before, and what was pruned need not be read.
INSERT INTO projection_position (projection, shard, seq) SELECT 'members', shard, head_seq FROM shard_owner;

CREATE TABLE member_standing (
    user_id text PRIMARY KEY,
    level_id text NOT NULL DEFAULT '',
    level_since_ms bigint NOT NULL DEFAULT 0,
    review_ms bigint NOT NULL DEFAULT 0,
    priority smallint NOT NULL DEFAULT 0,
    support_queue text NOT NULL DEFAULT 'standard',
    available bigint NOT NULL DEFAULT 0,
    held bigint NOT NULL DEFAULT 0,
    debt bigint NOT NULL DEFAULT 0,
    shard smallint NOT NULL,
    updated_seq bigint NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX member_standing_by_level ON member_standing (level_id);

-- Double entry in points: the entries of one posting sum to zero.
CREATE TABLE points_entry (
    posting text NOT NULL,
    account text NOT NULL,
    user_id text NOT NULL,
    amount bigint NOT NULL,
    at_ms bigint NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (posting, account)
);
CREATE INDEX points_entry_by_user ON points_entry (user_id, account, seq DESC);

CREATE TABLE sign_in (
    user_id text NOT NULL,
    day integer NOT NULL,
    streak integer NOT NULL,
    points bigint NOT NULL,
    at_ms bigint NOT NULL,
    PRIMARY KEY (user_id, day)
);
