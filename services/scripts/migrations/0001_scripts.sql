-- A script that is run once on each of some devices.
CREATE TABLE scripts_run (
    id          text PRIMARY KEY,
    number      bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    account     text NOT NULL,
    project     text NOT NULL,
    body        text NOT NULL,
    timeout     double precision NOT NULL,
    device      text NOT NULL,   -- as it was asked for: this device, '' for others
    "group"     text NOT NULL,   -- or this group, '' for all
    created_at  timestamptz NOT NULL DEFAULT now(),
    deadline    timestamptz NOT NULL  -- it begins before that, or not at all
);

CREATE INDEX scripts_run_project ON scripts_run (account, project, number);
CREATE INDEX scripts_run_age ON scripts_run (created_at);

-- What became of it on each.
CREATE TABLE scripts_result (
    run         text NOT NULL REFERENCES scripts_run (id) ON DELETE CASCADE,
    device      text NOT NULL,
    number      bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    account     text NOT NULL,
    project     text NOT NULL,
    status      text NOT NULL DEFAULT 'waiting' CHECK (status IN (
                    'waiting', 'running', 'done', 'later', 'failed', 'timeout', 'refused',
                    'interrupted', 'expired', 'lost')),
    code        integer,
    output      text NOT NULL DEFAULT '',
    error       text NOT NULL DEFAULT '',
    seconds     double precision,
    sent_at     timestamptz,
    started_at  timestamptz,
    ended_at    timestamptz,
    PRIMARY KEY (run, device)
);

CREATE INDEX scripts_result_account ON scripts_result (account, project);
CREATE INDEX scripts_result_open ON scripts_result (device)
    WHERE status IN ('waiting', 'running');
