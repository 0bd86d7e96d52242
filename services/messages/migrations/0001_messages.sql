CREATE TABLE messages_integration (
    id          text PRIMARY KEY,
    number      bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    account     text NOT NULL,
    project     text NOT NULL,
    type        text NOT NULL,
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    enabled     boolean NOT NULL,
    shown       jsonb NOT NULL,  -- the config with its secrets masked
    sealed      bytea NOT NULL,  -- the whole config, sealed by the vault
    revision    bigint NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX messages_integration_project ON messages_integration (account, project, number);
