-- Sessions of the wizard are bounded all together, and no longer address by address.
DROP INDEX fresco_server.wizard_sessions_email;

CREATE INDEX wizard_sessions_rank
    ON fresco_server.wizard_sessions ((step_completed > 0), created_at);
