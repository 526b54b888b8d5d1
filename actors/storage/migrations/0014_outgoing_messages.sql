-- What the development outbox would have sent, for a person to read; the newest few hundred.

CREATE TABLE outgoing_message (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id text NOT NULL,
    channel text NOT NULL CHECK (channel IN ('sms', 'email')),
    recipient text NOT NULL,
    template text NOT NULL,
    language text NOT NULL,
    subject text NOT NULL,
    body text NOT NULL,
    at_ms bigint NOT NULL
);
