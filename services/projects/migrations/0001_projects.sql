CREATE TABLE projects_project (
    id          text PRIMARY KEY,
    number      bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    account     text NOT NULL,
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    version     bigint NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX projects_project_account ON projects_project (account, number);

-- Two tokens may be valid at a time, so that one can be rotated without a gap: the slot makes
-- that exact under any concurrency.
CREATE TABLE projects_token (
    id          text PRIMARY KEY,
    number      bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    account     text NOT NULL,
    project     text NOT NULL REFERENCES projects_project (id) ON DELETE CASCADE,
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    prefix      text NOT NULL,
    digest      bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
    slot        smallint NOT NULL CHECK (slot IN (1, 2)),
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (project, slot)
);

CREATE INDEX projects_token_account ON projects_token (account);
