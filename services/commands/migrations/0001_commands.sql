-- What each of some devices is asked to do, once.
CREATE TABLE commands_command (
    id          text PRIMARY KEY,
    number      bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    account     text NOT NULL,
    project     text NOT NULL,
    action      jsonb NOT NULL,  -- as on the wire: {"type": "script", "body": "…"}
    timeout     double precision NOT NULL,
    device      text NOT NULL,   -- as it was asked for: this device, '' for others
    "group"     text NOT NULL,   -- or this group, '' for all
    created_at  timestamptz NOT NULL DEFAULT now(),
    deadline    timestamptz NOT NULL  -- it begins before that, or not at all
);

CREATE INDEX commands_command_project ON commands_command (account, project, number);
CREATE INDEX commands_command_age ON commands_command (created_at);

-- What became of it on each.
CREATE TABLE commands_result (
    command     text NOT NULL REFERENCES commands_command (id) ON DELETE CASCADE,
    device      text NOT NULL,
    number      bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    account     text NOT NULL,
    project     text NOT NULL,
    status      text NOT NULL DEFAULT 'waiting' CHECK (status IN (
                    'waiting', 'running', 'done', 'later', 'failed', 'timeout', 'refused',
                    'interrupted', 'expired', 'lost', 'cancelled')),
    code        integer,
    output      text NOT NULL DEFAULT '',
    error       text NOT NULL DEFAULT '',
    seconds     double precision,
    sent_at     timestamptz,     -- last, while nothing was heard of it
    started_at  timestamptz,
    ended_at    timestamptz,
    PRIMARY KEY (command, device)
);

CREATE INDEX commands_result_account ON commands_result (account, project);
CREATE INDEX commands_result_device ON commands_result (account, device, number);
CREATE INDEX commands_result_open ON commands_result (device)
    WHERE status IN ('waiting', 'running', 'cancelled');
