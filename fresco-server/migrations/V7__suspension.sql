ALTER TABLE fresco_server.users
    -- The admin who shut the account.
    ADD COLUMN suspended_by        uuid REFERENCES fresco_server.users ON DELETE SET NULL,
    -- When none of its tenants was left to be stopped.
    ADD COLUMN suspension_done_at  timestamptz;

CREATE INDEX users_suspended ON fresco_server.users (suspended_at)
    WHERE suspended_at IS NOT NULL AND suspension_done_at IS NULL;
CREATE INDEX users_admins ON fresco_server.users (id) WHERE role = 'admin';
CREATE INDEX users_created ON fresco_server.users (created_at DESC, id DESC);
