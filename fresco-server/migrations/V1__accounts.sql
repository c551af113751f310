-- People. All times are by this database's clock.
CREATE TABLE fresco_server.users (
    id                uuid        PRIMARY KEY,
    -- As it was typed, and in small letters: one account per address.
    email             text        NOT NULL,
    email_key         text        NOT NULL UNIQUE,
    name              text,
    password_hash     text        NOT NULL,
    -- What they said they want to do.
    use_case          text,
    use_case_text     text,
    -- When they accepted the terms and the privacy policy.
    terms_accepted_at timestamptz NOT NULL,
    created_at        timestamptz NOT NULL DEFAULT now()
);

-- Who is signed in. The token itself is nowhere.
CREATE TABLE fresco_server.sessions (
    token_hash bytea       PRIMARY KEY,
    user_id    uuid        NOT NULL REFERENCES fresco_server.users ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);

CREATE INDEX sessions_user ON fresco_server.sessions (user_id, created_at);
CREATE INDEX sessions_expiry ON fresco_server.sessions (expires_at);

-- Who is in the wizard, and how far. The address is not proven: no account is found by it.
CREATE TABLE fresco_server.wizard_sessions (
    id_hash          bytea       PRIMARY KEY,
    email            text        NOT NULL,
    email_key        text        NOT NULL,
    -- Minted beforehand, so that whatever is repeated makes each of them once.
    user_id          uuid        NOT NULL,
    tenant_id        uuid        NOT NULL,
    step_completed   smallint    NOT NULL DEFAULT 0,
    data             jsonb       NOT NULL,
    password_hash    text,
    -- The account whose password was typed, with that password's hash at the time.
    verified_user_id uuid,
    verified_hash    text,
    created_at       timestamptz NOT NULL DEFAULT now(),
    expires_at       timestamptz NOT NULL,
    CHECK (step_completed BETWEEN 0 AND 4),
    CHECK (step_completed = 0 OR password_hash IS NOT NULL),
    CHECK ((verified_user_id IS NULL) = (verified_hash IS NULL))
);

CREATE INDEX wizard_sessions_email ON fresco_server.wizard_sessions (email_key);
CREATE INDEX wizard_sessions_expiry ON fresco_server.wizard_sessions (expires_at);

-- Requests that may come again: the tenant that each of them makes was named before.
CREATE TABLE fresco_server.idempotency_keys (
    actor      uuid        NOT NULL REFERENCES fresco_server.users ON DELETE CASCADE,
    call       text        NOT NULL,
    key        text        NOT NULL,
    body_hash  bytea       NOT NULL,
    tenant_id  uuid        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (actor, call, key)
);

CREATE INDEX idempotency_keys_expiry ON fresco_server.idempotency_keys (expires_at);
