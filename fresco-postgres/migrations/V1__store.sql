-- The installation. One row.
CREATE TABLE fresco.platform (
    one_row    boolean     PRIMARY KEY DEFAULT true CHECK (one_row),
    id         uuid        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Rows are never deleted: a destroyed tenant is a tombstone.
CREATE TABLE fresco.tenants (
    id         uuid        PRIMARY KEY,
    -- Copies of what `spec` and `state` say, for constraints and queries.
    owner      text        NOT NULL,
    subdomain  text        NOT NULL,
    status     text        NOT NULL,
    generation bigint      NOT NULL,
    spec       jsonb       NOT NULL,
    state      jsonb       NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE UNIQUE INDEX tenants_subdomain ON fresco.tenants (subdomain) WHERE status <> 'destroyed';
CREATE INDEX tenants_owner ON fresco.tenants (owner, created_at DESC, id DESC);
CREATE INDEX tenants_created ON fresco.tenants (created_at DESC, id DESC);

CREATE TABLE fresco.operations (
    id          uuid        PRIMARY KEY,
    tenant      uuid        NOT NULL REFERENCES fresco.tenants,
    -- A copy of what `data` says.
    status      text        NOT NULL,
    data        jsonb       NOT NULL,
    stage       jsonb       NOT NULL,
    -- The number of the last event.
    seq         bigint      NOT NULL DEFAULT 0,
    created_at  timestamptz NOT NULL,
    -- The lease: who holds it, until when, and in which generation of the tenant it was taken.
    worker      uuid,
    generation  bigint,
    lease_until timestamptz,
    not_before  timestamptz,
    deadline    timestamptz,
    deaths      integer     NOT NULL DEFAULT 0,
    CHECK ((worker IS NULL) = (lease_until IS NULL)),
    CHECK (worker IS NULL OR status NOT IN ('success', 'failed'))
);

CREATE UNIQUE INDEX operations_unfinished ON fresco.operations (tenant)
    WHERE status NOT IN ('success', 'failed');
CREATE INDEX operations_waiting ON fresco.operations (created_at, id)
    WHERE status NOT IN ('success', 'failed');
CREATE INDEX operations_tenant ON fresco.operations (tenant, created_at DESC, id DESC);

CREATE TABLE fresco.events (
    operation uuid   NOT NULL REFERENCES fresco.operations,
    seq       bigint NOT NULL,
    -- The operation as it was then, without what never changes (`target`, `previous`).
    data      jsonb  NOT NULL,
    PRIMARY KEY (operation, seq)
);
