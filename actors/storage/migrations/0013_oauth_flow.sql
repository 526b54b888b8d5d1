-- Third-party logins that have begun: whoever comes back must be who went, once, and soon.

CREATE TABLE oauth_flow (
    flow_hash bytea PRIMARY KEY,
    secret_hash bytea NOT NULL,
    provider text NOT NULL CHECK (provider IN ('wechat', 'qq', 'alipay', 'apple')),
    purpose text NOT NULL CHECK (purpose IN ('login', 'link')),
    user_id text,
    redirect_uri text NOT NULL,
    return_url text NOT NULL,
    expires_at_ms bigint NOT NULL,
    CHECK ((purpose = 'link') = (user_id IS NOT NULL))
);
CREATE INDEX oauth_flow_expires ON oauth_flow (expires_at_ms);
