-- Who may log in. The address in its one canonical form is unique; its other spellings are the same account.

CREATE TABLE account (
    user_id text PRIMARY KEY,
    email text NOT NULL UNIQUE,
    password_hash text NOT NULL,
    register_id bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
