-- What is known of a person beside the password.
ALTER TABLE fresco_server.users
    -- When the address was last shown to be theirs.
    ADD COLUMN email_verified_at timestamptz,
    ADD COLUMN role              text NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'admin')),
    -- When an admin shut the account; it can't be signed in to meanwhile.
    ADD COLUMN suspended_at      timestamptz;

-- What its owner sees of a session, to tell it from others and to end it.
ALTER TABLE fresco_server.sessions
    ADD COLUMN id           uuid        NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    ADD COLUMN last_seen_at timestamptz NOT NULL DEFAULT now(),
    -- Whether the browser keeps it beyond its own end.
    ADD COLUMN remembered   boolean     NOT NULL DEFAULT true,
    ADD COLUMN address      text,
    ADD COLUMN user_agent   text;
