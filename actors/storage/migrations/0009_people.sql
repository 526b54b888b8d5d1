-- Who a person is to the shop, and by what they may log in: found by a keyed fingerprint, kept sealed.

ALTER TABLE account
    ALTER COLUMN password_hash DROP NOT NULL,
    ADD COLUMN status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled', 'merged', 'erased')),
    ADD COLUMN merged_into text REFERENCES account,
    ADD CHECK ((status = 'merged') = (merged_into IS NOT NULL));
CREATE INDEX account_merged ON account (merged_into) WHERE merged_into IS NOT NULL;

CREATE TABLE identity (
    identity_id text PRIMARY KEY,
    user_id text NOT NULL REFERENCES account,
    kind text NOT NULL CHECK (kind IN ('email', 'phone', 'wechat', 'qq', 'alipay', 'apple')),
    lookup bytea NOT NULL,
    union_lookup bytea,
    sealed bytea NOT NULL,
    sealed_name bytea,
    added_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (kind, lookup)
);
CREATE INDEX identity_by_user ON identity (user_id);
CREATE INDEX identity_by_union ON identity (kind, union_lookup) WHERE union_lookup IS NOT NULL;

-- From before fields were sealed: the text after a zero byte, and a fingerprint that everybody can make. `reseal` mends both.
INSERT INTO identity (identity_id, user_id, kind, lookup, sealed)
SELECT 'idn_' || substr(user_id, 5), user_id, 'email', sha256(convert_to(email, 'UTF8')), '\x00'::bytea || convert_to(email, 'UTF8')
FROM account WHERE email NOT LIKE '%@load.invalid';
ALTER TABLE account DROP COLUMN email;

CREATE TABLE field_key (
    name text PRIMARY KEY,
    fingerprint bytea NOT NULL
);
