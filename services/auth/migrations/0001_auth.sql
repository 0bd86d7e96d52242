-- What a device proves itself by, and whether it may still.
CREATE TABLE auth_device (
    id             text PRIMARY KEY,
    account        text NOT NULL,
    project        text NOT NULL,
    key            bytea NOT NULL,  -- sealed by the vault
    status         text NOT NULL DEFAULT 'pending'
                   CHECK (status IN ('pending', 'active', 'revoked', 'quarantined')),
    -- The last session id that was given out, and the one that its hello named as the last one
    -- before: a device that names neither has a past that is not its own.
    last_session   text NOT NULL DEFAULT '',
    prior_session  text NOT NULL DEFAULT '',
    registered_at  timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX auth_device_account ON auth_device (account, project);
CREATE INDEX auth_device_pending ON auth_device (registered_at) WHERE status = 'pending';

-- The live session of a device; the row goes when the session ends.
CREATE TABLE auth_session (
    device         text PRIMARY KEY REFERENCES auth_device (id) ON DELETE CASCADE,
    account        text NOT NULL,
    project        text NOT NULL,
    id             text NOT NULL UNIQUE,
    connection     text NOT NULL,
    opened_at      timestamptz NOT NULL DEFAULT now(),
    expires_at     timestamptz NOT NULL
);

CREATE INDEX auth_session_expiry ON auth_session (expires_at);
CREATE INDEX auth_session_account ON auth_session (account, project);
