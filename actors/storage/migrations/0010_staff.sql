-- Who of the staff may do what, what they did (a trail that nobody edits), where people live, and what they asked of their data.

CREATE TABLE merchant (
    merchant_id text PRIMARY KEY,
    title text NOT NULL,
    title_zh text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE product ADD COLUMN merchant_id text REFERENCES merchant;
ALTER TABLE sku ADD COLUMN merchant_id text REFERENCES merchant;
CREATE INDEX product_by_merchant ON product (merchant_id, product_id) WHERE merchant_id IS NOT NULL;
CREATE INDEX sku_by_merchant ON sku (merchant_id) WHERE merchant_id IS NOT NULL;

CREATE TABLE staff_role (
    user_id text NOT NULL,
    role text NOT NULL CHECK (role IN ('merchant', 'warehouse', 'support', 'marketing', 'finance', 'operator', 'administrator')),
    merchant_id text REFERENCES merchant,
    granted_by text NOT NULL,
    granted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, role),
    CHECK ((role = 'merchant') = (merchant_id IS NOT NULL))
);
CREATE INDEX staff_role_administrators ON staff_role (user_id) WHERE role = 'administrator';

-- Each row's hash is over the row before it. before and after are text: jsonb would write them in its own way, and the hash is of bytes.
CREATE TABLE staff_action (
    seq bigint PRIMARY KEY,
    action_id text NOT NULL,
    state text NOT NULL CHECK (state IN ('done', 'intended', 'failed')),
    at_ms bigint NOT NULL,
    actor_id text NOT NULL,
    role text NOT NULL,
    permission text NOT NULL,
    target text NOT NULL,
    reason text NOT NULL,
    before text NOT NULL,
    after text NOT NULL,
    request_id text NOT NULL,
    previous bytea NOT NULL,
    hash bytea NOT NULL
);
CREATE INDEX staff_action_by_actor ON staff_action (actor_id, seq);
CREATE INDEX staff_action_by_target ON staff_action (target, seq);

-- Where the trail ends: its row is locked by whoever adds one, so that rows come one after the other.
CREATE TABLE staff_action_head (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    seq bigint NOT NULL,
    hash bytea NOT NULL
);
INSERT INTO staff_action_head (seq, hash) VALUES (0, '\x');

CREATE FUNCTION staff_action_follows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE staff_action_head SET seq = NEW.seq, hash = NEW.hash WHERE seq = NEW.seq - 1 AND hash = NEW.previous;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'a staff action must follow the last one';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER staff_action_in_turn BEFORE INSERT ON staff_action FOR EACH ROW EXECUTE FUNCTION staff_action_follows();

CREATE FUNCTION staff_action_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'staff actions are only added to';
END $$;
CREATE TRIGGER staff_action_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON staff_action
    FOR EACH STATEMENT EXECUTE FUNCTION staff_action_stands();

CREATE TABLE address (
    address_id text PRIMARY KEY,
    user_id text NOT NULL,
    sealed bytea NOT NULL,
    country text NOT NULL,
    is_default boolean NOT NULL DEFAULT false,
    added_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX address_by_user ON address (user_id);
CREATE UNIQUE INDEX address_default ON address (user_id) WHERE is_default;

-- What the addresses in a user's orders are sealed with. The journal is never changed: when the row goes, nobody reads them any more.
CREATE TABLE user_key (
    user_id text PRIMARY KEY,
    sealed bytea NOT NULL
);

CREATE TABLE privacy_export (
    export_id text PRIMARY KEY,
    user_id text NOT NULL,
    language text NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'done', 'failed')),
    tries smallint NOT NULL DEFAULT 0,
    asked_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    sealed bytea
);
CREATE INDEX privacy_export_by_user ON privacy_export (user_id, asked_at);
CREATE INDEX privacy_export_waiting ON privacy_export (asked_at) WHERE state = 'waiting';

CREATE TABLE erasure (
    user_id text PRIMARY KEY,
    asked_at timestamptz NOT NULL DEFAULT now(),
    due_at timestamptz NOT NULL,
    erased_at timestamptz
);
CREATE INDEX erasure_due ON erasure (due_at) WHERE erased_at IS NULL;
