-- The address that somebody wants instead of theirs, until a letter to it was answered.
ALTER TABLE fresco_server.users
    ADD COLUMN pending_email     text,
    ADD COLUMN pending_email_key text,
    ADD CONSTRAINT users_pending CHECK ((pending_email IS NULL) = (pending_email_key IS NULL));

-- What letters carry, to be shown once. The token itself is in the letter alone.
CREATE TABLE fresco_server.mail_tokens (
    token_hash bytea       PRIMARY KEY,
    user_id    uuid        NOT NULL REFERENCES fresco_server.users ON DELETE CASCADE,
    purpose    text        NOT NULL CHECK (purpose IN ('verify', 'reset')),
    -- Where the letter went.
    email      text        NOT NULL,
    email_key  text        NOT NULL,
    -- What the account was then: another address or another password makes the token worthless.
    bound      bytea       NOT NULL,
    expires_at timestamptz NOT NULL
);

CREATE INDEX mail_tokens_user ON fresco_server.mail_tokens (user_id);
CREATE INDEX mail_tokens_expiry ON fresco_server.mail_tokens (expires_at);

-- The code that shows that somebody reads the address's mail.
ALTER TABLE fresco_server.wizard_sessions
    ADD COLUMN code_hash         bytea,
    -- Wrong ones, over all codes of the session.
    ADD COLUMN code_tries        smallint NOT NULL DEFAULT 0,
    ADD COLUMN email_verified_at timestamptz;
