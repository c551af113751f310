-- Who may sign up where not everybody may. The token itself is nowhere.
CREATE TABLE fresco_server.invites (
    token_hash bytea       PRIMARY KEY,
    -- The one address that it is for.
    email_key  text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at    timestamptz
);

CREATE INDEX invites_email ON fresco_server.invites (email_key);

-- The invite with which a session of the wizard was begun.
ALTER TABLE fresco_server.wizard_sessions ADD COLUMN invite_hash bytea;

-- From where an account was signed in: there its owner is not kept out by what others try elsewhere.
CREATE TABLE fresco_server.known_networks (
    user_id      uuid        NOT NULL REFERENCES fresco_server.users ON DELETE CASCADE,
    network      text        NOT NULL,
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, network)
);

-- Tenants of people whose address is not verified. They share a number of places, and end after a
-- time. The owner's row may not be there yet: an account is made with its tenant.
CREATE TABLE fresco_server.trials (
    tenant_id  uuid        PRIMARY KEY,
    user_id    uuid        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);

CREATE INDEX trials_user ON fresco_server.trials (user_id);
