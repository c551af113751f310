-- What happened, who did it, and what became of it. Rows are inserted as they happen, and linked by
-- one sealer afterwards. No row refers to another table: it outlives what it is about.
CREATE TABLE fresco_server.audit (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- A call of the API by its operationId, or what happened beside it.
    event        text        NOT NULL,
    -- `ok`, or the stable word for what went wrong.
    outcome      text        NOT NULL,
    actor        text        NOT NULL
        CHECK (actor IN ('anonymous', 'user', 'admin', 'operator', 'system')),
    actor_id     uuid,
    -- By what the actor came, and its id; it opens nothing.
    means        text        NOT NULL
        CHECK (means IN ('none', 'session', 'key', 'link', 'command')),
    means_id     uuid,
    -- From where, as far as the platform knows.
    address      text,
    -- What it is about.
    tenant_id    uuid,
    user_id      uuid,
    key_id       uuid,
    session_id   uuid,
    operation_id uuid,
    -- How many, of events that are counted.
    number       bigint,
    -- The place in the chain, the key of its seal, and the seal itself.
    seq          bigint      UNIQUE,
    sealed_by    text,
    mac          bytea,
    CHECK ((seq IS NULL) = (sealed_by IS NULL) AND (seq IS NULL) = (mac IS NULL))
);

CREATE INDEX audit_unsealed ON fresco_server.audit (id) WHERE seq IS NULL;
CREATE INDEX audit_tenant ON fresco_server.audit (tenant_id, id) WHERE tenant_id IS NOT NULL;
CREATE INDEX audit_user ON fresco_server.audit (user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX audit_actor ON fresco_server.audit (actor_id, id) WHERE actor_id IS NOT NULL;

-- How far the chain goes, sealed itself. One row.
CREATE TABLE fresco_server.audit_head (
    one_row    boolean     PRIMARY KEY DEFAULT true CHECK (one_row),
    -- What ended before is not in the log.
    begun_at   timestamptz NOT NULL DEFAULT now(),
    -- So many were taken out at the beginning, being old, and the seal of the last of them.
    pruned     bigint      NOT NULL DEFAULT 0,
    pruned_mac bytea       NOT NULL DEFAULT '',
    -- The last place in the chain, and its seal.
    sealed     bigint      NOT NULL DEFAULT 0,
    last_mac   bytea       NOT NULL DEFAULT '',
    sealed_by  text,
    mac        bytea,
    CHECK ((sealed_by IS NULL) = (mac IS NULL))
);

INSERT INTO fresco_server.audit_head DEFAULT VALUES;

-- Keeps honest programs honest; the tables' owner can remove it, and then the seals tell.
CREATE FUNCTION fresco_server.audit_keeps() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND TG_TABLE_NAME = 'audit' THEN
        -- To be sealed, once, is the one thing that happens to a row.
        IF OLD.seq IS NULL AND NEW.seq IS NOT NULL
            AND to_jsonb(NEW) - '{seq,sealed_by,mac}'::text[]
              = to_jsonb(OLD) - '{seq,sealed_by,mac}'::text[] THEN
            RETURN NEW;
        END IF;
    ELSIF TG_OP = 'DELETE' AND TG_TABLE_NAME = 'audit' THEN
        -- What is old is taken out from the beginning, and the head says so first.
        IF OLD.seq <= (SELECT pruned FROM fresco_server.audit_head) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only: % of % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER audit_rows BEFORE UPDATE OR DELETE ON fresco_server.audit
    FOR EACH ROW EXECUTE FUNCTION fresco_server.audit_keeps();
CREATE TRIGGER audit_whole BEFORE TRUNCATE ON fresco_server.audit
    FOR EACH STATEMENT EXECUTE FUNCTION fresco_server.audit_keeps();
CREATE TRIGGER audit_head_stays BEFORE DELETE OR TRUNCATE ON fresco_server.audit_head
    FOR EACH STATEMENT EXECUTE FUNCTION fresco_server.audit_keeps();

-- Up to which end of an operation of each tenant the log has been told, and at which generation of the
-- tenant there was no more to tell.
CREATE TABLE fresco_server.audit_tenants (
    tenant     uuid        PRIMARY KEY,
    generation bigint      NOT NULL,
    ended_at   timestamptz NOT NULL,
    gone       boolean     NOT NULL DEFAULT false
);

CREATE INDEX audit_tenants_there ON fresco_server.audit_tenants (tenant) WHERE NOT gone;

-- Tenants that the log has called barred.
CREATE TABLE fresco_server.audit_barred (
    tenant uuid PRIMARY KEY,
    excess text NOT NULL
);
