-- Whose a passkey is: nobody types a name to log in with one. Challenges of such logins are good once, and nobody owns them yet.

CREATE TABLE passkey (
    credential_id bytea PRIMARY KEY,
    user_id text NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX passkey_by_user ON passkey (user_id);

CREATE TABLE passkey_challenge (
    challenge_id bytea PRIMARY KEY,
    expires_at_ms bigint NOT NULL
);
CREATE INDEX passkey_challenge_by_end ON passkey_challenge (expires_at_ms);
