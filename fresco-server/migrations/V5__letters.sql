-- Letters to be sent, and those of the last days. None holds a token: that is made, and its hash
-- written down, when the letter is sent.
CREATE TABLE fresco_server.letters (
    id            uuid        PRIMARY KEY,
    kind          text        NOT NULL,
    recipient     text        NOT NULL,
    recipient_key text        NOT NULL,
    -- What it is about.
    letter        jsonb       NOT NULL,
    tries         integer     NOT NULL DEFAULT 0,
    created_at    timestamptz NOT NULL DEFAULT now(),
    -- When it is to be tried next. Whoever tries it puts this off first, so that nobody else does.
    due_at        timestamptz NOT NULL DEFAULT now(),
    ended_at      timestamptz,
    outcome       text        CHECK (outcome IN ('sent', 'dropped', 'failed')),
    CHECK ((ended_at IS NULL) = (outcome IS NULL))
);

CREATE INDEX letters_due ON fresco_server.letters (due_at) WHERE ended_at IS NULL;
CREATE INDEX letters_ended ON fresco_server.letters (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX letters_recipient ON fresco_server.letters (recipient_key, kind, created_at);

-- Creations of tenants whose end their owner was told of.
CREATE TABLE fresco_server.told_deployments (
    operation  uuid        PRIMARY KEY,
    tenant     uuid        NOT NULL,
    successful boolean     NOT NULL,
    told_at    timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX told_deployments_tenant ON fresco_server.told_deployments (tenant);

-- Of what ended before there was mail, nobody is told. One row.
CREATE TABLE fresco_server.told_since (
    one_row boolean     PRIMARY KEY DEFAULT true CHECK (one_row),
    since   timestamptz NOT NULL DEFAULT now()
);

INSERT INTO fresco_server.told_since DEFAULT VALUES;
