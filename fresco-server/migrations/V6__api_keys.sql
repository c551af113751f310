-- Keys that programs carry in place of a session. The key itself is nowhere.
CREATE TABLE fresco_server.api_keys (
    id           uuid        PRIMARY KEY,
    key_hash     bytea       NOT NULL UNIQUE,
    user_id      uuid        NOT NULL REFERENCES fresco_server.users ON DELETE CASCADE,
    -- What its owner calls it, and how it begins, to know it again.
    name         text        NOT NULL,
    hint         text        NOT NULL,
    scopes       text[]      NOT NULL CHECK (
        cardinality(scopes) > 0
        AND scopes <@ ARRAY['tenants:read', 'tenants:write', 'logs:read', 'admin']
    ),
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    -- To the minute.
    last_used_at timestamptz
);

CREATE INDEX api_keys_user ON fresco_server.api_keys (user_id, created_at);
