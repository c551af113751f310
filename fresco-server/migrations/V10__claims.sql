-- Tenants whose app gives itself to its first visitor. A row is made before the app is reachable for
-- the first time; until it is open, only who came in by the owner's link may reach the app.
CREATE TABLE fresco_server.claims (
    tenant     uuid        PRIMARY KEY,
    -- The link is derived from this under a key, and from nothing else in the database. Whoever uses
    -- a link changes it.
    link       bytea       NOT NULL,
    -- A keyed hash of the pass of who used a link last.
    pass       bytea,
    made_at    timestamptz NOT NULL DEFAULT now(),
    -- When somebody first came with a pass.
    entered_at timestamptz,
    -- When the owner opened it to everybody.
    opened_at  timestamptz
);
