-- Behaviour events and the people they are about: what people allow, which terminals are theirs, and whose events must go.

-- Only added to: the last line of a user is what holds, all of them are the proof of what was allowed when, and by which text.
CREATE TABLE event_consent (
    consent_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id text NOT NULL,
    actor text NOT NULL,
    choice text NOT NULL CHECK (choice IN ('granted', 'denied')),
    text_version text NOT NULL,
    at_ms bigint NOT NULL
);
CREATE INDEX event_consent_by_user ON event_consent (user_id, consent_id DESC);
CREATE INDEX event_consent_by_actor ON event_consent (actor, consent_id);

CREATE FUNCTION event_consent_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'consents are only added to';
END $$;
CREATE TRIGGER event_consent_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON event_consent
    FOR EACH STATEMENT EXECUTE FUNCTION event_consent_stands();

-- actor, visitor: pseudonyms, as in the lake.
CREATE TABLE visitor_link (
    user_id text NOT NULL,
    actor text NOT NULL,
    visitor text NOT NULL,
    joined_at_ms bigint NOT NULL,
    PRIMARY KEY (user_id, visitor)
);
CREATE INDEX visitor_link_by_age ON visitor_link (joined_at_ms);

-- secret: of the new pseudonyms, while files are being rewritten. A line goes when no spool can hold anything of the person any more.
CREATE TABLE event_erasure (
    user_id text PRIMARY KEY,
    visitors text[] NOT NULL DEFAULT '{}',
    erased_at_ms bigint NOT NULL,
    secret bytea,
    done_at timestamptz
);
INSERT INTO event_erasure (user_id, erased_at_ms)
SELECT user_id, (extract(epoch FROM erased_at) * 1000)::bigint FROM erasure WHERE erased_at IS NOT NULL;

-- When sessions were ended and second factors taken away, which the owners of these do and no transaction can.
ALTER TABLE erasure ADD COLUMN cleared_at timestamptz;
CREATE INDEX erasure_to_clear ON erasure (user_id) WHERE erased_at IS NOT NULL AND cleared_at IS NULL;
